"""``dsgctl export``"""

import sys
from contextlib import nullcontext

import click

from dsgctl.commands.options import choose_output
from dsgctl.commands.output import FORMATS
from dsgctl.commands.parameters import DATASET
from dsgctl.commands.progress import progress
from dsgctl.commands.session import Session
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid

GRANT_COLUMNS = (
    "dataset",
    "who",
    "kind",
    "permission",
    "version",
    "through",
    "until",
    "state",
    "granted_by",
    "service",
)


@click.command(
    epilog="\b\nExample:\n  dsgctl export --with-token-hashes > dsg.json\n"
    "  dsgctl export --grants --dataset fish2 -o csv > fish2.csv\n  dsgctl export -o yaml --dataset fish2 > policy.yaml"
)
@click.option(
    "--with-token-hashes", is_flag=True, help="Include the hashes of tokens, so that tokens work after an import."
)
@click.option(
    "--with-invitations",
    is_flag=True,
    help="Include invitations, so that links to terms that were sent still work after an import.",
)
@click.option("--without-audit", is_flag=True, help="Leave the audit log out.")
@click.option(
    "--grants", is_flag=True, help="List instead who has which permission, through which grant, and until when."
)
@click.option(
    "--dataset",
    "datasets",
    multiple=True,
    type=DATASET,
    metavar="NAME",
    help="With --grants or -o yaml: only this dataset; can be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Choice([*FORMATS, "yaml"]),
    default="table",
    expose_value=False,
    callback=choose_output,
    help="yaml: a file for 'dsgctl apply'. The others: with --grants.",
)
@click.pass_obj
def command(
    session: Session,
    *,
    with_token_hashes: bool,
    with_invitations: bool,
    without_audit: bool,
    grants: bool,
    datasets: tuple[str, ...],
) -> None:
    """Print the whole database as one JSON document, for 'dsgctl import export'.

    The document has no secrets. Token hashes and invitations are included only on request.
    """
    if grants:
        if with_token_hashes or with_invitations or without_audit:
            raise Invalid("--grants lists grants only", "leave out --with-... and --without-audit")
        _list_grants(session, datasets)
        return
    if session.output.format == "yaml":
        _write_policy(session, datasets)
        return
    if datasets:
        raise Invalid("--dataset needs --grants or -o yaml", "leave it out: a document has all datasets")
    if session.output.format not in ("table", "json"):
        raise Invalid(f"the document is JSON, not {session.output.format}", "leave out -o, or use --grants")
    from dsgctl.transfer import export  # --grants does not need it

    # Bytes: JSON is UTF-8 in every locale (RFC 8259, section 8.1).
    out = sys.stdout.buffer
    # On a terminal the lines of the document show the progress.
    with nullcontext(None) if out.isatty() else progress("export") as report:
        for line in export.build_document(
            session.database,
            now(),
            token_hashes=with_token_hashes,
            invitations=with_invitations,
            audit_log=not without_audit,
            progress=report,
        ):
            out.write(line)


def _write_policy(session: Session, datasets: tuple[str, ...]) -> None:
    from dsgctl.policy.writing import write_policy  # slow to import: YAML

    if not datasets:
        raise Invalid("a policy file needs at least one dataset", "use --dataset NAME")
    with session.database.snapshot():
        click.echo(write_policy(session.database, [*dict.fromkeys(datasets)]), nl=False)


def _list_grants(session: Session, datasets: tuple[str, ...]) -> None:
    from dsgctl.core import access_report  # a document does not need it

    rows = access_report.list_access(session.database, now(), names=datasets)
    session.output.print_rows(rows, GRANT_COLUMNS, value="who")
