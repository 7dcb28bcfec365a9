"""Takes over people, their groups, service accounts, and the tokens of both."""

from collections.abc import Iterable
from typing import Any

from dsgctl.core import groups, new_users, principals, service_accounts, tokens, validation
from dsgctl.core.errors import Invalid
from dsgctl.core.new_users import Attributes, ForeignAccount, NewUser
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun, no_place, start_run
from dsgctl.importers.engine import accounts
from dsgctl.importers.engine.row import Damaged, Row
from dsgctl.store.models import Principal

GOOGLE = "https://accounts.google.com"  # the original signs in with Google alone
_LOGIN = "OAuth login token"  # how the original describes the tokens of its logins


def import_users(taking: DatasetGatewayRun) -> None:
    """With their ids."""
    # Before anything gets an id here: also those of people who were deleted there must not name somebody else.
    new_users.reserve_ids(taking.change, taking.source.last_user_id())
    affiliations: dict[int, list[str]] = {}

    def note(row: Row) -> None:
        if name := row.line("name"):
            affiliations.setdefault(row.number("user_id"), []).append(name)

    taking.each("affiliation", note)
    accounts.import_accounts(
        taking, "dsg_user", taking.users, lambda row: _person(taking, row, affiliations.get(row.id, ()))
    )


def _person(taking: DatasetGatewayRun, row: Row, affiliations: Iterable[str]) -> NewUser:
    texts = {key: row.line(key) for key in ("name", "display_name", "pi")}
    for key, text in texts.items():
        if text != (row.text_or_none(key) or "").strip():
            taking.remark(f"{row.where}: {key} is kept as {validation.quoted(text)}")
    attributes = Attributes(
        name=texts["name"],
        display_name=texts["display_name"],
        pi=texts["pi"],
        picture_url=_picture(taking, row),
        notes=row.paragraph("notes"),
        admin=row.flag("admin"),
        read_only=row.flag("read_only"),
    )
    subject = row.text_or_none("google_sub") or None
    foreign = ForeignAccount(
        id=row.id,
        active=row.flag("is_active"),
        issuer=GOOGLE if subject else None,
        subject=subject,
        parent=row.values["parent_id"],
        created=row.moment("created"),
    )
    return NewUser(validation.foreign_email(row.text("email")), attributes, tuple(dict.fromkeys(affiliations)), foreign)


def _picture(taking: DatasetGatewayRun, row: Row) -> str:
    text = row.line("picture_url")
    try:
        return validation.url(text)
    except Invalid as error:
        taking.note(f"{row.where}: picture_url: {error.message}")
        return ""


def import_groups(taking: DatasetGatewayRun) -> None:
    seen: set[str] = set()

    def take(row: Row) -> None:
        name = row.name("name", "group name")
        if name in seen:
            raise Damaged(f"the group {validation.quoted(name)} stands twice: whose rights are whose, nobody can say")
        seen.add(name)
        _, added = groups.add(taking.change, name)
        taking.groups[row.id] = name
        taking.count("groups", added)

    def member(row: Row) -> tuple[int, Principal, bool]:
        group_id = row.number("group_id")
        start_run(taking.groups, group_id)
        return group_id, start_run(taking.users, row.number("user_id")), row.flag("is_admin")

    def join(members: list[tuple[int, Principal, bool]]) -> None:
        by_group: dict[int, dict[int, tuple[Principal, bool]]] = {}
        for group_id, user, leads in members:
            by_group.setdefault(group_id, {})[user.id] = (user, leads)
        for group_id, joining in by_group.items():
            accounts.join(taking, groups.find(taking.change.database, taking.groups[group_id]), joining)

    taking.each("dsg_group", take)
    taking.batches("user_group", member, join)


def import_service_accounts(taking: DatasetGatewayRun) -> None:
    """Under new ids: here people and programs share one id space."""

    def take(row: Row) -> None:
        known = principals.find_by_slug(taking.change.database, row.text("name"))
        there: dict[str, Any] = {
            "description": row.words("description"),
            "active": row.flag("is_active"),
        }
        if known:
            taking.compare(f"service account {known.slug}", {key: getattr(known, key) for key in there}, there)
        made_by = taking.actor(row.values["created_by_id"]) or taking.change.actor
        taking.accounts[row.id] = (
            known
            or service_accounts.add(
                taking.change, row.text("name"), **there, created=row.moment("created"), created_by=made_by
            )[0]
        )
        taking.count("service accounts", known is None)

    taking.each("service_account", take)


def import_tokens(taking: DatasetGatewayRun) -> None:
    """Kept by their hashes, so that they keep working."""

    def kept(row: Row, owner: Principal) -> tokens.ImportedToken:
        description = row.line("description")
        taking.secrets.add(row.text("key"))
        return tokens.hash_imported(
            owner,
            row.text("key"),
            kind="login" if description == _LOGIN else "api",
            description=description,
            created=row.moment("created"),
            last_used=row.moment_or_none("last_used"),
            expires=row.moment_or_none("expires_at") if row.table == "api_key" else None,
        )

    def keep(batch: list[tokens.ImportedToken]) -> None:
        taking.report.counts("tokens", new=tokens.import_tokens(taking.change, batch), of=len(batch))

    def of_user(row: Row) -> tokens.ImportedToken:
        taking.secrets.add(row.text("key"))
        if (client := row.number_or_none("delegated_client_id")) is not None:
            raise no_place(f"the token was given to the registered client of row {client}, with less than its user has")
        return kept(row, start_run(taking.users, row.number("user_id")))

    taking.batches("api_key", of_user, keep)
    taking.batches(
        "service_account_token",
        lambda row: kept(row, start_run(taking.accounts, row.number("service_account_id"))),
        keep,
    )
