"""Writes users who keep the ids of another system; some of them are children of others."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from dsgctl.core import new_users, users, validation
from dsgctl.core.errors import Conflict
from dsgctl.core.new_users import CheckedUser, NewUser
from dsgctl.importers.engine.import_run import AnyRun
from dsgctl.importers.engine.row import Damaged, Row
from dsgctl.store.models import Principal

_BATCH = 500
_ELSEWHERE = "import into an empty database, or remove the account here first"


def import_accounts(run: AnyRun, table: str, read: Callable[[Row], NewUser], imported: dict[int, Principal]) -> None:
    """Import every row of a table of users, parents (``parent_id``) before their children, in batches.

    Args:
        read: reads the user of a row; its ``foreign`` has at least id and active.
        imported: is filled with the users here by their ids. A new one has what later steps need: id, kind, email.
    """
    children: dict[int, list[Row]] = {}  # id of a parent that is not imported yet -> its children
    pending: dict[int, tuple[Row, NewUser]] = {}
    places: dict[str, str] = {}  # email as emails are compared -> where it is

    def take(row: Row) -> None:
        parent = row.number_or_none("parent_id")
        if parent in pending:
            flush()
        if parent is not None and parent not in imported:
            children.setdefault(parent, []).append(row)
            return
        if row.id in pending or row.id in imported:
            raise Conflict(f"the id {row.id} is repeated", "remove one of the rows there")
        email = row.text("email")
        other = places.setdefault(validation.email_key(email), row.where)
        if other != row.where:
            raise Conflict(f"{validation.quote(email)} is the email of {other} too, case aside", "change one there")
        pending[row.id] = (row, read(row))
        if len(pending) >= _BATCH or row.id in children:
            flush()

    def flush() -> None:
        batch = list(pending.values())
        pending.clear()
        _write_batch(run, batch, imported)
        for row, _ in batch:
            for child in children.pop(row.id, []) if row.id in imported else ():
                run.attempt(child, take)

    run.each(table, take)
    while pending:
        flush()
    orphans = {row.id: row for rows in children.values() for row in rows}
    for orphan in orphans.values():
        run.attempt(orphan, partial(_refuse_orphan, run, orphans))


def _write_batch(run: AnyRun, batch: list[tuple[Row, NewUser]], imported: dict[int, Principal]) -> None:
    people = {row.id: person for row, person in batch}
    holders = _Holders(new_users.find_existing(run.change.database, people.values()))
    new: list[CheckedUser] = []

    def match(row: Row) -> None:
        person = people[row.id]
        checked = new_users.check(person)
        existing = holders.find(person)
        if existing is None:
            new.append(checked)
            holders.add(Principal(id=row.id, kind="user", email=person.email, **_identity(person)))
        else:
            _add_to(run, existing, person)
            imported[row.id] = existing

    for row, _ in batch:
        run.attempt(row, match)
    for number, user in zip(new_users.add_all(run.change, new), new, strict=True):
        imported[number] = Principal(id=number, kind="user", email=user.email)
    run.report.count_many("users", new=len(new), of=len(new))


def _identity(person: NewUser) -> dict[str, Any]:
    return {"issuer": person.foreign.issuer, "subject": person.foreign.subject}


class _Holders:
    """Finds who has an id, an email or an identity, here or in an earlier row."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        self._principals: dict[object, Principal] = {}
        for principal in principals:
            self.add(principal)

    def add(self, principal: Principal) -> None:
        self._principals[principal.id] = principal
        self._principals[validation.email_key(principal.email or "")] = principal
        if principal.subject:
            self._principals[principal.issuer, principal.subject] = principal

    def find(self, person: NewUser) -> Principal | None:
        """The user here who is this person, or None.

        Raises:
            Conflict: somebody else has the id, the email or the identity.
        """
        foreign, existing = person.foreign, None
        for key in (foreign.id, validation.email_key(person.email), (foreign.issuer, foreign.subject)):
            holder = self._principals.get(key)
            if holder is not None:
                _refuse_conflict(person, holder)
                existing = holder
        return existing


def _refuse_orphan(run: AnyRun, orphans: Mapping[int, Row], row: Row) -> None:
    """Report a user whose parent is not imported; parents in a circle, or that do not exist, are an error."""
    ancestor, visited = row, {row.id}
    while ancestor.values["parent_id"] in orphans:
        ancestor = orphans[ancestor.values["parent_id"]]
        if ancestor.id in visited:
            raise Damaged("its parents lead back to themselves")
        visited.add(ancestor.id)
    if not run.was_lost(ancestor.table, ancestor.number("parent_id")):
        raise Damaged(f"parent_id {ancestor.values['parent_id']} is no row of {ancestor.table}")
    run.leave_out(f"{row.where}: {validation.quote(row.text('email'))} is a child of a user who was left out")
    run.lose(row)


def _add_to(run: AnyRun, existing: Principal, person: NewUser) -> None:
    """Add affiliations to an existing user, and report what differs."""
    foreign = person.foreign
    run.count("users", False)
    there: dict[str, Any] = {**person.attributes, "active": foreign.active}
    there |= {"subject": foreign.subject, "parent_id": foreign.parent}
    if foreign.subject is None:
        del there["subject"]  # a system without identities does not contradict one that a sign-in has bound here
    run.compare(f"user {existing.email}", {key: getattr(existing, key) for key in there}, there)
    for name in person.affiliations:
        if users.extend(run.change, existing, affiliation=name):
            run.count("affiliations", True)


def _refuse_conflict(person: NewUser, holder: Principal) -> None:
    """Raises:
    Conflict: ``holder``, who has the id, the email or the identity here, is somebody else.
    """
    email, number = person.email, person.foreign.id
    issuer, subject = person.foreign.issuer, person.foreign.subject
    same_id = holder.id == number
    same_email = validation.email_key(holder.email or "") == validation.email_key(email)
    if not same_id and not same_email:
        raise Conflict(f"the identity of {email} is that of {holder.email} here", _ELSEWHERE)
    if not same_id or not same_email:
        raise Conflict(f"{email} has id {number} there, but here {holder.label} has id {holder.id}", _ELSEWHERE)
    if holder.subject and subject and (holder.issuer, holder.subject) != (issuer, subject):
        raise Conflict(
            f"{email} signs in as {subject} of {issuer} there, but here as {holder.subject} of {holder.issuer}",
            f"dsgctl user set {holder.email} --unbind",
        )
