"""``dsgctl config``"""

import os

import click

from dsgctl.commands.doctor import print_checks
from dsgctl.commands.options import subcommand
from dsgctl.commands.session import Session
from dsgctl.config import LIBRARIES, SETTINGS, format_default
from dsgctl.settings import ENVIRONMENT, Settings, require_valid


@click.group()
def command() -> None:
    """The settings: their values, sources and errors."""


@subcommand(command, "show", example="dsgctl config show\ndsgctl config show -o json")
def show(session: Session) -> None:
    """Show the value of each setting, and whether the environment, the file or the default sets it.

    Secrets are not shown. Errors in the settings follow, with exit code 2.
    """
    settings = session.settings
    session.output.print_rows(_rows(settings), ("setting", "value", "source"), value="value")
    require_valid(settings)


@subcommand(command, "check", example="dsgctl config check")
def check(session: Session) -> int:
    """Check the settings. Errors are shown with file and line; the exit code is then 2."""
    from dsgctl.operations.doctor.settings import check_settings  # slow to import

    checks = print_checks(session, check_settings(session.settings))
    return 2 if any(str(result.status) == "failed" for result in checks) else 0


def _rows(settings: Settings) -> list[dict[str, str]]:
    values = {line.name: line.value for line in settings.lines}
    rows = []
    for name, item in SETTINGS.items():
        source = settings.sources.get(name, "default")
        value = os.environ[name] if source == ENVIRONMENT else values.get(name, "")
        if source == "default":
            value = format_default(item)
        elif item.metadata["secret"]:
            value = "(set)"
        rows.append({"setting": name, "value": value, "source": source})
    for name in LIBRARIES:
        source = ENVIRONMENT if os.environ.get(name) else "default"
        places = [line for line in settings.lines if line.name == name and line.value]
        if places and source == "default":
            source = f"{settings.file}, line {places[-1].number}"
        rows.append({"setting": name, "value": os.environ.get(name) or values.get(name, ""), "source": source})
    return rows
