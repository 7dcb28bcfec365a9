"""The counts of ``dsgctl status``."""

from dsgctl.core import datasets, grants, service_accounts, statistics, terms, users
from dsgctl.core.grant_targets import Target, principal_subject
from tests.dsgctl.core.builders import AT, DAY, Run


def test_everything_is_counted(run: Run) -> None:
    empty = statistics.count_all(run.database, AT)
    assert {key for key, count in empty.items() if count} <= {"revision"}
    ana, _ = run(users.add, "ana@x.org", admin=True)
    run(users.add, "bea@x.org")
    run(users.set_active, "bea@x.org", False)
    run(service_accounts.add, "bot")
    for number, name in enumerate(("fish2", "fly", "worm")):
        run(datasets.add, name)
        run(grants.add, principal_subject(ana), Target(name, "view"), expires=AT + 20 * DAY * (2 * number - 1))
    run(terms.add, "Fly terms", "Be kind.", dataset="fly")
    counts = statistics.count_all(run.database, AT)
    assert counts["revision"] > empty["revision"] and counts["audit_records"] >= 10
    assert (counts["users"], counts["disabled_users"], counts["admins"]) == (2, 1, 1)
    assert (counts["service_accounts"], counts["datasets"], counts["groups"]) == (1, 3, 0)
    assert (counts["grants"], counts["grants_ending_within_30_days"]) == (3, 1)
    assert (counts["terms"], counts["pending_terms"], counts["tokens"]) == (1, 1, 0)
