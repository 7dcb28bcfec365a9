"""The datasets that a person may open, or could open by accepting terms: the entries of the landing page."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dsgctl.core import withdrawals
from dsgctl.core.rules import access, levels
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.terms import Terms, list_missing
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.queries import JOIN, fn

MAX_DESCRIPTION = 1000  # characters of a description that are searched and shown
MAX_PARTS = 20  # versions, and locations, that are listed for one dataset


@dataclass(frozen=True, slots=True)
class Place:
    """A location of a dataset, or of one version.

    Attributes:
        path: ``bucket/prefix``, without a slash at its end.
    """

    path: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset as a person sees it.

    Attributes:
        permission: the highest that they have; None if they have none and the dataset is public.
        missing: its own terms, if they have not accepted them.
        description: its first `MAX_DESCRIPTION` characters.
        versions, places: those that their permission reaches, at most `MAX_PARTS` of each; ``more_versions``,
            ``more_places``: how many more there are.
    """

    name: str
    description: str
    permission: str | None
    missing: Terms | None
    versions: tuple[str, ...] = ()
    more_versions: int = 0
    places: tuple[Place, ...] = ()
    more_places: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """Some entries of the catalogue.

    Attributes:
        entries: first those with a permission, then the others, each by name.
        matching: the number of all entries that match; ``total``: the number of all entries.
    """

    entries: tuple[Entry, ...]
    matching: int
    total: int


def read_catalogue(
    database: Database, principal: PrincipalSnapshot, at: datetime, *, words: str, start: int, limit: int
) -> Part:
    """The datasets on which a person has a permission, and the public ones that they could open by accepting terms.

    Left out are public datasets without terms (`datasets.list_public_without_terms`), and those on which this person
    has a withdrawal (withdrawals.py). Call it in a `Database.snapshot`. The cost grows with ``limit`` and the number of
    names, not with what is stored about each dataset.

    Args:
        words: only those with all of these words in their name or description; case is ignored.
        start, limit: how many of them to skip, and how many to return.
    """
    permissions = access.granted_permissions(principal, at)
    withdrawn = withdrawals.list_datasets(database, principal.id)
    names = sorted(permissions) + sorted(
        name
        for name, dataset in principal.datasets.items()
        if dataset.public
        and name not in permissions
        and name not in withdrawn
        and _find_missing_own_terms(principal, name, at)
    )
    matching = _filter_names(database, principal, names, words.casefold().split()) if words.strip() else names
    page = matching[start : start + limit]
    return Part(tuple(_build_entries(database, principal, at, page, permissions)), len(matching), len(names))


def _find_missing_own_terms(principal: PrincipalSnapshot, name: str, at: datetime) -> Terms | None:
    missing = list_missing(principal, principal.datasets[name].terms, at)
    return next((terms for terms in missing if terms.own), None)


def _filter_names(database: Database, principal: PrincipalSnapshot, names: list[str], words: list[str]) -> list[str]:
    descriptions = _read_descriptions(database, principal, names)
    texts = {name: f"{name} {descriptions.get(name, '')}".casefold() for name in names}
    return [name for name in names if all(word in texts[name] for word in words)]


def _read_descriptions(database: Database, principal: PrincipalSnapshot, names: list[str]) -> dict[str, str]:
    ids = [principal.datasets[name].id for name in names]
    text = fn.substr(m.Dataset.description, 1, MAX_DESCRIPTION)
    return dict(database.tuples(m.Dataset.select(m.Dataset.name, text).where(m.Dataset.id.in_(ids))))


def _build_entries(
    database: Database,
    principal: PrincipalSnapshot,
    at: datetime,
    names: list[str],
    permissions: dict[str, frozenset[str]],
) -> list[Entry]:
    descriptions = _read_descriptions(database, principal, names)
    viewable = access.list_viewable(principal, at)
    versions = _read_versions(database, principal, viewable, names)
    places = _read_places(database, principal, viewable, names)
    return [
        Entry(
            name,
            descriptions.get(name, ""),
            levels.find_highest(permissions[name]) if name in permissions else None,
            _find_missing_own_terms(principal, name, at),
            tuple(versions[name][:MAX_PARTS]),
            max(0, len(versions[name]) - MAX_PARTS),
            tuple(places[name][:MAX_PARTS]),
            max(0, len(places[name]) - MAX_PARTS),
        )
        for name in names
    ]


def _read_versions(
    database: Database, principal: PrincipalSnapshot, viewable: access.Viewable, names: list[str]
) -> dict[str, list[str]]:
    query = (
        m.Version.select(m.Dataset.name, m.Version.name)
        .join(m.Dataset)
        .where(m.Version.dataset.in_([principal.datasets[name].id for name in names]))
        .order_by(m.Version.id)
    )
    versions: dict[str, list[str]] = defaultdict(list)
    for name, version in database.tuples(query):
        if access.is_viewable(viewable, name, version):
            versions[name].append(version)
    return versions


def _read_places(
    database: Database, principal: PrincipalSnapshot, viewable: access.Viewable, names: list[str]
) -> dict[str, list[Place]]:
    query: Any = (
        m.Location.select(m.Dataset.name, m.Location.bucket, m.Location.prefix, m.Version.name)
        .join_from(m.Location, m.Dataset)
        .join_from(m.Location, m.Version, JOIN.LEFT_OUTER, on=(m.Location.version == m.Version.id))
        .where(m.Location.dataset.in_([principal.datasets[name].id for name in names]))
        .order_by(m.Location.id)
    )
    places: dict[str, list[Place]] = defaultdict(list)
    for name, bucket, prefix, version in database.tuples(query):
        if access.is_viewable(viewable, name, version):
            places[name].append(Place(f"{bucket}/{prefix}".rstrip("/"), version))
    return places
