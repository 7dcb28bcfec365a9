"""``dsgctl iam``"""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dsgctl.commands.options import dry_run_option, subcommand
from dsgctl.commands.output import echo, printable
from dsgctl.commands.parameters import DATASET
from dsgctl.commands.session import Session
from dsgctl.core import datasets, iam_ledger
from dsgctl.core.errors import DsgError

if TYPE_CHECKING:
    from dsgctl.operations.iam_sync import Outcome


@click.group()
def command() -> None:
    """Buckets that people also read with their own Google accounts: 'dsgctl bucket set NAME --iam' chooses one.

    Whoever may view something in such a bucket gets roles/storage.objectViewer in its policy, and loses it with
    the permission. Members that somebody else put there, other roles and conditions are not touched.
    """


_DATASET = click.option("--dataset", type=DATASET, help="Only buckets that this dataset lies in.")


@subcommand(command, "plan", example="dsgctl iam plan --dataset fish2")
@_DATASET
def plan(session: Session, dataset: str | None) -> None:
    """Show what a sync would change. Fails if it could not look at a bucket."""
    _run(session, dataset, dry_run=True)


@subcommand(command, "sync", example="dsgctl iam sync\ndsgctl iam sync --dry-run -o json")
@_DATASET
@dry_run_option
def sync(session: Session, dataset: str | None, dry_run: bool) -> None:
    """Bring the policies of the buckets up to the facts. Fails if one could not be, and does the others."""
    _run(session, dataset, dry_run=dry_run)


@subcommand(command, "show", example="dsgctl iam show --dataset fish2 -o csv")
@_DATASET
def show(session: Session, dataset: str | None) -> None:
    """The members that the gateway put into each policy; 'intended' if Google has not said that it is done."""
    _require_dataset(session, dataset)
    session.output.rows(
        iam_ledger.list_ledger(session.database, dataset), ("bucket", "member", "state", "since"), value="member"
    )


def _require_dataset(session: Session, dataset: str | None) -> None:
    if dataset is not None:
        datasets.find(session.database, dataset)


def _run(session: Session, dataset: str | None, *, dry_run: bool) -> None:
    from dsgctl.operations.iam_sync import Sync, lock_sync  # what asks Google is slow to import

    _require_dataset(session, dataset)
    buckets = iam_ledger.list_chosen_buckets(session.database, dataset)
    if not buckets and session.output.format == "table":
        echo("(none): no bucket is chosen; dsgctl bucket set NAME --iam", err=True)
        return
    failed: list[str] = []

    def told(outcomes: "Iterator[Outcome]") -> Iterator[dict[str, Any]]:
        for outcome in outcomes:
            if outcome.trouble is not None:
                failed.append(outcome.bucket)
            yield _row(outcome, dry_run=dry_run)

    with nullcontext() if dry_run else lock_sync(Path(session.database.path)):
        rows = told(Sync(session.database, session.config.storage_url, session.change, dry_run=dry_run).run(buckets))
        if session.output.format == "table":
            for row in rows:
                _print(row)
        else:
            session.output.rows(rows, _COLUMNS, value="outcome")
    if failed:
        raise DsgError(
            f"{len(failed)} of {len(buckets)} buckets failed: {', '.join(failed)}",
            "see why beside each; the next sync mends what is left",
        )


_COLUMNS = ("bucket", "outcome", "add", "remove", "stay", "left_out", "problem", "do")


def _row(outcome: "Outcome", *, dry_run: bool) -> dict[str, Any]:
    difference, trouble = outcome.difference, outcome.trouble
    moved = bool(difference.add or difference.remove)
    good = ("planned" if dry_run else "changed") if moved else "same"
    return {
        "bucket": outcome.bucket,
        "outcome": "failed" if trouble else good,
        "add": list(difference.add),
        "remove": list(difference.remove),
        "stay": difference.stay,
        "left_out": list(outcome.left_out),
        "problem": trouble.message if trouble else "",
        "do": trouble.hint if trouble else "",
    }


def _print(row: dict[str, Any]) -> None:
    """One bucket for people: a line, and one for each member that comes or goes."""
    counts = f"{len(row['add'])} added, {len(row['remove'])} removed, {row['stay']} as before"
    if row["outcome"] == "planned":
        counts = f"{len(row['add'])} to add, {len(row['remove'])} to remove, {row['stay']} stay"
    lines = [f"{row['bucket']}: {counts}" if not row["problem"] else f"{row['bucket']}: failed: {row['problem']}"]
    lines += [f"  + {member}" for member in row["add"]]
    lines += [f"  - {member}" for member in row["remove"]]
    lines += [f"  ! {member} is left out" for member in row["left_out"]]
    lines += [f"  {row['do']}"] if row["do"] else []
    for line in lines:
        echo(printable(line))
