"""``dsgctl apply`` and ``dsgctl diff``"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dsgctl.commands.datasets import warn_of_missing_terms
from dsgctl.commands.messages import echo, format_holdings, printable
from dsgctl.commands.options import dry_run_option, output_option, yes_option
from dsgctl.commands.session import Session
from dsgctl.core import datasets
from dsgctl.core.audit import Record
from dsgctl.core.errors import Invalid
from dsgctl.wording import format_count

if TYPE_CHECKING:
    from dsgctl.policy.applying import ApplyResult
    from dsgctl.policy.document import Document

_FILE = click.argument("file", metavar="FILE.yaml", type=click.Path(path_type=Path))  # "-" is standard input

_PRUNE = click.option("--prune", is_flag=True, help="Remove what the file declared earlier and no longer declares.")
_FILE_RECORD = "file.apply"  # the audit record of the file itself, which changes no permission


@click.command("apply", epilog="\b\nExample:\n  dsgctl apply policy.yaml --dry-run\n  dsgctl apply policy.yaml")
@_FILE
@_PRUNE
@dry_run_option
@yes_option
@output_option
@click.pass_obj
def apply_(session: Session, file: Path, prune: bool, dry_run: bool, yes: bool) -> None:
    """Apply a policy file: make groups, datasets, terms and grants as it declares them, all or none. '-' is standard
    input.

    The file owns what it declares: with --prune, what it declared earlier and no longer declares is removed. What it
    never declared is not changed.
    """
    document = _read(session, file)
    if prune and not dry_run and not yes:
        records, _ = _run(session, document, prune=True, dry_run=True)
        if removals := [record for record in records if _sign(record) == "-"]:
            _confirm(session, document.name, removals)
    name, records = document.name, _apply(session, document, prune=prune, dry_run=dry_run)
    if session.output.format == "table":
        verb = "would make" if dry_run else "made"
        changes = format_holdings({"changes": len(records)})
        echo(printable(f"{name}: {verb} {changes}" if records else f"{name}: nothing to do"), err=dry_run)
    if not dry_run:
        touched = {word.removeprefix("dataset:") for record in records for word in record.target.split(" ")}
        warn_of_missing_terms(
            session, sorted(touched.intersection(datasets.list_public_without_terms(session.database)))
        )


@click.command(epilog="\b\nExample:\n  dsgctl diff policy.yaml\n  dsgctl diff policy.yaml --prune")
@_FILE
@_PRUNE
@output_option
@click.pass_obj
def diff(session: Session, file: Path, prune: bool) -> int:
    """Show what 'dsgctl apply' would change. The exit code is 0 for no change and 1 for changes, as in diff(1). '-' is
    standard input."""
    return 1 if _apply(session, _read(session, file), prune=prune, dry_run=True) else 0


def _read(session: Session, file: Path) -> "Document":
    from dsgctl.policy.reader import read_policy  # slow to import: YAML

    with _list_problems(session):
        return read_policy(file)


@contextmanager
def _list_problems(session: Session) -> Iterator[None]:
    """Print several problems of a file on a line each; as JSON they are one object."""
    from dsgctl.policy.document import BadFile

    try:
        yield
    except BadFile as error:
        if len(error.problems) == 1 or session.output.is_json:
            raise
        for line in error.problems:
            echo(printable(f"{error.path}: {line}"), err=True)
        raise Invalid(f"{error.path} has {format_count(error.count, 'fault')}", error.hint) from None


def _run(session: Session, document: "Document", *, prune: bool, dry_run: bool) -> "tuple[list[Record], ApplyResult]":
    from dsgctl.policy.applying import apply_policy  # as above

    records: list[Record] = []
    actor = f"file:{document.name} by {session.actor}"
    with _list_problems(session), session.change(actor=actor, dry_run=dry_run, watch=records.append) as change:
        result = apply_policy(change, document, prune=prune)
    return [record for record in records if record.action != _FILE_RECORD], result


def _apply(session: Session, document: "Document", *, prune: bool, dry_run: bool) -> list[Record]:
    records, result = _run(session, document, prune=prune, dry_run=dry_run)
    _print(session, records, result)
    return records


def _confirm(session: Session, name: str, removals: list[Record]) -> None:
    for record in removals:
        sign, text = _line(record)
        echo(printable(f"{sign} {text}"), err=True)
    count = format_count(len(removals), "thing")
    session.confirm(f"{name}: {count} that it no longer declares, as above, will be removed", yes=False)


def _sign(record: Record) -> str:
    verb = record.action.rpartition(".")[2]
    return {"add": "+", "remove": "-", "revoke": "-", "retire": "-"}.get(verb, "~")


def _print(session: Session, records: list[Record], result: "ApplyResult") -> None:
    if session.output.format != "table":
        session.print_plan(records)
    else:
        for record in records:
            sign, text = _line(record)
            echo(printable(f"{sign} {text}"), colour={"+": "green", "-": "red"}.get(sign, "yellow"))
    for resource in result.undeclared:
        echo(printable(f"no longer declared, but still there: {resource}; --prune removes it"), err=True)


def _line(record: Record) -> tuple[str, str]:
    """The sign (``+``, ``-`` or ``~``), and the noun, target and values of a record."""
    noun, sign = record.action.rpartition(".")[0], _sign(record)
    before, after = record.before or {}, record.after or {}
    if sign == "~":
        parts = [
            f"{key}: {_word(before.get(key))} -> {_word(value)}"
            for key, value in after.items()
            if before.get(key) != value
        ]
    else:
        empty: tuple[object, ...] = (None, "", [], False, record.at)
        parts = [f"{key}: {_word(value)}" for key, value in (after or before).items() if value not in empty]
    return sign, f"{noun.replace('.', ' ')} {record.target}" + (f" ({', '.join(parts)})" if parts else "")


def _word(value: object) -> str:
    """A value for people."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        whole_day = (value.hour, value.minute, value.second, value.microsecond) == (0, 0, 0, 0)
        return f"{value:%Y-%m-%d}" if whole_day else f"{value:%Y-%m-%d %H:%M} UTC"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_word, value)) or "-"
    return "-" if value is None or value == "" else " ".join(str(value).split())
