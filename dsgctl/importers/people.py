"""People as other systems keep them: each with an id that stays, some the children of others, and in groups."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from dsgctl.core import groups, names, users
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.users import NewUser
from dsgctl.importers.rows import MEND, Row
from dsgctl.importers.taking import Taking
from dsgctl.store.models import Group, Principal

_ELSEWHERE = "import into an empty database, or remove the account here first"


def each_parent_first(
    taking: Taking[Any], table: str, taken: Mapping[int, Principal], take: Callable[[Row], None]
) -> None:
    """Take over every row of a table of people, parents (``parent_id``) before their children.

    Args:
        taken: those that ``take`` has taken over so far, by the ids that they have there.
    """
    waiting: dict[int, list[Row]] = {}  # id of a parent that is not taken over yet -> its children
    emails: dict[str, str] = {}  # email as emails are compared -> where it stands

    def take_family(row: Row) -> None:
        parent = row.number_or_none("parent_id")
        if parent is not None and parent not in taken:
            waiting.setdefault(parent, []).append(row)
            return
        email = row.text("email")
        other = emails.setdefault(names.email_key(email), row.where)
        if other != row.where:
            raise Conflict(f"{names.shown(email)} is the email of {other} too, case aside", "change one there")
        take(row)
        for child in waiting.pop(row.id, []):
            taking.attempt(child, take_family)

    taking.each(table, take_family)
    orphans = {child.id: child for children in waiting.values() for child in children}
    for orphan in orphans.values():
        taking.attempt(orphan, partial(_refuse_orphan, taking, orphans))


def _refuse_orphan(taking: Taking[Any], orphans: Mapping[int, Row], row: Row) -> None:
    """Of a child whose parent was refused, that is told already; not so of parents in a circle."""
    here, seen = row, {row.id}
    while here.values["parent_id"] in orphans:
        here = orphans[here.values["parent_id"]]
        if here.id in seen:
            raise Invalid("its parents lead back to themselves", MEND)
        seen.add(here.id)
    if not taking.was_lost(here.table, here.number("parent_id")):
        raise Invalid(f"parent_id {here.values['parent_id']} is no row of {here.table}", MEND)
    taking.leave_out(f"{row.where}: {names.shown(row.text('email'))} is the child of one that was left out")
    taking.lose(row)


def take(taking: Taking[Any], person: NewUser) -> Principal:
    """Take over a person who is there.

    Args:
        person: ``kept`` has at least id, active, issuer, subject, parent and created.

    Returns:
        The user here; of a new one, all that later steps need.

    Raises:
        Conflict: the id, the email or the identity is somebody else's here.
    """
    kept = person.kept
    known = None
    for holder in users.among(
        taking.change.database,
        principal_id=kept["id"], email=person.email, issuer=kept["issuer"] or "", subject=kept["subject"],
    ):  # fmt: skip
        _refuse_conflict(person, holder)
        known = holder
    if known is None:
        users.add_all(taking.change, [person])
        taking.count("users", True)
        return Principal(id=kept["id"], kind="user", email=person.email)
    taking.count("users", False)
    there = person.attributes | {"active": kept["active"], "subject": kept["subject"], "parent_id": kept["parent"]}
    if kept["subject"] is None:
        del there["subject"]  # a sign-in here binds an account; a system that knows no identities says nothing of it
    taking.compare(f"user {known.email}", {key: getattr(known, key) for key in there}, there)
    for name in person.affiliations:
        if users.extend(taking.change, known, affiliation=name):
            taking.count("affiliations", True)
    return known


def _refuse_conflict(person: NewUser, holder: Principal) -> None:
    """Raises:
    Conflict: ``holder``, who has the id, the email or the identity here, is somebody else.
    """
    email, number = person.email, person.kept["id"]
    issuer, subject = person.kept["issuer"], person.kept["subject"]
    same_id = holder.id == number
    same_email = names.email_key(holder.email or "") == names.email_key(email)
    if not same_id and not same_email:
        raise Conflict(f"the identity of {email} is that of {holder.email} here", _ELSEWHERE)
    if not same_id or not same_email:
        raise Conflict(f"{email} has id {number} there, but here {holder.label} has id {holder.id}", _ELSEWHERE)
    if holder.subject and subject and (holder.issuer, holder.subject) != (issuer, subject):
        raise Conflict(
            f"{email} signs in as {subject} of {issuer} there, but here as {holder.subject} of {holder.issuer}",
            f"dsgctl user set {holder.email} --unbind",
        )


def join(taking: Taking[Any], group: Group, people: Mapping[int, tuple[Principal, bool | None]]) -> None:
    """Put people into a group, of whom some may be in it.

    Args:
        people: by id here, each with whether they lead the group there; None if that system knows no such thing.
    """
    known = groups.members_among(taking.change.database, group, people)
    taking.report.counts("memberships", new=len(people) - len(known), of=len(people))
    for leads in (False, True):
        new = [user for user, lead in people.values() if user.id not in known and bool(lead) == leads]
        groups.add_members(taking.change, group, [user.id for user in new], [user.email for user in new], leads=leads)
    for number, leads_here in known.items():
        user, leads_there = people[number]
        if leads_there is not None:
            taking.compare(f"{user.email} in group {group.name}", {"leads": leads_here}, {"leads": leads_there})
