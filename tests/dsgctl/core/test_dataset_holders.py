"""Lists of everybody: the decision about each way in which grants reach people is that about each of them."""

import random
from datetime import datetime
from typing import Any

import pytest

from dsgctl.core import access_report, snapshots
from dsgctl.core.rules import access
from dsgctl.core.rules.access import Decision
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.times import utc_text
from dsgctl.wording import format_grant
from tests.dsgctl.core.builders import AT, DAY

PEOPLE, GROUPS, DATASETS, SERVICES = 60, 5, 3, 2
OWN_TERMS = 1  # of the first dataset


def _fill(database: Database, seed: int) -> None:
    """People, groups and grants of every kind, at random."""
    choose = random.Random(seed)
    common = {"created": AT, "source": "manual", "granted_by": "os:test"}

    def insert(model: Any, **values: Any) -> None:
        database.run(model.insert(**values))

    for number in range(1, DATASETS + 1):
        insert(m.Dataset, name=f"set{number}", created=AT, access=choose.choice(("closed", "public")))
        insert(m.Version, dataset=number, name="v1")
    for number in range(1, SERVICES + 1):
        insert(m.Service, name=f"service{number}")
    for number in range(1, GROUPS + 1):
        insert(m.Group, name=f"group{number}", created=AT)
    insert(m.Terms, name="Terms", text="Be kind.", dataset=1, invite_token="t", effective=AT)
    database.run(m.Dataset.update(own_terms_id=OWN_TERMS).where(m.Dataset.id == 1))
    for number in range(1, PEOPLE + 1):
        account: dict[str, Any] = {"kind": "service_account", "slug": f"robot{number}"}
        if choose.random() < 0.9:
            parent = choose.randrange(1, number) if number > 1 and choose.random() < 0.2 else None
            account = {"kind": "user", "email": f"p{number}@example.org", "parent": parent}
            account |= {"admin": choose.random() < 0.2, "read_only": choose.random() < 0.3}
        insert(m.Principal, **account, active=choose.random() < 0.8, created=AT, created_by="os:test")
        if account["kind"] == "user":
            for group in choose.sample(range(1, GROUPS + 1), choose.randrange(3)):
                insert(m.Membership, principal=number, group=group)
        if choose.random() < 0.4:
            insert(m.Acceptance, principal=number, terms=OWN_TERMS, accepted=AT - number * DAY, recorded_by="web")
    grants: set[tuple[Any, ...]] = set()
    for _ in range(4 * PEOPLE):
        kind = "group" if choose.random() < 0.2 else "principal"
        subject = (kind, choose.randint(1, GROUPS if kind == "group" else PEOPLE))
        dataset = choose.randint(1, DATASETS)
        version = dataset if choose.random() < 0.2 else None
        service = choose.choice((None, None, None, 1, 2))
        permission = choose.choice(("view", "edit", "manage", "admin", "of another system"))
        if (key := (subject, dataset, version, service, permission)) in grants:
            continue
        grants.add(key)
        expires = choose.choice((None, None, AT, AT + DAY, AT - DAY))
        values = {"dataset": dataset, "version": version, "service": service, "permission": permission}
        insert(m.Grant, **{subject[0]: subject[1]}, **values, expires=expires, **common)


def _list_one_by_one(database: Database, dataset: str, permission: str, service: str | None) -> list[dict[str, Any]]:
    """The same list, from a decision about each person."""
    rows = []
    with database.snapshot():
        for snapshot in snapshots.read_dataset_holders(database, dataset):
            principal = snapshot.with_grants_for(service) if service is not None else snapshot
            decision = access.decide(principal, dataset, permission, AT)
            through = {format_grant(grant.group or "direct", service=grant.service) for grant in decision.grants}
            if decision.allowed:
                kind = "service account" if snapshot.service_account else "user"
                who = {"id": snapshot.id, "who": snapshot.label, "kind": kind}
                rows.append({**who, "holds": sorted(decision.holds), "through": sorted(through)})
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_a_list_is_that_of_decisions_about_each(database: Database, seed: int) -> None:
    _fill(database, seed)
    lengths = []
    for dataset in (f"set{number}" for number in range(1, DATASETS + 1)):
        for permission in ("view", "edit", "admin", "of another system"):
            for service in (None, "service1", "service2"):
                rows = list(access_report.list_holders(database, dataset, permission, AT, service=service))
                assert rows == _list_one_by_one(database, dataset, permission, service)
                lengths.append(len(rows))
    assert max(lengths) > 10


def test_people_whom_grants_reach_in_one_way_need_one_decision(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions: list[str] = []
    decide = access.decide

    def count(snapshot: Any, dataset: str, permission: str, at: datetime) -> Decision:
        decisions.append(dataset)
        return decide(snapshot, dataset, permission, at)

    people, at = 500, utc_text(AT)
    database.run(m.Dataset.insert(name="fish2", created=AT))
    database.insert_many(
        m.Principal,
        [
            {"kind": "user", "email": f"p{number}@example.org", "created": at, "created_by": "os:test"}
            for number in range(1, people + 1)
        ],
    )
    grants = [
        {
            "principal": number,
            "dataset": 1,
            "permission": "edit" if number % 2 else "view",
            "expires": AT + number * DAY,
        }
        for number in range(1, people + 1)
    ]
    database.insert_many(
        m.Grant, [{**grant, "source": "manual", "granted_by": "os:test", "created": at} for grant in grants]
    )
    monkeypatch.setattr(access, "decide", count)
    assert len(list(access_report.list_holders(database, "fish2", "view", AT))) == people
    assert len(decisions) == 2
