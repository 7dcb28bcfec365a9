-- REPLACE deletes rows without firing their delete triggers (https://sqlite.org/lang_conflict.html). So each insert
-- first records a change for the rows that it may replace.

CREATE TRIGGER principals_change_replace BEFORE INSERT ON principals BEGIN
  INSERT INTO changes (principal_id) SELECT id FROM principals WHERE id = new.id OR lower(email) = lower(new.email)
    OR slug = new.slug OR (issuer = new.issuer AND subject = new.subject);
END;

CREATE TRIGGER groups_change_replace BEFORE INSERT ON groups BEGIN
  INSERT INTO changes (group_id) SELECT id FROM groups WHERE id = new.id OR name = new.name;
END;

CREATE TRIGGER grants_change_replace BEFORE INSERT ON grants BEGIN
  INSERT INTO changes (principal_id, group_id) SELECT principal_id, group_id FROM grants WHERE id = new.id;
END;

CREATE TRIGGER tokens_change_replace BEFORE INSERT ON tokens BEGIN
  INSERT INTO changes (principal_id) SELECT principal_id FROM tokens WHERE id = new.id OR hash = new.hash;
END;
