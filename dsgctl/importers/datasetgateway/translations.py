"""Reads what services call datasets and versions.

Without its translation, a name means the dataset that has it, or what the service calls so whatever the version. So a
translation that has no place here is left out only if its name then means nothing.
"""

from collections.abc import Iterator

from dsgctl.core import datasets, validation
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.translations import ServiceName
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun
from dsgctl.importers.engine.import_run import SkippedParent
from dsgctl.importers.engine.record_importer import Rows, Step
from dsgctl.importers.engine.records import Record, Translation
from dsgctl.importers.engine.row import Damaged, Row

_TABLES = ("dataset_alias", "dataset_translation")  # the older name, and the newer one


def read_translations(run: DatasetGatewayRun) -> Iterator[Step]:
    """Under either name of the table."""
    general = {
        (row.values["service_id"], row.values["client_name"])
        for table in _TABLES
        for row in run.source.rows(table)
        if row.values["client_version"] is None
    }

    def has_other_meaning(row: Row) -> bool:
        name, version = row.text("client_name"), row.text_or_none("client_version")
        if version is not None and (row.values["service_id"], name) in general:
            return True
        return datasets.find_by_name(run.change.database, name) is not None

    def read_translation(row: Row) -> Iterator[Record]:
        try:
            service = run.resolve(row, "service_id", "service", run.services)
            name = ServiceName(service.name, row.name("client_name", "name"), _read_version(row))
            yield Translation(name, run.dataset(row), run.version_name(row, row.number("dataset_id")))
        except Damaged:
            raise
        except (SkippedParent, Conflict, Invalid):
            if has_other_meaning(row):
                name_there = validation.quote(row.text("client_name"))
                raise Damaged(
                    f"its dataset or service is left out, and {name_there} would mean another dataset without it",
                    "rename it there, or correct what is left out",
                ) from None
            raise

    for table in _TABLES:
        yield Rows(table, read_translation)


def _read_version(row: Row) -> str | None:
    return None if row.values["client_version"] is None else row.name("client_version", "version name")
