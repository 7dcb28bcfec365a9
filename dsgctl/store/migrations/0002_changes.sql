-- The principal or group that a change concerns: the server discards their cached responses and keeps the others
-- (dsgserve/user_cache/response_cache.py). The revision is the number of the newest change. Old changes are deleted.

DROP TRIGGER principals_revision_insert;
DROP TRIGGER principals_revision_update;
DROP TRIGGER principals_revision_delete;
DROP TRIGGER affiliations_revision_insert;
DROP TRIGGER affiliations_revision_update;
DROP TRIGGER affiliations_revision_delete;
DROP TRIGGER groups_revision_insert;
DROP TRIGGER groups_revision_update;
DROP TRIGGER groups_revision_delete;
DROP TRIGGER memberships_revision_insert;
DROP TRIGGER memberships_revision_update;
DROP TRIGGER memberships_revision_delete;
DROP TRIGGER datasets_revision_insert;
DROP TRIGGER datasets_revision_update;
DROP TRIGGER datasets_revision_delete;
DROP TRIGGER versions_revision_insert;
DROP TRIGGER versions_revision_update;
DROP TRIGGER versions_revision_delete;
DROP TRIGGER buckets_revision_insert;
DROP TRIGGER buckets_revision_update;
DROP TRIGGER buckets_revision_delete;
DROP TRIGGER locations_revision_insert;
DROP TRIGGER locations_revision_update;
DROP TRIGGER locations_revision_delete;
DROP TRIGGER grants_revision_insert;
DROP TRIGGER grants_revision_update;
DROP TRIGGER grants_revision_delete;
DROP TRIGGER services_revision_insert;
DROP TRIGGER services_revision_update;
DROP TRIGGER services_revision_delete;
DROP TRIGGER terms_revision_insert;
DROP TRIGGER terms_revision_update;
DROP TRIGGER terms_revision_delete;
DROP TRIGGER acceptances_revision_insert;
DROP TRIGGER acceptances_revision_update;
DROP TRIGGER acceptances_revision_delete;
DROP TRIGGER tokens_revision_insert;
DROP TRIGGER tokens_revision_update;
DROP TRIGGER tokens_revision_delete;

CREATE TABLE changes (
  number       INTEGER PRIMARY KEY,
  principal_id INTEGER,  -- concerns this one alone; no reference: it may be gone
  group_id     INTEGER,  -- concerns those in this group; neither: everybody
  CHECK (principal_id IS NULL OR group_id IS NULL)
) STRICT;
INSERT INTO changes (number) SELECT number + 1 FROM revision;
DROP TABLE revision;

CREATE TRIGGER principals_change_insert AFTER INSERT ON principals BEGIN
  INSERT INTO changes (principal_id) VALUES (new.id);
END;
CREATE TRIGGER principals_change_update AFTER UPDATE ON principals BEGIN
  INSERT INTO changes (principal_id) SELECT old.id UNION SELECT new.id;
END;
CREATE TRIGGER principals_change_delete AFTER DELETE ON principals BEGIN
  INSERT INTO changes (principal_id) VALUES (old.id);
END;

CREATE TRIGGER affiliations_change_insert AFTER INSERT ON affiliations BEGIN
  INSERT INTO changes (principal_id) VALUES (new.principal_id);
END;
CREATE TRIGGER affiliations_change_update AFTER UPDATE ON affiliations BEGIN
  INSERT INTO changes (principal_id) SELECT old.principal_id UNION SELECT new.principal_id;
END;
CREATE TRIGGER affiliations_change_delete AFTER DELETE ON affiliations BEGIN
  INSERT INTO changes (principal_id) VALUES (old.principal_id);
END;

CREATE TRIGGER groups_change_insert AFTER INSERT ON groups BEGIN
  INSERT INTO changes (group_id) VALUES (new.id);
END;
CREATE TRIGGER groups_change_update AFTER UPDATE ON groups BEGIN
  INSERT INTO changes (group_id) SELECT old.id UNION SELECT new.id;
END;
CREATE TRIGGER groups_change_delete AFTER DELETE ON groups BEGIN
  INSERT INTO changes (group_id) VALUES (old.id);
END;

CREATE TRIGGER memberships_change_insert AFTER INSERT ON memberships BEGIN
  INSERT INTO changes (principal_id) VALUES (new.principal_id);
END;
CREATE TRIGGER memberships_change_update AFTER UPDATE ON memberships BEGIN
  INSERT INTO changes (principal_id) SELECT old.principal_id UNION SELECT new.principal_id;
END;
CREATE TRIGGER memberships_change_delete AFTER DELETE ON memberships BEGIN
  INSERT INTO changes (principal_id) VALUES (old.principal_id);
END;

-- last_used is left out: it decides nothing.
CREATE TRIGGER tokens_change_insert AFTER INSERT ON tokens BEGIN
  INSERT INTO changes (principal_id) VALUES (new.principal_id);
END;
CREATE TRIGGER tokens_change_update AFTER UPDATE OF principal_id, kind, hash, expires, revoked ON tokens BEGIN
  INSERT INTO changes (principal_id) SELECT old.principal_id UNION SELECT new.principal_id;
END;
CREATE TRIGGER tokens_change_delete AFTER DELETE ON tokens BEGIN
  INSERT INTO changes (principal_id) VALUES (old.principal_id);
END;

-- A parent accepts for its children.
CREATE TRIGGER acceptances_change_insert AFTER INSERT ON acceptances BEGIN
  INSERT INTO changes (principal_id)
    SELECT new.principal_id UNION SELECT id FROM principals WHERE parent_id = new.principal_id;
END;
CREATE TRIGGER acceptances_change_update AFTER UPDATE ON acceptances BEGIN
  INSERT INTO changes (principal_id)
    SELECT old.principal_id UNION SELECT id FROM principals WHERE parent_id = old.principal_id
    UNION SELECT new.principal_id UNION SELECT id FROM principals WHERE parent_id = new.principal_id;
END;
CREATE TRIGGER acceptances_change_delete AFTER DELETE ON acceptances BEGIN
  INSERT INTO changes (principal_id)
    SELECT old.principal_id UNION SELECT id FROM principals WHERE parent_id = old.principal_id;
END;

-- Either a principal's or a group's.
CREATE TRIGGER grants_change_insert AFTER INSERT ON grants BEGIN
  INSERT INTO changes (principal_id, group_id) VALUES (new.principal_id, new.group_id);
END;
CREATE TRIGGER grants_change_update AFTER UPDATE ON grants BEGIN
  INSERT INTO changes (principal_id, group_id)
    SELECT old.principal_id, old.group_id UNION SELECT new.principal_id, new.group_id;
END;
CREATE TRIGGER grants_change_delete AFTER DELETE ON grants BEGIN
  INSERT INTO changes (principal_id, group_id) VALUES (old.principal_id, old.group_id);
END;

-- Whom these concern is not worth finding out: they change rarely.
CREATE TRIGGER datasets_change_insert AFTER INSERT ON datasets BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER datasets_change_update AFTER UPDATE ON datasets BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER datasets_change_delete AFTER DELETE ON datasets BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER versions_change_insert AFTER INSERT ON versions BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER versions_change_update AFTER UPDATE ON versions BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER versions_change_delete AFTER DELETE ON versions BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER buckets_change_insert AFTER INSERT ON buckets BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER buckets_change_update AFTER UPDATE ON buckets BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER buckets_change_delete AFTER DELETE ON buckets BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER locations_change_insert AFTER INSERT ON locations BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER locations_change_update AFTER UPDATE ON locations BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER locations_change_delete AFTER DELETE ON locations BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER services_change_insert AFTER INSERT ON services BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER services_change_update AFTER UPDATE ON services BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER services_change_delete AFTER DELETE ON services BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER terms_change_insert AFTER INSERT ON terms BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER terms_change_update AFTER UPDATE ON terms BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER terms_change_delete AFTER DELETE ON terms BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
