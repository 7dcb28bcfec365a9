-- Grants and memberships that people added through 'dsgctl --as'. They last only as long, and permit only as much, as
-- what these people hold themselves (core/delegated_grants.py).

ALTER TABLE grants ADD COLUMN delegate_id INTEGER REFERENCES principals (id) ON DELETE CASCADE;  -- none: an operator
CREATE INDEX grants_delegate ON grants (delegate_id) WHERE delegate_id IS NOT NULL;

-- Memberships that a leader of the group added, and when. All others were added by an operator.
CREATE TABLE delegated_members (
  principal_id INTEGER NOT NULL,
  group_id     INTEGER NOT NULL,
  since        TEXT NOT NULL CHECK (since GLOB '????-??-??T??:??:??.??????Z'),
  PRIMARY KEY (principal_id, group_id),
  FOREIGN KEY (principal_id, group_id) REFERENCES memberships (principal_id, group_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- A principal that leaves a group loses the grants scoped to it, even when the sqlite3 shell removes the membership.
CREATE TRIGGER memberships_scoped_delete AFTER DELETE ON memberships BEGIN
  DELETE FROM grants WHERE principal_id = old.principal_id AND scope_group_id = old.group_id;
  DELETE FROM delegated_members WHERE principal_id = old.principal_id AND group_id = old.group_id;
END;
CREATE TRIGGER memberships_scoped_update AFTER UPDATE OF principal_id, group_id ON memberships
WHEN old.principal_id <> new.principal_id OR old.group_id <> new.group_id BEGIN
  DELETE FROM grants WHERE principal_id = old.principal_id AND scope_group_id = old.group_id;
  DELETE FROM delegated_members WHERE principal_id = old.principal_id AND group_id = old.group_id;
END;
