"""Takes over datasets, CAVE's service tables, and the public roots in them."""

from collections import Counter

from dsgctl.core import datasets, services, terms, validation
from dsgctl.core.errors import Conflict
from dsgctl.importers.engine.row import Row
from dsgctl.importers.middle_auth.import_run import MiddleAuthRun


def import_datasets(taking: MiddleAuthRun) -> None:
    """With their ids and names, of whatever form: services ask by them. And which terms are their own."""
    change = taking.change

    def take(row: Row) -> None:
        name = row.name("name", "dataset name")
        known, holder = datasets.by_name(change.database, name), datasets.by_id(change.database, row.id)
        other = next((one for one in (known, holder) if one and (one.id != row.id or one.name != name)), None)
        if other:
            raise Conflict(
                f"dataset {name} has id {row.id} there, but here {other.name} has id {other.id}",
                "import into an empty database, or remove the dataset here first",
            )
        own = row.number_or_none("tos_id")
        if own is not None:
            taking.named(row, "tos_id", "tos", taking.terms)
        dataset, new = (known, False) if known else datasets.add(change, name, kept_id=row.id)
        taking.datasets[row.id] = name
        taking.count("datasets", new)
        if not new:
            taking.compare(f"dataset {name}", {"own_terms": dataset.own_terms_id}, {"own_terms": own})
        elif own is not None:
            terms.import_own_terms(change, dataset, own)

    taking.each("dataset", take)


def import_service_tables(taking: MiddleAuthRun) -> None:
    def take(row: Row) -> None:
        service, table = row.name("service_name", "service name"), row.name("table_name", "table name")
        new = services.add_table(taking.change, service, table, taking.dataset(row))
        taking.tables.setdefault(table, []).append(service)
        taking.count("service tables", new)

    taking.each("service_table", take)


def import_public_roots(taking: MiddleAuthRun) -> None:
    """A root there is of a table alone, whatever the service: here it is of that table in each."""
    nowhere: Counter[str] = Counter()  # tables that no service has -> public roots in them

    def public(row: Row) -> tuple[str, int] | None:
        """Its table and its number; None if there is nothing to keep: a row that is not public is as good as none."""
        table, root = row.text("table_id"), services.parse_root_id(row.number("root_id"))
        if not row.flag("public"):
            return None
        if table not in taking.tables:
            nowhere[table] += 1
            return None
        return table, root

    def open_all(batch: list[tuple[str, int] | None]) -> None:
        roots: dict[str, list[int]] = {}
        for table, root in filter(None, batch):
            roots.setdefault(table, []).append(root)
        for table, numbers in roots.items():
            for service in taking.tables[table]:
                new = services.add_roots(taking.change, service, table, numbers)
                taking.report.counts("public roots", new=new, of=len(set(numbers)))

    taking.batches("cell_temp", public, open_all)
    for table, count in nowhere.items():
        roots = "public root" if count == 1 else "public roots"
        where = f"cell_temp: {count} {roots} of {validation.quoted(table)}"
        taking.leave_out(f"{where}, which no row of service_table names")
