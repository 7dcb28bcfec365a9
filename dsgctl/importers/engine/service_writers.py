"""Writes records of services, what they call datasets, CAVE's tables, and the public roots in these."""

from collections.abc import Callable, Sequence
from typing import Any

from dsgctl.core import service_tables, services, translations
from dsgctl.importers.engine.import_run import AnyRun
from dsgctl.importers.engine.records import PublicRoot, Service, ServiceTable, Translation


def _write_service(run: AnyRun, service: Service) -> None:
    there = {"display_name": service.display_name, "url": service.url, "mode": service.mode}
    existing = services.find_by_name(run.change.database, service.name)
    if existing:
        run.compare(f"service {service.name}", {key: getattr(existing, key) for key in there}, there)
    else:
        services.add(run.change, service.name, display_name=service.display_name, url=service.url, mode=service.mode)
    run.count("services", existing is None)


def _write_translation(run: AnyRun, translation: Translation) -> None:
    new = translations.add(run.change, translation.name, translation.dataset, version=translation.version)
    run.count("translations", new)


def _write_service_table(run: AnyRun, table: ServiceTable) -> None:
    run.count("service tables", service_tables.add_table(run.change, table.service, table.name, table.dataset))


def _write_roots(run: AnyRun, roots: Sequence[PublicRoot]) -> None:
    by_table: dict[tuple[str, str], set[int]] = {}
    for root in roots:
        by_table.setdefault((root.service, root.table), set()).add(root.root_id)
    for (service, table), numbers in by_table.items():
        new = service_tables.add_roots(run.change, service, table, sorted(numbers))
        run.report.count_many("public roots", new=new, of=len(numbers))


# As of writers.py. Any: each takes the records of its key.
WRITERS: dict[type, Callable[[AnyRun, Any], None]] = {
    Service: _write_service,
    Translation: _write_translation,
    ServiceTable: _write_service_table,
}
BATCH_WRITERS: dict[type, Callable[[AnyRun, Any], None]] = {PublicRoot: _write_roots}
