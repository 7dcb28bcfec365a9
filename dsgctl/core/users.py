"""People: who they are, and what becomes of their account."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dsgctl.core import account_status, delegated_grants, validation
from dsgctl.core.change import Change, difference
from dsgctl.core.errors import Conflict, Invalid, NotAllowed, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from dsgctl.store.queries import JOIN, fn
from dsgctl.store.search import principals_matching

# What `add` and `change` may set, each with the function that checks it.
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": lambda text: validation.single_line(text, "name", empty=True),
    "display_name": lambda text: validation.single_line(text, "display name", empty=True),
    "pi": lambda text: validation.single_line(text, "PI", empty=True),
    "notes": lambda text: validation.multiline(text, "note"),
    "picture_url": validation.url,
    "admin": bool,
    "read_only": bool,
}


_UNSET: dict[str, Any] = {key: check("") for key, check in _CHECKS.items()}


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to add.

    Attributes:
        attributes: names and values as in `add`.
        kept: what another system had and an importer keeps: id, active, issuer, subject, parent, created.
    """

    email: str
    attributes: dict[str, Any]
    affiliations: tuple[str, ...] = ()
    kept: dict[str, Any] = field(default_factory=dict)


def by_email(database: Database, email: str) -> Principal | None:
    return database.first(Principal.select().where(fn.lower(Principal.email).in_(_to_keys([email]))))


def _to_keys(emails: Iterable[str]) -> list[str]:
    """The addresses that somebody may have, as they are compared. What cannot be one may hold what no database can."""
    return sorted({validation.email_key(email) for email in emails if not validation.has_control(email)})


def by_id(database: Database, principal_id: int) -> Principal | None:
    """The user or service account of this id."""
    return database.first(Principal.select().where(Principal.id == principal_id))


def by_subject(database: Database, issuer: str, subject: str) -> Principal | None:
    return database.first(Principal.select().where(Principal.issuer == issuer, Principal.subject == subject))


def find(database: Database, email: str) -> Principal:
    """The user of this address, case aside.

    Raises:
        NotFound: nobody has it.
    """
    user = by_email(database, email)
    if user is None:
        renamed = by_seen_email(database, email)
        if renamed is not None:
            raise NotFound(
                f"there is no user {validation.quoted(email)}; it is how {renamed.email} signs in now", _follow(renamed)
            )
        raise NotFound(
            f"there is no user {validation.quoted(email)}", "dsgctl user list --search TEXT finds people by name"
        )
    return user


def by_seen_email(database: Database, email: str) -> Principal | None:
    """The user whom the provider calls so, and whose address here is another."""
    return database.first(Principal.select().where(fn.lower(Principal.seen_email).in_(_to_keys([email]))))


def _follow(user: Principal) -> str:
    return f"dsgctl user set {user.email} --email {user.seen_email}"


def _require_unseen(database: Database, email: str, *, but: Principal | None = None) -> None:
    """Refuse an address under which a known person signs in: a second account of it would never be signed in to."""
    renamed = by_seen_email(database, email)
    if renamed is not None and (but is None or renamed.id != but.id):
        raise Conflict(f"{renamed.email} signs in as {renamed.seen_email} now: it is the same person", _follow(renamed))


def see_email(change: Change, user: Principal, email: str) -> bool:
    """Note how the provider calls the person who signs in. Returns whether that is another address than before."""
    seen = email if validation.email_key(email) != validation.email_key(user.email) else None
    if seen == user.seen_email:
        return False
    change.database.run(Principal.update(seen_email=seen).where(Principal.id == user.id))
    change.record("user.seen", f"user:{user.email}", {"seen_email": user.seen_email}, {"seen_email": seen})
    return True


def list_renamed(database: Database) -> Iterator[tuple[str, str]]:
    """The address here, and the one with the provider, of everybody for whom they differ."""
    query = Principal.select(Principal.email, Principal.seen_email).where(Principal.seen_email.is_null(False))
    return database.tuples(query.order_by(Principal.id))


def list_twins(database: Database, email: str | None = None) -> list[list[str]]:
    """Addresses that most likely reach the same person, together: a hint for an operator (`names.twin_key`).

    Args:
        email: only those together with this one, which need not be there.
    """
    query = Principal.select(Principal.email).where(Principal.kind == "user").order_by(Principal.id)
    if email is not None:
        first = validation.email_key(email)[:1]  # neither a dot nor a tag
        query = query.where(fn.lower(Principal.email) >= first, fn.lower(Principal.email) < first + "\U0010ffff")
    together: dict[str, list[str]] = {}
    for (address,) in database.tuples(query):
        together.setdefault(validation.twin_key(address), []).append(address)
    if email is None:
        return [addresses for addresses in together.values() if len(addresses) > 1]
    own = validation.email_key(email)
    others = [one for one in together.get(validation.twin_key(email), ()) if validation.email_key(one) != own]
    return [others] if others else []


def add(change: Change, email: str, *, affiliations: Iterable[str] = (), **attributes: Any) -> tuple[Principal, bool]:
    """Add a person; succeeds without a change if the same person is there already.

    Args:
        attributes: name, display_name, admin, read_only, pi, notes, picture_url.

    Returns:
        The user, and whether it was added.

    Raises:
        Conflict: a user of this address exists and differs.
    """
    known = by_email(change.database, email)
    wanted = tuple(dict.fromkeys(affiliations))
    if known is not None:
        have = set(list_affiliations(change.database, known))
        others = [key for key, value in attributes.items() if getattr(known, key) != value]
        if others or not set(wanted) <= have:
            what = ", ".join(others) or "affiliation"
            raise Conflict(
                f"{known.email} is a user already, with another {what}", f"dsgctl user set {known.email} ..."
            )
        return known, False
    _require_unseen(change.database, email)
    add_all(change, [NewUser(email, attributes, wanted)])
    return find(change.database, email), True


def add_all(change: Change, people: list[NewUser]) -> list[int]:
    """Add people who are known not to be there; the same as `add`, many at once.

    Returns:
        Their ids, in their order.

    Raises:
        Invalid: a value is not of its form; nothing is added.
    """
    checked = [_checked(person) for person in people]
    rows: list[dict[str, Any]] = []
    affiliations: list[dict[str, Any]] = []
    # Numbered here, and not by the engine: to ask for each afterwards would take longer than to add them.
    for number, (person, values, of) in enumerate(checked, change.database.next_id(Principal)):
        rows.append(
            {
                "id": number,
                "kind": "user",
                "email": person.email,
                **values,
                "active": True,
                "issuer": None,
                "subject": None,
                "parent": None,
                "created": change.at,
                "created_by": change.actor,
                **person.kept,
            }
        )
        affiliations += [{"principal": rows[-1]["id"], "name": name} for name in of]
        after = {key: value for key, value in values.items() if value}
        after |= {"affiliations": of} if of else {}
        after |= {key: value for key, value in person.kept.items() if value is not None}
        change.record("user.add", f"user:{person.email}", after=after)
    change.database.insert_many(Principal, rows)
    change.database.insert_many(m.Affiliation, affiliations)
    return [row["id"] for row in rows]


def check(person: NewUser) -> None:
    """Raises:
    Invalid: `add_all` would not take this person.
    """
    _checked(person)


def _checked(person: NewUser) -> tuple[NewUser, dict[str, Any], list[str]]:
    """A person, with every attribute and their affiliations."""
    validation.email(person.email)
    values = _UNSET | {key: _CHECKS[key](value) for key, value in person.attributes.items()}
    return person, values, [validation.single_line(name, "affiliation") for name in person.affiliations]


def find_ids(database: Database, people: Iterable[NewUser]) -> list[Principal]:
    """Whoever has the id, the address or the identity of one of these people, who have them in another system."""
    found: dict[int, Principal] = {}
    identities: dict[str, set[str]] = {}
    ids: set[int] = set()
    emails: set[str] = set()
    for person in people:
        ids.add(person.kept["id"])
        emails.add(person.email)
        if person.kept["subject"] is not None:
            identities.setdefault(person.kept["issuer"], set()).add(person.kept["subject"])
    conditions = [Principal.id.in_(part) for part in _parts(ids)]
    conditions += [fn.lower(Principal.email).in_(part) for part in _parts(_to_keys(emails))]
    for issuer, subjects in identities.items():
        conditions += [(Principal.issuer == issuer) & Principal.subject.in_(part) for part in _parts(subjects)]
    for condition in conditions:
        found |= {holder.id: holder for holder in database.objects(Principal.select().where(condition))}
    return list(found.values())


def reserve_ids(change: Change, up_to: int) -> None:
    """Give no id up to this one to anybody new: another system has used them, also for accounts long deleted."""
    change.database.reserve_ids(Principal, up_to)


def find_many(database: Database, emails: Iterable[str]) -> dict[str, tuple[Principal, list[str]]]:
    """Those of these addresses whose users are known, as they are compared, with the user and their affiliations."""
    found: dict[int, tuple[Principal, list[str]]] = {}
    for part in _parts(_to_keys(emails)):
        for user in database.objects(Principal.select().where(fn.lower(Principal.email).in_(part))):
            found[user.id] = (user, [])
    for part in _parts(found):
        query = m.Affiliation.select(m.Affiliation.principal, m.Affiliation.name)
        for principal_id, name in database.tuples(query.where(m.Affiliation.principal.in_(part))):
            found[principal_id][1].append(name)
    return {validation.email_key(user.email): (user, have) for user, have in found.values()}


def _parts(values: Iterable[Any]) -> Iterator[list[Any]]:
    """In the sizes that one query takes: SQLite binds a limited number of values."""
    ordered = sorted(values)
    for start in range(0, len(ordered), 500):
        yield ordered[start : start + 500]


def ids_by_email(database: Database, emails: Iterable[str]) -> dict[str, int]:
    """The ids of the users who have these addresses, by address in lower case."""
    found: dict[str, int] = {}
    key = fn.lower(Principal.email)
    for part in _parts(_to_keys(emails)):
        found.update(database.tuples(Principal.select(key, Principal.id).where(key.in_(part))))
    return found


def list_affiliations(database: Database, user: Principal) -> list[str]:
    query = m.Affiliation.select(m.Affiliation.name).where(m.Affiliation.principal == user.id)
    return [name for (name,) in database.tuples(query.order_by(m.Affiliation.name))]


def set_attributes(
    change: Change,
    email: str,
    *,
    new_email: str | None = None,
    unbind: bool = False,
    affiliations: Iterable[str] | None = None,
    last_admin: bool = False,
    **attributes: Any,
) -> bool:
    """Change what is known of a person; what is not named stays.

    Args:
        new_email: the address the account has from now on.
        unbind: forget the identity of the provider, so that the next login binds it anew.
        affiliations: all of them, in place of those there are.
        last_admin: the last admin may go.
        attributes: as in `add`.

    Returns:
        Whether anything changed.
    """
    user = find(change.database, email)
    new = {key: _CHECKS[key](value) for key, value in attributes.items()}
    if new_email is not None:
        new["email"] = validation.email(new_email)
        other = by_email(change.database, new_email)
        if other is not None and other.id != user.id:
            raise Conflict(f"{other.email} is another user already", f"dsgctl user show {other.email}")
        _require_unseen(change.database, new_email, but=user)
    if unbind:
        new |= {"issuer": None, "subject": None}
    email_after = new.get("email", user.email)
    if unbind or validation.email_key(email_after) == validation.email_key(user.seen_email or email_after):
        new["seen_email"] = None
    old = {key: getattr(user, key) for key in new}
    before, after = difference(old, new)
    if before.get("admin") and not last_admin:
        _require_another_admin(change.database, user, "no longer be an admin")
    if after:
        change.database.run(Principal.update(**after).where(Principal.id == user.id))
    if affiliations is not None:
        have = list_affiliations(change.database, user)
        want = sorted({validation.single_line(name, "affiliation") for name in affiliations})
        if want != have:
            change.database.run(m.Affiliation.delete().where(m.Affiliation.principal == user.id))
            change.database.insert_many(m.Affiliation, [{"principal": user.id, "name": name} for name in want])
            before, after = before | {"affiliations": have}, after | {"affiliations": want}
    if after:
        change.record("user.set", f"user:{user.email}", before, after)
    return bool(after)


def bind(change: Change, user: Principal, issuer: str, subject: str) -> None:
    """Say that this account is that identity of that provider, which no other account is."""
    change.database.run(Principal.update(issuer=issuer, subject=subject).where(Principal.id == user.id))
    change.record(
        "user.bind",
        f"user:{user.email}",
        {"issuer": user.issuer, "subject": user.subject},
        {"issuer": issuer, "subject": subject},
    )


def extend(
    change: Change,
    user: Principal,
    *,
    name: str = "",
    affiliation: str = "",
    note: str = "",
    have: list[str] | None = None,
) -> bool:
    """Add to what is known of a person, and take nothing away: a name where there is none, a further
    affiliation, a note below those there are.

    Args:
        have: the affiliations that are known, for a caller who has them already (`known_among`).

    Returns:
        Whether anything was new.
    """
    new: dict[str, Any] = {}
    if name and not user.name:
        new["name"] = name
    if note and f"\n{note}\n" not in f"\n{user.notes}\n":  # a note may have several lines
        new["notes"] = f"{user.notes}\n{note}" if user.notes else note
    have = list_affiliations(change.database, user) if have is None else have
    more = [*have, affiliation] if affiliation and affiliation not in have else None
    return bool(new or more) and set_attributes(change, user.email, affiliations=more, **new)


def set_active(change: Change, email: str, active: bool, *, last_admin: bool = False) -> bool:
    """Enable or disable an account; a disabled one, with its children, is refused everywhere from the next request on.

    Returns:
        Whether it was otherwise before.
    """
    user = find(change.database, email)
    if user.active == active:
        return False
    if not active and not last_admin:
        _require_another_admin(change.database, user, "be disabled", with_children=True)
    change.database.run(Principal.update(active=active).where(Principal.id == user.id))
    change.record(
        "user.enable" if active else "user.disable",
        f"user:{user.email}",
        {"active": not active},
        {"active": active},
    )
    return True


def remove(change: Change, email: str, *, last_admin: bool = False) -> dict[str, Any]:
    """Delete a person and all that goes with them. `set_active` is what is mostly wanted.

    Returns:
        What went, as `holdings` tells it.
    """
    user = find(change.database, email)
    going = [*reversed(list_descendants(change.database, user)), user]
    gone = {account.id: count_holdings(change.database, account) for account in going}
    for account in going:
        if not last_admin:
            _require_another_admin(change.database, account, "be removed")
        delegated_grants.take_given_by(change, account.id)
        change.database.run(Principal.delete().where(Principal.id == account.id))
        change.record(
            "user.remove", f"user:{account.email}", {"id": account.id, "name": account.name, **gone[account.id]}
        )
    return gone[user.id]


def count_holdings(database: Database, user: Principal) -> dict[str, Any]:
    """What hangs on an account and goes with it: grants, groups, tokens, acceptances, children."""
    grants = (
        m.Grant.select(m.Dataset.name, m.Grant.permission)
        .join(m.Dataset)
        .where(m.Grant.principal == user.id)
        .order_by(m.Dataset.name, m.Grant.id)
    )
    groups = m.Membership.select(m.Group.name).join(m.Group).where(m.Membership.principal == user.id)
    tokens = m.Token.select(m.Token.id).where(m.Token.principal == user.id).order_by(m.Token.id)
    accepted = m.Acceptance.select(m.Acceptance.terms).where(m.Acceptance.principal == user.id)
    children = Principal.select(Principal.email).where(Principal.parent == user.id).order_by(Principal.id)
    return {
        "grants": [f"{dataset} {permission}" for dataset, permission in database.tuples(grants)],
        "groups": sorted(name for (name,) in database.tuples(groups)),
        "tokens": [token_id for (token_id,) in database.tuples(tokens)],
        "acceptances": sorted(terms_id for (terms_id,) in database.tuples(accepted)),
        "children": [email for (email,) in database.tuples(children)],
    }


def list_descendants(database: Database, user: Principal) -> list[Principal]:
    """The children of an account, and theirs."""
    found: dict[int, Principal] = {}
    parents = [user.id]
    while parents:
        children = database.objects(Principal.select().where(Principal.parent.in_(parents)).order_by(Principal.id))
        # A circle, which only the sqlite3 shell can make, must not be followed for ever.
        new = [child for child in children if child.id not in found and child.id != user.id]
        found |= {child.id: child for child in new}
        parents = [child.id for child in new]
    return list(found.values())


def _require_another_admin(database: Database, user: Principal, what: str, *, with_children: bool = False) -> None:
    """Refuse what would leave nobody who manages the gateway; its children end with a disabled account."""
    going = {account.id: account for account in (user, *(list_descendants(database, user) if with_children else ()))}
    admins = database.objects(Principal.select().where(Principal.admin == True, Principal.active == True))
    counting = [admin.id for admin in admins if account_status.ended_by(database, admin) is None]
    last = [going[admin].email for admin in counting if admin in going]
    if last and len(last) == len(counting):
        raise NotAllowed(
            f"{last[0]} is the last admin and would {what}",
            "make another admin first, or say it again: --last-admin",
        )


def list_users(
    database: Database,
    *,
    search: str | None = None,
    group: str | None = None,
    admin: bool = False,
    disabled: bool = False,
    idle_since: datetime | None = None,
    limit: int | None = None,
) -> Iterator[dict[str, Any]]:
    """Users in the order of their ids, one at a time.

    Args:
        search: part of the address or a name, case aside.
        idle_since: only those who have used no token since then, and are older than that.
    """
    query = (
        Principal.select(
            Principal.id,
            Principal.email,
            Principal.name,
            Principal.display_name,
            Principal.admin,
            Principal.active,
            Principal.read_only,
            Principal.created,
        )
        .where(Principal.kind == "user")
        .order_by(Principal.id)
    )
    if search:
        if validation.has_control(search):
            raise Invalid(f"{validation.quoted(search)} cannot be part of a name", "search without control characters")
        query = query.where(principals_matching(search))
    if group is not None:
        members = m.Membership.select(m.Membership.principal).join(m.Group).where(m.Group.name == group)
        query = query.where(Principal.id.in_(members))
    if admin:
        query = query.where(Principal.admin == True)
    if disabled:
        query = query.where(Principal.active == False)
    if idle_since is not None:
        used = m.Token.select(m.Token.principal).where(m.Token.last_used >= idle_since)
        query = query.where(Principal.created < idle_since, Principal.id.not_in(used))
    return database.rows(query.limit(limit))


def show(database: Database, email: str) -> dict[str, Any]:
    """All that is known of a person, secrets aside."""
    user = find(database, email)
    parent = database.first(Principal.select().where(Principal.id == user.parent_id)) if user.parent_id else None
    last_used = m.Token.select(fn.max(m.Token.last_used)).where(m.Token.principal == user.id)
    leads = (
        m.Membership.select(m.Group.name)
        .join(m.Group, JOIN.INNER)
        .where(m.Membership.principal == user.id, m.Membership.leads == True)
    )
    keys = (
        "id",
        "email",
        "name",
        "display_name",
        "admin",
        "active",
        "read_only",
        "pi",
        "notes",
        "picture_url",
        "issuer",
        "subject",
        "created",
        "created_by",
    )
    held = count_holdings(database, user)
    return {
        **{key: getattr(user, key) for key in keys},
        "parent": parent.email if parent else None,
        "affiliations": list_affiliations(database, user),
        "leads": sorted(name for (name,) in database.tuples(leads)),
        **({"seen_email": user.seen_email} if user.seen_email else {}),
        **held,
        "last_used": next((moment for (moment,) in database.tuples(last_used)), None),
    }
