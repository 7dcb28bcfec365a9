"""Generated worlds: people, groups, datasets, grants and terms, as plain dicts and as databases."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from dsgctl.core import snapshots
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import open_current
from tests.dsgctl.core.builders import AT, DAY
from tests.dsgctl.naive_reading import World
from tests.level_table import FOREIGN, NAMES

PERMISSIONS = [*NAMES, FOREIGN, "Zoom"]


SERVICES = ["clio", "cave"]


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


def read_snapshots(
    database: Database, service: str | None = None, also: str | None = None
) -> dict[int, PrincipalSnapshot]:
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
