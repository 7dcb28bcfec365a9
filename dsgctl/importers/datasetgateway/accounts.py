"""Takes over people, their groups, service accounts, and the tokens of both."""

from collections.abc import Iterable
from typing import Any

from dsgctl.core import groups, names, service_accounts, tokens, users
from dsgctl.core.errors import Invalid
from dsgctl.core.users import NewUser
from dsgctl.importers import people
from dsgctl.importers.datasetgateway.taking import Taking, no_place, of
from dsgctl.importers.rows import Damaged, Row
from dsgctl.store.models import Principal

GOOGLE = "https://accounts.google.com"  # the original signs in with Google alone
_LOGIN = "OAuth login token"  # how the original describes the tokens of its logins


def take_users(taking: Taking) -> None:
    """With their ids."""
    # Before anything gets an id here: also those of people who were deleted there must not name somebody else.
    users.reserve_ids(taking.change, taking.source.last_user_id())
    affiliations: dict[int, list[str]] = {}

    def note(row: Row) -> None:
        if name := row.line("name"):
            affiliations.setdefault(row.number("user_id"), []).append(name)

    taking.each("affiliation", note)
    people.take_all(taking, "dsg_user", taking.users, lambda row: _person(taking, row, affiliations.get(row.id, ())))


def _person(taking: Taking, row: Row, affiliations: Iterable[str]) -> NewUser:
    attributes: dict[str, Any] = {key: row.line(key) for key in ("name", "display_name", "pi")}
    for key, text in attributes.items():
        if text != (row.text_or_none(key) or "").strip():
            taking.remark(f"{row.where}: {key} is kept as {names.shown(text)}")
    attributes["picture_url"] = _picture(taking, row)
    attributes |= {"notes": row.paragraph("notes"), "admin": row.flag("admin"), "read_only": row.flag("read_only")}
    subject = row.text_or_none("google_sub") or None
    kept = {
        "id": row.id,
        "active": row.flag("is_active"),
        "issuer": GOOGLE if subject else None,
        "subject": subject,
        "parent": row.values["parent_id"],
        "created": row.moment("created"),
    }
    return NewUser(names.foreign_email(row.text("email")), attributes, tuple(dict.fromkeys(affiliations)), kept)


def _picture(taking: Taking, row: Row) -> str:
    text = row.line("picture_url")
    try:
        return names.url(text)
    except Invalid as error:
        taking.note(f"{row.where}: picture_url: {error.message}")
        return ""


def take_groups(taking: Taking) -> None:
    seen: set[str] = set()

    def take(row: Row) -> None:
        name = row.name("name", "group name")
        if name in seen:
            raise Damaged(f"the group {names.shown(name)} stands twice: whose rights are whose, nobody can say")
        seen.add(name)
        _, added = groups.add(taking.change, name)
        taking.groups[row.id] = name
        taking.count("groups", added)

    def member(row: Row) -> tuple[int, Principal, bool]:
        group_id = row.number("group_id")
        of(taking.groups, group_id)
        return group_id, of(taking.users, row.number("user_id")), row.flag("is_admin")

    def join(members: list[tuple[int, Principal, bool]]) -> None:
        by_group: dict[int, dict[int, tuple[Principal, bool]]] = {}
        for group_id, user, leads in members:
            by_group.setdefault(group_id, {})[user.id] = (user, leads)
        for group_id, joining in by_group.items():
            people.join(taking, groups.find(taking.change.database, taking.groups[group_id]), joining)

    taking.each("dsg_group", take)
    taking.batches("user_group", member, join)


def take_service_accounts(taking: Taking) -> None:
    """Under new ids: here people and programs share one id space."""

    def take(row: Row) -> None:
        known = service_accounts.by_slug(taking.change.database, row.text("name"))
        there: dict[str, Any] = {
            "description": row.words("description"),
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

    def kept(row: Row, owner: Principal) -> tokens.Kept:
        description = row.line("description")
        taking.secrets.add(row.text("key"))
        return tokens.kept(
            owner, row.text("key"),
            kind="login" if description == _LOGIN else "api",
            description=description, created=row.moment("created"), last_used=row.moment_or_none("last_used"),
            expires=row.moment_or_none("expires_at") if row.table == "api_key" else None,
        )  # fmt: skip

    def keep(batch: list[tokens.Kept]) -> None:
        taking.report.counts("tokens", new=tokens.keep_all(taking.change, batch), of=len(batch))

    def of_user(row: Row) -> tokens.Kept:
        taking.secrets.add(row.text("key"))
        if (client := row.number_or_none("delegated_client_id")) is not None:
            raise no_place(f"the token was given to the registered client of row {client}, with less than its user has")
        return kept(row, of(taking.users, row.number("user_id")))

    taking.batches("api_key", of_user, keep)
    taking.batches(
        "service_account_token", lambda row: kept(row, of(taking.accounts, row.number("service_account_id"))), keep
    )
