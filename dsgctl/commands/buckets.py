"""``dsgctl bucket``"""

import click

from dsgctl.commands.session import Session
from dsgctl.commands.session import command as subcommand
from dsgctl.core import datasets


@click.group()
def command() -> None:
    """Buckets, and the Google credential for each. 'dsgctl dataset location' says what lies in them."""


@subcommand(command, "list", example="dsgctl bucket list")
def list_(session: Session) -> None:
    """List buckets; without a credential of its own, a bucket is asked for with the machine's."""
    session.output.rows(datasets.buckets(session.database), ("name", "datasets", "credential", "project"), value="name")


@subcommand(
    command,
    "set",
    example="dsgctl bucket set lab-data --credential impersonate:reader@lab-project.iam.gserviceaccount.com\n"
    "dsgctl bucket set lab-data --default",
)
@click.argument("name")
@click.option(
    "--credential",
    metavar="FILE|impersonate:EMAIL",
    help="A service account's key file on the server, or whom to act as.",
)
@click.option("--project", metavar="ID", help="The project that the bucket belongs to.")
@click.option("--default", is_flag=True, help="Forget what is not named: the machine's own credential.")
def set_(session: Session, name: str, *, credential: str | None, project: str | None, default: bool) -> None:
    """Say with which credential a bucket is asked for; what is not named stays."""
    with session.change() as change:
        changed = datasets.set_bucket(change, name, credential=credential, project=project, default=default)
    session.output.done(
        f"changed bucket {name}" if changed else f"bucket {name} is so already", name=name, changed=changed
    )
