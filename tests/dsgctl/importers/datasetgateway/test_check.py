"""Rows of the original's database that conflict with ours, or cannot be kept here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import audit_chain, datasets, new_users, service_accounts, terms
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.hidden_characters import has_control
from dsgctl.importers import datasetgateway
from tests.dsgctl.core.builders import Run, add_people, refused
from tests.dsgctl.importers.datasetgateway.original import ORIGINAL, spoil


def _user(id: int, email: str, **foreign: Any) -> Callable[[Run], Any]:
    person = new_users.NewUser(email, {}, (), new_users.ForeignAccount(id, **foreign))
    return lambda run: run(add_people, [person])


def _dataset(id: int, name: str) -> Callable[[Run], Any]:
    return lambda run: run(datasets.add, name, imported_id=id)


CONFLICTS: dict[str, tuple[Callable[[Run], Any], tuple[str, ...]]] = {
    "the id is another user's": (_user(3, "zoe@example.org"), ("user2@example.org", "zoe@example.org", "3")),
    "the email has another id": (_user(700, "USER2@example.org"), ("user2@example.org", "700", "3")),
    "the id is a service account's": (
        lambda run: run(service_accounts.add, "nightly"),
        ("First.Last+0@Example.ORG", "nightly"),
    ),
    "the identity is another user's": (
        _user(800, "eve@example.org", issuer="https://accounts.google.com", subject="100000000000000001002"),
        ("user2@example.org", "eve@example.org"),
    ),
    "the user has another identity": (
        _user(3, "user2@example.org", issuer="https://accounts.google.com", subject="77"),
        ("user2@example.org", "77", "100000000000000001002"),
    ),
    "the dataset has another id": (_dataset(77, "fish2"), ("fish2", "77", "3")),
    "the dataset's id is another's": (_dataset(3, "mouse"), ("fish2", "mouse", "3")),
    "the terms are others": (lambda run: run(terms.add, "House rules", "Be kind."), ("fly-0_x terms", "House rules")),
}


@pytest.mark.parametrize(("prepare", "parts"), CONFLICTS.values(), ids=CONFLICTS)
def test_a_conflict_names_both_and_changes_nothing(
    run: Run, prepare: Callable[[Run], Any], parts: tuple[str, ...]
) -> None:
    prepare(run)
    before = run.content()
    with refused(Conflict, *parts):
        run(datasetgateway.Importer().run, ORIGINAL)
    assert run.content() == before


@pytest.mark.parametrize(("prepare", "parts"), CONFLICTS.values(), ids=CONFLICTS)
def test_a_skipped_conflict_is_left_out_with_its_dependent_rows(
    run: Run, prepare: Callable[[Run], Any], parts: tuple[str, ...]
) -> None:
    prepare(run)
    report = run(datasetgateway.Importer().run, ORIGINAL, skip_conflicts=True)
    left_out = "\n".join(report.left_out)
    for part in parts:
        assert part in left_out
    assert report.added["users"] >= 40
    assert audit_chain.verify(run.database) is None
    before = run.content()
    assert not run(datasetgateway.Importer().run, ORIGINAL, skip_conflicts=True).changed
    assert run.content() == before


# Values that cannot be kept: what is done to the source, and what the error must say.
VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "an email with a control character": (
        ("UPDATE dsg_user SET email = 'a' || char(27) || '@x.org' WHERE id = 3",),
        ("dsg_user", "3", "email"),
    ),
    "an email that is none": (("UPDATE dsg_user SET email = 'nobody' WHERE id = 3",), ("dsg_user", "3", "nobody")),
    "an email of service accounts": (
        ("UPDATE dsg_user SET email = 'x@service-account.dsg.local' WHERE id = 3",),
        ("dsg_user", "3"),
    ),
    "two emails that differ in case": (
        ("UPDATE dsg_user SET email = 'USER3@example.org' WHERE id = 3",),
        ("dsg_user", "3", "4"),
    ),
    "several at once": (
        ("UPDATE dsg_user SET email = 'nobody' WHERE id = 3", "UPDATE dataset SET name = '' WHERE id = 2"),
        ("dsg_user row 3", "dataset row 2"),
    ),
    "an access mode that is neither": (
        ("UPDATE dataset SET access_mode = 'secret' WHERE id = 2",),
        ("dataset", "2", "secret"),
    ),
    "a bucket that is none": (
        ("UPDATE dataset_bucket SET name = 'Not A Bucket' WHERE id = 2",),
        ("dataset_bucket", "2"),
    ),
    "a flag that is neither": (("UPDATE dsg_user SET admin = 7 WHERE id = 4",), ("dsg_user", "4", "admin")),
    "a time that is none": (
        ("UPDATE api_key SET created = 'yesterday' WHERE id = 4",),
        ("api_key", "4", "created"),
    ),
    "a root that is no number": (
        ("UPDATE public_root SET root_id = 'x' WHERE id = 4",),
        ("public_root", "4", "root_id"),
    ),
    "a root below zero": (("UPDATE public_root SET root_id = -1 WHERE id = 4",), ("public_root", "4")),
    "an address that is none": (
        ("UPDATE tos_acceptance SET ip_address = 'a' || char(7) WHERE id = 1",),
        ("tos_acceptance", "1"),
    ),
    "a version of another dataset": (
        ('UPDATE "grant" SET dataset_version_id = 1 WHERE id = 4',),
        ("grant", "4"),
    ),
    "text that is not UTF-8": (
        ("UPDATE dsg_user SET name = CAST(x'41ff' AS TEXT) WHERE id = 5",),
        ("dsg_user", "UTF-8"),
    ),
    "bytes for text": (("UPDATE dsg_user SET name = x'41ff' WHERE id = 5",), ("dsg_user", "5", "name")),
    "parents in a circle": (
        ("UPDATE dsg_user SET parent_id = 5 WHERE id = 4", "UPDATE dsg_user SET parent_id = 4 WHERE id = 5"),
        ("dsg_user", "4"),
    ),
    "a row that refers to nothing": (("UPDATE user_group SET user_id = 4711 WHERE id = 3",), ("user_group", "3")),
}


@pytest.mark.parametrize(("sql", "parts"), VALUES.values(), ids=VALUES)
def test_a_value_that_cannot_be_kept_is_named_with_its_row(
    run: Run, source: Path, sql: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    spoil(source, *sql)
    before = run.content()
    with pytest.raises((Invalid, Conflict)) as caught:
        run(datasetgateway.Importer().run, source)
    message = caught.value.message
    assert str(source) in message or source.name in message
    assert not has_control(message)
    for part in parts:
        assert part in message
    assert run.content() == before


# Rows that are sound there and cannot be kept here.
UNFIT: dict[str, tuple[tuple[str, ...], str]] = {
    "an email that is none": (("UPDATE dsg_user SET email = 'nobody' WHERE id = 3",), "dsg_user row 3: 'nobody'"),
    "a dataset of no name": (("UPDATE dataset SET name = '' WHERE id = 2",), "dataset row 2: ''"),
    "a dataset with an escape": (
        ("UPDATE dataset SET name = 'a' || char(27) WHERE id = 2",),
        "dataset row 2: 'a\\x1b' is not a dataset name",
    ),
    "a version with a tab": (("UPDATE dataset_version SET version = char(9) WHERE id = 2",), "dataset_version row 2"),
    "a permission with a tab": (("UPDATE permission SET name = 'a' || char(9) WHERE id = 1",), "permission row 1"),
    "a group with NUL": (("UPDATE dsg_group SET name = 'a' || char(0) || 'b' WHERE id = 1",), "dsg_group row 1"),
    "a service with a line end": (("UPDATE service SET name = 'a' || char(10) WHERE id = 1",), "service row 1"),
    "a service account with a space": (
        ("UPDATE service_account SET name = 'a b' WHERE id = 1",),
        "service_account row 1: 'a b' is not a name",
    ),
    "a bucket that is none": (("UPDATE dataset_bucket SET name = 'Not A' WHERE id = 2",), "dataset_bucket row 2"),
    "terms with an escape": (("UPDATE tos_document SET text = char(27) WHERE id = 1",), "tos_document row 1"),
    "terms of no name": (("UPDATE tos_document SET name = ' ' WHERE id = 1",), "tos_document row 1"),
    "a root below zero": (("UPDATE public_root SET root_id = -1 WHERE id = 4",), "public_root row 4"),
}


@pytest.mark.parametrize(("sql", "part"), UNFIT.values(), ids=UNFIT)
def test_a_row_that_cannot_be_kept_is_named_and_may_be_left_out(
    run: Run, source: Path, sql: tuple[str, ...], part: str
) -> None:
    spoil(source, *sql)
    before = run.content()
    with refused(Invalid, part, "--skip-conflicts to leave them out; nothing was imported"):
        run(datasetgateway.Importer().run, source)
    assert run.content() == before
    report = run(datasetgateway.Importer().run, source, skip_conflicts=True)
    assert [line for line in report.left_out if part in line], report.left_out
    assert report.added["users"] >= 40
    assert audit_chain.verify(run.database) is None
    after = run.content()
    assert not run(datasetgateway.Importer().run, source, skip_conflicts=True).changed
    assert run.content() == after
