"""What a person may open, and what they could open by accepting terms: the rows of the landing page."""

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

MOST_DESCRIPTION = 1000  # characters of a description that are searched and shown
MOST_PARTS = 20  # versions, and locations, that are named of one dataset


@dataclass(frozen=True, slots=True)
class Place:
    """Where in Google Cloud Storage a dataset is stored, or one version of it.

    Attributes:
        path: ``bucket/prefix``, without a slash at its end.
    """

    path: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A dataset as a person sees it.

    Attributes:
        permission: the highest that they hold; None if the dataset is public and they hold none.
        missing: its own terms, if they have not accepted them.
        description: its first `MOST_DESCRIPTION` characters.
        versions, places: those that their permission reaches, at most `MOST_PARTS` of each; ``more_versions``,
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
    """Some entries of a catalogue.

    Attributes:
        entries: those that were asked for; first the ones with a permission, each kind by name.
        matching: how many there are that match; ``total``: whether they match or not.
    """

    entries: tuple[Entry, ...]
    matching: int
    total: int


def catalogue(database: Database, known: PrincipalSnapshot, at: datetime, *, words: str, start: int, most: int) -> Part:
    """The datasets that a person holds a permission on, and the public ones that they could open by accepting terms.

    Left out are public datasets without terms (`datasets.list_public_without_terms`), and those on which this person
    has a withdrawal (withdrawals.py). Call it in a `Database.snapshot`. The cost grows with ``most`` and the number of
    names, not with what is stored of each dataset.

    Args:
        words: only those with all of these words in their name or description, case aside.
        start, most: which of them.
    """
    held = access.granted_permissions(known, at)
    withdrawn = withdrawals.list_datasets(database, known.id)
    names = sorted(held) + sorted(
        name
        for name, dataset in known.datasets.items()
        if dataset.public and name not in held and name not in withdrawn and _missing_own_terms(known, name, at)
    )
    chosen = _matching(database, known, names, words.casefold().split()) if words.strip() else names
    shown = chosen[start : start + most]
    return Part(tuple(_entries(database, known, at, shown, held)), len(chosen), len(names))


def _missing_own_terms(known: PrincipalSnapshot, name: str, at: datetime) -> Terms | None:
    missing = list_missing(known, known.datasets[name].terms, at)
    return next((terms for terms in missing if terms.own), None)


def _matching(database: Database, known: PrincipalSnapshot, names: list[str], words: list[str]) -> list[str]:
    described = _descriptions(database, known, names)
    texts = {name: f"{name} {described.get(name, '')}".casefold() for name in names}
    return [name for name in names if all(word in texts[name] for word in words)]


def _descriptions(database: Database, known: PrincipalSnapshot, names: list[str]) -> dict[str, str]:
    ids = [known.datasets[name].id for name in names]
    text = fn.substr(m.Dataset.description, 1, MOST_DESCRIPTION)
    return dict(database.tuples(m.Dataset.select(m.Dataset.name, text).where(m.Dataset.id.in_(ids))))


def _entries(
    database: Database, known: PrincipalSnapshot, at: datetime, names: list[str], held: dict[str, frozenset[str]]
) -> list[Entry]:
    described = _descriptions(database, known, names)
    versions, places = _versions(database, known, at, names), _places(database, known, at, names)
    return [
        Entry(
            name,
            described.get(name, ""),
            levels.find_highest(held[name]) if name in held else None,
            _missing_own_terms(known, name, at),
            tuple(versions[name][:MOST_PARTS]),
            max(0, len(versions[name]) - MOST_PARTS),
            tuple(places[name][:MOST_PARTS]),
            max(0, len(places[name]) - MOST_PARTS),
        )
        for name in names
    ]


def _versions(database: Database, known: PrincipalSnapshot, at: datetime, names: list[str]) -> dict[str, list[str]]:
    query = (
        m.Version.select(m.Dataset.name, m.Version.name)
        .join(m.Dataset)
        .where(m.Version.dataset.in_([known.datasets[name].id for name in names]))
        .order_by(m.Version.id)
    )
    found: dict[str, list[str]] = defaultdict(list)
    for name, version in database.tuples(query):
        if access.grant_reaches(known, name, version, at):
            found[name].append(version)
    return found


def _places(database: Database, known: PrincipalSnapshot, at: datetime, names: list[str]) -> dict[str, list[Place]]:
    query: Any = (
        m.Location.select(m.Dataset.name, m.Location.bucket, m.Location.prefix, m.Version.name)
        .join_from(m.Location, m.Dataset)
        .join_from(m.Location, m.Version, JOIN.LEFT_OUTER, on=(m.Location.version == m.Version.id))
        .where(m.Location.dataset.in_([known.datasets[name].id for name in names]))
        .order_by(m.Location.id)
    )
    found: dict[str, list[Place]] = defaultdict(list)
    for name, bucket, prefix, version in database.tuples(query):
        if access.grant_reaches(known, name, version, at):
            found[name].append(Place(f"{bucket}/{prefix}".rstrip("/"), version))
    return found
