"""Terms of service: whose they are, from when to when, and who has accepted them."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from dsgctl.core import datasets, grants, services, snapshots, users, validation, versions, withdrawals
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid, NotAllowed, NotFound
from dsgctl.core.grant_targets import Subject, Target, principal_subject
from dsgctl.core.rules import access, levels
from dsgctl.core.rules import terms as rule
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.terms import TermsStatus
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Acceptance, Terms
from dsgctl.store.prepared import Prepared, parameter
from dsgctl.store.queries import JOIN, fn


def by_id(database: Database, terms_id: int) -> Terms | None:
    if terms_id > m.MAX_NUMBER:  # it may come out of a URL
        return None
    return database.first(Terms.select().where(Terms.id == terms_id))


def find(database: Database, terms_id: int) -> Terms:
    """Raises:
    NotFound: there are no terms of this id.
    """
    found = by_id(database, terms_id)
    if found is None:
        raise NotFound(f"there are no terms {terms_id}", "dsgctl terms list")
    return found


def by_invite(database: Database, invite: str) -> Terms | None:
    """The terms that an invitation names."""
    return database.first(Terms.select().where(Terms.invite_token == invite))


_ABOUT = (
    Terms.select(Terms.id, m.Dataset.name)
    .join_from(
        Terms, m.Dataset, JOIN.LEFT_OUTER, on=(m.Dataset.id == Terms.dataset) | (m.Dataset.own_terms_id == Terms.id)
    )
    .order_by(m.Dataset.name)
)
_ABOUT_ID = Prepared(_ABOUT.where(Terms.id == parameter("id")))
_ABOUT_INVITE = Prepared(_ABOUT.where(Terms.invite_token == parameter("invite")))


def list_datasets_of(database: Database, terms_id: int) -> list[str]:
    """The names of the datasets that terms are about: the one they were written for, and those whose own they are."""
    return [name for _, name in _ABOUT_ID(database, id=terms_id) if name is not None]


@dataclass(frozen=True, slots=True)
class Readable:
    """Terms that a person may read.

    Attributes:
        datasets: those that they are about and that the person may know of.
    """

    id: int
    datasets: tuple[str, ...]


def find_readable(
    database: Database, known: PrincipalSnapshot, at: datetime, *, terms_id: int = 0, invite: str | None = None
) -> Readable | None:
    """Terms, if this person may read them. Call it in a `Database.snapshot`.

    Terms of closed datasets are readable for those whom a grant on one of them reaches, and for those who have
    accepted them. For everybody else the answer is that for terms that are not there, after the same work: one
    query, which does not touch the text.

    Args:
        known: the facts of the person.
        terms_id, invite: which terms: one of both.
    """
    if terms_id > m.MAX_NUMBER:  # it may come out of a URL
        terms_id = 0
    rows = _ABOUT_ID(database, id=terms_id) if invite is None else _ABOUT_INVITE(database, invite=invite)
    found = rows[0][0] if rows else 0
    about = [name for _, name in rows if name is not None]
    names = tuple(name for name in about if access.may_know_of(known, name, at))
    if not rows or (about and not names and found not in known.accepted):
        return None
    return Readable(found, names)


def list_accepted_by(database: Database, principal_id: int) -> Iterator[dict[str, Any]]:
    """What somebody has accepted, and when; the newest first."""
    query = (
        Acceptance.select(Acceptance.terms.alias("id"), Terms.name, Acceptance.accepted)
        .join(Terms)
        .where(Acceptance.principal == principal_id)
        .order_by(Acceptance.accepted.desc(), Acceptance.terms.desc())
    )
    return database.rows(query)


def find_acceptance_date(database: Database, terms_id: int, principal_id: int) -> datetime | None:
    """When somebody accepted terms; None if they have not."""
    where = (Acceptance.principal == principal_id) & (Acceptance.terms == terms_id)
    found = database.first(Acceptance.select().where(where))
    return found.accepted if found is not None else None


def is_own_of_dataset(database: Database, found: Terms) -> bool:
    """Whether they are some dataset's own terms now."""
    return database.first(m.Dataset.select().where(m.Dataset.own_terms_id == found.id)) is not None


def find_status(database: Database, document: Terms, at: datetime) -> TermsStatus:
    """Whether terms are in force at a moment, and if not, why."""
    return _as_rule(_find_row(database, document.id), own=is_own_of_dataset(database, document)).status(at)


def add(
    change: Change,
    name: str,
    text: str,
    *,
    dataset: str | None = None,
    version: str | None = None,
    service: str | None = None,
    effective: datetime | None = None,
) -> tuple[Terms, bool]:
    """Add terms. Terms of a dataset alone become the dataset's own, in place of those it had:
    from then on nobody holds a permission on it who has not accepted them.

    Args:
        text: Markdown.
        effective: from when they count, for terms of a service; None for now.

    Returns:
        The terms, and whether they are new: the same name and text for the same thing is no change.
    """
    from dsgctl.core import markdown  # the parser is slow to import, and only this needs it

    validation.single_line(name, "name for terms")
    if not markdown.require(text, "text of the terms").strip():
        raise Invalid("the text of the terms is empty", "write them in Markdown")
    if dataset is None and (version is not None or service is not None):
        raise Invalid("terms of a version or of a service need a dataset", "say --dataset too")
    of_dataset = datasets.find(change.database, dataset) if dataset is not None else None
    of_version = None
    if of_dataset is not None and version is not None:
        of_version = versions.find(change.database, of_dataset, version)
    of_service = services.find(change.database, service) if service is not None else None
    places = {"dataset": of_dataset, "version": of_version, "service": of_service}
    ids = {key: place.id if place else None for key, place in places.items()}
    query = Terms.select().where(Terms.name == name, Terms.text == text, Terms.retired.is_null())
    for key, place_id in ids.items():
        column = getattr(Terms, key)
        query = query.where(column.is_null() if place_id is None else column == place_id)
    becomes_own = of_dataset is not None and of_version is None and of_service is None
    if of_dataset is not None and becomes_own:
        query = query.where(Terms.id == of_dataset.own_terms_id)  # those that were replaced are not there any more
    known = change.database.first(query)
    if known is not None and (effective is None or effective == known.effective):
        return known, False
    row = {"name": name, "text": text, "effective": effective or change.at, **ids}
    terms_id = change.database.run(Terms.insert(invite_token=secrets.token_urlsafe(32), **row))
    after = {"name": name, "effective": row["effective"], "version": version, "service": service}
    # Which words they are: whoever reads a plan or the log can tell, and hold the text against it.
    after |= {"begins": _first_line(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    if of_dataset is not None and becomes_own:
        after["replaces"] = of_dataset.own_terms_id
        _set_own_terms(change, of_dataset.id, terms_id)
    target = f"terms:{terms_id}" + (f" dataset:{dataset}" if dataset else "")
    change.record("terms.add", target, after={key: value for key, value in after.items() if value is not None})
    return find(change.database, terms_id), True


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 80 else line[:77] + "..."


def import_terms(change: Change, **row: Any) -> None:
    """Take over terms of another system as they are, under the id that they had there.

    Args:
        row: every column of the table: id, name, text, dataset, version and service (ids),
            invite_token, effective, retired.
    """
    validation.single_line(row["name"], "name for terms")
    validation.multiline(row["text"], "text of the terms")
    validation.single_line(row["invite_token"], "invitation")
    change.database.run(Terms.insert(**row))
    change.record("terms.add", f"terms:{row['id']}", after={key: row[key] for key in ("name", "effective", "retired")})


def import_own_terms(change: Change, dataset: m.Dataset, terms_id: int) -> None:
    """Take over that these are a dataset's own terms."""
    _set_own_terms(change, dataset.id, terms_id)
    change.record("dataset.set", f"dataset:{dataset.name} terms:{terms_id}", after={"own_terms": terms_id})


@dataclass(frozen=True, slots=True)
class ImportedAcceptance:
    """That a person accepted terms, then and from there, as another system has it."""

    terms_id: int
    principal_id: int
    email: str
    at: datetime
    address: str | None


def import_acceptances(change: Change, accepted: Iterable[ImportedAcceptance]) -> int:
    """Take over who accepted terms. At most some thousands at once. Returns how many are new."""
    by_terms: dict[int, dict[int, ImportedAcceptance]] = {}
    for one in accepted:
        by_terms.setdefault(one.terms_id, {}).setdefault(one.principal_id, one)
    new: list[ImportedAcceptance] = []
    for terms_id, people in by_terms.items():
        query = Acceptance.select(Acceptance.principal).where(Acceptance.terms == terms_id)
        there = {number for (number,) in change.database.tuples(query.where(Acceptance.principal.in_(list(people))))}
        new += [one for number, one in people.items() if number not in there]
    change.database.insert_many(
        Acceptance,
        [
            {
                "principal": one.principal_id,
                "terms": one.terms_id,
                "accepted": one.at,
                "address": one.address,
                "recorded_by": f"user:{one.email}",
            }
            for one in new
        ],
    )
    for one in new:
        after = {"accepted": one.at, "address": one.address}
        change.record("terms.accept", f"terms:{one.terms_id} user:{one.email}", after=after)
    return len(new)


def _set_own_terms(change: Change, dataset_id: int, terms_id: int | None) -> None:
    change.database.run(m.Dataset.update(own_terms_id=terms_id).where(m.Dataset.id == dataset_id))


def retire(change: Change, terms_id: int, *, on: datetime | None = None) -> bool:
    """End terms, now or on a date. A dataset whose own terms they are has none afterwards.

    Returns:
        Whether anything changed.

    Raises:
        Conflict: a dataset's own terms are to end later: they count whatever their dates
            (contract.md, "GET /api/v1/user/cache"), so they end when they are taken off the dataset, that is now.
    """
    found = find(change.database, terms_id)
    own_of = change.database.first(m.Dataset.select().where(m.Dataset.own_terms_id == terms_id))
    end = on or change.at
    if own_of is not None and end > change.at:
        raise Conflict(
            f"terms {terms_id} are {own_of.name}'s own, which count whatever their dates",
            "retire them on the day",
        )
    if _as_rule(_find_row(change.database, terms_id), own=own_of is not None).status(end) is TermsStatus.RETIRED:
        return False
    end = min(filter(None, (found.retired, end)))
    change.database.run(Terms.update(retired=end).where(Terms.id == terms_id))
    change.database.run(m.Dataset.update(own_terms_id=None).where(m.Dataset.own_terms_id == terms_id))
    target = f"terms:{terms_id}" + (f" dataset:{own_of.name}" if own_of else "")
    change.record("terms.retire", target, {"retired": found.retired}, {"retired": end})
    return True


def accept(change: Change, terms_id: int, email: str, *, address: str | None = None) -> bool:
    """Record that a person accepts terms. For a public dataset's own terms, that also gives
    ``view`` on it, by self-service; but not to somebody from whom it was taken there (`grants.revoke`),
    whichever terms they accept: they have it again when somebody grants it to them.

    Args:
        address: the browser's network address; None if an operator records it on the person's behalf.

    Returns:
        Whether anything changed.

    Raises:
        NotAllowed: the account is disabled, or it is a child, whose parent accepts for it.
    """
    found, user = find(change.database, terms_id), users.find(change.database, email)
    if not user.active:
        raise NotAllowed(f"{user.email} is disabled", f"dsgctl user enable {user.email}")
    if user.parent_id is not None:
        raise NotAllowed(
            f"for {user.email} the acceptances of its parent count",
            f"dsgctl user show {user.email} names the parent",
        )
    where = (Acceptance.principal == user.id) & (Acceptance.terms == terms_id)
    if change.database.first(Acceptance.select().where(where)) is not None:
        return False
    change.database.run(
        Acceptance.insert(
            principal=user.id, terms=terms_id, accepted=change.at, address=address, recorded_by=change.actor
        )
    )
    after = {"name": found.name, "address": address}
    change.record("terms.accept", f"terms:{terms_id} user:{user.email}", after=after)
    public = (m.Dataset.own_terms_id == terms_id) & (m.Dataset.access == "public")
    subject = principal_subject(user)
    withdrawn = withdrawals.list_datasets(change.database, user.id)
    for dataset in change.database.objects(m.Dataset.select().where(public)):
        if dataset.name not in withdrawn:
            _give_view(change, dataset.name, subject)
    return True


def _give_view(change: Change, dataset: str, subject: Subject) -> None:
    # One of a version alone, one that has ended or one that falls with what a delegate holds is not enough: nobody can
    # accept twice.
    for row in grants.list_grants(change.database, dataset=dataset, subject=subject, by_operators=True):
        lasting = row["expires"] is None or row["expires"] > change.at
        if row["permission"] == levels.VIEW and row["version"] is None and lasting:
            return
    grants.add(change, subject, Target(dataset, levels.VIEW), for_ever=True, source="self-service")


class TermsRow(TypedDict):
    """A row of ``terms list``.

    Attributes:
        dataset, version, service: the names of what they are for.
        own: they are the dataset's own terms now.
        accepted: how many people have accepted them.
    """

    id: int
    name: str
    dataset: str | None
    version: str | None
    service: str | None
    own: bool
    effective: datetime
    retired: datetime | None
    accepted: int


def list_terms(database: Database) -> Iterator[TermsRow]:
    """All terms, by id."""
    return _read_rows(database)


def _find_row(database: Database, terms_id: int) -> TermsRow:
    return next(_read_rows(database, Terms.id == terms_id))


def _read_rows(database: Database, *conditions: Any) -> Iterator[TermsRow]:
    accepted = Acceptance.select(fn.count(Acceptance.principal)).where(Acceptance.terms == Terms.id)
    query = (
        Terms.select(
            Terms.id,
            Terms.name,
            m.Dataset.name.alias("dataset"),
            m.Version.name.alias("version"),
            m.Service.name.alias("service"),
            (m.Dataset.own_terms_id == Terms.id).alias("own"),
            Terms.effective,
            Terms.retired,
            accepted.alias("accepted"),
        )
        .join_from(Terms, m.Dataset, JOIN.LEFT_OUTER, on=(Terms.dataset == m.Dataset.id))
        .join_from(Terms, m.Version, JOIN.LEFT_OUTER)
        .join_from(Terms, m.Service, JOIN.LEFT_OUTER)
        .order_by(Terms.id)
    )
    for row in database.rows(query.where(*conditions) if conditions else query, TermsRow):
        row["own"] = bool(row["own"])
        yield row


def list_in_force(database: Database, at: datetime) -> list[TermsRow]:
    """The terms that are in force at a moment or will be later, by id."""
    return [row for row in list_terms(database) if not _as_rule(row, own=row["own"]).is_over(at)]


def _as_rule(row: TermsRow, *, own: bool) -> rule.Terms:
    return rule.Terms(
        row["id"],
        row["name"],
        row["effective"],
        row["retired"],
        row["dataset"] or "",
        own,
        row["version"],
        row["service"],
    )


def show(database: Database, terms_id: int) -> dict[str, Any]:
    found = find(database, terms_id)
    return {
        **_find_row(database, terms_id),
        "invite_token": found.invite_token,
        "text": found.text,
    }


def list_pending(
    database: Database, at: datetime, *, email: str | None = None, dataset: str | None = None
) -> Iterator[dict[str, Any]]:
    """Who holds a permission that only unaccepted terms hold back, and which terms.

    A dataset's own terms and those of every service count.

    Args:
        email, dataset: only this person's; only this dataset's.
    """
    who = users.find(database, email).id if email is not None else None
    named = (
        [datasets.find(database, dataset).name]
        if dataset is not None
        else [row["name"] for row in datasets.list_datasets(database)]
    )
    asking = [None, *(row["name"] for row in services.list_services(database))]
    with database.snapshot():
        for name in named:
            seen: set[tuple[int, int]] = set()
            for service in asking:
                if not snapshots.has_terms(database, name, service=service):
                    continue  # or everybody would be read for nothing
                for known in snapshots.read_dataset_holders(database, name, service=service):
                    if (who is not None and known.id != who) or not known.active:
                        continue
                    if name not in access.granted_permissions(known, at):
                        continue
                    for terms in access.missing_terms(known, known.datasets[name], at):
                        if (known.id, terms.id) in seen:
                            continue
                        seen.add((known.id, terms.id))
                        yield {
                            "user": known.label,
                            "dataset": name,
                            "terms": terms.id,
                            "name": terms.name,
                            "service": terms.service,
                        }
