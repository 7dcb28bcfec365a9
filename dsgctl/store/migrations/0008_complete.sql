-- Whatever statement runs in the sqlite3 shell, the rows that it removes are recorded as changes, and the audit log
-- loses none of its records.
--
-- REPLACE, as a verb or as the conflict clause of an INSERT or UPDATE, deletes the rows that the new one replaces. It
-- fires their delete triggers only with recursive_triggers on, which the shell has off
-- (https://sqlite.org/lang_conflict.html). So each statement first records a change for the rows that it may replace,
-- in the tables where such a row may belong to another principal. In the other tables the new row names the same
-- principal. The triggers have WHEN and not UPDATE OF, which does not fire for `SET rowid = ...`.

CREATE TRIGGER principals_change_displace BEFORE UPDATE ON principals BEGIN
  INSERT INTO changes (principal_id) SELECT id FROM principals WHERE id <> old.id AND (id = new.id
    OR lower(email) = lower(new.email) OR slug = new.slug OR (issuer = new.issuer AND subject = new.subject));
END;

CREATE TRIGGER groups_change_displace BEFORE UPDATE ON groups BEGIN
  INSERT INTO changes (group_id) SELECT id FROM groups WHERE id <> old.id AND (id = new.id OR name = new.name);
END;

CREATE TRIGGER grants_change_displace BEFORE UPDATE ON grants WHEN new.id <> old.id BEGIN
  INSERT INTO changes (principal_id, group_id) SELECT principal_id, group_id FROM grants WHERE id = new.id;
END;

CREATE TRIGGER tokens_change_displace BEFORE UPDATE ON tokens WHEN new.id <> old.id OR new.hash <> old.hash BEGIN
  INSERT INTO changes (principal_id)
    SELECT principal_id FROM tokens WHERE id <> old.id AND (id = new.id OR hash = new.hash);
END;

-- As before, and also when the id is set as rowid. The columns that are left out decide nothing.
DROP TRIGGER tokens_change_update;
CREATE TRIGGER tokens_change_update AFTER UPDATE ON tokens
WHEN new.id IS NOT old.id OR new.principal_id IS NOT old.principal_id OR new.kind IS NOT old.kind
  OR new.hash IS NOT old.hash OR new.expires IS NOT old.expires OR new.revoked IS NOT old.revoked BEGIN
  INSERT INTO changes (principal_id) SELECT old.principal_id UNION SELECT new.principal_id;
END;

-- The numbers of changes only increase: after a smaller one, a server would consider its cached responses valid.
CREATE TRIGGER changes_no_replace BEFORE INSERT ON changes
WHEN EXISTS (SELECT 1 FROM changes WHERE number = new.number)
  BEGIN SELECT raise(ABORT, 'the numbers of changes only grow'); END;
CREATE TRIGGER changes_no_return AFTER INSERT ON changes WHEN new.number < (SELECT max(number) FROM changes)
  BEGIN SELECT raise(ABORT, 'the numbers of changes only grow'); END;
CREATE TRIGGER changes_no_update BEFORE UPDATE ON changes
  BEGIN SELECT raise(ABORT, 'the numbers of changes only grow'); END;
CREATE TRIGGER changes_no_delete BEFORE DELETE ON changes WHEN old.number = (SELECT max(number) FROM changes)
  BEGIN SELECT raise(ABORT, 'the newest change is kept'); END;

-- The audit log: no row replaces another, and none is inserted before the last.
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = new.id OR imported_from = new.imported_from)
  BEGIN SELECT raise(ABORT, 'audit records cannot be replaced'); END;
CREATE TRIGGER audit_no_insertion AFTER INSERT ON audit WHEN new.id < (SELECT max(id) FROM audit)
  BEGIN SELECT raise(ABORT, 'audit records are added at the end'); END;

-- For the time of the latest change on this host (core/audit.py, latest), and for the record from which it counts.
CREATE INDEX audit_moments ON audit (at) WHERE imported_from IS NULL;
CREATE INDEX audit_clock ON audit (id) WHERE action = 'clock.accept';
