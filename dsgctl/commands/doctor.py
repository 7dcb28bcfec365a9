"""``dsgctl doctor``"""

from typing import TYPE_CHECKING

import click

from dsgctl.commands.output import printable
from dsgctl.commands.session import Session, output_option
from dsgctl.core.clock import now

if TYPE_CHECKING:
    from dsgctl.doctor import Finding


@click.command(epilog="\b\nExample:\n  dsgctl doctor -o json")
@output_option
@click.pass_obj
def command(session: Session) -> int:
    """Look at everything that could be wrong here; exit code 1 if something is."""
    from dsgctl import doctor  # what it asks needs much that no other command does

    findings = []
    for finding in doctor.examine(session.config, session.settings_file, now()):
        findings.append(finding)
        if session.output.format == "table":
            _print(finding)
    if session.output.format != "table":
        rows = [{"check": one.check, "state": str(one.state), "found": one.found, "do": one.do} for one in findings]
        session.output.rows(rows, ("check", "state", "found", "do"), value="state")
    return 1 if any(one.state is doctor.State.FAILED for one in findings) else 0


def _print(finding: "Finding") -> None:
    colour = {"ok": "green", "warning": "yellow", "failed": "red"}[finding.state]
    click.echo(f"{click.style(f'{finding.state:<8}', fg=colour)} {finding.check}: {printable(finding.found)}")
    if finding.do:
        click.echo(f"{'':8} {printable(finding.do)}")
