"""``dsgctl setup``"""

import sys
from pathlib import Path

import click

from dsgctl.commands.session import Session, output_option
from dsgctl.config import Config
from dsgctl.core import names
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError, Invalid

_PATH = click.Path(path_type=Path)


@click.command(epilog="\b\nExample:\n  dsgctl setup --origin https://auth.example.org --admin ada@example.org")
@click.option("--origin", metavar="URL", help="DSG_ORIGIN: where browsers reach this gateway.")
@click.option("--client", metavar="FILE", type=_PATH, help="The OAuth client's JSON file; it is copied.")
@click.option("--issuer", metavar="URL", help="DSG_OIDC_ISSUER, if it is not Google.")
@click.option("--viewers", metavar="PATTERN", help="NGAUTH_ALLOWED_ORIGINS: which Neuroglancers may ask for data.")
@click.option("--backup-dir", metavar="DIRECTORY", help="DSG_BACKUP_DIR: where backups go.")
@click.option("--database", metavar="FILE", envvar="DATABASE_PATH",
              help="DATABASE_PATH, if it is not /var/lib/dsg/dsg.sqlite3.")  # fmt: skip
@click.option("--admin", metavar="EMAIL", help="Who manages the gateway first.")
@click.option("--offline", is_flag=True, help="Do not ask the provider whether it is there.")
@output_option
@click.pass_obj
def command(
    session: Session, *, origin: str | None, client: Path | None, issuer: str | None, viewers: str | None,
    backup_dir: str | None, database: str | None, admin: str | None, offline: bool,
) -> None:  # fmt: skip
    """Ask what cannot be found out, check it, and write the settings; safe to run again."""
    from dsgctl import setup  # the checks need much that no other command does

    path = session.settings_file
    if not path.parent.is_dir():
        raise Invalid(f"there is no directory {path.parent}", "'make install' makes it, or name another --env-file")
    settings = setup.known(path)
    given = {
        "DSG_ORIGIN": origin, "CLIENT_CREDENTIALS_PATH": str(client) if client else None,
        "NGAUTH_ALLOWED_ORIGINS": viewers, "DSG_BACKUP_DIR": backup_dir,
    }  # fmt: skip
    missing = []
    for question in setup.QUESTIONS:
        answer = given[question.setting]
        if answer is None and question.setting not in settings:
            answer = _ask(question.why, needed=question.needed)
            if answer is None and question.needed:
                missing.append(f"--{question.option}")
        if answer:
            settings[question.setting] = answer
    settings |= {"DATABASE_PATH": database} if database else {}
    if admin is None and not setup.has_admin(Path(settings.get("DATABASE_PATH", Config().database))):
        admin = _ask("The email of the first admin, who manages the gateway.", needed=False)
    if missing:
        raise Invalid(f"nobody is there to be asked for {', '.join(missing)}", "say it as an option")
    settings |= {"DSG_OIDC_ISSUER": issuer} if issuer else {}
    settings.setdefault("DSG_SECRET_KEY", setup.new_key())

    if admin is not None:
        names.email(admin)
    config = setup.checked(settings, offline=offline)
    if config.client_credentials is not None:
        settings["CLIENT_CREDENTIALS_PATH"] = str(setup.keep_client(config.client_credentials, path.parent))
    changed = setup.write(path, settings)
    changed = setup.prepare(config, admin, session.actor, now()) or changed
    redirect_uri = config.origin + setup.CALLBACK
    if session.output.format != "table":
        session.output.done("", value="settings", settings=str(path), redirect_uri=redirect_uri, changed=changed)
        return
    click.echo(f"{path} is written" if changed else f"{path} and the database are as they should be")
    click.echo(f"register at the provider, as redirect URI: {redirect_uri}")
    if config.client_credentials is None and not config.google_client_id:
        click.echo("nobody can sign in yet: run it again with --client FILE")
    timers = "dsg-backup.timer dsg-prune.timer" if config.backup_dir else "dsg-prune.timer"
    click.echo(f"next: systemctl enable --now dsgserve.socket {timers}; dsgctl doctor")


def _ask(why: str, *, needed: bool) -> str | None:
    """What somebody at the terminal answers; None if nobody is there, or the answer is left for later."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    click.echo(why, err=True)
    answer = click.prompt("  answer" if needed else "  answer, or Enter for later", default=None if needed else "",
                          show_default=False, err=True)  # fmt: skip
    if "\x00" in answer or "\n" in answer:
        raise DsgError("that is not one line", "run it again")
    return str(answer).strip() or None
