"""The database of the original server in the test data, its recorded answers, and changes to copies of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw

from tests.conftest import FIXTURES

ORIGINAL = FIXTURES / "datasetgateway.sqlite3"


ANSWERS = json.loads(ORIGINAL.with_suffix(".user_cache.json").read_text(encoding="utf-8"))


ANSWERED = datetime(2026, 11, 23, tzinfo=UTC)  # when the original gave these answers


def query_original(sql: str, source: Path = ORIGINAL) -> list[tuple[Any, ...]]:
    """Rows of the original's database."""
    connection = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return list(connection.execute(sql))
    finally:
        connection.close()


def spoil(source: Path, *sql: str) -> None:
    connection = apsw.Connection(str(source))
    connection.execute("PRAGMA legacy_alter_table = 1")
    for statement in sql:
        connection.execute(statement)
    connection.close()


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=UTC) if text else None


def ids() -> list[str]:
    return [f"{number}-{answer['kind']}" for number, answer in enumerate(ANSWERS)]


def as_sets(value: Any) -> Any:
    """The same with lists in one order."""
    if isinstance(value, dict):
        return {key: as_sets(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return sorted(map(as_sets, value), key=repr)
    return value
