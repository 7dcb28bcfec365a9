"""``dsgctl setup``"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from dsgctl.commands.messages import echo, printable
from dsgctl.commands.options import output_option
from dsgctl.commands.session import Session
from dsgctl.config import Config
from dsgctl.core import validation
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError, Invalid

_PATH = click.Path(path_type=Path)


@click.command(epilog="\b\nExample:\n  dsgctl setup --origin https://auth.example.org --admin ada@example.org")
@click.option("--origin", metavar="URL", help="DSG_ORIGIN: the address at which browsers reach this gateway.")
@click.option("--client", metavar="FILE", type=_PATH, help="The OAuth client's JSON file; it is copied.")
@click.option("--issuer", metavar="URL", help="DSG_OIDC_ISSUER, if the provider is not Google.")
@click.option(
    "--viewers", metavar="ORIGINS|PATTERN", help="NGAUTH_ALLOWED_ORIGINS: the Neuroglancer sites that may ask for data."
)
@click.option("--apis", metavar="NAMES", help="DSG_APIS: the services that ask: cave, native, gate.")
@click.option("--backup-dir", metavar="DIRECTORY", help="DSG_BACKUP_DIR: the directory of backups.")
@click.option(
    "--database", metavar="FILE", envvar="DATABASE_PATH", help="DATABASE_PATH, if it is not /var/lib/dsg/dsg.sqlite3."
)
@click.option("--admin", metavar="EMAIL", help="The first admin of the gateway.")
@click.option("--offline", is_flag=True, help="Do not check that the provider answers.")
@click.option("--rotate-key", is_flag=True, help="Only add a new signing key, and use it from now on.")
@output_option
@click.pass_obj
def command(
    session: Session,
    *,
    origin: str | None,
    client: Path | None,
    issuer: str | None,
    viewers: str | None,
    apis: str | None,
    backup_dir: str | None,
    database: str | None,
    admin: str | None,
    offline: bool,
    rotate_key: bool,
) -> None:
    """Set up a new gateway: ask for what is missing, check each answer, write the settings. Safe to run again."""
    from dsgctl.operations import settings_file, setup  # slow to import

    path = session.settings_file
    if not path.parent.is_dir():
        raise Invalid(f"there is no directory {path.parent}", "'make install' creates it, or name another --env-file")
    before = setup.read_settings_file(path)
    if session.output.format == "table":
        for unused in before.unused:
            echo(f"{unused.name} ({unused.source}) is not a setting of this gateway: it has no effect", err=True)
    settings = setup.values_of(before)
    if rotate_key:
        _rotate_key(session, path, settings)
        return
    options = {
        "DATABASE_PATH": database,
        "DSG_OIDC_ISSUER": issuer,
        "DSG_ORIGIN": origin,
        "CLIENT_CREDENTIALS_PATH": str(client) if client else None,
        "NGAUTH_ALLOWED_ORIGINS": viewers,
        "DSG_APIS": apis,
        "DSG_BACKUP_DIR": backup_dir,
    }
    # Options are checked before anything is written, answers to questions one by one.
    answers = {name: setup.check_answer(name, option) for name, option in options.items() if option}
    if admin is not None:
        validation.email(admin)
    writer = settings_file.SettingsWriter(path, settings, offline=offline)
    open_questions = [
        question for question in setup.QUESTIONS if question.setting not in answers and question.setting not in settings
    ]
    asks = sys.stdin.isatty() and sys.stderr.isatty()
    if missing := [f"--{question.option}" for question in open_questions if question.needed and not asks]:
        raise Invalid(f"{', '.join(missing)} must be set", "set it with an option, or run 'dsgctl setup' at a terminal")
    if answers or not asks:
        writer.accept(answers)

    def check_and_write(name: str, answer: str) -> None:
        writer.accept({name: setup.check_answer(name, answer)})

    try:
        for question in open_questions if asks else []:
            _ask(
                question.why,
                question.example,
                needed=question.needed,
                accept=partial(check_and_write, question.setting),
            )
        if admin is None and asks and not setup.has_admin(Path(settings.get("DATABASE_PATH", Config().database))):
            admin = _ask(
                "The email of the first admin, who manages the gateway",
                "ada@example.org",
                needed=False,
                accept=validation.email,
            )
    except (click.Abort, KeyboardInterrupt):  # Ctrl-C at a question, or before it
        echo(f"\nyour answers are saved in {path}; run 'dsgctl setup' again for the rest", err=True)
        raise
    writer.accept({})
    config = writer.config
    done = [*writer.done, *setup.prepare_database(config, admin, session.actor, now())]
    _report(session, config, path, done)


def _report(session: Session, config: Config, path: Path, done: list[str]) -> None:
    from dsgctl.oauth_client import CALLBACK_PATH
    from dsgctl.operations import setup

    redirect_uri, commands = config.origin + CALLBACK_PATH, setup.next_commands(config, path)
    if session.output.format != "table":
        session.output.print_result(
            "",
            value="settings",
            settings=str(path),
            redirect_uri=redirect_uri,
            changed=bool(done),
            done=done,
            next=commands,
        )
        return
    for sentence in done or [f"{path} and the database need no change"]:
        echo(sentence)
    echo(f"at the provider, register the redirect URI: {redirect_uri}")
    if config.client_credentials is None and not config.google_client_id:
        echo("nobody can sign in yet: run 'dsgctl setup' again with --client FILE")
    echo("next:")
    for line in commands:
        echo(f"  {line}")


def _rotate_key(session: Session, path: Path, settings: dict[str, str]) -> None:
    from dsgctl.operations import settings_file

    key = settings_file.rotate_keys(settings.get("DSG_SECRET_KEY", ""))
    settings_file.write_settings(path, {"DSG_SECRET_KEY": key})
    restart = "systemctl restart 'dsgserve*.service'"
    if session.output.format != "table":
        session.output.print_result("", value="settings", settings=str(path), changed=True, next=[restart])
        return
    echo(
        f"{path} has a new key in DSG_SECRET_KEY; the former key still verifies what it signed, until the next rotation"
    )
    echo(f"next:\n  {restart}")


def _ask(why: str, example: str, *, needed: bool, accept: Callable[[str], object]) -> str | None:
    """Ask at the terminal until an answer is accepted, and return it; None if it is left for later."""
    echo(f"{why}\n  for example  {example}", err=True)
    while True:
        answer = click.prompt(
            "  answer" if needed else "  answer, or Enter for later",
            default=None if needed else "",
            show_default=False,
            err=True,
        )
        answer = str(answer).strip()
        if not answer:
            return None
        try:
            accept(answer)
        except DsgError as error:
            echo(f"  {printable(error.message)}\n  {error.hint}", err=True)
            continue
        return answer
