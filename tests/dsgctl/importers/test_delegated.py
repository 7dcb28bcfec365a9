"""What a delegate gave and an import gives again is the import's: it stays when the delegate holds nothing any more."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from dsgctl.core import audit_chain, datasets, delegation, grant_import, grants, groups, users
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.importers import clio, csv, neuprint
from tests.dsgctl.core.builders import AT, Run

ADA, BO = "ada@x.org", "bo@x.org"
HOUR = timedelta(hours=1)


@pytest.fixture
def run(run: Run) -> Run:
    """ada is admin of fish2 for an hour, and leads the group that imports put people into."""
    run(datasets.add, "fish2")
    for email in (ADA, BO):
        run(users.add, email)
    run(groups.add, "user")
    run(groups.add_member, "user", ADA, leads=True)
    run(grants.add, principal_subject(users.find(run.database, ADA)), Target("fish2", "admin"), expires=AT + HOUR)
    with begin_change(run.database, f"user:{ADA}", at=AT, delegate=partial(delegation.find_delegate, ADA)) as change:
        grants.add(change, principal_subject(users.find(run.database, BO)), Target("fish2", "view"))
        groups.add_member(change, "user", BO)
    return run


def _csv(run: Run, path: Path) -> None:
    path.write_text(f"email\n{BO}\n")
    run(csv.Importer("fish2").run, path)


def _clio(run: Run, path: Path) -> None:
    path.write_text(json.dumps({"users": {BO: {"datasets": {"fish2": ["clio_read"]}}}, "datasets": {"fish2": False}}))
    run(clio.Importer().run, path)


def _neuprint(run: Run, path: Path) -> None:
    path.write_text(json.dumps({BO: "readonly"}))
    run(neuprint.Importer(("fish2",)).run, path)


def _core(run: Run, path: Path) -> None:
    bo = principal_subject(users.find(run.database, BO))
    grant = ImportedGrant(bo, Target("fish2", "view"), "import", "os:test", AT)
    run(grant_import.import_grants, [grant])


IMPORTS: dict[str, Callable[[Run, Path], None]] = {"csv": _csv, "clio": _clio, "neuprint": _neuprint, "core": _core}


@pytest.mark.parametrize("how", IMPORTS)
def test_an_imported_grant_stays_without_the_delegate(how: str, run: Run, tmp_path: Path) -> None:
    IMPORTS[how](run, tmp_path / "source")
    content = run.content()
    IMPORTS[how](run, tmp_path / "source")
    assert run.content() == content  # once more: nothing changes
    run(users.remove, ADA)
    bo = principal_subject(users.find(run.database, BO))
    [row] = grants.list_grants(run.database, subject=bo)
    assert (row["permission"], row["expires"], row["source"], row["granted_by"]) == ("view", None, "import", "os:test")
    [record] = [record for record in run.records() if record["action"] == "grant.set" and BO in record["target"]]
    assert record["before"]["granted_by"] == f"user:{ADA}"
    assert audit_chain.verify(run.database) is None


@pytest.mark.parametrize("how", ["csv", "clio"])
def test_the_membership_stays_too(how: str, run: Run, tmp_path: Path) -> None:
    IMPORTS[how](run, tmp_path / "source")
    run(users.remove, ADA)
    assert groups.show(run.database, "user")["members"] == [BO]


@pytest.mark.parametrize("how", IMPORTS)
def test_a_grant_of_an_operator_ends_on_its_day(how: str, run: Run, tmp_path: Path) -> None:
    bo = principal_subject(users.find(run.database, BO))
    run(grants.add, bo, Target("fish2", "view"), expires=AT + 2 * HOUR)  # and so it is no delegate's any more
    IMPORTS[how](run, tmp_path / "source")
    [row] = grants.list_grants(run.database, subject=bo)
    assert (row["expires"], row["source"]) == (AT + 2 * HOUR, "manual")
