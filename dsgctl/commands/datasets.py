"""``dsgctl dataset``"""

import shlex
from collections.abc import Iterable

import click

from dsgctl.commands.messages import format_holdings, warn
from dsgctl.commands.options import dry_run_option, subcommand, yes_option
from dsgctl.commands.parameters import DATASET
from dsgctl.commands.session import Session
from dsgctl.core import datasets, locations, versions


def warn_of_missing_terms(session: Session, names: Iterable[str]) -> None:
    """Warn of public datasets without terms, which nobody can open, and say what to do."""
    for name in names:
        if datasets.list_public_without_terms(session.database, name):
            quoted = shlex.quote(name)
            warn(
                f"{name} is public, but has no terms that people could accept to view it: nobody can open it without "
                f"a grant; add terms: dsgctl terms add {shlex.quote(f'{name} terms')} --file FILE "
                f"--dataset {quoted}"
            )


@click.group()
def command() -> None:
    """Datasets, their versions and their locations."""


@subcommand(command, "add", example="dsgctl dataset add fish2 --description 'Zebrafish brain'")
@click.argument("name")
@click.option("--description", default="", help="Shown to people.")
@click.option("--public", is_flag=True, help="Everybody who signs in and accepts its terms may view it.")
def add(session: Session, name: str, description: str, public: bool) -> None:
    """Add a dataset. Without --public it is closed: only grants give access."""
    with session.change() as change:
        dataset, added = datasets.add(change, name, description=description, public=public)
    session.output.print_result(
        f"added dataset {name}, id {dataset.id}" if added else f"dataset {name} already exists, unchanged",
        value="id",
        id=dataset.id,
        name=name,
        changed=added,
    )
    warn_of_missing_terms(session, [name])


@subcommand(command, "list", example="dsgctl dataset list -o json")
def list_(session: Session) -> None:
    """List datasets by name."""
    columns = ("id", "name", "access", "terms", "description")
    session.output.print_rows(datasets.list_datasets(session.database), columns, value="name")


@subcommand(command, "show", example="dsgctl dataset show fish2")
@click.argument("name", type=DATASET)
def show(session: Session, name: str) -> None:
    """Show a dataset, with its versions, locations, grants and terms."""
    session.output.print_record(datasets.show(session.database, name), value="name")


@subcommand(command, "set", example="dsgctl dataset set fish2 --public")
@click.argument("name", type=DATASET)
@click.option("--description", help="Shown to people.")
@click.option("--public/--closed", default=None, help="Whether everybody who accepts its terms may view it.")
def set_(session: Session, name: str, description: str | None, public: bool | None) -> None:
    """Change a dataset. Options that are left out change nothing."""
    with session.change() as change:
        changed = datasets.set_attributes(change, name, description=description, public=public)
    session.output.print_result(
        f"changed dataset {name}" if changed else f"dataset {name} is unchanged", name=name, changed=changed
    )
    if public:
        warn_of_missing_terms(session, [name])


@subcommand(command, "remove", example="dsgctl dataset remove fish2 --dry-run")
@click.argument("name", type=DATASET)
@yes_option
@dry_run_option
def remove(session: Session, name: str, yes: bool, dry_run: bool) -> None:
    """Delete a dataset, with its versions, locations, grants and terms. Objects in buckets are not changed."""
    holdings = datasets.list_holdings(session.database, datasets.find(session.database, name))
    if not dry_run:
        session.confirm(f"dataset {name} will be deleted, with {format_holdings(holdings)}", yes=yes)
    with session.change(dry_run=dry_run) as change:
        holdings = datasets.remove(change, name)
    if not dry_run:
        session.output.print_result(
            f"removed dataset {name}, with {format_holdings(holdings)}", name=name, changed=True, **holdings
        )


@command.group()
def version() -> None:
    """Versions of a dataset."""


@subcommand(version, "add", example="dsgctl dataset version add fish2 v1.2 --public")
@click.argument("dataset", type=DATASET)
@click.argument("version")
@click.option("--public/--closed", default=False, help="Whether the version is public.")
def version_add(session: Session, dataset: str, version: str, public: bool) -> None:
    """Add a version to a dataset, or change whether it is public."""
    with session.change() as change:
        changed = versions.add(change, dataset, version, public=public)
        closed = datasets.find(change.database, dataset).access != "public"
    session.output.print_result(
        f"added version {version} to dataset {dataset}"
        if changed
        else f"dataset {dataset} already has version {version}",
        dataset=dataset,
        version=version,
        changed=changed,
    )
    if public and closed:
        warn(
            f"services see {version} as public, but {dataset} is closed: nobody reads its bucket without a grant; "
            f"make the dataset public too: dsgctl dataset set {shlex.quote(dataset)} --public"
        )
    elif public:
        warn_of_missing_terms(session, [dataset])


@subcommand(version, "list", example="dsgctl dataset version list fish2")
@click.argument("dataset", type=DATASET)
def version_list(session: Session, dataset: str) -> None:
    """List the versions of a dataset."""
    session.output.print_rows(versions.list_versions(session.database, dataset), ("id", "name", "public"), value="name")


@subcommand(version, "remove", example="dsgctl dataset version remove fish2 v1.2 --dry-run")
@click.argument("dataset", type=DATASET)
@click.argument("version")
@yes_option
@dry_run_option
def version_remove(session: Session, dataset: str, version: str, yes: bool, dry_run: bool) -> None:
    """Delete a version, with its grants, locations and terms."""
    row = versions.find(session.database, datasets.find(session.database, dataset), version)
    holdings = versions.list_holdings(session.database, row)
    if not dry_run:
        session.confirm(f"version {version} of {dataset} will be deleted, with {format_holdings(holdings)}", yes=yes)
    with session.change(dry_run=dry_run) as change:
        holdings = versions.remove(change, dataset, version)
    if not dry_run:
        session.output.print_result(
            f"removed version {version} of {dataset}, with {format_holdings(holdings)}",
            dataset=dataset,
            version=version,
            changed=True,
            **holdings,
        )


@command.group()
def location() -> None:
    """Where a dataset is stored in Google Cloud Storage."""


@subcommand(location, "add", example="dsgctl dataset location add fish2 gs://lab-data/fish2/ --version v1.2")
@click.argument("dataset", type=DATASET)
@click.argument("url", metavar="gs://BUCKET[/PREFIX]")
@click.option("--version", metavar="VERSION", help="Only of this version.")
def location_add(session: Session, dataset: str, url: str, version: str | None) -> None:
    """Add a location to a dataset, or to one version of it."""
    with session.change() as change:
        changed = locations.add(change, dataset, url, version=version)
    session.output.print_result(
        f"added location {url} to dataset {dataset}" if changed else f"dataset {dataset} already has location {url}",
        dataset=dataset,
        location=url,
        version=version,
        changed=changed,
    )


@subcommand(location, "list", example="dsgctl dataset location list fish2")
@click.argument("dataset", type=DATASET)
def location_list(session: Session, dataset: str) -> None:
    """List the locations of a dataset and of its versions."""
    rows = locations.list_locations(session.database, dataset)
    session.output.print_rows(rows, ("id", "location", "version"), value="location")


@subcommand(location, "remove", example="dsgctl dataset location remove fish2 gs://lab-data/fish2/ --dry-run")
@click.argument("dataset", type=DATASET)
@click.argument("url", metavar="gs://BUCKET[/PREFIX]")
@click.option("--version", metavar="VERSION", help="Only of this version.")
@yes_option
@dry_run_option
def location_remove(session: Session, dataset: str, url: str, version: str | None, *, yes: bool, dry_run: bool) -> None:
    """Remove a location: nobody gets tokens for it. Nothing in the bucket is changed."""
    locations.require(session.database, dataset, url, version=version)
    if not dry_run:
        session.confirm(
            f"{f'version {version} of ' if version else ''}{dataset} will no longer be read at {url}", yes=yes
        )
    with session.change(dry_run=dry_run) as change:
        locations.remove(change, dataset, url, version=version)
    if not dry_run:
        session.output.print_result(
            f"removed location {url} from dataset {dataset}", dataset=dataset, location=url, changed=True
        )
