"""``dsgctl dataset``"""

import shlex
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

from dsgctl.commands.imports_on_use import imports_on_use
from dsgctl.commands.messages import format_holdings, warn
from dsgctl.commands.options import dry_run_option, subcommand, yes_option
from dsgctl.commands.parameters import DATASET, Number
from dsgctl.commands.session import Session
from dsgctl.core import dataset_list
from dsgctl.core.errors import Invalid
from dsgctl.store import Database

if TYPE_CHECKING:
    from dsgctl.core.versions import Position

with imports_on_use():  # `dsgctl dataset list` needs none of them
    from dsgctl.core import datasets, locations, versions


def warn_of_missing_terms(session: Session, names: Iterable[str]) -> None:
    """Warn of public datasets without terms, which nobody can open, and say what to do."""
    for name in names:
        if datasets.list_public_without_terms(session.database, name):
            quoted = shlex.quote(name)
            warn(
                f"{name} is public, but has no terms that people could accept to view it: nobody can open it without "
                "a grant, except through the native API and the gate, which open it to everybody; "
                f"add terms: dsgctl terms add {shlex.quote(f'{name} terms')} --file FILE --dataset {quoted}"
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
    session.output.print_rows(dataset_list.list_datasets(session.database), columns, value="name")


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


def _position_options(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--no-ordinal", is_flag=True, help="Outside the order of its branch."),
        click.option("--ordinal", metavar="NUMBER", type=Number(least=0), help="Its place on the branch."),
        click.option("--branch", metavar="NAME", help="The branch of the history that it is on; main by default."),
    ):
        function = option(function)
    return function


def _build_position(
    database: Database, dataset: str, version: str, *, branch: str | None, ordinal: int | None, no_ordinal: bool
) -> "Position":
    """The position of a version with what the options change.

    Raises:
        Invalid: the options contradict each other.
        NotFound: there is no such dataset.
    """
    if no_ordinal and ordinal is not None:
        raise Invalid("a version has an ordinal or none", "use only one of --ordinal and --no-ordinal")
    position = versions.find_position(database, dataset, version)
    return versions.Position(
        position.branch if branch is None else branch,
        None if no_ordinal else position.ordinal if ordinal is None else ordinal,
    )


@subcommand(
    version,
    "add",
    example="dsgctl dataset version add fish2 v1.2 --public\n"
    "dsgctl dataset version add fish2 v1.3 --branch main --ordinal 3",
)
@click.argument("dataset", type=DATASET)
@click.argument("version")
@click.option("--public/--closed", default=False, help="Whether the version is public.")
@_position_options
def version_add(session: Session, dataset: str, version: str, *, public: bool, **position: Any) -> None:
    """Add a version to a dataset, or change whether it is public, and its place in the history."""
    with session.change() as change:
        place = _build_position(change.database, dataset, version, **position)
        changed = versions.add(change, dataset, version, public=public, position=place)
    session.output.print_result(
        f"added version {version} to dataset {dataset}"
        if changed
        else f"dataset {dataset} already has version {version}",
        dataset=dataset,
        version=version,
        changed=changed,
    )
    if public:
        _warn_of_public_version(session, dataset, version)


def _warn_of_public_version(session: Session, dataset: str, version: str) -> None:
    """Warn if nobody can read a public version for want of something else."""
    stored = datasets.find_by_name(session.database, dataset)
    if stored is None:  # deleted since, which is no fault of the change that is reported here
        return
    if stored.access == "public":
        warn_of_missing_terms(session, [dataset])
        return
    warn(
        f"services see {version} as public, but {dataset} is closed: nobody reads its bucket without a grant; "
        f"make the dataset public too: dsgctl dataset set {shlex.quote(dataset)} --public"
    )


@subcommand(version, "set", example="dsgctl dataset version set fish2 v1.2 --branch main --ordinal 2")
@click.argument("dataset", type=DATASET)
@click.argument("version")
@click.option("--public/--closed", default=None, help="Whether the version is public.")
@_position_options
def version_set(session: Session, dataset: str, version: str, *, public: bool | None, **position: Any) -> None:
    """Change a version. Options that are left out change nothing."""
    with session.change() as change:
        place = _build_position(change.database, dataset, version, **position)
        changed = versions.set_attributes(change, dataset, version, public=public, position=place)
    session.output.print_result(
        f"changed version {version} of {dataset}" if changed else f"version {version} of {dataset} is unchanged",
        dataset=dataset,
        version=version,
        changed=changed,
    )
    if public:
        _warn_of_public_version(session, dataset, version)


@subcommand(version, "list", example="dsgctl dataset version list fish2")
@click.argument("dataset", type=DATASET)
def version_list(session: Session, dataset: str) -> None:
    """List the versions of a dataset."""
    columns = ("id", "name", "public", "branch", "ordinal")
    rows = versions.list_versions(session.database, dataset)
    session.output.print_rows(rows, columns, value="name")


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
