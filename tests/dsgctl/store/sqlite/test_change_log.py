"""The log of changes does not grow, and a long one takes no memory."""

import apsw

from dsgctl.store import Database
from dsgctl.store.database import CHANGES_KEPT


def test_many_changes_are_forgotten_without_a_list_of_them(database: Database) -> None:
    with database.transaction():
        database.read(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 200000)"
            " INSERT INTO changes (number) SELECT (SELECT max(number) FROM changes) + x FROM n"
        )
        before, _ = apsw.status(apsw.SQLITE_STATUS_MEMORY_USED, True)
        database.forget_changes()
        _, most = apsw.status(apsw.SQLITE_STATUS_MEMORY_USED, True)
    assert database.scalar("SELECT count(*) FROM changes") == CHANGES_KEPT
    assert most - before < 2**21, most - before
