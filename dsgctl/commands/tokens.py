"""``dsgctl token``. Tokens are read from standard input, because other users can see arguments in ps."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from dsgctl.commands.messages import ask
from dsgctl.commands.options import dry_run_option, subcommand, yes_option
from dsgctl.commands.parameters import ID, SERVICE_ACCOUNT
from dsgctl.commands.session import Session
from dsgctl.core import (
    principals,
    service_accounts,
    token_checks,
    token_format,
    token_queries,
    tokens,
    users,
    validation,
)
from dsgctl.core.change import Change
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid, NotAllowed
from dsgctl.core.token_checks import PresentedToken
from dsgctl.store import Database, StoreError
from dsgctl.store.models import Principal, Token
from dsgctl.wording import format_count

_USER = click.option("--user", metavar="EMAIL", help="The person who owns the token.")
_ACCOUNT = click.option(
    "--service-account", type=SERVICE_ACCOUNT, metavar="NAME", help="The service account that owns the token."
)


@click.group()
def command() -> None:
    """Tokens: mint, rotate, revoke, inspect."""


def _owner(database: Database, user: str | None, service_account: str | None) -> Principal | None:
    if user is not None and service_account is not None:
        raise Invalid("a token has one owner", "use only one of --user and --service-account")
    if user is not None:
        return users.find(database, user)
    return service_accounts.find(database, service_account) if service_account is not None else None


@contextmanager
def _change_that_shows(session: Session) -> Iterator[Change]:
    """A change that prints a token.

    Raises:
        StoreError: the token was printed, but cannot be stored.
    """
    try:
        with session.change() as change:
            yield change
    except StoreError as error:
        if not session.output.secret_shown:
            raise
        raise StoreError(f"{error.message}; the token that was printed does not work", error.hint) from error


def _show_once(session: Session, change: Change, token: Token, secret: str, **more: object) -> None:
    """Print a new token, in the change that makes it. The sentence goes to stderr, so that stdout is the token."""
    owner = principals.format_label(tokens.find_owner(change.database, token))
    end = f"until {token.expires:%Y-%m-%d %H:%M UTC}" if token.expires else "until it is revoked"
    record = {"id": token.id, "token": secret, "of": owner, "prefix": token.prefix, "expires": token.expires, **more}
    sentence = f"token {token.id} of {owner}, valid {end}; it is not shown again:"
    session.output.print_secret(record, value="token", sentence=sentence)


@subcommand(command, "mint", example="dsgctl token mint --service-account nightly-export --expires 90d -o value")
@_USER
@_ACCOUNT
@click.option("--expires", metavar="90d|DATE", help="When the token ends; never by default.")
@click.option("--description", default="", help="What it is for.")
def mint(
    session: Session, user: str | None, service_account: str | None, expires: str | None, description: str
) -> None:
    """Make a token and print it. It is never shown again: only its hash is stored."""
    end = validation.moment_after(expires, now()) if expires is not None else None
    with _change_that_shows(session) as change:
        owner = _owner(change.database, user, service_account)
        if owner is None:
            raise Invalid("the token has no owner", "use --user EMAIL or --service-account NAME")
        token, secret = tokens.mint(change, owner, description=description, expires=end)
        _show_once(session, change, token, secret)


@subcommand(command, "list", example="dsgctl token list --user ada@example.org")
@_USER
@_ACCOUNT
@click.option("--all", "ended", is_flag=True, help="Include expired and revoked tokens.")
def list_(session: Session, user: str | None, service_account: str | None, ended: bool) -> None:
    """List tokens, without the secrets."""
    columns = (
        "id",
        "user",
        "service_account",
        "kind",
        "prefix",
        "description",
        "created",
        "expires",
        "last_used",
        "revoked",
    )
    owner = _owner(session.database, user, service_account)
    rows = token_queries.list_tokens(session.database, principal=owner, at=now(), ended=ended)
    session.output.print_rows(rows, columns if ended else columns[:-1], value="id")


@subcommand(command, "show", example="dsgctl token show 17")
@click.argument("token_id", metavar="ID", type=ID)
def show(session: Session, token_id: int) -> None:
    """Show a token, without the secret."""
    session.output.print_record(token_queries.show(session.database, token_id, now()), value="state")


@subcommand(command, "revoke", example="dsgctl token revoke 17")
@click.argument("token_id", metavar="ID", type=ID)
def revoke(session: Session, token_id: int) -> None:
    """Revoke a token. The next request with it is refused."""
    with session.change() as change:
        changed = tokens.revoke(change, token_id)
    session.output.print_result(
        f"revoked token {token_id}" if changed else f"token {token_id} is already revoked", id=token_id, changed=changed
    )


@subcommand(command, "rotate", example="dsgctl token rotate 17 --overlap 7d -o value")
@click.argument("token_id", metavar="ID", type=ID)
@click.option("--overlap", metavar="DURATION", help="How long the old token still works; it ends now by default.")
def rotate(session: Session, token_id: int, overlap: str | None) -> None:
    """Replace a token by a new one with the same owner, description and lifetime."""
    with _change_that_shows(session) as change:
        pause = {"overlap": validation.duration(overlap)} if overlap is not None else {}
        token, secret = tokens.rotate(change, token_id, **pause)
        _show_once(session, change, token, secret, replaces=token_id)


@subcommand(command, "inspect", example="dsgctl token inspect < token.txt")
def inspect(session: Session) -> None:
    """Read a token from standard input, and show its owner and whether it is valid."""
    presented = ask("Token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline(token_format.MAX_LENGTH + 2)
    presented = presented.strip()
    if not presented:
        raise Invalid("there is no token on standard input", "dsgctl token inspect < FILE")
    status = token_checks.check(session.database, PresentedToken(presented), now())
    session.output.print_record(token_queries.describe(status), value="state")
    if status.problem is not None:
        reason = token_checks.BY_ERROR[status.problem].reason
        raise NotAllowed(f"this token is not valid: {reason}", "dsgctl token mint makes a new one")


@subcommand(command, "prune", example="dsgctl token prune --older-than 30d --dry-run")
@click.option(
    "--older-than", metavar="DURATION", default="30d", show_default=True, help="Only tokens that ended this long ago."
)
@yes_option
@dry_run_option
def prune(session: Session, older_than: str, yes: bool, dry_run: bool) -> None:
    """Delete tokens that were revoked or expired some time ago."""
    before = now() - validation.duration(older_than)
    if not dry_run:
        session.confirm(f"tokens that ended more than {older_than} ago will be deleted", yes=yes)
    with session.change(dry_run=dry_run) as change:
        count = tokens.prune(change, before=before)
    if not dry_run:
        session.output.print_result(
            f"deleted {format_count(count, 'ended token')}", value="tokens", tokens=count, changed=bool(count)
        )
