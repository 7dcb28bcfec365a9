"""Reads users, service accounts, and the tokens of both."""

from collections.abc import Iterable, Iterator

from dsgctl.core import delegated_keys, new_users, service_accounts, token_checks, tokens, validation
from dsgctl.core.new_users import Attributes, ForeignAccount, NewUser
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun
from dsgctl.importers.engine.record_importer import Accounts, Rows, Step
from dsgctl.importers.engine.records import Record, ServiceAccount
from dsgctl.importers.engine.row import Row
from dsgctl.store.models import Client, Principal

GOOGLE = "https://accounts.google.com"  # the original signs in with Google alone
_LOGIN = "OAuth login token"  # how the original describes the tokens of its logins


def read_users(run: DatasetGatewayRun) -> Iterator[Step]:
    """With their ids."""
    # Before anything gets an id here: ids of users who were deleted there must not name somebody else either.
    new_users.reserve_ids(run.change, run.source.last_user_id())
    affiliations: dict[int, list[str]] = {}

    def read_affiliation(row: Row) -> None:
        if name := row.line("name"):
            affiliations.setdefault(row.number("user_id"), []).append(name)

    def read_user(row: Row) -> NewUser:
        return _read_user(run, row, affiliations.get(row.id, ()))

    yield Rows("affiliation", read_affiliation)
    yield Accounts("dsg_user", read_user, run.users)


def _read_user(run: DatasetGatewayRun, row: Row, affiliations: Iterable[str]) -> NewUser:
    texts = {key: row.line(key) for key in ("name", "display_name", "pi")}
    for key, text in texts.items():
        if text != (row.text_or_none(key) or "").strip():
            run.remark(f"{row.where}: {key} is kept as {validation.quote(text)}")
    subject = row.text_or_none("google_sub") or None
    attributes = Attributes(
        name=texts["name"],
        display_name=texts["display_name"],
        pi=texts["pi"],
        picture_url=run.read_url(row, "picture_url"),
        notes=row.paragraph("notes"),
        admin=row.flag("admin"),
        read_only=row.flag("read_only"),
    )
    foreign = ForeignAccount(
        id=row.id,
        active=row.flag("is_active"),
        issuer=GOOGLE if subject else None,
        subject=subject,
        parent=row.values["parent_id"],
        created=row.moment("created"),
    )
    return NewUser(validation.foreign_email(row.text("email")), attributes, tuple(dict.fromkeys(affiliations)), foreign)


def read_service_accounts(run: DatasetGatewayRun) -> Iterator[Step]:
    """With new ids: here users and service accounts share one id space."""

    def read_account(row: Row) -> Iterator[Record]:
        slug = row.text("name")
        creator = run.actor(row.values["created_by_id"]) or run.change.actor
        yield ServiceAccount(
            slug, row.words("description"), row.flag("is_active"), row.moment("created"), created_by=creator
        )
        run.accounts[row.id] = service_accounts.find(run.change.database, slug)

    yield Rows("service_account", read_account)


def read_tokens(run: DatasetGatewayRun) -> Iterator[Step]:
    """As hashes, so that they keep working."""

    def read_token(row: Row, owner: Principal, client: Client | None = None) -> tokens.ImportedToken:
        description, created = row.line("description"), row.moment("created")
        expires = row.moment_or_none("expires_at") if row.table == "api_key" else None
        kind = "login" if description == _LOGIN else "api"
        if client is not None:
            kind, expires = token_checks.DELEGATED, expires or created + delegated_keys.LIFE
        run.secrets.add(row.text("key"))
        return tokens.hash_imported(
            owner,
            row.text("key"),
            kind=kind,
            description=description,
            created=created,
            last_used=row.moment_or_none("last_used"),
            expires=expires,
            client=client,
        )

    def read_user_token(row: Row) -> Iterator[Record]:
        run.secrets.add(row.text("key"))
        client = (
            run.resolve(row, "delegated_client_id", "core_registeredclient", run.clients)
            if row.values["delegated_client_id"] is not None
            else None
        )
        yield read_token(row, run.user(row), client)

    def read_account_token(row: Row) -> Iterator[Record]:
        yield read_token(row, run.service_account(row))

    yield Rows("api_key", read_user_token, counts="tokens")
    yield Rows("service_account_token", read_account_token, counts="tokens")
