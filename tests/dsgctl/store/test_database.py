"""The handle on a database: reading, writing, transactions."""

import threading
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import pytest

from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.database import ROWS_A_STATEMENT
from dsgctl.store.migrations import open_current
from dsgctl.store.raw_rows import RowRefused, insert_rows
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.store.builders import MOMENT, add, emails, refused


class Account(TypedDict):
    address: str
    active: bool
    created: datetime
    parent: int | None


ACCOUNTS = (
    m.Principal.select(
        m.Principal.email.alias("address"), m.Principal.active, m.Principal.created, m.Principal.parent.alias("parent")
    ).order_by(m.Principal.id),
    "SELECT email AS address, active, created, parent_id AS parent FROM principals ORDER BY id",
)


@pytest.mark.parametrize("query", ACCOUNTS, ids=["of peewee", "text"])
def test_rows_are_dicts_of_their_shape_and_its_types(database: Database, query: Any) -> None:
    add(database, "ana@x.org", "bea@x.org")
    rows = list(database.rows(query, Account))
    assert [list(row) for row in rows] == [["address", "active", "created", "parent"]] * 2
    assert [tuple(row.values()) for row in rows] == list(database.tuples(ACCOUNTS[0]))
    assert rows[0]["address"] == "ana@x.org"
    assert isinstance(rows[0]["created"], datetime)
    assert rows[0]["active"] is True
    assert database.count(m.Principal.select()) == 2
    assert database.first(m.Principal.select().where(m.Principal.email == "cid@x.org")) is None


class GroupName(TypedDict):
    id: int
    name: str


def test_rows_have_the_keys_of_their_shape_or_none_is_read(database: Database) -> None:
    database.run(m.Group.insert(name="lab-1", created=MOMENT))
    assert list(database.rows(m.Group.select(m.Group.id, m.Group.name), GroupName)) == [{"id": 1, "name": "lab-1"}]
    for columns in ((m.Group.id,), (m.Group.name, m.Group.id), (m.Group.id, m.Group.name, m.Group.created)):
        with pytest.raises(TypeError, match="GroupName"):
            next(database.rows(m.Group.select(*columns), GroupName))


def test_rows_of_one_shape_go_into_their_columns_in_whatever_order_their_keys_are(database: Database) -> None:
    database.insert_many(m.Service, [{"name": "a", "url": "b"}, {"url": "d", "name": "c"}])
    query = m.Service.select(m.Service.name, m.Service.url).order_by(m.Service.id)
    assert list(database.tuples(query)) == [("a", "b"), ("c", "d")]
    database.insert_many(m.Service, [])


@pytest.mark.parametrize("index", [0, ROWS_A_STATEMENT - 1, ROWS_A_STATEMENT, 2 * ROWS_A_STATEMENT + 1])
def test_of_many_rows_the_one_that_is_refused_is_named(database: Database, index: int) -> None:
    rows = [{"name": f"service-{number}"} for number in range(2 * ROWS_A_STATEMENT + 2)]
    database.insert_many(m.Service, [rows[index]])
    with pytest.raises(RowRefused, match="there is another row of the same name") as caught:
        insert_rows(database, m.Service, rows)
    assert caught.value.index == index


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    with pytest.raises(RuntimeError), database.transaction():
        database.run(m.Service.insert(name="clio"))
        raise RuntimeError
    assert database.count(m.Service.select()) == 0
    with database.transaction():
        database.run(m.Service.insert(name="clio"))
    assert database.count(m.Service.select()) == 1


def test_a_snapshot_sees_one_state(database: Database, path: Path) -> None:
    other = open_current(path)
    with database.snapshot():
        assert emails(database) == []
        add(other, "ana@x.org")
        assert emails(database) == []
    assert emails(database) == ["ana@x.org"]
    other.close()


def test_a_transaction_locks_out_other_writers_from_its_beginning(database: Database, path: Path) -> None:
    """BEGIN IMMEDIATE: the second writer waits at the door, not in the middle."""
    other = SqliteDatabase(path, busy_timeout=0.05)
    with database.transaction(), refused("is locked"), other.transaction():
        pytest.fail("two writers at once")
    other.close()


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO memberships VALUES (7, 7, 0)",
        "INSERT INTO grants (principal_id, dataset_id, permission, source, granted_by, created) "
        f"VALUES (7, 7, 'view', 'manual', 'x', '{MOMENT}')",
    ],
)
def test_a_dangling_reference_is_refused(database: Database, statement: str) -> None:
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        database.script(statement)


def test_a_grant_is_of_a_version_of_its_own_dataset(database: Database) -> None:
    database.script(
        f"INSERT INTO datasets (id, name, created) VALUES (1, 'fish2', '{MOMENT}'), (2, 'fly', '{MOMENT}');"
        "INSERT INTO versions (id, dataset_id, name) VALUES (5, 2, 'v1');"
        f"INSERT INTO groups (id, name, created) VALUES (1, 'lab', '{MOMENT}');"
    )
    with pytest.raises(Exception, match="FOREIGN KEY constraint failed"):
        database.script(
            "INSERT INTO grants (group_id, dataset_id, version_id, permission, source, granted_by, created) "
            f"VALUES (1, 1, 5, 'view', 'manual', 'x', '{MOMENT}')"
        )


def test_a_connection_of_a_thread_is_its_own_and_a_closed_handle_opens_again(database: Database) -> None:
    add(database, "ana@x.org")
    lists: list[list[str]] = []
    thread = threading.Thread(target=lambda: (lists.append(emails(database)), database.close()))
    with database.transaction():
        database.run(m.Principal.update(email="bea@x.org"))
        thread.start()
        thread.join()
    assert lists == [["ana@x.org"]]
    database.close()
    database.close()
    assert emails(database) == ["bea@x.org"]
