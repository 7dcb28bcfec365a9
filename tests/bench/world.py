"""Creates databases to measure with: any number of people and grants, and 60 tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dsgctl.core import clock, tokens
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import migrate
from dsgctl.store.sqlite.database import SqliteDatabase

TOKENS = 60
GROUPS = 100
DATASETS = 200
GRANTS_A_PERSON = 10
MOST_GRANTS = 1_000_000  # direct ones; beyond as many people, most have one

_FACTS = f"""
    WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < {{people}})
        INSERT INTO principals (kind, email, name, created, created_by)
        SELECT 'user', 'p' || x || '@example.org', 'Person ' || x, '{{now}}', 'os:bench' FROM n;
    WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < {GROUPS} - 1)
        INSERT INTO groups (name, created) SELECT 'group-' || x, '{{now}}' FROM n;
    WITH RECURSIVE n(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < {DATASETS} - 1)
        INSERT INTO datasets (name, created) SELECT 'set-' || x, '{{now}}' FROM n;
    WITH step(x) AS (VALUES (0), (1))
        INSERT INTO memberships (principal_id, group_id)
        SELECT id, (id + x * 7) % {GROUPS} + 1 FROM principals CROSS JOIN step WHERE x = 0 OR id <= {{first}};
    WITH RECURSIVE step(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM step WHERE x < 4)
        INSERT INTO grants (group_id, dataset_id, permission, source, granted_by, created)
        SELECT id, ((id - 1) * 3 + x) % {DATASETS} + 1, 'view', 'manual', 'os:bench', '{{now}}'
        FROM groups CROSS JOIN step;
    WITH RECURSIVE step(x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM step WHERE x < {GRANTS_A_PERSON} - 1)
        INSERT INTO grants (principal_id, dataset_id, permission, source, granted_by, created)
        SELECT id, (id + x * 13) % {DATASETS} + 1, 'edit', 'manual', 'os:bench', '{{now}}'
        FROM principals CROSS JOIN step WHERE x = 0 OR id <= {{first}};
"""


@contextmanager
def create_database(path: Path, people: int) -> Iterator[Database]:
    """A new database with ``people`` users, ten direct grants each, and groups that hold grants too.

    With so many people that this would be more than `MOST_GRANTS`, all but the first 1,000 have one grant each. The
    first `TOKENS` people have a token; ``path.tokens`` lists them, one a line.
    """
    now = clock.now()
    migrate(path, now=now)
    database = SqliteDatabase(path)
    first = people if people * GRANTS_A_PERSON <= MOST_GRANTS else 1_000
    facts = _FACTS.format(people=people, first=first, now=now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    # Indexes are written faster in one go; and the triggers would write a change for each row, which nobody reads.
    parts = database.read(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
        " AND tbl_name IN ('principals', 'memberships', 'grants')"
    )
    drops = ";".join(f"DROP {kind} {name}" for kind, name, _ in parts)
    creates = ";".join(sql for _, _, sql in parts)
    search = "INSERT INTO principals_search (principals_search) VALUES ('rebuild')"
    database.script(f"BEGIN; {drops}; {facts}; {creates}; {search}; COMMIT")
    with begin_change(database, "os:bench") as change:
        secrets = [
            tokens.mint(change, owner)[1]
            for owner in database.objects(m.Principal.select().order_by(m.Principal.id).limit(TOKENS))
        ]
    token_file(path).write_text("".join(f"{secret}\n" for secret in secrets))
    yield database
    database.close()


def token_file(path: Path) -> Path:
    """The file with the tokens of a database, one a line."""
    return path.with_suffix(".tokens")
