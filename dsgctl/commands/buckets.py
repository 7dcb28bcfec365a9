"""``dsgctl bucket``"""

import click

from dsgctl.commands.messages import echo
from dsgctl.commands.options import dry_run_option, subcommand, yes_option
from dsgctl.commands.session import Session
from dsgctl.core import buckets, snapshots


@click.group()
def command() -> None:
    """Buckets, and the Google credential for each. 'dsgctl dataset location' assigns their contents to datasets."""


@subcommand(command, "list", example="dsgctl bucket list")
def list_(session: Session) -> None:
    """List buckets. A bucket without a credential of its own is read with the machine's."""
    session.output.print_rows(
        buckets.list_buckets(session.database), ("name", "datasets", "iam", "credential", "project"), value="name"
    )


@subcommand(
    command,
    "set",
    example="dsgctl bucket set lab-data --credential impersonate:reader@lab-project.iam.gserviceaccount.com\n"
    "dsgctl bucket set lab-data --default\n"
    "dsgctl bucket set lab-data --iam",
)
@click.argument("name")
@click.option(
    "--credential",
    metavar="FILE|impersonate:EMAIL",
    help="A service account's key file on the server, or the account to act as.",
)
@click.option("--project", metavar="ID", help="The project that the bucket belongs to.")
@click.option("--default", is_flag=True, help="Clear what is not named, and use the machine's own credential.")
@click.option(
    "--iam/--no-iam", default=None, help="People read it with their own Google accounts too: see 'dsgctl iam'."
)
def set_(
    session: Session, name: str, *, credential: str | None, project: str | None, default: bool, iam: bool | None
) -> None:
    """Set the credential and the project for a bucket; what is not named stays."""
    with session.change() as change:
        changed = buckets.set_attributes(change, name, credential=credential, project=project, default=default, iam=iam)
    datasets = sorted({location.dataset for location in snapshots.read_bucket(session.database, name)})
    if iam and changed and len(datasets) > 1:
        echo(f"whoever may view one of {', '.join(datasets)} will read all of gs://{name}", err=True)
    session.output.print_result(
        f"changed bucket {name}" if changed else f"bucket {name} is unchanged", name=name, changed=changed
    )


@subcommand(command, "remove", example="dsgctl bucket remove old-data -y")
@click.argument("name")
@yes_option
@dry_run_option
def remove(session: Session, name: str, yes: bool, dry_run: bool) -> None:
    """Delete a bucket's settings, if no dataset has a location in it. Nothing at Google is touched.

    A bucket without settings is deleted with its last location.
    """
    buckets.require_removable(session.database, name)
    if not dry_run:
        session.confirm(f"bucket {name} is deleted, with its settings", yes=yes)
    with session.change(dry_run=dry_run) as change:
        buckets.remove(change, name)
    if not dry_run:
        session.output.print_result(f"removed bucket {name}", name=name, changed=True)
