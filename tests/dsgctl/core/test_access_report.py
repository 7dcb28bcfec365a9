"""Reports of access: a row for each grant and each principal that it reaches, and the holders of a permission."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import (
    acceptances,
    access_report,
    datasets,
    grants,
    groups,
    service_accounts,
    services,
    terms,
    users,
    versions,
)
from dsgctl.core.errors import NotFound
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.store import Database
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.dsgctl.core.builders import AT, DAY, Run, refused

ANA, BO = "ana@example.org", "bo@example.org"


@pytest.fixture(autouse=True)
def people(run: Run) -> None:
    for email in (ANA, BO):
        run(users.add, email)
    run(groups.add, "lab")
    run(groups.add_member, "lab", ANA)
    for name in ("fly", "fish2"):
        run(datasets.add, name)
    run(versions.add, "fish2", "v1")


def give(run: Run, target: Target, *, to: str, days: int | None = None) -> None:
    subject = (
        group_subject(run.database, to)
        if to == "lab"
        else principal_subject(service_accounts.find_principal(run.database, to))
    )
    run(grants.add, subject, target, expires=AT + days * DAY if days else None)


def list_rows(run: Run, *names: str) -> list[tuple[object, ...]]:
    keys = ("dataset", "who", "permission", "version", "through", "until", "state")
    return [tuple(row[key] for key in keys) for row in access_report.list_access(run.database, AT, names=names)]


def test_a_grant_to_a_group_is_listed_for_each_member(run: Run) -> None:
    run(groups.add_member, "lab", BO)
    give(run, Target("fish2", "view"), to="lab")
    assert list_rows(run) == [("fish2", who, "view", None, "lab", None, "granted") for who in (ANA, BO)]


def test_each_grant_has_a_row_with_its_version_and_its_end(run: Run) -> None:
    give(run, Target("fish2", "view"), to="lab")
    give(run, Target("fish2", "edit", version="v1"), to=ANA, days=3)
    give(run, Target("fly", "admin"), to=BO)
    assert list_rows(run) == [
        ("fish2", ANA, "view", None, "lab", None, "granted"),
        ("fish2", ANA, "edit", "v1", "direct", AT + 3 * DAY, "granted"),
        ("fly", BO, "admin", None, "direct", None, "granted"),
    ]
    assert list_rows(run, "fly") == list_rows(run)[2:]


def test_a_row_without_effect_has_the_reason(run: Run) -> None:
    run(service_accounts.add, "bot")
    for who in (ANA, BO, "bot"):
        give(run, Target("fish2", "edit"), to=who)
    run(users.set_active, BO, False)
    run(terms.add, "Terms", "Be kind.", dataset="fish2")
    assert [(who, state) for _, who, *_, state in list_rows(run)] == [
        (ANA, "terms_missing"),
        (BO, "account_disabled"),
        ("bot", "granted"),
    ]


def test_a_grant_that_has_ended_is_left_out(run: Run) -> None:
    give(run, Target("fish2", "edit"), to=ANA, days=-1)
    assert list_rows(run) == []


def test_a_dataset_that_is_not_there_is_an_error(run: Run) -> None:
    with refused(NotFound, "mouse"):
        list_rows(run, "fish2", "mouse")


READS: dict[str, Callable[[Database], Iterator[Any]]] = {
    "list_access": lambda database: access_report.list_access(database, AT),
    "list_access of one dataset": lambda database: access_report.list_access(database, AT, names=["fly"]),
    "list_holders": lambda database: access_report.list_holders(database, "fly", "view", AT),
    "list_pending": lambda database: acceptances.list_pending(database, AT, dataset="fly"),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_a_report_is_of_the_moment_of_its_call(run: Run, path: Path, read: Callable[[Database], Iterator[Any]]) -> None:
    """A dataset that another process deletes before the first row is used is still in the report."""
    give(run, Target("fly", "view"), to=ANA)
    if read is READS["list_pending"]:
        run(terms.add, "fly terms", "Be kind.", dataset="fly")
    rows = read(run.database)
    with closing(SqliteDatabase(path)) as other:
        Run(other)(datasets.remove, "fly")
    assert [row.get("who") or row["user"] for row in rows] == [ANA]


@pytest.mark.parametrize("read", [READS["list_access of one dataset"], READS["list_holders"], READS["list_pending"]])
def test_a_report_of_no_dataset_is_refused_at_its_call(run: Run, read: Callable[[Database], Iterator[Any]]) -> None:
    run(datasets.remove, "fly")
    with refused(NotFound, "fly"):
        read(run.database)


def test_a_grant_for_one_service_is_named_so_and_decided_for_that_service(run: Run) -> None:
    for name in ("clio", "neuprint"):
        run(services.add, name)
    give(run, Target("fish2", "view"), to=BO)
    give(run, Target("fish2", "edit", service="clio"), to=BO)
    give(run, Target("fish2", "view", service="neuprint"), to="lab")
    assert [
        (row["who"], row["permission"], row["through"], row["service"], row["state"])
        for row in access_report.list_access(run.database, AT)
    ] == [
        (ANA, "view", "lab", "neuprint", "granted"),
        (BO, "view", "direct", None, "granted"),
        (BO, "edit", "direct", "clio", "granted"),
    ]

    def list_who(permission: str, service: str | None) -> list[tuple[str, list[str], list[str]]]:
        rows = access_report.list_holders(run.database, "fish2", permission, AT, service=service)
        return [(row["who"], row["holds"], row["through"]) for row in rows]

    assert list_who("view", None) == [(BO, ["view"], ["direct"])]
    assert list_who("view", "neuprint") == [(ANA, ["view"], ["lab for neuprint"]), (BO, ["view"], ["direct"])]
    assert list_who("edit", "clio") == [(BO, ["edit", "view"], ["direct", "direct for clio"])]
    assert list_who("edit", "neuprint") == []
    with refused(NotFound, "no service 'dvid'"):
        list(access_report.list_holders(run.database, "fish2", "view", AT, service="dvid"))


def test_terms_withhold_a_grant_for_one_service_too(run: Run) -> None:
    run(services.add, "clio")
    give(run, Target("fish2", "view", service="clio"), to=ANA)
    document, _ = run(terms.add, "Terms", "Be kind.", dataset="fish2", service="clio")
    own, _ = run(terms.add, "Own terms", "Be kind.", dataset="fish2")
    assert [row["state"] for row in access_report.list_access(run.database, AT)] == ["terms_missing"]
    pending = acceptances.list_pending(run.database, AT)
    assert [(row["user"], row["terms"], row["service"]) for row in pending] == [
        (ANA, own.id, None),
        (ANA, document.id, "clio"),
    ]
