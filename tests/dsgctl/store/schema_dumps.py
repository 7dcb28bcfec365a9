"""A dump of each released schema, with rows in every table: tests/fixtures/schemas/NNNN.sql.

``make schemas`` writes them from the migrations. A released migration is never edited, so only the file of a new
migration may change by it (test_released_schemas.py).
"""

from pathlib import Path

import apsw

from dsgctl.core.audit import chain_hash
from dsgctl.store.migrations import Migration, list_migrations

DIRECTORY = Path(__file__).parents[2] / "fixtures" / "schemas"
MOMENT = "2026-11-20T12:00:00.000000Z"
FIELDS = [MOMENT, "os:test", "user.add", "user:ana@example.org", None, '{"name": "Ana"}', None]
CHAIN_HASH = chain_hash(bytes(32), FIELDS).hex()

# The number of a migration -> the rows that are inserted after it, into the tables and columns that it adds.
ROWS = {
    1: f"""
    INSERT INTO principals (id, kind, email, slug, issuer, subject, name, notes, parent_id, created, created_by) VALUES
      (1, 'user', 'Ana@example.org', NULL, 'https://idp.example.org', '117', 'Ana Ĺ', 'pi', NULL, '{MOMENT}', 'os:x'),
      (2, 'user', 'bo@example.org', NULL, NULL, NULL, '', 'line 1' || char(10) || 'it''s 2', 1, '{MOMENT}', 'os:x'),
      (9, 'service_account', NULL, 'proofreader', NULL, NULL, '', '', NULL, '{MOMENT}', 'os:x');
    INSERT INTO affiliations VALUES (1, 'HHMI'), (1, 'MRC');
    INSERT INTO groups (id, name, created) VALUES (1, 'lab', '{MOMENT}'), (2, 'team', '{MOMENT}');
    INSERT INTO memberships VALUES (1, 1, 1), (2, 1, 0);
    INSERT INTO services (id, name, display_name, url) VALUES (1, 'clio', 'Clio', 'https://clio.example.org');
    INSERT INTO datasets (id, name, access, created) VALUES
      (1, 'fish2', 'closed', '{MOMENT}'), (2, 'fly', 'public', '{MOMENT}');
    INSERT INTO versions (id, dataset_id, name, public) VALUES (1, 1, 'v1', 0), (2, 2, 'v2', 1);
    INSERT INTO terms (id, name, text, dataset_id, service_id, invite_token, effective, retired) VALUES
      (1, 'use', '# Use', 1, NULL, 'invite-1', '{MOMENT}', NULL),
      (2, 'old', '', NULL, 1, 'invite-2', '{MOMENT}', '{MOMENT}');
    UPDATE datasets SET own_terms_id = 1 WHERE id = 1;
    INSERT INTO buckets (name, credential, project) VALUES
      ('lab-data', '/etc/dsg/lab.json', 'p1'), ('other', NULL, NULL);
    INSERT INTO locations (id, dataset_id, version_id, bucket, prefix) VALUES
      (1, 1, NULL, 'lab-data', 'fish2/'), (2, 1, 1, 'other', '');
    INSERT INTO grants (id, principal_id, group_id, dataset_id, version_id, permission, scope_group_id, source,
                        granted_by, created, expires) VALUES
      (1, 1, NULL, 1, NULL, 'admin', NULL, 'manual', 'os:x', '{MOMENT}', NULL),
      (2, NULL, 1, 1, 1, 'view', NULL, 'import', 'os:x', '{MOMENT}', '2030-01-01T00:00:00.000000Z'),
      (3, 2, NULL, 2, NULL, 'view', 1, 'self-service', 'user:bo@example.org', '{MOMENT}', NULL);
    INSERT INTO acceptances VALUES
      (1, 1, '{MOMENT}', '192.0.2.7', 'user:ana@example.org'), (2, 1, '{MOMENT}', NULL, 'os:x');
    INSERT INTO service_tables (id, service, name, dataset_id) VALUES (1, 'pychunkedgraph', 'fish2_v1', 1);
    INSERT INTO public_roots VALUES (1, 864691135000000000);
    INSERT INTO tokens (id, principal_id, kind, hash, prefix, created, expires, revoked, last_used) VALUES
      (1, 1, 'login', x'{"ab" * 32}', 'dsg_abcd', '{MOMENT}', '2030-01-01T00:00:00.000000Z', NULL, '{MOMENT}'),
      (5, 9, 'api', x'{"cd" * 32}', '', '{MOMENT}', NULL, '{MOMENT}', NULL);
    INSERT INTO audit (id, at, actor, action, target, after, hash) VALUES
      (1, {", ".join(f"'{field}'" for field in FIELDS if field)}, x'{CHAIN_HASH}');
    """,
    3: f"""
    UPDATE buckets SET iam = 1 WHERE name = 'lab-data';
    INSERT INTO iam_members VALUES ('lab-data', 'user:ana@example.org', 'held', '{MOMENT}');
    """,
    4: f"""INSERT INTO declared VALUES ('group', '["lab"]', 'policy', '{MOMENT}');""",
    6: f"""
    INSERT INTO withdrawals VALUES (2, 2, '{MOMENT}', 'os:x');
    UPDATE tokens SET postponed = '1 2' WHERE id = 1;
    """,
    7: f"""
    INSERT INTO grants (id, principal_id, dataset_id, permission, source, granted_by, created, delegate_id) VALUES
      (4, 2, 1, 'view', 'manual', 'user:ana@example.org', '{MOMENT}', 1);
    INSERT INTO delegated_members VALUES (2, 1, '{MOMENT}');
    """,
    9: "UPDATE principals SET seen_email = 'ana@new.example.org' WHERE id = 1;",
    10: f"""
    UPDATE versions SET branch = 'side', ordinal = 3 WHERE id = 2;
    UPDATE services SET mode = 'dag' WHERE id = 1;
    INSERT INTO grants (id, principal_id, dataset_id, permission, source, granted_by, created, service_id) VALUES
      (5, 1, 1, 'admin', 'manual', 'os:x', '{MOMENT}', 1);
    INSERT INTO translations (id, service_id, client_name, client_version, dataset_id, version_id) VALUES
      (1, 1, 'pisces', NULL, 1, NULL), (2, 1, 'pisces', 'r1', 1, 1);
    """,
    11: f"""
    INSERT INTO clients (id, name, owner_id, origin, active, created) VALUES
      (1, 'atlas', 1, 'https://lab.github.io', 1, '{MOMENT}'), (2, 'old', 2, 'http://localhost:9000', 0, '{MOMENT}');
    INSERT INTO client_app_urls VALUES (1, 'https://data.example.org');
    INSERT INTO client_consents VALUES (2, 1, '{MOMENT}');
    INSERT INTO tokens (id, principal_id, kind, hash, prefix, description, created, expires, client_id) VALUES
      (6, 2, 'delegated', x'{"ef" * 32}', 'dsg', 'atlas', '{MOMENT}', '2030-01-01T00:00:00.000000Z', 1);
    """,
}


def build_dump(number: int) -> str:
    """The SQL that creates a database of this schema, and its rows."""
    connection = apsw.Connection(":memory:")
    try:
        steps = list_migrations()[:number]
        for step in steps:
            connection.execute(step.sql)
            connection.execute("INSERT INTO migrations VALUES (?, ?, ?)", (step.number, step.name, MOMENT))
            connection.execute(ROWS.get(step.number, ""))
        return _dump(connection, steps[-1])
    finally:
        connection.close()


def _dump(connection: apsw.Connection, step: Migration) -> str:
    objects = connection.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT GLOB 'sqlite_*'"
        " AND NOT (type = 'table' AND name GLOB 'principals_search_*') ORDER BY rowid"
    ).fetchall()
    parts = [
        f"-- Schema {step.number} ({step.name}) with rows in every table: written by 'make schemas'.",
        f"PRAGMA application_id = {connection.pragma('application_id')};",
        *(f"{sql};" for kind, _, sql in objects if kind == "table"),
    ]
    tables = [name for kind, name, _ in objects if kind == "table" and name != "principals_search"]
    for table in (*tables, "sqlite_sequence"):
        if table == "sqlite_sequence":
            parts.append("DELETE FROM sqlite_sequence;")
        for row in connection.execute(f'SELECT * FROM "{table}" ORDER BY 1, 2'):
            parts.append(f"INSERT INTO {table} VALUES ({', '.join(map(apsw.format_sql_value, row))});")
    parts.append("INSERT INTO principals_search (principals_search) VALUES ('rebuild');")
    parts += [f"{sql};" for kind, _, sql in objects if kind != "table"]
    return "\n".join(parts) + "\n"


def write_dumps() -> None:
    """Write the dump of every migration."""
    DIRECTORY.mkdir(exist_ok=True)
    for step in list_migrations():
        (DIRECTORY / f"{step.number:04}.sql").write_text(build_dump(step.number), encoding="utf-8")


if __name__ == "__main__":
    write_dumps()
