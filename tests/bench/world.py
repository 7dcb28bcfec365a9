"""Creates databases to measure with: any number of people and grants, and 60 tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
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


@contextmanager
def create_database(path: Path, people: int) -> Iterator[Database]:
    """A new database with ``people`` users, ten direct grants each, and groups that hold grants too.

    The first `TOKENS` people have a token; ``path.tokens`` lists them, one a line.
    """
    now = clock.now()
    migrate(path, now=now)
    database = SqliteDatabase(path)
    with database.transaction():
        database.insert_many(
            m.Principal,
            [
                {
                    "kind": "user",
                    "email": f"p{number}@example.org",
                    "name": f"Person {number}",
                    "created": now,
                    "created_by": "os:bench",
                }
                for number in range(1, people + 1)
            ],
        )
        database.insert_many(m.Group, [{"name": f"group-{number}", "created": now} for number in range(GROUPS)])
        database.insert_many(m.Dataset, [{"name": f"set-{number}", "created": now} for number in range(DATASETS)])
        database.insert_many(
            m.Membership,
            [
                {"principal": person, "group": (person + step * 7) % GROUPS + 1}
                for person in range(1, people + 1)
                for step in range(2)
            ],
        )
        database.insert_many(
            m.Grant,
            [
                {
                    "group": group + 1,
                    "dataset": (group * 3 + step) % DATASETS + 1,
                    "permission": "view",
                    "source": "manual",
                    "granted_by": "os:bench",
                    "created": now,
                }
                for group in range(GROUPS)
                for step in range(5)
            ],
        )
        direct = (
            {
                "principal": person,
                "dataset": (person + step * 13) % DATASETS + 1,
                "permission": "edit",
                "source": "manual",
                "granted_by": "os:bench",
                "created": now,
            }
            for person in range(1, people + 1)
            for step in range(GRANTS_A_PERSON)
        )
        while rows := list(islice(direct, 10_000)):
            database.insert_many(m.Grant, rows)
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
