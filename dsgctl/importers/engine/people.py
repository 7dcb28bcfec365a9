"""People of systems that know them by their email alone: they are added, or added to."""

from collections.abc import Sequence
from dataclasses import dataclass

from dsgctl.core import grant_import, groups, new_users, users, validation
from dsgctl.core.errors import Conflict
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.new_users import ForeignAccount, NewUser
from dsgctl.core.validation import Foreign
from dsgctl.importers.engine import accounts
from dsgctl.importers.engine.import_run import ImportRun, SourceType
from dsgctl.store.models import Principal


@dataclass(frozen=True, slots=True)
class RoleHolder:
    """A person, and what they shall have.

    Attributes:
        admin: shall be one; False takes nothing from one who is.
        active: of a new account.
        groups: which there are.
    """

    email: str
    name: str = ""
    admin: bool = False
    active: bool = True
    groups: tuple[str, ...] = ()
    grants: tuple[Target, ...] = ()

    @property
    def key(self) -> str:
        """The email as emails are compared."""
        return validation.email_key(self.email)


class Emails:
    """Finds two emails of one source that differ only by case: of these, nobody can say whose rights are whose."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def once(self, email: str, where: str) -> Foreign:
        """The email, which is one.

        Raises:
            Invalid: it is none.
            Conflict: it was there already.
        """
        other = self._seen.setdefault(validation.email_key(validation.foreign_email(email)), where)
        if other != where:
            raise Conflict(f"{email} is the email of {other} too, case aside", "take one out there")
        return validation.foreign_email(email)


def check(one: RoleHolder) -> None:
    """Raises:
    Invalid: `add` could not add this person.
    """
    new_users.check(_new_user(one))


def _new_user(one: RoleHolder) -> NewUser:
    return NewUser(one.email, {"name": one.name, "admin": one.admin}, (), ForeignAccount(active=one.active))


def import_role_holders(taking: ImportRun[SourceType], batch: Sequence[RoleHolder]) -> None:
    """Add people, or add to those who are here; at most some thousands at once, nobody twice."""
    change = taking.change
    wanted = {one.key: one for one in batch}
    known = new_users.find_by_emails(change.database, wanted)
    new = [one for key, one in wanted.items() if key not in known]
    added = new_users.add_all(change, [_new_user(one) for one in new])
    taking.report.counts("users", new=len(new), of=len(wanted))
    here = {one.key: user for one, user in zip(new, added, strict=True)}
    for key, (user, have) in known.items():
        _add_to(taking, user, have, wanted[key])
        here[key] = user
    _join(taking, wanted, here)
    _grant(taking, wanted, here)


def _add_to(taking: ImportRun[SourceType], user: Principal, have: list[str], one: RoleHolder) -> None:
    extended = users.extend(taking.change, user, name=one.name, affiliations=have)
    taking.count("people added to", extended)
    if one.admin:
        taking.count("admins", users.set_attributes(taking.change, user.email, admin=True))
    taking.compare(f"user {user.email}", {"active": user.active}, {"active": one.active})


def _join(taking: ImportRun[SourceType], wanted: dict[str, RoleHolder], here: dict[str, Principal]) -> None:
    joining: dict[str, list[Principal]] = {}
    for key, one in wanted.items():
        for name in one.groups:
            joining.setdefault(name, []).append(here[key])
    for name, members in joining.items():
        group = groups.find(taking.change.database, name)
        accounts.join(taking, group, {user.id: (user, None) for user in members})


def _grant(taking: ImportRun[SourceType], wanted: dict[str, RoleHolder], here: dict[str, Principal]) -> None:
    change = taking.change
    receiving: dict[Target, list[Principal]] = {}
    for key, one in wanted.items():
        for target in one.grants:
            receiving.setdefault(target, []).append(here[key])
    for target, holders in receiving.items():
        for number, end in grant_import.list_ends(change.database, target, [user.id for user in holders]).items():
            if end is not None:
                email = next(user.email for user in holders if user.id == number)
                taking.note(
                    f"{email} has {target.permission} on {target.dataset} already, "
                    f"until {end:%Y-%m-%d}, and keeps it until then only"
                )
        kept = [ImportedGrant(principal_subject(user), target, "import", change.actor, change.at) for user in holders]
        taking.report.counts("grants", new=grant_import.import_grants(change, kept), of=len(kept))
