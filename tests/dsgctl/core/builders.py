"""What the tests of core share: a moment, a way to run one change, and what every refusal must look like."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dsgctl.core import audit, new_users
from dsgctl.core.change import Change
from dsgctl.core.errors import DsgError
from dsgctl.core.new_users import NewUser
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.service_accounts import find_principal
from dsgctl.core.snapshots import read_principal
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.models import Principal

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


class Run:
    """Calls one function of core as one change, by default at `AT`."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def __call__(
        self,
        function: Callable[..., Any],
        *args: Any,
        at: datetime = AT,
        actor: str = "os:test",
        dry_run: bool = False,
        **settings: Any,
    ) -> Any:
        with begin_change(self.database, actor, at=at, dry_run=dry_run) as change:
            return function(change, *args, **settings)

    def actions(self) -> list[str]:
        """What the audit says was done, the oldest first: ``action target``."""
        return [f"{row['action']} {row['target']}" for row in self.records()]

    def records(self) -> list[dict[str, Any]]:
        """The audit records, whole, the oldest first."""
        ids = [row["id"] for row in audit.list_records(self.database)]
        return [audit.show(self.database, number) for number in reversed(ids)]

    def principal(self, principal_id: int) -> Principal | None:
        return self.database.first(Principal.select().where(Principal.id == principal_id))

    def snapshot(self, who: str, service: str | None = None, also: str | None = None) -> PrincipalSnapshot:
        return read_principal(self.database, find_principal(self.database, who), service=service, also=also)

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table, to see that nothing has changed."""
        with self.database.snapshot():
            connection = self.database._db.connection()
            tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
            return {name: sorted(connection.execute(f'SELECT * FROM "{name}"'), key=repr) for name in tables}


def add_people(change: Change, people: Iterable[NewUser]) -> list[int]:
    """Add people whom nobody is yet; returns their ids."""
    return new_users.add_all(change, [new_users.check(person) for person in people])


@contextmanager
def trace_statements(database: Database, statements: list[str]) -> Iterator[None]:
    """Inside, every statement that is run on this thread's connection is added to a list."""
    connection = database.connection()
    connection.exec_trace = lambda cursor, sql, bindings: statements.append(sql) or True
    try:
        yield
    finally:
        connection.exec_trace = None


@contextmanager
def refused(kind: type[DsgError], *parts: str) -> Iterator[pytest.ExceptionInfo[DsgError]]:
    """Inside, an error of this class is raised, in one line that has each of ``parts``, with a one-line hint."""
    with pytest.raises(kind) as caught:
        yield caught
    error = caught.value
    whole = f"{error.message}; {error.hint}"
    assert not {unicodedata.category(char) for char in whole} & {"Cc", "Cs", "Zl", "Zp"}, ascii(whole)
    assert error.hint, f"no hint: {whole}"
    for part in parts:
        assert part in whole
