"""What dsgctl's lists are compared with: a SELECT of the same rows by the sqlite3 module, and json.dumps of each.

python plain_lists.py DATABASE LIST [DATASET]
"""

import json
import sqlite3
import sys

SELECTS = {
    "users": """
        SELECT id, email, name, display_name, admin, active, read_only, created
        FROM principals WHERE kind = 'user' ORDER BY id""",
    "grants": """
        SELECT g.id, d.name AS dataset, v.name AS version, g.permission, p.email AS user, s.name AS "group",
            p.slug AS service_account, scope.name AS scope, g.expires, g.granted_by, g.source, g.created,
            services.name AS service
        FROM grants g JOIN datasets d ON d.id = g.dataset_id
        LEFT JOIN versions v ON v.id = g.version_id LEFT JOIN principals p ON p.id = g.principal_id
        LEFT JOIN groups s ON s.id = g.group_id LEFT JOIN groups scope ON scope.id = g.scope_group_id
        LEFT JOIN services ON services.id = g.service_id
        ORDER BY d.name, g.id""",
    "holders": """
        SELECT p.id, p.email AS who, p.kind, group_concat(DISTINCT g.permission) AS holds,
            group_concat(DISTINCT coalesce(groups.name, 'direct')) AS through
        FROM grants g JOIN datasets d ON d.id = g.dataset_id
        LEFT JOIN groups ON groups.id = g.group_id LEFT JOIN memberships m ON m.group_id = g.group_id
        JOIN principals p ON p.id = coalesce(g.principal_id, m.principal_id)
        WHERE d.name = ? GROUP BY p.id ORDER BY p.id""",
}


def main() -> None:
    path, name, *parameters = sys.argv[1:]
    database = sqlite3.connect(path)
    selects = [SELECTS[name]] if name in SELECTS else _select_tables(database)
    for select in selects:
        rows = database.execute(select, parameters)
        columns = [column for column, *_ in rows.description]
        for row in rows:
            sys.stdout.write(json.dumps(dict(zip(columns, row, strict=True)), default=bytes.hex) + "\n")


def _select_tables(database: sqlite3.Connection) -> list[str]:
    """Those that an export has: not the log of changes, nor what SQLite and the search keep for themselves."""
    names = database.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('changes', 'migrations')"
        " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE 'principals!_search%' ESCAPE '!'"
    )
    return [f"SELECT * FROM {name}" for (name,) in names]


if __name__ == "__main__":
    main()
