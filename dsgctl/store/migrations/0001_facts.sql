-- The data, as in architecture.md, "Data". Times are UTC text of one width (2026-11-22T23:54:12.913780Z), which sorts
-- and compares as text, and which an operator can read.

PRAGMA application_id = 0x44534731;  -- "DSG1": marks a file as ours

CREATE TABLE migrations (
  number  INTEGER PRIMARY KEY,
  name    TEXT NOT NULL,
  applied TEXT NOT NULL
) STRICT;

-- Users and service accounts have one id space: CAVE stores these ids beside annotations, so an id is never reused
-- (AUTOINCREMENT).
CREATE TABLE principals (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  kind         TEXT NOT NULL CHECK (kind IN ('user', 'service_account')),
  email        TEXT,
  slug         TEXT UNIQUE,
  issuer       TEXT,
  subject      TEXT,
  name         TEXT NOT NULL DEFAULT '',
  display_name TEXT NOT NULL DEFAULT '',
  description  TEXT NOT NULL DEFAULT '',
  admin        INTEGER NOT NULL DEFAULT 0 CHECK (admin IN (0, 1)),
  active       INTEGER NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
  read_only    INTEGER NOT NULL DEFAULT 0 CHECK (read_only IN (0, 1)),
  pi           TEXT NOT NULL DEFAULT '',
  notes        TEXT NOT NULL DEFAULT '',
  picture_url  TEXT NOT NULL DEFAULT '',
  parent_id    INTEGER REFERENCES principals (id) ON DELETE CASCADE,
  created      TEXT NOT NULL CHECK (created GLOB '????-??-??T??:??:??.??????Z'),
  created_by   TEXT NOT NULL,
  CHECK ((kind = 'user') = (email IS NOT NULL)),
  CHECK ((kind = 'service_account') = (slug IS NOT NULL)),
  CHECK ((issuer IS NULL) = (subject IS NULL)),
  CHECK (kind = 'user' OR (admin = 0 AND read_only = 0 AND parent_id IS NULL AND subject IS NULL))
) STRICT;
-- Addresses are ASCII (core/validation.py), so lower() ignores the case of all their letters.
CREATE UNIQUE INDEX principals_email ON principals (lower(email));
CREATE UNIQUE INDEX principals_subject ON principals (issuer, subject) WHERE subject IS NOT NULL;
CREATE INDEX principals_parent ON principals (parent_id) WHERE parent_id IS NOT NULL;

CREATE TABLE affiliations (
  principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
  name         TEXT NOT NULL,
  PRIMARY KEY (principal_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE groups (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  name    TEXT NOT NULL UNIQUE,
  created TEXT NOT NULL CHECK (created GLOB '????-??-??T??:??:??.??????Z')
) STRICT;

CREATE TABLE memberships (
  principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
  group_id     INTEGER NOT NULL REFERENCES groups (id) ON DELETE CASCADE,
  leads        INTEGER NOT NULL DEFAULT 0 CHECK (leads IN (0, 1)),
  PRIMARY KEY (principal_id, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_group ON memberships (group_id);

CREATE TABLE datasets (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  name         TEXT NOT NULL UNIQUE,
  description  TEXT NOT NULL DEFAULT '',
  access       TEXT NOT NULL DEFAULT 'closed' CHECK (access IN ('closed', 'public')),
  own_terms_id INTEGER REFERENCES terms (id) ON DELETE SET NULL,
  created      TEXT NOT NULL CHECK (created GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
CREATE INDEX datasets_own_terms ON datasets (own_terms_id) WHERE own_terms_id IS NOT NULL;

CREATE TABLE versions (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  dataset_id INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
  name       TEXT NOT NULL,
  public     INTEGER NOT NULL DEFAULT 0 CHECK (public IN (0, 1)),
  UNIQUE (dataset_id, name),
  UNIQUE (id, dataset_id)  -- so that others can refer to "a version of this dataset"
) STRICT;

CREATE TABLE buckets (
  name       TEXT PRIMARY KEY,
  credential TEXT,
  project    TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE locations (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  dataset_id INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
  version_id INTEGER,
  bucket     TEXT NOT NULL REFERENCES buckets (name),
  prefix     TEXT NOT NULL DEFAULT '' CHECK (prefix = '' OR prefix LIKE '%/'),
  FOREIGN KEY (version_id, dataset_id) REFERENCES versions (id, dataset_id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX locations_whole ON locations (dataset_id, coalesce(version_id, 0), bucket, prefix);
CREATE INDEX locations_bucket ON locations (bucket);
CREATE INDEX locations_version ON locations (version_id) WHERE version_id IS NOT NULL;

CREATE TABLE grants (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  principal_id   INTEGER REFERENCES principals (id) ON DELETE CASCADE,
  group_id       INTEGER REFERENCES groups (id) ON DELETE CASCADE,
  dataset_id     INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
  version_id     INTEGER,
  permission     TEXT NOT NULL,
  scope_group_id INTEGER REFERENCES groups (id) ON DELETE CASCADE,
  source         TEXT NOT NULL CHECK (source IN ('manual', 'self-service', 'import')),
  granted_by     TEXT NOT NULL,
  created        TEXT NOT NULL CHECK (created GLOB '????-??-??T??:??:??.??????Z'),
  expires        TEXT CHECK (expires GLOB '????-??-??T??:??:??.??????Z'),
  CHECK ((principal_id IS NULL) <> (group_id IS NULL)),
  FOREIGN KEY (version_id, dataset_id) REFERENCES versions (id, dataset_id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX grants_whole ON grants (
  coalesce(principal_id, 0), coalesce(group_id, 0), dataset_id,
  coalesce(version_id, 0), permission, coalesce(scope_group_id, 0));
CREATE INDEX grants_principal ON grants (principal_id) WHERE principal_id IS NOT NULL;
CREATE INDEX grants_group ON grants (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX grants_dataset ON grants (dataset_id);
CREATE INDEX grants_version ON grants (version_id) WHERE version_id IS NOT NULL;
CREATE INDEX grants_scope ON grants (scope_group_id) WHERE scope_group_id IS NOT NULL;
CREATE INDEX grants_expires ON grants (expires) WHERE expires IS NOT NULL;

CREATE TABLE services (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  name         TEXT NOT NULL UNIQUE,
  display_name TEXT NOT NULL DEFAULT '',
  url          TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE terms (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  name         TEXT NOT NULL,
  text         TEXT NOT NULL,
  dataset_id   INTEGER REFERENCES datasets (id) ON DELETE CASCADE,
  version_id   INTEGER,
  service_id   INTEGER REFERENCES services (id) ON DELETE CASCADE,
  invite_token TEXT NOT NULL UNIQUE,
  effective    TEXT NOT NULL CHECK (effective GLOB '????-??-??T??:??:??.??????Z'),
  retired      TEXT CHECK (retired GLOB '????-??-??T??:??:??.??????Z'),
  FOREIGN KEY (version_id, dataset_id) REFERENCES versions (id, dataset_id) ON DELETE CASCADE
) STRICT;
CREATE INDEX terms_dataset ON terms (dataset_id) WHERE dataset_id IS NOT NULL;
CREATE INDEX terms_version ON terms (version_id) WHERE version_id IS NOT NULL;
CREATE INDEX terms_service ON terms (service_id) WHERE service_id IS NOT NULL;

CREATE TABLE acceptances (
  principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
  terms_id     INTEGER NOT NULL REFERENCES terms (id) ON DELETE CASCADE,
  accepted     TEXT NOT NULL CHECK (accepted GLOB '????-??-??T??:??:??.??????Z'),
  address      TEXT,           -- of the browser; none if an operator recorded it
  recorded_by  TEXT NOT NULL,  -- an actor: the user, or the operator on the user's behalf
  PRIMARY KEY (principal_id, terms_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX acceptances_terms ON acceptances (terms_id);

-- CAVE has its own names of services and tables; they do not refer to the table services.
CREATE TABLE service_tables (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  service    TEXT NOT NULL,
  name       TEXT NOT NULL,
  dataset_id INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
  UNIQUE (service, name)
) STRICT;
CREATE INDEX service_tables_dataset ON service_tables (dataset_id);

CREATE TABLE public_roots (
  service_table_id INTEGER NOT NULL REFERENCES service_tables (id) ON DELETE CASCADE,
  root_id          INTEGER NOT NULL CHECK (root_id >= 0),
  PRIMARY KEY (service_table_id, root_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
  kind         TEXT NOT NULL CHECK (kind IN ('login', 'api')),
  hash         BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),  -- SHA-256; the token itself is never stored
  prefix       TEXT NOT NULL,
  description  TEXT NOT NULL DEFAULT '',
  created      TEXT NOT NULL CHECK (created GLOB '????-??-??T??:??:??.??????Z'),
  expires      TEXT CHECK (expires GLOB '????-??-??T??:??:??.??????Z'),
  revoked      TEXT CHECK (revoked GLOB '????-??-??T??:??:??.??????Z'),
  last_used    TEXT CHECK (last_used GLOB '????-??-??T??:??:??.??????Z')
) STRICT;
CREATE INDEX tokens_principal ON tokens (principal_id);

-- Each record has a hash of itself and of the record before it (core/audit.py).
CREATE TABLE audit (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  at            TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??.??????Z'),
  actor         TEXT NOT NULL,
  action        TEXT NOT NULL,
  target        TEXT NOT NULL,
  before        TEXT CHECK (before IS NULL OR json_valid(before)),
  after         TEXT CHECK (after IS NULL OR json_valid(after)),
  imported_from TEXT UNIQUE,  -- a record of another system; tells that it is here already
  hash          BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
  BEGIN SELECT raise(ABORT, 'audit records cannot be changed'); END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
  BEGIN SELECT raise(ABORT, 'audit records cannot be deleted'); END;

-- For `user list --search`: an index of every three consecutive letters, ignoring case.
CREATE VIRTUAL TABLE principals_search USING fts5 (
  email, slug, name, display_name, content='principals', content_rowid='id', tokenize='trigram');
CREATE TRIGGER principals_search_insert AFTER INSERT ON principals BEGIN
  INSERT INTO principals_search (rowid, email, slug, name, display_name)
  VALUES (new.id, new.email, new.slug, new.name, new.display_name);
END;
CREATE TRIGGER principals_search_delete AFTER DELETE ON principals BEGIN
  INSERT INTO principals_search (principals_search, rowid, email, slug, name, display_name)
  VALUES ('delete', old.id, old.email, old.slug, old.name, old.display_name);
END;
CREATE TRIGGER principals_search_update AFTER UPDATE OF email, slug, name, display_name ON principals BEGIN
  INSERT INTO principals_search (principals_search, rowid, email, slug, name, display_name)
  VALUES ('delete', old.id, old.email, old.slug, old.name, old.display_name);
  INSERT INTO principals_search (rowid, email, slug, name, display_name)
  VALUES (new.id, new.email, new.slug, new.name, new.display_name);
END;

-- A number that increases with every change to the data that decides access, whoever makes it. A cached response of
-- the server is valid for one value of it (dsgserve/user_cache/endpoint.py).
CREATE TABLE revision (
  one    INTEGER PRIMARY KEY CHECK (one = 1),
  number INTEGER NOT NULL
) STRICT;
INSERT INTO revision VALUES (1, 1);

CREATE TRIGGER principals_revision_insert AFTER INSERT ON principals
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER principals_revision_update AFTER UPDATE ON principals
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER principals_revision_delete AFTER DELETE ON principals
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER affiliations_revision_insert AFTER INSERT ON affiliations
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER affiliations_revision_update AFTER UPDATE ON affiliations
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER affiliations_revision_delete AFTER DELETE ON affiliations
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER groups_revision_insert AFTER INSERT ON groups
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER groups_revision_update AFTER UPDATE ON groups
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER groups_revision_delete AFTER DELETE ON groups
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER memberships_revision_insert AFTER INSERT ON memberships
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER memberships_revision_update AFTER UPDATE ON memberships
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER memberships_revision_delete AFTER DELETE ON memberships
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER datasets_revision_insert AFTER INSERT ON datasets
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER datasets_revision_update AFTER UPDATE ON datasets
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER datasets_revision_delete AFTER DELETE ON datasets
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER versions_revision_insert AFTER INSERT ON versions
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER versions_revision_update AFTER UPDATE ON versions
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER versions_revision_delete AFTER DELETE ON versions
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER buckets_revision_insert AFTER INSERT ON buckets
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER buckets_revision_update AFTER UPDATE ON buckets
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER buckets_revision_delete AFTER DELETE ON buckets
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER locations_revision_insert AFTER INSERT ON locations
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER locations_revision_update AFTER UPDATE ON locations
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER locations_revision_delete AFTER DELETE ON locations
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER grants_revision_insert AFTER INSERT ON grants
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER grants_revision_update AFTER UPDATE ON grants
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER grants_revision_delete AFTER DELETE ON grants
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER services_revision_insert AFTER INSERT ON services
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER services_revision_update AFTER UPDATE ON services
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER services_revision_delete AFTER DELETE ON services
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER terms_revision_insert AFTER INSERT ON terms
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER terms_revision_update AFTER UPDATE ON terms
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER terms_revision_delete AFTER DELETE ON terms
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER acceptances_revision_insert AFTER INSERT ON acceptances
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER acceptances_revision_update AFTER UPDATE ON acceptances
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER acceptances_revision_delete AFTER DELETE ON acceptances
  BEGIN UPDATE revision SET number = number + 1; END;

CREATE TRIGGER tokens_revision_insert AFTER INSERT ON tokens
  BEGIN UPDATE revision SET number = number + 1; END;
-- last_used is left out: it decides nothing.
CREATE TRIGGER tokens_revision_update AFTER UPDATE OF principal_id, kind, hash, expires, revoked ON tokens
  BEGIN UPDATE revision SET number = number + 1; END;
CREATE TRIGGER tokens_revision_delete AFTER DELETE ON tokens
  BEGIN UPDATE revision SET number = number + 1; END;
