"""``dsgctl iam``"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypedDict

import click

from dsgctl.commands.messages import echo, printable
from dsgctl.commands.options import dry_run_option, subcommand
from dsgctl.commands.parameters import DATASET
from dsgctl.commands.session import Session
from dsgctl.core import datasets, iam_ledger
from dsgctl.core.errors import DsgError

if TYPE_CHECKING:
    from dsgctl.operations.iam_sync import Outcome


@click.group()
def command() -> None:
    """Policies of buckets that people also read with their own Google accounts.

    'dsgctl bucket set NAME --iam' chooses a bucket. Everybody who may view something in it gets the role
    roles/storage.objectViewer in its policy, and loses it with the permission. Other members, other roles and
    conditions are not changed.
    """


_DATASET = click.option("--dataset", type=DATASET, help="Only buckets with a location of this dataset.")


@subcommand(command, "plan", example="dsgctl iam plan --dataset fish2")
@_DATASET
def plan(session: Session, dataset: str | None) -> None:
    """Show what a sync would change. Fails if the policy of a bucket cannot be read."""
    _run(session, dataset, dry_run=True)


@subcommand(command, "sync", example="dsgctl iam sync\ndsgctl iam sync --dry-run -o json")
@_DATASET
@dry_run_option
def sync(session: Session, dataset: str | None, dry_run: bool) -> None:
    """Update the policies of the buckets. A bucket that fails does not stop the others; the command then fails."""
    _run(session, dataset, dry_run=dry_run)


@subcommand(command, "show", example="dsgctl iam show --dataset fish2 -o csv")
@_DATASET
def show(session: Session, dataset: str | None) -> None:
    """List the members that the gateway added to each policy; 'intended' until Google confirms it."""
    _require_dataset(session, dataset)
    rows = iam_ledger.list_ledger(session.database, dataset)
    session.output.print_rows(rows, ("bucket", "member", "state", "since"), value="member")


def _require_dataset(session: Session, dataset: str | None) -> None:
    if dataset is not None:
        datasets.find(session.database, dataset)


def _run(session: Session, dataset: str | None, *, dry_run: bool) -> None:
    from dsgctl.operations.iam_sync import open_sync  # slow to import

    _require_dataset(session, dataset)
    buckets = iam_ledger.list_chosen_buckets(session.database, dataset)
    if not buckets and session.output.format == "table":
        echo("(none): no bucket is chosen; dsgctl bucket set NAME --iam", err=True)
        return
    failed: list[str] = []
    with open_sync(session.database, session.config.storage_url, session.change, dry_run=dry_run) as run:
        rows = _build_rows(run.run(buckets), failed, dry_run=dry_run)
        if session.output.format == "table":
            for row in rows:
                _print(row)
        else:
            session.output.print_rows(rows, _COLUMNS, value="outcome")
    if failed:
        raise DsgError(
            f"{len(failed)} of {len(buckets)} buckets failed: {', '.join(failed)}",
            "see the reason of each; the next sync tries again",
        )


class OutcomeRow(TypedDict):
    """The result for one bucket; ``outcome`` is planned, changed, same or failed."""

    bucket: str
    outcome: str
    add: list[str]
    remove: list[str]
    stay: int
    left_out: list[str]
    problem: str
    do: str


_COLUMNS = tuple(OutcomeRow.__annotations__)


def _build_rows(outcomes: "Iterable[Outcome]", failed: list[str], *, dry_run: bool) -> Iterator[OutcomeRow]:
    """A row for each outcome, one at a time. Buckets that fail are added to ``failed``."""
    for outcome in outcomes:
        difference, trouble = outcome.difference, outcome.trouble
        state = "failed" if trouble else "same"
        if not trouble and (difference.add or difference.remove):
            state = "planned" if dry_run else "changed"
        if trouble is not None:
            failed.append(outcome.bucket)
        yield {
            "bucket": outcome.bucket,
            "outcome": state,
            "add": list(difference.add),
            "remove": list(difference.remove),
            "stay": difference.unchanged,
            "left_out": list(outcome.left_out),
            "problem": trouble.message if trouble else "",
            "do": trouble.hint if trouble else "",
        }


def _print(row: OutcomeRow) -> None:
    """Print one bucket for people: a line, and one for each member that is added or removed."""
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
