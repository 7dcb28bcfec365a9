"""``dsgctl config``"""

import os

import click

from dsgctl.commands.doctor import print_checks
from dsgctl.commands.options import subcommand
from dsgctl.commands.session import Session
from dsgctl.settings import list_values, require_valid


@click.group()
def command() -> None:
    """The settings: their values, sources and errors."""


@subcommand(command, "show", example="dsgctl config show\ndsgctl config show -o json")
def show(session: Session) -> None:
    """Show the value of each setting, and whether the environment, the file or the default sets it.

    Secrets are not shown. Errors in the settings follow, with exit code 2.
    """
    settings = session.settings
    rows = list_values(settings, os.environ)
    session.output.print_rows(rows, ("setting", "value", "source"), value="value")
    require_valid(settings)


@subcommand(command, "check", example="dsgctl config check")
def check(session: Session) -> int:
    """Check the settings. Errors are shown with file and line; the exit code is then 2."""
    from dsgctl.operations.doctor.settings import check_settings  # slow to import

    checks = print_checks(session, check_settings(session.settings))
    return 2 if any(str(result.status) == "failed" for result in checks) else 0
