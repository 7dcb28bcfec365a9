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
    """List buckets. A bucket without a credential is read with the default credential of the host."""
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
    help="A key file on the server, or the Google service account to impersonate.",
)
@click.option("--project", metavar="ID", help="The Google Cloud project of the bucket.")
@click.option("--default", is_flag=True, help="Clear the credential and the project, unless they are set here too.")
@click.option(
    "--iam/--no-iam", default=None, help="Whether people also read it with their own Google accounts: see 'dsgctl iam'."
)
def set_(
    session: Session, name: str, *, credential: str | None, project: str | None, default: bool, iam: bool | None
) -> None:
    """Set the credential and the project of a bucket. Options that are left out change nothing."""
    with session.change() as change:
        changed = buckets.set_attributes(change, name, credential=credential, project=project, default=default, iam=iam)
    datasets = sorted({location.dataset for location in snapshots.read_bucket(session.database, name)})
    if iam and changed and len(datasets) > 1:
        readers = f"everybody who may view one of {', '.join(datasets)}"
        echo(f"{readers} can read all of gs://{name} after the next sync", err=True)
    session.output.print_result(
        f"changed bucket {name}" if changed else f"bucket {name} is unchanged", name=name, changed=changed
    )


@subcommand(command, "remove", example="dsgctl bucket remove old-data -y")
@click.argument("name")
@yes_option
@dry_run_option
def remove(session: Session, name: str, yes: bool, dry_run: bool) -> None:
    """Delete the settings of a bucket in which no dataset has a location. Nothing at Google is changed.

    A bucket without settings is deleted with its last location.
    """
    buckets.require_removable(session.database, name)
    if not dry_run:
        session.confirm(f"bucket {name} will be deleted, with its settings", yes=yes)
    with session.change(dry_run=dry_run) as change:
        buckets.remove(change, name)
    if not dry_run:
        session.output.print_result(f"removed bucket {name}", name=name, changed=True)
