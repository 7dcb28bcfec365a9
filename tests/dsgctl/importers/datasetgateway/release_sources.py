"""Databases of every release of the original, made from the two in the test data."""

import shutil
from pathlib import Path

from dsgctl.importers.datasetgateway import releases
from tests.conftest import FIXTURES
from tests.dsgctl.importers.datasetgateway.original import ORIGINAL, spoil

NEWEST = FIXTURES / "datasetgateway-newest.sqlite3"
NUMBERS = range(1, 18)
_MIGRATIONS = {number: name for name, number in releases._MIGRATIONS.items()}

CLIENT = (
    "INSERT INTO core_registeredclient (id, origin, name, owner, enabled, allowed_services, created)"
    " VALUES (1, 'https://a.example', 'Atlas', 'USER2@example.org', 1, '[]', '2026-10-01 12:00:00')"
)
# Rows that only newer releases can have, by the migration that makes room for them.
FACTS = {
    10: (
        "UPDATE dataset_version SET ordinal = 1 WHERE id IN (2, 4)",
        "UPDATE dataset_version SET ordinal = 1, branch = 'dev /2' WHERE id = 3",
        "UPDATE service SET version_eval_mode = 'dag' WHERE id = 3",
        'UPDATE "grant" SET service_id = 2 WHERE id = 1',
        "UPDATE group_dataset_permission SET service_id = 1 WHERE id = 1",
        "UPDATE service_account_grant SET service_id = 3 WHERE id = 1",
        # All buckets of the dataset that grant 3 is for.
        "INSERT INTO grant_buckets (grant_id, datasetbucket_id) VALUES (3, 20), (3, 21)",
        "INSERT INTO dataset_translation (client_name, client_version, dataset_id, dataset_version_id, service_id)"
        " VALUES ('hemi brain:v1', NULL, 3, NULL, 2), ('hemi brain:v1', '1.2', 3, 2, 2), ('fish1', NULL, 3, 3, 1)",
    ),
    16: (
        CLIENT,
        CLIENT.replace("(1, 'https://a", "(2, 'https://b")
        .replace("'Atlas'", "' Other '")
        .replace(", 1, '[]'", ", 0, ''"),
        "INSERT INTO core_clientconsent (id, created, user_id, client_id) VALUES (1, '2026-10-02 12:00:00', 4, 1)",
        # A key of an admin.
        "INSERT INTO api_key (id, key, description, created, user_id, expires_at, delegated_client_id)"
        " VALUES (900, 'KeyOfAnAdminThatAtlasWasHanded', 'Atlas', '2026-11-22', 35, '2126-11-29', 1)",
    ),
}

# What undoes a migration, as far as tables and columns go: first those of the newest release, then those of 9.
_UNDO_NEWER: dict[int, tuple[str, ...]] = {
    17: (
        "CREATE TABLE bucket_iam_binding (id integer PRIMARY KEY, bucket_name text, email text, created datetime)",
        "INSERT INTO bucket_iam_binding VALUES (1, 'b', 'a@example.org', '2026-10-01')",
    ),
    16: (
        "DROP TABLE core_clientconsent",
        "ALTER TABLE api_key DROP COLUMN delegated_client_id",
        "DROP TABLE core_registeredclient",
    ),
    15: ("DROP TABLE dsg_cache_table",),
    14: ("ALTER TABLE dataset_translation RENAME TO dataset_alias",),
    12: ("ALTER TABLE dsg_user ADD COLUMN parent_id bigint REFERENCES dsg_user(id)",),
    11: ("DROP TABLE bucket_iam_binding",),
}
_UNDO_OLDER: dict[int, tuple[str, ...]] = {
    9: ("DROP TABLE service_account_grant", "DROP TABLE service_account_token", "DROP TABLE service_account"),
    8: ("ALTER TABLE api_key DROP COLUMN expires_at",),
    7: ("ALTER TABLE dsg_user DROP COLUMN picture_url",),
    6: ("DROP TABLE affiliation", "ALTER TABLE dsg_user DROP COLUMN notes"),
    5: (
        "DROP INDEX IF EXISTS tos_document_service_id_a1ff0f63",
        "UPDATE tos_document SET service_id = NULL",
        "CREATE TABLE t AS SELECT id, name, text, invite_token, effective_date, retired_date, dataset_id,"
        " dataset_version_id FROM tos_document",
        "DROP TABLE tos_document",
        "CREATE TABLE tos_document (id integer NOT NULL PRIMARY KEY AUTOINCREMENT, name varchar(255) NOT NULL,"
        " text text NOT NULL, invite_token varchar(64) NOT NULL UNIQUE, effective_date datetime NOT NULL,"
        " retired_date datetime NULL, dataset_id bigint NULL, dataset_version_id bigint NULL)",
        "INSERT INTO tos_document SELECT * FROM t",
        "DROP TABLE t",
        "DROP TABLE service",
    ),
    4: (
        "ALTER TABLE dataset_version ADD COLUMN gcs_bucket varchar(255) NOT NULL DEFAULT ''",
        "UPDATE dataset_version SET gcs_bucket = coalesce((SELECT b.name FROM dataset_version_buckets l"
        " JOIN dataset_bucket b ON b.id = datasetbucket_id WHERE datasetversion_id = dataset_version.id), '')",
        "DROP TABLE dataset_version_buckets",
        "DROP TABLE dataset_bucket",
    ),
}


def migration_rows(*numbers: int) -> list[str]:
    """Statements that say that these migrations were applied."""
    return [
        f"INSERT INTO django_migrations (app, name, applied) VALUES ('core', '{_MIGRATIONS[number]}', '2026-10-01')"
        for number in numbers
    ]


def make_source(path: Path, number: int, *, facts: bool = True) -> None:
    """Write the database of the release whose latest migration has this number.

    Args:
        facts: whether it has the rows of `FACTS`, as far as that release can have them.
    """
    if number <= 9:
        shutil.copyfile(ORIGINAL, path)
        spoil(path, f"DELETE FROM django_migrations WHERE app = 'core' AND CAST(name AS INTEGER) > {number}")
        for step in range(9, number, -1):
            spoil(path, *_UNDO_OLDER.get(step, ()))
        return
    shutil.copyfile(NEWEST, path)
    spoil(path, *migration_rows(*range(10, number + 1)))
    if facts:
        spoil(path, *(statement for since, rows in FACTS.items() if since <= number for statement in rows))
    for step in range(17, number, -1):
        spoil(path, *_UNDO_NEWER.get(step, ()))
