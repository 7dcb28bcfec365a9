"""Writes people of systems that identify them by their email alone."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from dsgctl.core import grant_import, new_users, users, validation
from dsgctl.core.errors import Conflict
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.validation import Foreign
from dsgctl.importers.engine.import_run import AnyRun
from dsgctl.importers.engine.records import Person, PersonGrant
from dsgctl.importers.engine.row import Row
from dsgctl.store.models import Principal


class Emails:
    """Refuses two emails of one source that differ only by case: it is unclear which of the two has which rights."""

    def __init__(self) -> None:
        self._places: dict[str, str] = {}

    def require_unique(self, email: str, where: str) -> Foreign:
        """The email.

        Args:
            where: the place of its row, for messages.

        Raises:
            Invalid: it is not an email address.
            Conflict: another row has it.
        """
        address = validation.foreign_email(email)
        other = self._places.setdefault(validation.email_key(address), where)
        if other != where:
            raise Conflict(f"{email} is the email of {other} too, case aside", "remove one of the rows there")
        return address


@dataclass(frozen=True, slots=True)
class WrittenPeople:
    """The people of a batch.

    Attributes:
        users: without those whose row was refused.
        new_ids: accounts that were added, which have no membership and no grant yet.
    """

    users: dict[Person, Principal] = field(default_factory=dict)
    new_ids: frozenset[int] = frozenset()


def write_people(run: AnyRun, rows: Sequence[tuple[Row, Person]]) -> WrittenPeople:
    """Add people, or add to their accounts; at most a few thousand in one call, each email once."""
    if not rows:
        return WrittenPeople()
    by_key = {person.key: (row, person) for row, person in rows}
    existing = new_users.find_by_emails(run.change.database, by_key)
    new = [person for key, (_, person) in by_key.items() if key not in existing]
    new_ids = new_users.add_all(run.change, [person.account for person in new])
    run.report.count_many("users", new=len(new), of=len(by_key))
    principals = {
        person: Principal(id=number, kind="user", email=person.email)
        for person, number in zip(new, new_ids, strict=True)
    }
    for key, (user, affiliations) in existing.items():
        row, person = by_key[key]
        if run.attempt(row, partial(_add_to, run, user, affiliations, person)):
            principals[person] = user
    return WrittenPeople(principals, frozenset(new_ids))


def _add_to(run: AnyRun, user: Principal, affiliations: list[str], person: Person, row: Row) -> None:
    extended = users.extend(
        run.change, user, name=person.name, affiliation=person.affiliation, note=person.notes, affiliations=affiliations
    )
    run.count("people added to", extended)
    if person.admin:
        run.count("admins", users.set_attributes(run.change, user.email, admin=True))
    if person.active is not None:
        run.compare(f"user {user.email}", {"active": user.active}, {"active": person.active})


def write_grants(run: AnyRun, rows: Sequence[tuple[Row, PersonGrant]], people: WrittenPeople) -> None:
    """Give people their permissions, many of one target together."""
    change = run.change
    by_target: dict[Target, dict[int, tuple[Row, Principal]]] = {}
    for row, grant in rows:
        if (user := people.users.get(grant.person)) is not None:
            by_target.setdefault(grant.target, {})[user.id] = (row, user)
    for target, holders in by_target.items():
        former = holders.keys() - people.new_ids
        for number, end in grant_import.list_ends(change.database, target, former).items():
            if end is not None:
                row, user = holders[number]
                run.note(
                    f"{row.where}: {user.email} has {target.permission} on {target.dataset} already, "
                    f"until {end:%Y-%m-%d}, and keeps it until then only"
                )
        imported = [
            ImportedGrant(principal_subject(user), target, "import", change.actor, change.at)
            for _, user in holders.values()
        ]
        new = grant_import.import_grants(change, imported, new_ids=people.new_ids)
        run.report.count_many("grants", new=new, of=len(imported))
