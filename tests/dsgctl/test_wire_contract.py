"""The body of user/cache, and the rules, against a second, naive reading of contract.md, "GET /api/v1/user/cache".

The oracle below is written sentence by sentence from that page, over plain dicts, slowly,
and without a look at how access.py does it. Generated facts go into a real database.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dsgctl.core import snapshots
from dsgctl.core.rules import access
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import open_current
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import AT, DAY
from tests.level_table import FOREIGN, NAMES, ROWS, TABLE, included_levels

PERMISSIONS = [*NAMES, FOREIGN, "Zoom"]
SERVICES = ["clio", "cave"]
ASKING = [None, *SERVICES, "unknown"]

World = dict[str, list[dict[str, Any]]]

# ---------------------------------------------------------------- the naive reading


def oracle(world: World, principal: dict[str, Any], service: str | None, at: Any) -> dict[str, Any]:
    """The body of contract.md, "GET /api/v1/user/cache", lists in any order."""
    is_account = principal["kind"] == "service_account"
    all_permissions = oracle_permissions(world, principal, at)
    counting = {
        name: permissions
        for name, permissions in all_permissions.items()
        if is_account or not oracle_missing(world, principal, dataset_of(world, name), service, at)
    }
    missing = []
    for dataset in world["datasets"]:
        if not is_account and (dataset["name"] in all_permissions or dataset["access"] == "public"):
            missing += oracle_missing(world, principal, dataset, service, at)
    mine = [row for row in world["memberships"] if row["principal"] == principal["id"] and not is_account]
    return {
        "id": principal["id"],
        "parent_id": principal["parent"],
        "service_account": is_account or principal["parent"] is not None,
        "name": principal["slug"] if is_account else name_of(principal),
        "email": principal["slug"] + "@service-account.dsg.local" if is_account else principal["email"],
        "admin": principal["admin"],
        "pi": principal["pi"],
        "picture_url": principal["picture_url"],
        "affiliations": [row["name"] for row in world["affiliations"] if row["principal"] == principal["id"]],
        "groups": [group_name(world, row["group"]) for row in mine],
        "groups_admin": [group_name(world, row["group"]) for row in mine if row["leads"]],
        "permissions": {name: highest(permissions) for name, permissions in counting.items()},
        "permissions_v2": counting,
        "permissions_v2_ignore_tos": all_permissions,
        "missing_tos": missing,
        "datasets_admin": [] if is_account else oracle_datasets_admin(world, principal, at),
    }


def oracle_permissions(world: World, principal: dict[str, Any], at: Any) -> dict[str, list[str]]:
    """A user's permissions on each dataset, terms aside."""
    result: dict[str, list[str]] = {}
    for dataset in world["datasets"]:
        names = set()
        for grant in world["grants"]:
            if grant["dataset"] != dataset["id"] or (grant["expires"] is not None and grant["expires"] <= at):
                continue
            to_me = grant["principal"] == principal["id"]
            to_my_group = principal["kind"] == "user" and any(
                row["principal"] == principal["id"] and row["group"] == grant["group"] for row in world["memberships"]
            )
            if to_me or to_my_group:
                names.add(grant["permission"])
        # "A permission includes those above it in the table, and itself"
        names = set().union(*map(included_levels, names))
        # "A read-only user loses edit, and nothing else"
        if principal["read_only"]:
            names -= {row.name for row in TABLE if row.lost_if_read_only}
        if names:
            result[dataset["name"]] = sorted(names)
    return result


def oracle_missing(
    world: World, user: dict[str, Any], dataset: dict[str, Any], service: str | None, at: Any
) -> list[dict[str, Any]]:
    """The unaccepted terms of one dataset, as entries of missing_tos."""
    # "the parent's acceptances of terms decide, not its own"
    judge = user["id"] if user["parent"] is None else user["parent"]
    accepted = [row["terms"] for row in world["acceptances"] if row["principal"] == judge]
    result = []
    for terms in world["terms"]:
        entry = {
            "dataset_id": dataset["id"],
            "dataset_name": dataset["name"],
            "tos_id": terms["id"],
            "tos_name": terms["name"],
        }
        if terms["id"] in accepted:
            continue
        if dataset["own_terms_id"] == terms["id"]:
            result.append(entry)
        asks = service is not None and any(
            row["id"] == terms["service"] and row["name"] == service for row in world["services"]
        )
        begun = terms["effective"] <= at
        ended = terms["retired"] is not None and terms["retired"] <= at
        if asks and terms["dataset"] == dataset["id"] and begun and not ended:
            result.append({**entry, "service": service})
    return result


def oracle_datasets_admin(world: World, user: dict[str, Any], at: Any) -> list[str]:
    return [
        dataset["name"]
        for dataset in world["datasets"]
        if any(
            grant["dataset"] == dataset["id"]
            and grant["principal"] == user["id"]
            and "admin" in included_levels(grant["permission"])
            and (grant["expires"] is None or at < grant["expires"])
            for grant in world["grants"]
        )
    ]


def is_enabled(world: World, principal: dict[str, Any]) -> bool:
    """A child ends with its parent, and with every account above that."""
    by_id = {row["id"]: row for row in world["principals"]}
    account: dict[str, Any] | None = principal
    while account is not None and account["active"]:
        account = by_id.get(account["parent"])
    return account is None


def name_of(user: dict[str, Any]) -> str:
    if user["display_name"] != "":
        return str(user["display_name"])
    if user["name"] != "":
        return str(user["name"])
    return str(user["email"].split("@")[0])


def highest(permissions: list[str]) -> int:
    return max(ROWS[name].number if name in ROWS else 0 for name in permissions)


def group_name(world: World, group_id: int) -> str:
    return next(str(row["name"]) for row in world["groups"] if row["id"] == group_id)


def dataset_of(world: World, name: str) -> dict[str, Any]:
    return next(row for row in world["datasets"] if row["name"] == name)


# ---------------------------------------------------------------- generated facts

# The days around the moment of the question; 0 is that moment itself.
_day = st.sampled_from([-10, -1, 0, 1, 10]).map(lambda days: AT + days * DAY)
_maybe_day = st.none() | _day


def _some(ids: list[int]) -> st.SearchStrategy[int]:
    return st.sampled_from(ids)


def _number(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": number, **row} for number, row in enumerate(rows, 1)]


def _ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["id"] for row in rows]


_user = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "Ana"]),
        "display_name": st.sampled_from(["", "Dr. A"]),
        "admin": st.booleans(),
        "active": st.integers(0, 4).map(bool),
        "read_only": st.booleans(),
        "pi": st.sampled_from(["", "Lab"]),
        "picture_url": st.sampled_from(["", "https://x.org/a.png"]),
        "is_child": st.booleans(),
    }
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Facts as rows, all references and unique keys in order."""
    principals: list[dict[str, Any]] = []
    for number, values in enumerate(draw(st.lists(_user, min_size=2, max_size=4)), 1):
        is_child = values.pop("is_child")
        parent = draw(_some(_ids(principals))) if is_child and principals else None
        principals.append(
            {
                "id": number,
                "kind": "user",
                "email": f"User{number}@example.org",
                "slug": None,
                "parent": parent,
                **values,
            }
        )
    for _ in range(draw(st.integers(1, 2))):
        number = len(principals) + 1
        principals.append(
            {
                "id": number,
                "kind": "service_account",
                "email": None,
                "slug": f"bot-{number}",
                "parent": None,
                "name": "",
                "display_name": "",
                "admin": False,
                "active": draw(st.booleans()),
                "read_only": False,
                "pi": "",
                "picture_url": "",
            }
        )
    everybody, groups, services = _ids(principals), [1, 2], [1, 2]
    datasets = _number(
        [{"name": f"data{number}", "access": draw(st.sampled_from(["closed", "public"]))} for number in (1, 2, 3)]
    )
    datasets_ids = _ids(datasets)
    terms = _number(
        draw(
            st.lists(
                st.fixed_dictionaries(
                    {
                        "dataset": st.sampled_from([None, *datasets_ids]),
                        "service": st.sampled_from([None, *services]),
                        "effective": _day,
                        "retired": _maybe_day,
                    }
                ),
                min_size=3,
                max_size=6,
            )
        )
    )
    for document in terms:
        document["name"] = f"terms {document['id']}"
    # Of any dates, and of several datasets at once: an import may bring both. Not those of a
    # service: they would be both a dataset's own and the service's.
    may_be_own = [document["id"] for document in terms if document["service"] is None]
    for dataset in datasets:
        dataset["own_terms_id"] = draw(st.none() | _some(may_be_own)) if may_be_own else None
    versions = [{"id": number, "dataset": number, "name": "v1"} for number in datasets_ids]
    grants = draw(
        st.lists(
            st.fixed_dictionaries(
                {
                    "principal": _some(everybody),
                    "group": st.none() | _some(groups),
                    "dataset": _some(datasets_ids),
                    "version": st.booleans(),
                    "permission": st.sampled_from(PERMISSIONS),
                    "scope_group": st.none() | _some(groups),
                    "expires": _maybe_day,
                }
            ),
            min_size=4,
            max_size=14,
            unique_by=_grant_key,
        )
    )
    for grant in grants:
        grant["version"] = grant["dataset"] if grant["version"] else None  # each dataset has one, of the same id
        grant["principal"] = None if grant["group"] else grant["principal"]
    return {
        "principals": principals,
        "affiliations": draw(_pairs("principal", everybody, "name", ["HHMI", "MRC"])),
        "groups": [{"id": number, "name": f"lab {number}"} for number in groups],
        # Nothing but the rules keeps a service account from using a group.
        "memberships": [
            {**row, "leads": draw(st.booleans())} for row in draw(_pairs("principal", everybody, "group", groups))
        ],
        "services": [{"id": number, "name": name} for number, name in enumerate(SERVICES, 1)],
        "datasets": datasets,
        "versions": versions,
        "terms": terms,
        "grants": _number(grants),
        "acceptances": draw(_pairs("principal", everybody, "terms", _ids(terms))),
    }


def _grant_key(grant: dict[str, Any]) -> tuple[Any, ...]:
    subject = (0, grant["group"]) if grant["group"] else (grant["principal"], 0)
    return (*subject, grant["dataset"], grant["version"], grant["permission"], grant["scope_group"])


def _pairs(
    key: str, values: list[Any], other_key: str, other_values: list[Any]
) -> st.SearchStrategy[list[dict[str, Any]]]:
    pair = st.fixed_dictionaries({key: st.sampled_from(values), other_key: st.sampled_from(other_values)})
    return st.lists(pair, max_size=8, unique_by=lambda row: (row[key], row[other_key]))


# ---------------------------------------------------------------- into a database and out

_FILLED_IN: dict[str, dict[str, Any]] = {
    "principals": {"created": AT, "created_by": "os:test"},
    "groups": {"created": AT},
    "datasets": {"created": AT},
    "terms": {"text": "Be kind."},
    "grants": {"source": "manual", "granted_by": "os:test", "created": AT},
    "acceptances": {"accepted": AT, "recorded_by": "os:test"},
}
_MODELS: list[tuple[str, Any]] = [
    ("principals", m.Principal),
    ("affiliations", m.Affiliation),
    ("groups", m.Group),
    ("memberships", m.Membership),
    ("services", m.Service),
    ("datasets", m.Dataset),
    ("versions", m.Version),
    ("terms", m.Terms),
    ("grants", m.Grant),
    ("acceptances", m.Acceptance),
]


class WorldFiles:
    """A directory with the file of one world after the other."""

    def __init__(self, empty: Path, directory: Path) -> None:
        self._empty = empty
        self._directory = directory
        self._number = count(1)

    @contextmanager
    def holding(self, world: World) -> Iterator[Database]:
        path = self._directory / f"{next(self._number)}.sqlite3"
        shutil.copyfile(self._empty, path)
        database = open_current(path)
        try:
            with database.transaction():
                for name, model in _MODELS:
                    rows = [{**row, **_FILLED_IN.get(name, {})} for row in world[name]]
                    if name == "terms":
                        rows = [{**row, "invite_token": str(row["id"])} for row in rows]
                    if name == "datasets":  # datasets and terms refer to each other
                        rows = [{key: row[key] for key in row if key != "own_terms_id"} for row in rows]
                    database.insert_many(model, rows)
                for row in world["datasets"]:
                    own = m.Dataset.update(own_terms_id=row["own_terms_id"])
                    database.run(own.where(m.Dataset.id == row["id"]))
            yield database
        finally:
            database.close()
            for left in self._directory.glob(path.name + "*"):
                left.unlink()


@pytest.fixture(scope="module")
def files(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> WorldFiles:
    return WorldFiles(empty_database, tmp_path_factory.mktemp("worlds"))


def all_facts(database: Database, service: str | None = None, also: str | None = None) -> dict[int, PrincipalSnapshot]:
    with database.snapshot():
        return {
            principal.id: snapshots.read_principal(database, principal, service=service, also=also)
            for principal in database.objects(m.Principal.select())
        }


def any_order(body: Any) -> Any:
    """The same value with every list sorted, as the contract compares lists as sets."""
    if isinstance(body, dict):
        return {key: any_order(value) for key, value in body.items()}
    return sorted(map(any_order, body), key=repr) if isinstance(body, list) else body


def examples(number: int) -> Any:
    return settings(
        max_examples=number,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
        phases=[Phase.generate, Phase.shrink],
    )


# ---------------------------------------------------------------- what must hold


@examples(80)
@given(world=worlds())
def test_user_cache_says_what_the_contract_says(files: WorldFiles, world: World) -> None:
    with files.holding(world) as database:
        for service in ASKING:
            by_id = all_facts(database, service)
            for principal in world["principals"]:
                # A disabled account is answered 401, so the contract says nothing of its body.
                if is_enabled(world, principal):
                    body = build_user_cache(by_id[principal["id"]], AT)
                    assert any_order(body) == any_order(oracle(world, principal, service, AT))
                    assert json.loads(json.dumps(body)) == body


@examples(40)
@given(world=worlds(), service=st.sampled_from(ASKING))
def test_a_decision_allows_what_user_cache_lists_and_an_active_account(
    files: WorldFiles, world: World, service: str | None
) -> None:
    with files.holding(world) as database:
        for dataset in [*(row["name"] for row in world["datasets"]), "no such dataset"]:
            by_id = all_facts(database, service, dataset if dataset.startswith("data") else None)
            for principal in world["principals"]:
                listed = oracle(world, principal, service, AT)["permissions_v2"].get(dataset, [])
                for permission in [*PERMISSIONS, "nonsense", ""]:
                    decision = access.decide(by_id[principal["id"]], dataset, permission, AT)
                    assert decision.allowed == (is_enabled(world, principal) and permission in listed)


@examples(40)
@given(world=worlds(), service=st.sampled_from(ASKING))
def test_the_facts_of_a_dataset_agree_with_those_of_each_principal(
    files: WorldFiles, world: World, service: str | None
) -> None:
    with files.holding(world) as database:
        for name in (row["name"] for row in world["datasets"]):
            by_dataset = {
                snapshot.id: snapshot for snapshot in snapshots.read_dataset_holders(database, name, service=service)
            }
            for principal_id, snapshot in all_facts(database, service).items():
                on_it = {grant for grant in snapshot.grants if grant.dataset == name}
                assert (principal_id in by_dataset) == bool(on_it)
                if on_it:
                    holder = by_dataset[principal_id]
                    assert set(holder.grants) == on_it
                    assert holder.label == snapshot.label
                    assert holder.datasets[name] == snapshot.datasets[name]
                    for permission in PERMISSIONS:
                        decision = access.decide(snapshot, name, permission, AT)
                        assert decision.reason == access.decide(holder, name, permission, AT).reason
                        assert decision.missing == access.decide(holder, name, permission, AT).missing


@examples(40)
@given(world=worlds())
def test_no_answer_changes_before_its_stated_time(files: WorldFiles, world: World) -> None:
    dates = {row["expires"] for row in world["grants"]}
    dates |= {row[key] for row in world["terms"] for key in ("effective", "retired")}
    moments = {AT, AT + 100 * DAY}
    for date in dates - {None}:
        moments |= {date - timedelta(microseconds=1), date, date + timedelta(microseconds=1)}
    with files.holding(world) as database:
        for service in ASKING:
            for snapshot in all_facts(database, service).values():
                answers = {at: build_user_cache(snapshot, at) for at in moments}
                for at in moments:
                    end = access.next_change(snapshot, at)
                    assert end is None or end > at
                    lasting = [later for later in moments if at < later and (end is None or later < end)]
                    assert all(answers[later] == answers[at] for later in lasting)
