"""The import of neuPrint's authorized.json: what becomes of each level, and every way in which a file can be wrong."""

import json
from pathlib import Path

import pytest

from dsgctl.core import datasets, grants, principals, user_queries, users
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.importers import neuprint
from tests.dsgctl.core.builders import Run, refused

ON = ("fish2", "fly")


@pytest.fixture
def run(run: Run) -> Run:
    for name in (*ON, "other"):
        run(datasets.add, name)
    return run


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "authorized.json"


def test_a_level_is_a_permission_on_each_of_the_datasets(run: Run, source: Path) -> None:
    source.write_text(
        json.dumps({"Ada@example.org": "readonly", "bo@example.org": "readwrite", "root@example.org": "admin"})
    )
    report = run(neuprint.Importer((*ON, "fly")).run, source)
    assert {kind: count for kind, count in report.added.items() if count} == {"users": 3, "grants": 4}
    assert {(row["user"], row["dataset"], row["permission"]) for row in grants.list_grants(run.database)} == {
        ("Ada@example.org", "fish2", "view"),
        ("Ada@example.org", "fly", "view"),
        ("bo@example.org", "fish2", "edit"),
        ("bo@example.org", "fly", "edit"),
    }
    assert [row["email"] for row in user_queries.list_users(run.database, admin=True)] == ["root@example.org"]
    before = run.content()
    assert not run(neuprint.Importer(ON).run, source).changed
    assert run.content() == before


@pytest.mark.parametrize("level", ["noauth", "", "Admin", None, 3, ["readonly"]])
def test_an_unknown_level_is_reported_and_left_out(run: Run, source: Path, level: object) -> None:
    source.write_text(json.dumps({"ada@example.org": level, "bo@example.org": "readonly"}, indent=1))
    report = run(neuprint.Importer(ON).run, source)
    assert report.added["users"] == 1
    (line,) = report.left_out
    assert line.startswith("line 2: ada@example.org has ")
    assert principals.find_by_email(run.database, "ada@example.org") is None


def test_existing_users_keep_their_permissions(run: Run, source: Path) -> None:
    run(users.add, "ada@example.org", name="Ada", admin=True)
    source.write_text('{"ADA@example.org": "readonly"}')
    report = run(neuprint.Importer(("fish2",)).run, source)
    assert (report.added["users"], report.added["grants"]) == (0, 1)
    assert users.find(run.database, "ada@example.org").admin


def test_a_new_account_is_recorded_as_active_and_one_that_is_disabled_here_is_noted(run: Run, source: Path) -> None:
    run(users.add, "ada@example.org")
    run(users.set_active, "ada@example.org", False)
    source.write_text('{"ada@example.org": "readonly", "bo@example.org": "admin"}')
    report = run(neuprint.Importer(("fish2",)).run, source)
    assert len(report.noted) == 1
    assert "ada@example.org: active differs" in report.noted[0]
    assert not users.find(run.database, "ada@example.org").active
    added = [record for record in run.records() if record["action"] == "user.add"][-1]
    assert (added["target"], added["after"]) == ("user:bo@example.org", {"active": True, "admin": True})


def test_two_emails_that_differ_by_case_are_refused_or_the_second_left_out(run: Run, source: Path) -> None:
    source.write_text('{"ada@example.org": "readonly",\n "ADA@example.org": "admin"}')
    before = run.content()
    with refused(Conflict, "authorized.json: line 2: ADA@example.org is the email of line 1 too", "--skip-conflicts"):
        run(neuprint.Importer(ON).run, source)
    assert run.content() == before
    assert len(run(neuprint.Importer(ON).run, source, skip_conflicts=True).left_out) == 1
    assert not users.find(run.database, "ada@example.org").admin


FILES: dict[str, tuple[bytes, str]] = {
    "cut off": (b'{"ada@example.org": "readonly",\n"bo@exam', "line 2: not JSON, or cut off"),
    "a byte of garbage": (b'{"ada@example.org":\n "read\xffonly"}', "line 2: it is not UTF-8 text"),
    "of clio-store": (b'{"users": {}, "datasets": {}}', "'users' is not an email address"),
    "5,000 digits": (b'{"a@x.org": ' + b"1" * 5000 + b"}", "authorized.json"),
    "a list": (b'["ada@example.org"]', "not an object"),
    "an email that is none": (b'{"a@example.org": "readonly",\n"ada": "readonly"}', "line 2: 'ada' is not an email"),
    "somebody twice": (b'{"a@x.org": "readonly", "a@x.org": "admin"}', "'a@x.org' is repeated"),
}


@pytest.mark.parametrize(("content", "part"), FILES.values(), ids=FILES)
def test_another_file_is_refused_and_nothing_is_written(run: Run, source: Path, content: bytes, part: str) -> None:
    source.write_bytes(content)
    before = run.content()
    with refused(Invalid, "authorized.json", part):
        run(neuprint.Importer(ON).run, source)
    assert run.content() == before


def test_an_invalid_email_may_be_left_out(run: Run, source: Path) -> None:
    source.write_text('{"a@example.org": "readonly",\n"ada": "admin", "zo\u00eb@example.org": "readonly"}')
    report = run(neuprint.Importer(ON).run, source, skip_conflicts=True)
    assert report.left_out == ["line 2: 'ada' is not an email address"]
    assert report.added["users"] == 2
    assert users.find(run.database, "zo\u00eb@example.org").email == "zo\u00eb@example.org"


def test_a_dataset_that_does_not_exist_is_not_created(run: Run, source: Path) -> None:
    source.write_text('{"ada@example.org": "readonly"}')
    with refused(NotFound, "fish3"):
        run(neuprint.Importer(("fish2", "fish3")).run, source)
