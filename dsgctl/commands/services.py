"""``dsgctl service``"""

import click

from dsgctl.commands.messages import format_holdings
from dsgctl.commands.options import dry_run_option, subcommand, yes_option
from dsgctl.commands.parameters import DATASET, Number
from dsgctl.commands.session import Session
from dsgctl.core import access_decisions, access_explanation, service_tables, services, table_lookups, translations
from dsgctl.core.clock import now
from dsgctl.core.rules import levels
from dsgctl.core.translations import ServiceName
from dsgctl.wording import format_count

ROOT = Number(least=0)


@click.group()
def command() -> None:
    """Services that use the gateway, their names of datasets, CAVE's tables, and public roots."""


@subcommand(command, "add", example="dsgctl service add clio --display-name Clio --url https://clio.example.org")
@click.argument("name")
@click.option("--display-name", default="", help="The name that people see.")
@click.option("--url", default="", help="The address of the service.")
def add(session: Session, name: str, display_name: str, url: str) -> None:
    """Add a service, so that it can have terms. Its name is the one in ?service=."""
    with session.change() as change:
        service, added = services.add(change, name, display_name=display_name, url=url)
    session.output.print_result(
        f"added service {name}" if added else f"service {name} already exists, unchanged",
        value="id",
        id=service.id,
        name=name,
        changed=added,
    )


@subcommand(command, "list", example="dsgctl service list")
def list_(session: Session) -> None:
    """List services."""
    columns = ("id", "name", "display_name", "url", "mode")
    session.output.print_rows(services.list_services(session.database), columns, value="name")


@subcommand(command, "show", example="dsgctl service show neuprint")
@click.argument("name")
def show(session: Session, name: str) -> None:
    """Show a service, with its terms, the grants for it alone, and its names of datasets."""
    session.output.print_record(services.show(session.database, name), value="name")


@subcommand(command, "set", example="dsgctl service set dvid --mode dag")
@click.argument("name")
@click.option(
    "--mode",
    required=True,
    type=click.Choice(services.MODES),
    help="dag: the service compares versions of several branches itself.",
)
def set_(session: Session, name: str, mode: services.Mode) -> None:
    """Say how a service compares versions."""
    with session.change() as change:
        changed = services.set_mode(change, name, mode)
    session.output.print_result(
        f"changed service {name}" if changed else f"service {name} is unchanged", name=name, changed=changed
    )


@subcommand(command, "remove", example="dsgctl service remove clio --dry-run")
@click.argument("name")
@yes_option
@dry_run_option
def remove(session: Session, name: str, yes: bool, dry_run: bool) -> None:
    """Delete a service, with its terms, the grants for it alone, and its names of datasets."""
    holdings = services.list_holdings(session.database, services.find(session.database, name))
    if not dry_run:
        session.confirm(f"service {name} will be deleted, with {format_holdings(holdings)}", yes=yes)
    with session.change(dry_run=dry_run) as change:
        holdings = services.remove(change, name)
    if not dry_run:
        session.output.print_result(
            f"removed service {name}, with {format_holdings(holdings)}",
            name=name,
            terms=holdings["terms"],
            changed=True,
            grants=holdings["grants"],
            translations=holdings["translations"],
        )


@command.group()
def translation() -> None:
    """What a service calls datasets and versions."""


@subcommand(
    translation,
    "add",
    example="dsgctl service translation add neuprint hemibrain fish2\n"
    "dsgctl service translation add neuprint 'fish brain' fish2 --name-version v1 --version v1.2",
)
@click.argument("service")
@click.argument("client_name", metavar="NAME")
@click.argument("dataset", type=DATASET)
@click.option("--name-version", metavar="TEXT", help="Only for what the service calls this version.")
@click.option("--version", metavar="VERSION", help="The name stands for this version of the dataset.")
def translation_add(
    session: Session, service: str, client_name: str, dataset: str, *, name_version: str | None, version: str | None
) -> None:
    """Say which dataset, or which version of it, a name of a service stands for. The name is compared exactly."""
    name = ServiceName(service, client_name, name_version)
    with session.change() as change:
        changed = translations.add(change, name, dataset, version=version)
    meaning = f"version {version} of {dataset}" if version is not None else dataset
    session.output.print_result(
        f"{name} stands for {meaning}{'' if changed else ' already'}",
        service=service,
        name=client_name,
        name_version=name_version,
        dataset=dataset,
        version=version,
        changed=changed,
    )


@subcommand(translation, "list", example="dsgctl service translation list --service neuprint")
@click.option("--service", metavar="NAME", help="Only names of this service.")
@click.option("--dataset", type=DATASET, metavar="NAME", help="Only names of this dataset.")
def translation_list(session: Session, service: str | None, dataset: str | None) -> None:
    """List the names of services."""
    rows = translations.list_translations(session.database, service=service, dataset=dataset)
    columns = ("id", "service", "name", "name_version", "dataset", "version")
    session.output.print_rows(rows, columns, value="name")


@subcommand(translation, "remove", example="dsgctl service translation remove neuprint hemibrain")
@click.argument("service")
@click.argument("client_name", metavar="NAME")
@click.option("--name-version", metavar="TEXT", help="The name of what the service calls this version.")
def translation_remove(session: Session, service: str, client_name: str, name_version: str | None) -> None:
    """Remove a name: it stands for the dataset of exactly this name again, if there is one."""
    name = ServiceName(service, client_name, name_version)
    with session.change() as change:
        translations.remove(change, name)
    session.output.print_result(
        f"removed the translation of {name}",
        service=service,
        name=client_name,
        name_version=name_version,
        changed=True,
    )


@command.group()
def table() -> None:
    """CAVE's tables, and the dataset of each."""


@subcommand(table, "add", example="dsgctl service table add datastack fish2_v1 fish2")
@click.argument("service")
@click.argument("table")
@click.argument("dataset", type=DATASET)
def table_add(session: Session, service: str, table: str, dataset: str) -> None:
    """Assign a table of a service to a dataset."""
    with session.change() as change:
        changed = service_tables.add_table(change, service, table, dataset)
    session.output.print_result(
        f"added table {service}/{table} of dataset {dataset}"
        if changed
        else f"table {service}/{table} already belongs to dataset {dataset}",
        service=service,
        table=table,
        dataset=dataset,
        changed=changed,
    )


@subcommand(table, "list", example="dsgctl service table list --service datastack")
@click.option("--service", metavar="NAME", help="Only tables of this service.")
def table_list(session: Session, service: str | None) -> None:
    """List tables and their datasets."""
    rows = service_tables.list_tables(session.database, service)
    session.output.print_rows(rows, ("id", "service", "table", "dataset"), value="table")


@subcommand(table, "remove", example="dsgctl service table remove datastack fish2_v1 --dry-run")
@click.argument("service")
@click.argument("table")
@yes_option
@dry_run_option
def table_remove(session: Session, service: str, table: str, yes: bool, dry_run: bool) -> None:
    """Delete a table, with its public roots."""
    service_tables.find_table(session.database, service, table)
    if not dry_run:
        session.confirm(f"table {service}/{table} will be deleted, with its public roots", yes=yes)
    with session.change(dry_run=dry_run) as change:
        roots = service_tables.remove_table(change, service, table)
    if not dry_run:
        session.output.print_result(
            f"removed table {service}/{table}, with {format_count(roots, 'public root')}",
            service=service,
            table=table,
            public_roots=roots,
            changed=True,
        )


@subcommand(table, "check", example="dsgctl service table check datastack fish2_v1 ada@example.org")
@click.argument("service")
@click.argument("table")
@click.argument("who", metavar="EMAIL|NAME")
def table_check(session: Session, service: str, table: str, who: str) -> int:
    """Check whether a service lets somebody see a table: exit code 0 if so, 5 if not."""
    service_tables.find_table(session.database, service, table)
    dataset = table_lookups.find_dataset(session.database, service, table) or ""
    result = access_decisions.check(session.database, who, dataset, levels.VIEW, now(), service=service)
    decision = result.decision
    reason = access_explanation.format_reason(result.principal, decision.reason)
    session.output.print_result(
        f"yes: {table} of {service} is of dataset {dataset}"
        if decision.allowed
        else f"no: {table} of {service} is of dataset {dataset}: {reason}",
        value="allowed",
        allowed=decision.allowed,
        service=service,
        table=table,
        dataset=dataset,
        reason=str(decision.reason),
    )
    return 0 if decision.allowed else 5


@command.group()
def root() -> None:
    """Roots of a table that everybody may see."""


@subcommand(root, "add", example="dsgctl service root add datastack fish2_v1 720575940623636701")
@click.argument("service")
@click.argument("table")
@click.argument("root_id", metavar="ROOT", type=ROOT)
def root_add(session: Session, service: str, table: str, root_id: int) -> None:
    """Make a root public."""
    with session.change() as change:
        changed = service_tables.add_root(change, service, table, root_id)
    session.output.print_result(
        f"made root {root_id} of {service}/{table} public"
        if changed
        else f"root {root_id} of {service}/{table} is already public",
        service=service,
        table=table,
        root_id=root_id,
        changed=changed,
    )


@subcommand(root, "list", example="dsgctl service root list datastack fish2_v1")
@click.argument("service")
@click.argument("table")
def root_list(session: Session, service: str, table: str) -> None:
    """List the public roots of a table."""
    session.output.print_rows(
        service_tables.list_roots(session.database, service, table), ("root_id",), value="root_id"
    )


@subcommand(root, "remove", example="dsgctl service root remove datastack fish2_v1 720575940623636701")
@click.argument("service")
@click.argument("table")
@click.argument("root_id", metavar="ROOT", type=ROOT)
def root_remove(session: Session, service: str, table: str, root_id: int) -> None:
    """Make a root private again."""
    with session.change() as change:
        service_tables.remove_root(change, service, table, root_id)
    session.output.print_result(
        f"removed root {root_id} of {service}/{table} from the public roots",
        service=service,
        table=table,
        root_id=root_id,
        changed=True,
    )
