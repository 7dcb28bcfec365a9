-- Both decide no access, so neither moves the revision.

-- Public datasets on which an operator took 'view' away from a person: accepting other terms does not give it back.
CREATE TABLE withdrawals (
  principal_id INTEGER NOT NULL REFERENCES principals (id) ON DELETE CASCADE,
  dataset_id   INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
  withdrawn    TEXT NOT NULL CHECK (withdrawn GLOB '????-??-??T??:??:??.??????Z'),
  withdrawn_by TEXT NOT NULL,
  PRIMARY KEY (principal_id, dataset_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX withdrawals_dataset ON withdrawals (dataset_id);

-- The terms, by their ids, that somebody chose to go on without until this login ends.
ALTER TABLE tokens ADD COLUMN postponed TEXT NOT NULL DEFAULT '';
