"""Reads datasets, CAVE's service tables, and the public roots in them."""

from collections import Counter
from collections.abc import Iterator

from dsgctl.core import datasets, service_tables, validation
from dsgctl.importers.engine.record_importer import Rows, Step
from dsgctl.importers.engine.records import Dataset, OwnTerms, PublicRoot, Record, ServiceTable
from dsgctl.importers.engine.row import Row
from dsgctl.importers.engine.writers import refuse_other_dataset
from dsgctl.importers.middle_auth.import_run import MiddleAuthRun


def read_datasets(run: MiddleAuthRun) -> Iterator[Step]:
    """Keeps ids and names exactly, because services ask by them, and records which terms are a dataset's own."""

    def read_dataset(row: Row) -> Iterator[Record]:
        name, own_terms = row.name("name", "dataset name"), row.number_or_none("tos_id")
        is_new = datasets.find_by_name(run.change.database, name) is None
        refuse_other_dataset(run, name, row.id)
        if own_terms is not None:
            run.resolve(row, "tos_id", "tos", run.terms)
        yield Dataset(name, row.id)
        run.datasets[row.id] = name
        if own_terms is not None or not is_new:
            yield OwnTerms(name, own_terms, is_new)

    yield Rows("dataset", read_dataset)


def read_service_tables(run: MiddleAuthRun) -> Iterator[Step]:
    def read_table(row: Row) -> Iterator[Record]:
        service, table = row.name("service_name", "service name"), row.name("table_name", "table name")
        yield ServiceTable(service, table, run.dataset(row))
        run.tables.setdefault(table, []).append(service)

    yield Rows("service_table", read_table)


def read_public_roots(run: MiddleAuthRun) -> Iterator[Step]:
    """In middle_auth a public root belongs to a table without a service; here, to that table in each service."""
    unknown: Counter[str] = Counter()  # tables that no service has -> public roots in them

    def read_root(row: Row) -> Iterator[Record]:
        table, root_id = row.text("table_id"), service_tables.parse_root_id(row.number("root_id"))
        if not row.flag("public"):  # the same as no row
            return
        if table not in run.tables:
            unknown[table] += 1
            return
        for service in run.tables[table]:
            yield PublicRoot(service, table, root_id)

    yield Rows("cell_temp", read_root)
    for table, count in unknown.items():
        roots = "public root" if count == 1 else "public roots"
        run.leave_out(f"cell_temp: {count} {roots} of {validation.quote(table)}, which no row of service_table names")
