-- Registered clients: web applications that may be handed a delegated key, a token that acts for a user for some days
-- (core/clients.py, core/delegated_keys.py).

CREATE TABLE clients (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  name     TEXT NOT NULL UNIQUE,
  owner_id INTEGER NOT NULL REFERENCES principals (id),  -- a client has an owner, so its owner cannot be deleted
  origin   TEXT NOT NULL UNIQUE,  -- exactly as browsers write it
  active   INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
  created  TEXT NOT NULL CHECK (created GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
CREATE INDEX clients_owner ON clients (owner_id);

-- The origins of the servers to which a client may send its keys.
CREATE TABLE client_app_urls (
  client_id INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  url       TEXT NOT NULL,
  PRIMARY KEY (client_id, url)
) STRICT, WITHOUT ROWID;

-- The people who said that they do not want to be asked again.
CREATE TABLE client_consents (
  principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
  client_id    INTEGER NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
  created      TEXT NOT NULL CHECK (created GLOB '????-??-??T??:??:??.??????Z'),
  PRIMARY KEY (principal_id, client_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX client_consents_client ON client_consents (client_id);

-- A delegated key without its client is refused (core/token_checks.py). Consents and app URLs decide no access.
CREATE TRIGGER clients_change_insert AFTER INSERT ON clients BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER clients_change_update AFTER UPDATE ON clients BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER clients_change_delete AFTER DELETE ON clients BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;

-- People agreed to an application of one origin and one owner. Whatever changes these, everybody is asked again.
CREATE TRIGGER clients_consents_update AFTER UPDATE ON clients
WHEN new.id IS NOT old.id OR new.origin IS NOT old.origin OR new.owner_id IS NOT old.owner_id BEGIN
  DELETE FROM client_consents WHERE client_id IN (old.id, new.id);
END;
CREATE TRIGGER clients_consents_delete AFTER DELETE ON clients BEGIN
  DELETE FROM client_consents WHERE client_id = old.id;
END;
-- REPLACE deletes rows without their triggers.
CREATE TRIGGER clients_consents_replace BEFORE INSERT ON clients BEGIN
  DELETE FROM client_consents
    WHERE client_id = new.id OR client_id IN (SELECT id FROM clients WHERE name = new.name OR origin = new.origin);
END;

-- SQLite cannot change the check of a column, so the table is copied; ids that were ever used stay used.
CREATE TABLE tokens_with_client (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
  kind         TEXT NOT NULL CHECK (kind IN ('login', 'api', 'delegated')),
  hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),  -- SHA-256; the token itself is never stored
  prefix       TEXT NOT NULL,
  description  TEXT NOT NULL DEFAULT '',
  created      TEXT NOT NULL CHECK (created GLOB '????-??-??T??:??:??.??????Z'),
  expires      TEXT CHECK (expires GLOB '????-??-??T??:??:??.??????Z'),
  revoked      TEXT CHECK (revoked GLOB '????-??-??T??:??:??.??????Z'),
  last_used    TEXT CHECK (last_used GLOB '????-??-??T??:??:??.??????Z'),
  postponed    TEXT NOT NULL DEFAULT '',
  client_id    INTEGER REFERENCES clients (id) ON DELETE SET NULL,  -- of a delegated key
  CHECK (client_id IS NULL OR kind = 'delegated')
) STRICT;
INSERT INTO tokens_with_client (id, principal_id, kind, hash, prefix, description, created, expires, revoked, last_used,
                                postponed)
  SELECT id, principal_id, kind, hash, prefix, description, created, expires, revoked, last_used, postponed FROM tokens;
DELETE FROM sqlite_sequence WHERE name = 'tokens_with_client';
UPDATE sqlite_sequence SET name = 'tokens_with_client' WHERE name = 'tokens';
DROP TABLE tokens;
ALTER TABLE tokens_with_client RENAME TO tokens;
CREATE INDEX tokens_principal ON tokens (principal_id);
CREATE INDEX tokens_client ON tokens (client_id) WHERE client_id IS NOT NULL;

-- The triggers of before; a change of the client counts too.
CREATE TRIGGER tokens_change_insert AFTER INSERT ON tokens BEGIN
  INSERT INTO changes (principal_id) VALUES (new.principal_id);
END;
CREATE TRIGGER tokens_change_update AFTER UPDATE ON tokens
WHEN new.id IS NOT old.id OR new.principal_id IS NOT old.principal_id OR new.kind IS NOT old.kind
  OR new.hash IS NOT old.hash OR new.expires IS NOT old.expires OR new.revoked IS NOT old.revoked
  OR new.client_id IS NOT old.client_id BEGIN
  INSERT INTO changes (principal_id) SELECT old.principal_id UNION SELECT new.principal_id;
END;
CREATE TRIGGER tokens_change_delete AFTER DELETE ON tokens BEGIN
  INSERT INTO changes (principal_id) VALUES (old.principal_id);
END;
CREATE TRIGGER tokens_change_displace BEFORE UPDATE ON tokens WHEN new.id <> old.id OR new.hash <> old.hash BEGIN
  INSERT INTO changes (principal_id)
    SELECT principal_id FROM tokens WHERE id <> old.id AND (id = new.id OR hash = new.hash);
END;
CREATE TRIGGER tokens_change_replace BEFORE INSERT ON tokens BEGIN
  INSERT INTO changes (principal_id) SELECT principal_id FROM tokens WHERE id = new.id OR hash = new.hash;
END;
