"""Deletes old entries of the log of changes."""

import apsw

_AT_ONCE = 10_000

# SQLite first lists the rows of a DELETE in memory, because a trigger protects this table: hence a part at a time.
_FORGET = """
    DELETE FROM changes WHERE number IN (
        SELECT number FROM changes WHERE number <= (SELECT max(number) FROM changes) - ? ORDER BY number LIMIT ?)
"""


def keep_newest(connection: apsw.Connection, count: int) -> None:
    """Delete all but the newest changes: an import leaves millions."""
    connection.execute(_FORGET, (count, _AT_ONCE))
    while connection.changes() == _AT_ONCE:
        connection.execute(_FORGET, (count, _AT_ONCE))
