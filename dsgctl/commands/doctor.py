"""``dsgctl doctor``"""

import os
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

import click

from dsgctl.commands.messages import echo, printable
from dsgctl.commands.options import output_option
from dsgctl.commands.session import Session
from dsgctl.core.clock import now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dsgctl.operations.doctor import Check

COLUMNS = ("check", "state", "found", "do")
INDENT = 9  # "warning  "
COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


@click.command(epilog="\b\nExample:\n  dsgctl doctor -o json")
@click.option("--strict", is_flag=True, help="Exit with 1 after a warning too.")
@output_option
@click.pass_obj
def command(session: Session, *, strict: bool) -> int:
    """Check the whole installation. The exit code is 1 if something failed.

    As root it also checks whether the service's user may read and write the files that it needs.
    """
    from dsgctl.operations import doctor  # slow to import

    settings = session.settings
    for name, value in settings.libraries.items():
        os.environ[name] = os.environ.get(name) or value
    checks = print_checks(session, doctor.examine(doctor.Case(settings, session.settings_file, now())))
    bad = {"failed", "warning"} if strict else {"failed"}
    return 1 if any(str(check.status) in bad for check in checks) else 0


def print_checks(session: Session, checks: "Iterable[Check]") -> "list[Check]":
    """Print checks, each as soon as it is done in a table, and return them."""
    from dsgctl.operations.doctor.check import row_of  # as above

    examined = []
    for check in checks:
        examined.append(check)
        if session.output.format == "table":
            _print(check)
    if session.output.format != "table":
        session.output.print_rows(map(row_of, examined), COLUMNS, value="state")
    return examined


def _print(check: "Check") -> None:
    for number, line in enumerate(_wrap(f"{check.name}: {printable(check.finding)}")):
        echo(f"{check.status if number == 0 else '':<8} {line}", colour=COLOURS[check.status], styled=8)
    for line in _wrap(printable(check.advice)) if check.advice else []:
        echo(f"{'':8} {line}")


def _wrap(text: str) -> list[str]:
    """Break a text into lines for this terminal, between words: paths and options stay whole."""
    if not sys.stdout.isatty():
        return [text]
    width = max(30, shutil.get_terminal_size().columns - INDENT)
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]
