"""Grants of other systems: new ones are added, and those that operators gave stay as they are."""

import apsw
import pytest

from dsgctl.core import datasets, grants, service_accounts, services, users
from dsgctl.core.grant_import import ImportedGrant, import_grants, list_ends
from dsgctl.core.grant_targets import Target, principal_subject
from tests.dsgctl.core.builders import AT, DAY, Run

TARGET = Target("fish2", "view")


def test_only_what_is_new_is_added(run: Run) -> None:
    run(datasets.add, "fish2")
    ana, bea = (run(users.add, email)[0] for email in ("ana@x.org", "bea@x.org"))
    bot = run(service_accounts.add, "bot")[0]
    run(grants.add, principal_subject(ana), TARGET, expires=AT + DAY)
    imported = [
        ImportedGrant(principal_subject(principal), TARGET, "import", "import:old", AT - 9 * DAY)
        for principal in (ana, bea, bot, bea)
    ]
    assert run(import_grants, imported) == 2
    rows = {row["user"] or row["service_account"]: row for row in grants.list_grants(run.database)}
    assert (rows["ana@x.org"]["expires"], rows["ana@x.org"]["granted_by"]) == (AT + DAY, "os:test")
    for name in ("bea@x.org", "bot"):
        row = rows[name]
        assert (row["expires"], row["source"]) == (None, "import")
        assert (row["granted_by"], row["created"]) == ("import:old", AT - 9 * DAY)
    before = run.content()
    assert run(import_grants, imported) == 0
    assert run.content() == before
    assert list_ends(run.database, TARGET, [ana.id, bea.id, 999]) == {ana.id: AT + DAY, bea.id: None}


def test_a_grant_for_one_service_is_none_for_every_service(run: Run) -> None:
    run(datasets.add, "fish2")
    run(services.add, "clio")
    ana, _ = run(users.add, "ana@x.org")
    targets = [TARGET, Target("fish2", "view", service="clio")]
    imported = [ImportedGrant(principal_subject(ana), target, "import", "import:old", AT) for target in targets]
    assert [run(import_grants, [grant]) for grant in imported] == [1, 1]
    assert [row["service"] for row in grants.list_grants(run.database)] == [None, "clio"]
    assert run(import_grants, imported) == 0


def test_the_grants_of_accounts_that_are_new_are_not_looked_up(run: Run) -> None:
    run(datasets.add, "fish2")
    ana, bea = (run(users.add, email)[0] for email in ("ana@x.org", "bea@x.org"))
    run(grants.add, principal_subject(ana), TARGET, expires=AT + DAY)
    imported = [ImportedGrant(principal_subject(user), TARGET, "import", "import:old", AT) for user in (ana, bea)]
    assert run(import_grants, imported, new_ids={bea.id}) == 1
    assert list_ends(run.database, TARGET, [ana.id, bea.id]) == {ana.id: AT + DAY, bea.id: None}
    with pytest.raises(apsw.ConstraintError, match="UNIQUE"):  # not looked up, and so refused by the engine
        run(import_grants, imported, new_ids={bea.id})
