"""``dsgctl terms``"""

import sys
from pathlib import Path

import click

from dsgctl.commands.datasets import warn_of_missing_terms
from dsgctl.commands.options import subcommand
from dsgctl.commands.parameters import DATASET, ID
from dsgctl.commands.session import Session
from dsgctl.core import acceptances, readable_terms, terms, validation
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid
from dsgctl.wire_contract import accept_path


@click.group()
def command() -> None:
    """Terms of service, and who has accepted them."""


def _read_text(file: str) -> str:
    try:
        if file == "-":
            return sys.stdin.read(validation.MAX_TEXT + 1)
        with Path(file).open(encoding="utf-8") as stream:
            return stream.read(validation.MAX_TEXT + 1)  # one more than the limit, so that a longer text is refused
    except UnicodeDecodeError:
        raise Invalid(f"{file} is not UTF-8 text", "save it as UTF-8") from None


@subcommand(command, "add", example="dsgctl terms add 'fish2 terms' --file fish2.md --dataset fish2")
@click.argument("name")
@click.option("--file", required=True, metavar="FILE", help="The text, in Markdown; - is standard input.")
@click.option("--dataset", type=DATASET, metavar="NAME", help="The dataset that they are for.")
@click.option("--version", metavar="VERSION", help="Only for this version of the dataset.")
@click.option("--service", metavar="NAME", help="Only for requests through this service.")
@click.option("--effective", metavar="DATE", help="When terms of a service take effect; now by default.")
def add(
    session: Session,
    *,
    name: str,
    file: str,
    dataset: str | None,
    version: str | None,
    service: str | None,
    effective: str | None,
) -> None:
    """Add terms. With --dataset alone they become the dataset's own: nobody has access who has not accepted them."""
    text = _read_text(file)
    start = validation.date(effective) if effective is not None else None
    with session.change() as change:
        document, added = terms.add(
            change, name, text, dataset=dataset, version=version, service=service, effective=start
        )
    session.output.print_result(
        f"added terms {document.id}" if added else f"terms {document.id} already exist, unchanged",
        value="id",
        id=document.id,
        name=name,
        changed=added,
    )


@subcommand(command, "list", example="dsgctl terms list")
def list_(session: Session) -> None:
    """List terms, with what they are for and how many people have accepted them."""
    columns = ("id", "name", "dataset", "version", "service", "own", "effective", "retired", "accepted")
    session.output.print_rows(terms.list_terms(session.database), columns, value="id")


@subcommand(command, "show", example="dsgctl terms show 3")
@click.argument("terms_id", metavar="ID", type=ID)
def show(session: Session, terms_id: int) -> None:
    """Show the text of terms, and where to accept them."""
    document = terms.show(session.database, terms_id)
    session.output.print_record({**document, "accept_url": session.config.origin + accept_path(terms_id)}, value="text")


@subcommand(command, "retire", example="dsgctl terms retire 3")
@click.argument("terms_id", metavar="ID", type=ID)
@click.option("--on", metavar="DATE", help="When terms of a service end; now by default.")
def retire(session: Session, terms_id: int, on: str | None) -> None:
    """End terms. If they are a dataset's own, it has no terms afterwards."""
    end = validation.moment_after(on, now()) if on is not None else None
    of = readable_terms.list_datasets_of(session.database, terms_id)
    with session.change() as change:
        changed = terms.retire(change, terms_id, on=end)
    session.output.print_result(
        f"retired terms {terms_id}" if changed else f"terms {terms_id} are already retired",
        id=terms_id,
        changed=changed,
    )
    warn_of_missing_terms(session, of)


@subcommand(command, "accept", example="dsgctl terms accept 3 ada@example.org")
@click.argument("terms_id", metavar="ID", type=ID)
@click.argument("email")
def accept(session: Session, terms_id: int, email: str) -> None:
    """Record that a person has accepted terms elsewhere. The record names you."""
    with session.change() as change:
        changed = acceptances.accept(change, terms_id, email)
    session.output.print_result(
        f"recorded that {email} accepted terms {terms_id}" if changed else f"{email} already accepted terms {terms_id}",
        id=terms_id,
        email=email,
        changed=changed,
    )


@subcommand(command, "pending", example="dsgctl terms pending --dataset fish2")
@click.option("--user", metavar="EMAIL", help="Only terms of this person.")
@click.option("--dataset", type=DATASET, metavar="NAME", help="Only terms of this dataset.")
def pending(session: Session, user: str | None, dataset: str | None) -> None:
    """List people with a grant that has no effect until they accept terms, and where to accept them."""
    pending_terms = acceptances.list_pending(
        session.database, now(), email=user, dataset=dataset, delegate=session.delegate
    )
    rows = ({**row, "accept_url": session.config.origin + accept_path(row["terms"])} for row in pending_terms)
    session.output.print_rows(rows, ("user", "dataset", "terms", "name", "service", "accept_url"), value="user")
