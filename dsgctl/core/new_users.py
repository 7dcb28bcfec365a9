"""People to add, one or many at once: their attributes, each with its check, and the insert."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypedDict

from dsgctl.core import principals, validation
from dsgctl.core.change import Change
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from dsgctl.store.queries import fn


class Attributes(TypedDict, total=False):
    """The attributes of a person that an operator can set. A missing key means an empty text, or False."""

    name: str
    display_name: str
    pi: str
    notes: str
    picture_url: str
    admin: bool
    read_only: bool


_CHECKS: Mapping[str, Callable[[Any], str | bool]] = {
    "name": lambda text: validation.single_line(text, "name", empty=True),
    "display_name": lambda text: validation.single_line(text, "display name", empty=True),
    "pi": lambda text: validation.single_line(text, "PI", empty=True),
    "notes": lambda text: validation.multiline(text, "note"),
    "picture_url": validation.url,
    "admin": bool,
    "read_only": bool,
}
_UNSET: Mapping[str, str | bool] = {key: check("") for key, check in _CHECKS.items()}


@dataclass(frozen=True, slots=True)
class ForeignAccount:
    """The values that an account keeps from another system; None where that system has none.

    Attributes:
        parent: the id of the parent account.
    """

    id: int | None = None
    active: bool | None = None
    issuer: str | None = None
    subject: str | None = None
    parent: int | None = None
    created: datetime | None = None

    def list_values(self) -> dict[str, int | str | datetime]:
        """The columns that the other system has a value for."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to add."""

    email: str
    attributes: Attributes
    affiliations: tuple[str, ...] = ()
    foreign: ForeignAccount = ForeignAccount()


class CheckedUser(NamedTuple):
    """A person to add, whose values meet the rules: a result of `check`.

    Attributes:
        foreign: the columns that another system has a value for.
    """

    email: str
    attributes: dict[str, str | bool]
    affiliations: list[str]
    foreign: dict[str, int | str | datetime]


def check_attributes(attributes: Attributes) -> dict[str, str | bool]:
    """The same attributes, each checked.

    Raises:
        Invalid: a value is malformed.
    """
    return {key: _CHECKS[key](value) for key, value in attributes.items()}


def check_affiliations(names: Iterable[str]) -> list[str]:
    """The same names, checked and without duplicates.

    Raises:
        Invalid: a name is malformed.
    """
    return list(dict.fromkeys(validation.single_line(name, "affiliation") for name in names))


def check(person: NewUser) -> CheckedUser:
    """The same person, to be added.

    Raises:
        Invalid: a value is malformed.
    """
    return CheckedUser(
        validation.email(person.email),
        check_attributes(person.attributes),
        check_affiliations(person.affiliations),
        person.foreign.list_values(),
    )


def add_all(change: Change, people: Sequence[CheckedUser]) -> list[int]:
    """Add people whose addresses, ids and identities no account has.

    Returns:
        Their ids, in the order of ``people``.
    """
    rows: list[dict[str, Any]] = []  # as `Database.insert_many` takes them
    affiliations: list[dict[str, Any]] = []
    columns = {
        "id": 0,
        "kind": "user",
        "email": "",
        **_UNSET,
        "active": True,
        "issuer": None,
        "subject": None,
        "parent": None,
        "created": change.at,
        "created_by": change.actor,
    }
    # Numbered here and not by the engine: reading the ids back would take longer than the insert.
    for number, (email, attributes, names, foreign) in enumerate(people, change.database.next_id(Principal)):
        row = {**columns, "id": number, "email": email, **attributes, **foreign}
        rows.append(row)
        affiliations += [{"principal": row["id"], "name": name} for name in names]
        after: dict[str, object] = {key: value for key, value in attributes.items() if value}
        if names:
            after["affiliations"] = names
        after |= foreign
        change.record("user.add", f"user:{email}", after=after)
    change.database.insert_many(Principal, rows)
    change.database.insert_many(m.Affiliation, affiliations)
    return [row["id"] for row in rows]


def find_existing(database: Database, people: Iterable[NewUser]) -> list[Principal]:
    """Every account that has the id, the address or the identity of one of these people."""
    existing: dict[int, Principal] = {}
    identities: dict[str | None, set[str]] = {}
    ids: set[int] = set()
    emails: set[str] = set()
    for person in people:
        emails.add(person.email)
        if person.foreign.id is not None:
            ids.add(person.foreign.id)
        if person.foreign.subject is not None:
            identities.setdefault(person.foreign.issuer, set()).add(person.foreign.subject)
    conditions = [Principal.id.in_(part) for part in _parts(ids)]
    conditions += [fn.lower(Principal.email).in_(part) for part in _parts(principals.email_keys(emails))]
    for issuer, subjects in identities.items():
        conditions += [(Principal.issuer == issuer) & Principal.subject.in_(part) for part in _parts(subjects)]
    for condition in conditions:
        existing |= {holder.id: holder for holder in database.objects(Principal.select().where(condition))}
    return list(existing.values())


def find_by_emails(database: Database, emails: Iterable[str]) -> dict[str, tuple[Principal, list[str]]]:
    """The users who have these addresses: `email_key` -> the user, and the names of their affiliations."""
    users: dict[int, tuple[Principal, list[str]]] = {}
    for part in _parts(principals.email_keys(emails)):
        for user in database.objects(Principal.select().where(fn.lower(Principal.email).in_(part))):
            users[user.id] = (user, [])
    for ids in _parts(users):
        query = m.Affiliation.select(m.Affiliation.principal, m.Affiliation.name)
        for principal_id, name in database.tuples(query.where(m.Affiliation.principal.in_(ids))):
            users[principal_id][1].append(name)
    return {validation.email_key(user.email): (user, names) for user, names in users.values()}


def reserve_ids(change: Change, up_to: int) -> None:
    """Give new accounts ids above this one: another system has used the lower ones, also for deleted accounts."""
    change.database.reserve_ids(Principal, up_to)


def _parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    """The values in parts of a size that one query takes: SQLite binds a limited number of values."""
    ordered = sorted(values)
    for start in range(0, len(ordered), 500):
        yield ordered[start : start + 500]
