"""People as other systems keep them: each with an id that stays, some the children of others, and in groups."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from dsgctl.core import groups, new_users, users, validation
from dsgctl.core.errors import Conflict
from dsgctl.core.new_users import NewUser
from dsgctl.importers.engine.import_run import ImportRun
from dsgctl.importers.engine.row import Damaged, Row
from dsgctl.store.models import Group, Principal

_BATCH = 500
_ELSEWHERE = "import into an empty database, or remove the account here first"


def import_accounts(
    taking: ImportRun[Any], table: str, taken: dict[int, Principal], person_of: Callable[[Row], NewUser]
) -> None:
    """Take over every row of a table of people, parents (``parent_id``) before their children, many at once.

    Args:
        taken: is filled with the users here, by the ids that they have there, which are the same. A new one
            has all that later steps need.
        person_of: whom a row tells of; ``foreign`` has at least id and active.
    """
    waiting: dict[int, list[Row]] = {}  # id of a parent that is not taken over yet -> its children
    pending: dict[int, tuple[Row, NewUser]] = {}
    emails: dict[str, str] = {}  # email as emails are compared -> where it stands

    def take(row: Row) -> None:
        parent = row.number_or_none("parent_id")
        if parent in pending:
            flush()
        if parent is not None and parent not in taken:
            waiting.setdefault(parent, []).append(row)
            return
        if row.id in pending or row.id in taken:
            raise Conflict(f"the id {row.id} stands twice", "take one out there")
        email = row.text("email")
        other = emails.setdefault(validation.email_key(email), row.where)
        if other != row.where:
            raise Conflict(f"{validation.quoted(email)} is the email of {other} too, case aside", "change one there")
        pending[row.id] = (row, person_of(row))
        if len(pending) >= _BATCH or row.id in waiting:
            flush()

    def flush() -> None:
        batch = list(pending.values())
        pending.clear()
        _import_batch(taking, batch, taken)
        for row, _ in batch:
            for child in waiting.pop(row.id, []) if row.id in taken else ():
                taking.attempt(child, take)

    taking.each(table, take)
    while pending:
        flush()
    orphans = {child.id: child for children in waiting.values() for child in children}
    for orphan in orphans.values():
        taking.attempt(orphan, partial(_refuse_orphan, taking, orphans))


def _import_batch(taking: ImportRun[Any], batch: list[tuple[Row, NewUser]], taken: dict[int, Principal]) -> None:
    people = {row.id: person for row, person in batch}
    holders = _Holders(new_users.find_existing(taking.change.database, people.values()))
    new: list[Row] = []

    def find(row: Row) -> None:
        person = people[row.id]
        new_users.check(person)
        known = holders.same(person)
        if known is None:
            new.append(row)
            holders.add(Principal(id=row.id, kind="user", email=person.email, **_identity(person)))
        else:
            _add_to(taking, known, person)
            taken[row.id] = known

    for row, _ in batch:
        taking.attempt(row, find)
    taken.update({user.id: user for user in new_users.add_all(taking.change, [people[row.id] for row in new])})
    taking.report.counts("users", new=len(new), of=len(new))


def _identity(person: NewUser) -> dict[str, Any]:
    return {"issuer": person.foreign.issuer, "subject": person.foreign.subject}


class _Holders:
    """Who has an id, an email or an identity, here or in a row before."""

    def __init__(self, principals: Iterable[Principal]) -> None:
        self._found: dict[object, Principal] = {}
        for principal in principals:
            self.add(principal)

    def add(self, principal: Principal) -> None:
        self._found[principal.id] = principal
        self._found[validation.email_key(principal.email or "")] = principal
        if principal.subject:
            self._found[principal.issuer, principal.subject] = principal

    def same(self, person: NewUser) -> Principal | None:
        """Who is this person here; None for nobody.

        Raises:
            Conflict: the id, the email or the identity is somebody else's.
        """
        foreign, known = person.foreign, None
        for key in (foreign.id, validation.email_key(person.email), (foreign.issuer, foreign.subject)):
            holder = self._found.get(key)
            if holder is not None:
                _refuse_conflict(person, holder)
                known = holder
        return known


def _refuse_orphan(taking: ImportRun[Any], orphans: Mapping[int, Row], row: Row) -> None:
    """Of a child whose parent was refused, that is told already; not so of parents in a circle."""
    here, seen = row, {row.id}
    while here.values["parent_id"] in orphans:
        here = orphans[here.values["parent_id"]]
        if here.id in seen:
            raise Damaged("its parents lead back to themselves")
        seen.add(here.id)
    if not taking.was_lost(here.table, here.number("parent_id")):
        raise Damaged(f"parent_id {here.values['parent_id']} is no row of {here.table}")
    taking.leave_out(f"{row.where}: {validation.quoted(row.text('email'))} is the child of one that was left out")
    taking.lose(row)


def _add_to(taking: ImportRun[Any], known: Principal, person: NewUser) -> None:
    """What is here stays; what is otherwise there is told; affiliations are added."""
    foreign = person.foreign
    taking.count("users", False)
    there: dict[str, Any] = {**person.attributes, "active": foreign.active}
    there |= {"subject": foreign.subject, "parent_id": foreign.parent}
    if foreign.subject is None:
        del there["subject"]  # a sign-in here binds an account; a system that knows no identities says nothing of it
    taking.compare(f"user {known.email}", {key: getattr(known, key) for key in there}, there)
    for name in person.affiliations:
        if users.extend(taking.change, known, affiliation=name):
            taking.count("affiliations", True)


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


def join(taking: ImportRun[Any], group: Group, people: Mapping[int, tuple[Principal, bool | None]]) -> None:
    """Put people into a group, of whom some may be in it.

    Args:
        people: by id here, each with whether they lead the group there; None if that system knows no such thing.
    """
    known = groups.confirm_members(taking.change, group, {number: user.email for number, (user, _) in people.items()})
    taking.report.counts("memberships", new=len(people) - len(known), of=len(people))
    for leads in (False, True):
        new = [user for user, lead in people.values() if user.id not in known and bool(lead) == leads]
        groups.add_members(taking.change, group, [user.id for user in new], [user.email for user in new], leads=leads)
    for number, leads_here in known.items():
        user, leads_there = people[number]
        if leads_there is not None:
            taking.compare(f"{user.email} in group {group.name}", {"leads": leads_here}, {"leads": leads_there})
