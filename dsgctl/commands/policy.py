"""``dsgctl apply`` and ``dsgctl diff``"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsgctl.commands.output import printable, told
from dsgctl.commands.session import Session, dry_run_option, output_option
from dsgctl.core.audit import Record

if TYPE_CHECKING:
    from dsgctl.policy.applying import Applied

_PRUNE = click.option(
    "--prune", is_flag=True, help="Take away what the file declared before and no longer does; nothing else."
)
_OWN = "file.apply"  # the record of the file itself, which is no change of what people may do


@click.command("apply", epilog="\b\nExample:\n  dsgctl apply policy.yaml --dry-run\n  dsgctl apply policy.yaml")
@click.argument("file", metavar="FILE.yaml", type=click.Path(path_type=Path))
@_PRUNE
@dry_run_option
@output_option
@click.pass_obj
def apply_(session: Session, file: Path, prune: bool, dry_run: bool) -> None:
    """Bring groups, datasets, terms and grants up to a file that people review. All of it, or nothing.

    The file owns what it declares: with --prune, what it declared once and no longer does goes. What it never
    declared is not touched.
    """
    name, records, _ = _applied(session, file, prune=prune, dry_run=dry_run)
    if session.output.format == "table":
        made = "would make" if dry_run else "made"
        changes = told({"changes": len(records)})
        click.echo(printable(f"{name}: {made} {changes}" if records else f"{name}: nothing to do"), err=dry_run)


@click.command(epilog="\b\nExample:\n  dsgctl diff policy.yaml\n  dsgctl diff policy.yaml --prune")
@click.argument("file", metavar="FILE.yaml", type=click.Path(path_type=Path))
@_PRUNE
@output_option
@click.pass_obj
def diff(session: Session, file: Path, prune: bool) -> int:
    """Show what 'dsgctl apply' would change: exit code 0 if nothing, 1 if something, as diff(1) has it."""
    _, records, _ = _applied(session, file, prune=prune, dry_run=True)
    return 1 if records else 0


def _applied(session: Session, file: Path, *, prune: bool, dry_run: bool) -> "tuple[str, list[Record], Applied]":
    from dsgctl.policy import applying, document  # YAML, which no other command needs

    seen: list[Record] = []
    try:
        read = document.read(file)
        actor = f"file:{read.name} by {session.actor}"
        with session.change(actor=actor, dry_run=dry_run, watch=seen.append) as opened:
            applied = applying.apply(opened, read, prune=prune)
    except document.BadFile as error:
        if len(error.problems) > 1 and not session.output.is_json:  # whose error is one object
            for line in error.problems:
                click.echo(printable(line), err=True)
        raise
    records = [record for record in seen if record.action != _OWN]
    _print(session, records, applied)
    return read.name, records, applied


def _print(session: Session, records: list[Record], applied: "Applied") -> None:
    if session.output.format != "table":
        session.print_plan(records)
    else:
        for record in records:
            sign, text = _line(record)
            click.secho(printable(f"{sign} {text}"), fg={"+": "green", "-": "red"}.get(sign, "yellow"))
    for what in applied.undeclared:
        click.echo(printable(f"no longer declared, and still there: {what}; --prune takes it away"), err=True)


def _line(record: Record) -> tuple[str, str]:
    """``+ grant.add``, ``- grant.revoke``, ``~ dataset.set``, with what it is about."""
    noun, _, verb = record.action.rpartition(".")
    sign = {"add": "+", "remove": "-", "revoke": "-", "retire": "-"}.get(verb, "~")
    before, after = record.before or {}, record.after or {}
    if sign == "~":
        said = [f"{key}: {_word(before.get(key))} -> {_word(value)}" for key, value in after.items()
                if before.get(key) != value]  # fmt: skip
    else:
        nothing: tuple[object, ...] = (None, "", [], False, record.at)
        said = [f"{key}: {_word(value)}" for key, value in (after or before).items() if value not in nothing]
    return sign, f"{noun.replace('.', ' ')} {record.target}" + (f" ({', '.join(said)})" if said else "")


def _word(value: object) -> str:
    return "-" if value is None or value == "" else " ".join(str(value).split())
