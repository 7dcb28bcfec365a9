"""Takes over people, their groups, service accounts, and the tokens of both."""

from typing import Any

from dsgctl.core import groups, service_accounts, tokens, users
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.users import NewUser
from dsgctl.importers.datasetgateway.source import MOST, Row
from dsgctl.importers.datasetgateway.taking import Taking, of
from dsgctl.store.models import Group, Principal

GOOGLE = "https://accounts.google.com"  # the original signs in with Google alone
_LOGIN = "OAuth login token"  # how the original describes the tokens of its logins
_ELSEWHERE = "import into an empty database, or remove the account here first"


def take_users(taking: Taking) -> None:
    """With their ids, parents before children."""
    # Before anything gets an id here: also those of people who were deleted there must not name somebody else.
    users.reserve_ids(taking.change, taking.source.last_user_id())
    affiliations: dict[int, list[str]] = {}
    waiting: dict[int, list[Row]] = {}  # id of a parent that is not taken over yet -> its children
    emails: dict[str, Row] = {}

    def note(row: Row) -> None:
        affiliations.setdefault(row.number("user_id"), []).append(row.line("name"))

    def take(row: Row) -> None:
        parent = row.values["parent_id"]
        if parent is not None and parent not in taking.users:
            waiting.setdefault(parent, []).append(row)
            return
        same = emails.setdefault(row.text("email").lower(), row)
        if same is not row:
            raise Invalid(f"{row.text('email')} is the email of {same.where} too, but for its case", "change one there")
        _take_user(taking, row, list(dict.fromkeys(affiliations.get(row.id, ()))))
        for child in waiting.pop(row.id, []):
            taking.attempt(child, take)

    taking.each("affiliation", note)
    taking.each("dsg_user", take)
    orphans = {child.id: child for children in waiting.values() for child in children}
    for orphan in orphans.values():
        taking.attempt(orphan, lambda row: _refuse_circle(row, orphans))


def _refuse_circle(row: Row, orphans: dict[int, Row]) -> None:
    """Of a child whose parent was refused, that is told already; not so of parents in a circle."""
    seen = {row.id}
    while row.values["parent_id"] in orphans:
        row = orphans[row.values["parent_id"]]
        if row.id in seen:
            raise Invalid("its parents lead back to themselves", "mend it there first")
        seen.add(row.id)


def _take_user(taking: Taking, row: Row, affiliations: list[str]) -> None:
    database, email = taking.change.database, row.text("email")
    if not 0 < row.id < MOST:
        raise Invalid(f"{row.id} cannot be an id here", "mend it there first")
    texts = ("name", "display_name", "pi", "picture_url")
    attributes: dict[str, Any] = {key: row.line(key) for key in texts}
    attributes |= {"notes": row.paragraph("notes"), "admin": row.flag("admin"), "read_only": row.flag("read_only")}
    subject = row.text_or_none("google_sub") or None
    kept = {
        "active": row.flag("is_active"),
        "issuer": GOOGLE if subject else None,
        "subject": subject,
        "parent": row.values["parent_id"],
    }
    known = None
    for holder in users.among(database, principal_id=row.id, email=email, issuer=GOOGLE, subject=subject):
        _refuse_conflict(row, email, subject, holder)
        known = holder
    taking.count("users", known is None)
    if known is None:
        kept |= {"id": row.id, "created": row.moment("created")}
        users.add_all(taking.change, [NewUser(email, attributes, tuple(affiliations), kept)])
        taking.users[row.id] = Principal(id=row.id, kind="user", email=email)  # all that later steps need
        return
    taking.users[row.id] = known
    there = attributes | {"active": kept["active"], "subject": subject, "parent_id": kept["parent"]}
    taking.compare(f"user {known.email}", {key: getattr(known, key) for key in there}, there)
    for name in affiliations:
        if users.extend(taking.change, known, affiliation=name):
            taking.count("affiliations", True)


def _refuse_conflict(row: Row, email: str, subject: str | None, holder: Principal) -> None:
    """Raises:
    Conflict: ``holder``, who has the id, the email or the identity here, is somebody else.
    """
    same_id, same_email = holder.id == row.id, (holder.email or "").lower() == email.lower()
    if not same_id and not same_email:
        raise Conflict(f"the Google identity of {email} is that of {holder.email} here", _ELSEWHERE)
    if not same_id or not same_email:
        raise Conflict(f"{email} has id {row.id} there, but here {holder.label} has id {holder.id}", _ELSEWHERE)
    if holder.subject and subject and (holder.issuer, holder.subject) != (GOOGLE, subject):
        raise Conflict(
            f"{email} signs in as {subject} of {GOOGLE} there, but here as {holder.subject} of {holder.issuer}",
            f"dsgctl user set {holder.email} --unbind",
        )


def take_groups(taking: Taking) -> None:
    def take(row: Row) -> None:
        _, added = groups.add(taking.change, row.text("name"))
        taking.groups[row.id] = row.text("name")
        taking.count("groups", added)

    def member(row: Row) -> tuple[int, Principal, bool]:
        group_id = row.number("group_id")
        of(taking.groups, group_id)
        return group_id, of(taking.users, row.number("user_id")), row.flag("is_admin")

    def join(members: list[tuple[int, Principal, bool]]) -> None:
        by_group: dict[int, dict[int, tuple[Principal, bool]]] = {}
        for group_id, user, leads in members:
            by_group.setdefault(group_id, {})[user.id] = (user, leads)
        for group_id, people in by_group.items():
            _join(taking, groups.find(taking.change.database, taking.groups[group_id]), people)

    taking.each("dsg_group", take)
    taking.batches("user_group", member, join)


def _join(taking: Taking, group: Group, people: dict[int, tuple[Principal, bool]]) -> None:
    """Put people into a group, of whom some may be in it; each with whether they lead it there."""
    known = groups.members_among(taking.change.database, group, people)
    taking.report.counts("memberships", new=len(people) - len(known), of=len(people))
    for leads in (False, True):
        new = [user for user, lead in people.values() if user.id not in known and lead == leads]
        groups.add_members(taking.change, group, [user.id for user in new], [user.email for user in new], leads=leads)
    for number, leads_here in known.items():
        user, leads_there = people[number]
        taking.compare(f"{user.email} in group {group.name}", {"leads": leads_here}, {"leads": leads_there})


def take_service_accounts(taking: Taking) -> None:
    """Under new ids: here people and programs share one id space."""

    def take(row: Row) -> None:
        known = service_accounts.by_slug(taking.change.database, row.text("name"))
        there: dict[str, Any] = {
            "description": " ".join(row.text("description").split()),
            "active": row.flag("is_active"),
        }
        if known:
            taking.compare(f"service account {known.slug}", {key: getattr(known, key) for key in there}, there)
        made_by = taking.actor(row.values["created_by_id"]) or taking.change.actor
        taking.accounts[row.id] = known or service_accounts.add(
            taking.change, row.text("name"), **there, created=row.moment("created"), created_by=made_by
        )[0]  # fmt: skip
        taking.count("service accounts", known is None)

    taking.each("service_account", take)


def take_tokens(taking: Taking) -> None:
    """Kept by their hashes, so that they keep working."""

    def keep(row: Row, owner: Principal) -> None:
        description = row.line("description")
        taking.secrets.add(row.text("key"))
        is_new = tokens.keep(
            taking.change, owner, row.text("key"),
            kind="login" if description == _LOGIN else "api",
            description=description, created=row.moment("created"), last_used=row.moment_or_none("last_used"),
            expires=row.moment_or_none("expires_at") if "expires_at" in row.values else None,
        )  # fmt: skip
        taking.count("tokens", is_new)

    taking.each("api_key", lambda row: keep(row, of(taking.users, row.number("user_id"))))
    taking.each("service_account_token", lambda row: keep(row, of(taking.accounts, row.number("service_account_id"))))
