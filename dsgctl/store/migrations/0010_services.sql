-- What services know beyond datasets: the place of a version in a history, grants for one service, and their own names.

-- The versions of a branch are ordered by their ordinal. One without an ordinal has no place in the order.
ALTER TABLE versions ADD COLUMN branch TEXT NOT NULL DEFAULT 'main';
ALTER TABLE versions ADD COLUMN ordinal INTEGER CHECK (ordinal >= 0);
CREATE UNIQUE INDEX versions_ordinal ON versions (dataset_id, branch, ordinal) WHERE ordinal IS NOT NULL;

-- dag: a service that compares versions of several branches itself.
ALTER TABLE services ADD COLUMN mode TEXT NOT NULL DEFAULT 'linear' CHECK (mode IN ('linear', 'dag'));

-- NULL: for every service. A grant ends with its service: without one it would be for all.
ALTER TABLE grants ADD COLUMN service_id INTEGER REFERENCES services (id) ON DELETE CASCADE;
DROP INDEX grants_whole;
CREATE UNIQUE INDEX grants_whole ON grants (
  coalesce(principal_id, 0), coalesce(group_id, 0), dataset_id,
  coalesce(version_id, 0), permission, coalesce(scope_group_id, 0), coalesce(service_id, 0));
CREATE INDEX grants_service ON grants (service_id) WHERE service_id IS NOT NULL;

-- What a service calls a dataset or a version: name and version of the service -> dataset and version here.
CREATE TABLE translations (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  service_id     INTEGER NOT NULL REFERENCES services (id) ON DELETE CASCADE,
  client_name    TEXT NOT NULL,
  client_version TEXT CHECK (client_version <> ''),  -- NULL: the name, whatever the version
  dataset_id     INTEGER NOT NULL REFERENCES datasets (id) ON DELETE CASCADE,
  version_id     INTEGER,
  FOREIGN KEY (version_id, dataset_id) REFERENCES versions (id, dataset_id) ON DELETE CASCADE
) STRICT;
CREATE UNIQUE INDEX translations_whole ON translations (service_id, client_name, coalesce(client_version, ''));
CREATE INDEX translations_dataset ON translations (dataset_id);
CREATE INDEX translations_version ON translations (version_id) WHERE version_id IS NOT NULL;

CREATE TRIGGER translations_change_insert AFTER INSERT ON translations BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER translations_change_update AFTER UPDATE ON translations BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
CREATE TRIGGER translations_change_delete AFTER DELETE ON translations BEGIN
  INSERT INTO changes (number) VALUES (NULL);
END;
