"""Terms of service: what they are for, and from when to when they are in force."""

import hashlib
import secrets
from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypedDict

from dsgctl.core import datasets, services, validation, versions
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.rules import terms as rule
from dsgctl.core.rules.terms import TermsStatus
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Acceptance, Terms
from dsgctl.store.queries import JOIN, fn


def find_by_id(database: Database, terms_id: int) -> Terms | None:
    """The terms of an id; None if there are none."""
    if terms_id > m.MAX_NUMBER:  # ids come from URLs too
        return None
    return database.first(Terms.select().where(Terms.id == terms_id))


def find(database: Database, terms_id: int) -> Terms:
    """The terms of an id.

    Raises:
        NotFound: there are none.
    """
    document = find_by_id(database, terms_id)
    if document is None:
        raise _not_found(terms_id)
    return document


def _not_found(terms_id: int) -> NotFound:
    return NotFound(f"there are no terms {terms_id}", "dsgctl terms list")


def find_by_invite(database: Database, invite: str) -> Terms | None:
    """The terms of an invitation; None if it is unknown."""
    return database.first(Terms.select().where(Terms.invite_token == invite))


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
    """Add terms. Terms of a dataset alone become its own, in place of those it had.

    From then on, only people who have accepted them have permissions on the dataset.

    Args:
        text: Markdown.
        effective: the moment from which they are in force, if they are not a dataset's own; None for now.

    Returns:
        The terms, and whether they are new. Terms of the same name and text, for the same thing, are not added again.

    Raises:
        Invalid: the name or the text cannot be stored, or there is a version or a service without a dataset.
        NotFound: there is no such dataset, version or service.
    """
    _require_document(name, text)
    if dataset is None and (version is not None or service is not None):
        raise Invalid("terms of a version or of a service need a dataset", "use --dataset too")
    dataset_row = datasets.find(change.database, dataset) if dataset is not None else None
    version_row = None
    if dataset_row is not None and version is not None:
        version_row = versions.find(change.database, dataset_row, version)
    service_row = services.find(change.database, service) if service is not None else None
    rows = {"dataset": dataset_row, "version": version_row, "service": service_row}
    ids = {key: row.id if row else None for key, row in rows.items()}
    becomes_own = version_row is None and service_row is None
    query = Terms.select().where(Terms.name == name, Terms.text == text, Terms.retired.is_null())
    for key, row_id in ids.items():
        column = getattr(Terms, key)
        query = query.where(column.is_null() if row_id is None else column == row_id)
    if dataset_row is not None and becomes_own:
        query = query.where(Terms.id == dataset_row.own_terms_id)  # replaced terms can be added again
    existing = change.database.first(query)
    if existing is not None and effective in (None, existing.effective):
        return existing, False
    values = {"name": name, "text": text, "effective": effective or change.at, **ids}
    terms_id = change.database.run(Terms.insert(invite_token=secrets.token_urlsafe(32), **values))
    after = {"name": name, "effective": values["effective"], "version": version, "service": service}
    # Readers of a plan or of the audit log can tell which text it is, and compare it.
    after |= {"begins": _first_line(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    if dataset_row is not None and becomes_own:
        after["replaces"] = dataset_row.own_terms_id
        _set_own_terms(change, dataset_row.id, terms_id)
    target = f"terms:{terms_id}" + (f" dataset:{dataset}" if dataset else "")
    change.record("terms.add", target, after={key: value for key, value in after.items() if value is not None})
    return find(change.database, terms_id), True


def _require_document(name: str, text: str) -> None:
    from dsgctl.core import markdown  # the parser is slow to import, and only this needs it

    validation.single_line(name, "name for terms")
    if not markdown.require(text, "text of the terms").strip():
        raise Invalid("the text of the terms is empty", "write them in Markdown")


def _first_line(text: str) -> str:
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= 80 else line[:77] + "..."


def import_terms(change: Change, **row: Any) -> None:
    """Import terms of another system unchanged, with their id there.

    Args:
        row: every column of the table: id, name, text, dataset, version and service (ids),
            invite_token, effective, retired.

    Raises:
        Invalid: the name, the text or the invitation cannot be stored.
    """
    validation.single_line(row["name"], "name for terms")
    validation.multiline(row["text"], "text of the terms")
    validation.single_line(row["invite_token"], "invitation")
    change.database.run(Terms.insert(**row))
    change.record("terms.add", f"terms:{row['id']}", after={key: row[key] for key in ("name", "effective", "retired")})


def import_own_terms(change: Change, dataset: m.Dataset, terms_id: int) -> None:
    """Make terms that were imported a dataset's own."""
    _set_own_terms(change, dataset.id, terms_id)
    change.record("dataset.set", f"dataset:{dataset.name} terms:{terms_id}", after={"own_terms": terms_id})


def _set_own_terms(change: Change, dataset_id: int, terms_id: int | None) -> None:
    change.database.run(m.Dataset.update(own_terms_id=terms_id).where(m.Dataset.id == dataset_id))


def retire(change: Change, terms_id: int, *, on: datetime | None = None) -> bool:
    """End terms, now or on a date. A dataset whose own terms they are has none afterwards.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there are no such terms.
        Conflict: they are a dataset's own, and the date is later than now: such terms are in force whatever their
            dates, and end when the dataset no longer has them (contract.md, "GET /api/v1/user/cache").
    """
    document = find(change.database, terms_id)
    dataset = _find_dataset_with(change.database, terms_id)
    end = on or change.at
    if dataset is not None and end > change.at:
        raise Conflict(
            f"terms {terms_id} are {dataset.name}'s own, which count whatever their dates",
            "retire them on the day",
        )
    if find_status(change.database, document, end) is TermsStatus.RETIRED:
        return False
    end = min(filter(None, (document.retired, end)))
    change.database.run(Terms.update(retired=end).where(Terms.id == terms_id))
    change.database.run(m.Dataset.update(own_terms_id=None).where(m.Dataset.own_terms_id == terms_id))
    target = f"terms:{terms_id}" + (f" dataset:{dataset.name}" if dataset else "")
    change.record("terms.retire", target, {"retired": document.retired}, {"retired": end})
    return True


def _find_dataset_with(database: Database, terms_id: int) -> m.Dataset | None:
    """A dataset whose own terms these are."""
    return database.first(m.Dataset.select().where(m.Dataset.own_terms_id == terms_id))


def find_status(database: Database, document: Terms, at: datetime) -> TermsStatus:
    """Whether terms are in force at a moment, and why not.

    Raises:
        NotFound: they were deleted in the meantime.
    """
    return read_rule(database, document.id).status(at)


def read_rule(database: Database, terms_id: int) -> rule.Terms:
    """Terms, as the rules take them.

    Raises:
        NotFound: there are none.
    """
    own = _find_dataset_with(database, terms_id) is not None
    return _as_rule(_find_row(database, terms_id), own=own)


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


class TermsDocument(TermsRow):
    """A document of ``terms show``."""

    invite_token: str
    text: str


def list_terms(database: Database) -> Iterator[TermsRow]:
    """All terms, by id."""
    return _read_rows(database)


def list_current(database: Database, at: datetime) -> list[TermsRow]:
    """The terms that are in force at a moment or will be later, by id."""
    return [row for row in list_terms(database) if not _as_rule(row, own=row["own"]).is_over(at)]


def show(database: Database, terms_id: int) -> TermsDocument:
    """One document.

    Raises:
        NotFound: there are no terms of this id.
    """
    with database.snapshot():
        document = find(database, terms_id)
        return {**_find_row(database, terms_id), "invite_token": document.invite_token, "text": document.text}


def _find_row(database: Database, terms_id: int) -> TermsRow:
    """Raises:
    NotFound: there are no terms of this id.
    """
    for row in _read_rows(database, Terms.id == terms_id):
        return row
    raise _not_found(terms_id)


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
