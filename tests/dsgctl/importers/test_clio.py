"""The import of clio-store's export: what becomes of each role, and every way in which a file can be wrong."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import audit_chain, dataset_list, datasets, grants, groups, user_queries, users
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.rules import access
from dsgctl.importers import clio
from dsgctl.importers.engine.report import BadRows
from tests.dsgctl.core.builders import AT, Run, refused
from tests.dsgctl.importers.conftest import count_added

DATASETS = {
    "hemibrain": {"public": True, "description": "A fly", "tags": ["x"]},
    "VNC": {"public": False},
    "mb:v1": False,
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "clio.json"


def write(source: Path, users: dict[str, Any], datasets: dict[str, Any] | None = None) -> None:
    content = {"users": users, "datasets": DATASETS if datasets is None else datasets}
    source.write_text(json.dumps(content, indent=1, ensure_ascii=False))


def direct_grants(run: Run, email: str) -> set[tuple[str, str]]:
    subject = principal_subject(users.find(run.database, email))
    return {(row["dataset"], row["permission"]) for row in grants.list_grants(run.database, subject=subject)}


ROLES: dict[str, tuple[dict[str, Any], set[tuple[str, str]]]] = {
    "none": ({}, set()),
    "global clio_general": (
        {"global_roles": ["clio_general"]},
        {("hemibrain", "view"), ("VNC", "view"), ("mb:v1", "view")},
    ),
    "global clio_write": (
        {"global_roles": ["clio_write"]},
        {("hemibrain", "edit"), ("VNC", "edit"), ("mb:v1", "edit")},
    ),
    "clio_read": ({"datasets": {"VNC": ["clio_read"]}}, {("VNC", "view")}),
    "clio_general": ({"datasets": {"VNC": ["clio_general"]}}, {("VNC", "view")}),
    "clio_write": ({"datasets": {"VNC": ["clio_write"]}}, {("VNC", "edit")}),
    "dataset_admin": ({"datasets": {"VNC": ["dataset_admin"]}}, {("VNC", "admin")}),
    "several": (
        {"datasets": {"VNC": ["clio_general", "clio_read", "clio_write"], "mb:v1": ["clio_read"]}},
        {("VNC", "view"), ("VNC", "edit"), ("mb:v1", "view")},
    ),
    "an empty list": ({"datasets": {"VNC": []}, "global_roles": None}, set()),
}


@pytest.mark.parametrize(("entry", "expected"), ROLES.values(), ids=ROLES)
def test_each_role_becomes_its_permissions(
    run: Run, source: Path, entry: dict[str, Any], expected: set[tuple[str, str]]
) -> None:
    write(source, {"Ada@example.org": {"name": "Ada", **entry}})
    report = run(clio.Importer().run, source)
    assert direct_grants(run, "ada@example.org") == expected
    assert not report.left_out
    ada = user_queries.show(run.database, "ada@example.org")
    assert (ada["email"], ada["name"], ada["admin"], ada["active"]) == ("Ada@example.org", "Ada", False, True)
    assert ada["groups"] == ["user"]


def test_a_global_admin_becomes_an_admin_and_a_disabled_account_stays_one(run: Run, source: Path) -> None:
    write(
        source,
        {
            "root@example.org": {"name": "Root", "global_roles": ["admin"]},
            "old@example.org": {"name": "Old", "disabled": True, "datasets": {"VNC": ["clio_read"]}},
        },
    )
    run(clio.Importer().run, source)
    assert users.find(run.database, "root@example.org").admin
    assert not users.find(run.database, "old@example.org").active
    assert direct_grants(run, "root@example.org") == set()


def test_groups_are_created_and_public_datasets_are_visible_to_everybody(run: Run, source: Path) -> None:
    write(source, {"ada@example.org": {"groups": ["lab one", "proofreaders"]}, "bo@example.org": {}})
    assert count_added(run(clio.Importer().run, source)) == {
        "groups": 3,
        "datasets": 3,
        "users": 2,
        "memberships": 4,
        "grants": 1,
    }
    assert user_queries.show(run.database, "ada@example.org")["groups"] == ["lab one", "proofreaders", "user"]
    for email in ("ada@example.org", "bo@example.org"):
        assert access.granted_permissions(run.snapshot(email), AT) == {"hemibrain": frozenset({"view"})}
    assert [row["access"] for row in dataset_list.list_datasets(run.database)] == ["closed"] * 3


def test_existing_users_gain_permissions_and_lose_none(run: Run, source: Path) -> None:
    run(users.add, "ada@example.org", name="Ada Lovelace")
    run(users.add, "root@example.org", admin=True)
    run(datasets.add, "VNC", description="ours", public=True)
    run(groups.add, "user")
    run(groups.add_member, "user", "root@example.org", leads=True)
    subject = principal_subject(users.find(run.database, "ada@example.org"))
    run(grants.add, subject, Target("VNC", "view"), expires=AT + timedelta(days=3))
    write(
        source,
        {
            "ADA@example.org": {"name": "A", "global_roles": ["admin"], "datasets": {"VNC": ["clio_read"]}},
            "root@example.org": {"name": "R", "disabled": True},
        },
    )
    report = run(clio.Importer().run, source)
    assert count_added(report) == {"datasets": 2, "memberships": 1, "grants": 1, "people added to": 1, "admins": 1}
    ada, root = users.find(run.database, "ada@example.org"), users.find(run.database, "root@example.org")
    assert (ada.name, ada.admin) == ("Ada Lovelace", True)
    assert (root.name, root.admin, root.active) == ("R", True, True)
    assert groups.show(run.database, "user")["leads"] == ["root@example.org"]
    assert datasets.show(run.database, "VNC")["description"] == "ours"
    notes = "\n".join(report.noted)
    assert "root@example.org: active differs" in notes
    assert "ada@example.org has view on VNC already, until 2026-11-23" in notes


def test_a_second_run_changes_nothing(run: Run, source: Path) -> None:
    people = {
        f"p{number}@example.org": {"name": f"P {number}", "global_roles": ["clio_general"], "groups": ["lab"]}
        for number in range(1200)
    }
    write(source, people)
    assert run(clio.Importer().run, source).added["grants"] == 3601
    before = run.content()
    again = run(clio.Importer().run, source)
    assert run.content() == before
    assert not again.changed
    assert again.unchanged["grants"] == 3601
    assert audit_chain.verify(run.database) is None


def test_unknown_values_are_left_out_and_reported_with_their_line(run: Run, source: Path) -> None:
    write(
        source,
        {
            "ada@example.org": {"global_roles": ["clio_read", "clio_general"]},
            "bo@example.org": {"datasets": {"VNC": ["janitor", "clio_read"]}, "org": "HHMI"},
        },
    )
    report = run(clio.Importer().run, source)
    assert report.left_out == [
        "users, line 3: ada@example.org has the role 'clio_read' on all datasets, which is not known here",
        "users, line 9: bo@example.org has the role 'janitor' on 'VNC', which is not known here",
    ]
    assert report.noted == [
        f"{column}: there is no place for it here" for column in ("'tags' of datasets", "'org' of users")
    ]
    assert datasets.show(run.database, "hemibrain")["description"] == "A fly"
    assert direct_grants(run, "bo@example.org") == {("VNC", "view")}


def test_two_emails_that_differ_by_case_are_refused_or_the_second_left_out(run: Run, source: Path) -> None:
    write(source, {"ada@example.org": {"name": "A"}, "bo@example.org": {}, "ADA@example.org": {"name": "B"}})
    before = run.content()
    with refused(Conflict, "users, line 7: ADA@example.org is the email of users, line 3 too", "--skip-conflicts"):
        run(clio.Importer().run, source)
    assert run.content() == before
    report = run(clio.Importer().run, source, skip_conflicts=True)
    assert (report.added["users"], len(report.left_out)) == (2, 1)
    assert users.find(run.database, "ada@example.org").name == "A"


USER = '{"users": {"ada@example.org": %s}, "datasets": {"VNC": {}}}'
# Files that are refused: their content, and what is said beside their name.
FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "line 1: empty"),
    "a list": ("[]", "not an object"),
    "cut off": ('{"users": {\n"ada@example.org": {"name": "A', "line 2: not JSON, or cut off"),
    "not JSON": ("users: ada", "line 1: not JSON"),
    "a byte of garbage": (b'{"users": {},\n "datasets": {"\xff": {}}}', "line 2: it is not UTF-8 text"),
    "a control character": ('{"users": {},\n "datasets": {"a\x01": {}}}', "line 2: not JSON"),
    "a number that is none": ('{"users": {}, "datasets": {"a": NaN}}', "NaN is not JSON"),
    "a key twice": ('{"users": {"a@x.org": {}, "a@x.org": {}}, "datasets": {}}', "'a@x.org' is repeated"),
    "nested too deep": ("[" * 100_000, "nested too deep"),
    "of neuPrint": ('{"ada@example.org": "readwrite"}', "no object 'datasets'; is it an export of clio-store?"),
    "without users": ('{"datasets": {}}', "no object 'users'"),
    "of a later version": ('{"version": 2, "users": {}, "datasets": {}}', "'version', which is not known here"),
    "with a key that may matter": (USER % '{"expires": "2027"}', "line 1: ada@example.org has 'expires'"),
    "a user that is no object": (USER % "[]", "ada@example.org is not an object"),
    "roles that are no list": (USER % '{"global_roles": "admin"}', "'global_roles' is of another type"),
    "roles that are no texts": (USER % '{"datasets": {"VNC": [1]}}', "'VNC' is not a list of texts"),
    "disabled that is no flag": (USER % '{"disabled": "no"}', "'disabled' is of another type"),
    "a dataset that is null, with a role on it": (
        '{"users": {"a@example.org": {"datasets": {"vnc": ["clio_write"]}}},\n"datasets": {"vnc": null}}',
        "1 bad row: datasets, line 2: 'vnc' is null",
    ),
    "a dataset that is a list": ('{"users": {}, "datasets": {"vnc": []}}', "datasets, line 1: 'vnc' is not an object"),
    "a user that is null": (USER % "null", "ada@example.org is null"),
    "roles with a null among them": (USER % '{"datasets": {"VNC": [null]}}', "'VNC' is not a list of texts"),
    "a name that is a number": (USER % '{"name": 1}', "'name' is of another type"),
    "groups that are an object": (USER % '{"groups": {}}', "'groups' is of another type"),
    "datasets that are a list": (USER % '{"datasets": ["VNC"]}', "'datasets' is of another type"),
    "a description that is none": ('{"users": {}, "datasets": {"a": {"description": 1}}}', "description is not text"),
    "public that is no flag": ('{"users": {}, "datasets": {"a": {"public": 1}}}', "public is neither true nor false"),
}


# Entries that are sound there and cannot be kept here.
UNFIT: dict[str, tuple[str, str]] = {
    "a group without a name": (USER % '{"groups": [""]}', "users, line 1: '' is not a group name"),
    "an email that is none": ('{"users": {\n"ada": {}}, "datasets": {}}', "users, line 2: 'ada' is not an email"),
    "a dataset without a name": ('{"users": {}, "datasets": {"": {}}}', "datasets, line 1: '' is not a dataset name"),
    "a dataset with a line end": ('{"users": {}, "datasets": {"a\\nb": {}}}', "line 1: 'a\\nb' is not a dataset name"),
    "an unlisted dataset with a line end": (
        USER % '{"datasets": {"a\\nb": []}}',
        "users, line 1: 'a\\nb' is not a dataset name",
    ),
    "a name of a great length": (USER % ('{"name": "%s"}' % ("x" * 3000)), "users, line 1: 'xxx"),
    "a description of a great length": (
        '{"users": {}, "datasets": {"a": {"description": "%s"}}}' % ("x" * 100_001),
        "the description is longer than",
    ),
}


@pytest.mark.parametrize(("content", "part"), UNFIT.values(), ids=UNFIT)
def test_an_entry_that_cannot_be_kept_is_named_and_may_be_left_out(
    run: Run, source: Path, content: str, part: str
) -> None:
    source.write_text(content)
    before = run.content()
    with refused(BadRows, "clio.json", part, "--skip-conflicts"):
        run(clio.Importer().run, source)
    assert run.content() == before
    report = run(clio.Importer().run, source, skip_conflicts=True)
    assert [line for line in report.left_out if part in line], report.left_out
    assert audit_chain.verify(run.database) is None


def test_a_user_with_a_role_on_a_dataset_left_out_is_imported(run: Run, source: Path) -> None:
    write(source, {"ada@example.org": {"datasets": {"": ["admin"], "VNC": ["clio_read"]}}}, {"": {}, "VNC": {}})
    report = run(clio.Importer().run, source, skip_conflicts=True)
    assert direct_grants(run, "ada@example.org") == {("VNC", "view")}
    assert not users.find(run.database, "ada@example.org").admin
    assert report.left_out[-1] == "users, line 3: the roles of ada@example.org on '', which was left out"


NULLS: dict[str, Any] = {
    "a dataset's public": ({}, {"public": None}),
    "a dataset's description": ({}, {"public": False, "description": None}),
    "a user's name": ({"name": None}, {}),
    "a user's roles": ({"global_roles": None}, {}),
    "a user's datasets": ({"datasets": None}, {}),
    "a user's roles on a dataset": ({"datasets": {"VNC": None}}, {}),
    "a user's groups": ({"groups": None}, {}),
    "whether a user is disabled": ({"disabled": None}, {}),
    "what has no place here": ({"org": None, "picture": None, "created": None}, {"tags": None}),
    "empty lists": ({"global_roles": [], "groups": [], "datasets": {}}, {}),
}


@pytest.mark.parametrize(("user", "dataset"), NULLS.values(), ids=NULLS)
def test_an_optional_field_may_be_null(run: Run, source: Path, user: dict[str, Any], dataset: dict[str, Any]) -> None:
    write(source, {"ada@example.org": user}, {"VNC": dataset})
    report = run(clio.Importer().run, source)
    assert not report.left_out
    ada = user_queries.show(run.database, "ada@example.org")
    assert (ada["name"], ada["admin"], ada["active"], ada["groups"]) == ("", False, True, ["user"])
    assert datasets.show(run.database, "VNC")["grants"] == []


def test_a_dataset_that_only_a_role_names_is_made_closed_and_reported(run: Run, source: Path) -> None:
    write(
        source,
        {
            "ada@example.org": {"global_roles": ["clio_general"], "datasets": {" fly": ["clio_write"]}},
            "bo@example.org": {"datasets": {" fly": ["clio_read"]}},
        },
        {"VNC": {}},
    )
    report = run(clio.Importer().run, source)
    assert not report.left_out
    assert direct_grants(run, "ada@example.org") == {("VNC", "view"), (" fly", "edit")}
    assert direct_grants(run, "bo@example.org") == {(" fly", "view")}
    assert datasets.show(run.database, " fly")["access"] == "closed"
    assert report.remarks == ["users, line 3: the export does not list ' fly'; it is here, and closed if new"]


@pytest.mark.parametrize(("content", "part"), FILES.values(), ids=FILES)
@pytest.mark.parametrize("skip_conflicts", [False, True])
def test_another_file_is_refused_and_nothing_is_written(
    run: Run, source: Path, content: str | bytes, part: str, skip_conflicts: bool
) -> None:
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = run.content()
    with refused(Invalid, "clio.json", part):
        run(clio.Importer().run, source, skip_conflicts=skip_conflicts)
    assert run.content() == before


def test_a_file_of_500_mb_is_refused_without_reading_it_all(run: Run, source: Path) -> None:
    with source.open("wb") as file:
        file.truncate(500 * 2**20)
    with refused(Invalid, "clio.json is longer than 64 MB"):
        run(clio.Importer().run, source)


def test_the_grant_on_a_public_dataset_follows_the_dataset_in_the_audit_log(run: Run, source: Path) -> None:
    write(source, {}, {"hemibrain": {"public": True}, "VNC": {"public": False}, "mb": True})
    run(clio.Importer().run, source)
    assert run.actions()[-6:] == [
        "group.add group:user",
        "dataset.add dataset:hemibrain",
        "grant.add dataset:hemibrain group:user",
        "dataset.add dataset:VNC",
        "dataset.add dataset:mb",
        "grant.add dataset:mb group:user",
    ]
