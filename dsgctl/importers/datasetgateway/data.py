"""Reads datasets, their versions, their locations, and the services and tables that name them."""

from collections.abc import Iterator

from dsgctl.core import service_tables, services, validation
from dsgctl.core.rules import boundary
from dsgctl.importers.datasetgateway.check import PUBLIC, read_mode, read_position
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun, require_version_of
from dsgctl.importers.engine.record_importer import Rows, Step
from dsgctl.importers.engine.records import Dataset, Location, PublicRoot, Record, Service, ServiceTable, Version
from dsgctl.importers.engine.row import Row


def read_datasets(run: DatasetGatewayRun) -> Iterator[Step]:
    """Datasets with their ids; versions with theirs where they are free."""

    def read_dataset(row: Row) -> Iterator[Record]:
        name, public = row.name("name", "dataset name"), PUBLIC[row.text("access_mode")]
        yield Dataset(name, row.id, row.paragraph("description"), public, compared=("description", "access"))
        run.datasets[row.id] = name

    def read_version(row: Row) -> Iterator[Record]:
        name, position = row.name("version", "version name"), read_position(row)
        yield Version(run.dataset(row), name, row.flag("is_public"), row.id, position)
        run.versions[row.id] = row

    yield Rows("dataset", read_dataset, checked=True)
    yield Rows("dataset_version", read_version, checked=True)


def read_locations(run: DatasetGatewayRun) -> Iterator[Step]:
    """A bucket that is linked to versions is a location of each, at its prefix; else one of the whole dataset."""
    versions_of: dict[int, list[Row]] = {}  # id of a bucket -> the versions that it is linked to
    placed: set[int] = set()  # versions with a location

    def read_link(row: Row) -> None:
        linked = versions_of.setdefault(row.number("datasetbucket_id"), [])  # also if its only version was left out
        version = run.version(row, "datasetversion_id")
        linked.append(version)
        placed.add(version.id)

    def read_bucket(row: Row) -> Iterator[Record]:
        run.buckets[row.id] = row.text("name")
        places: list[tuple[str | None, str]] = []
        for version in versions_of.get(row.id, ()):
            require_version_of(version, row.number("dataset_id"))
            places.append((version.text("version"), version.text("prefix").strip("/")))
        if row.id not in versions_of:
            places.append((None, ""))
        yield from _read_places(run, run.dataset(row), row.text("name"), places)

    def read_older(row: Row) -> Iterator[Record]:
        """Of a release in which a bucket belonged to one version."""
        if bucket := row.text("gcs_bucket"):
            placed.add(row.id)
            place = (row.text("version"), row.text("prefix").strip("/"))
            yield from _read_places(run, run.dataset(row), bucket, [place])

    yield Rows("dataset_version_buckets", read_link)
    yield Rows("dataset_bucket", read_bucket)
    yield Rows(run.versions.values(), read_older)
    for version in run.versions.values():
        if version.text("prefix") and version.id not in placed:
            name = f"version {version.text('version')} of {run.dataset(version)}"
            run.note(f"{name}: prefix {version.text('prefix')} is not kept, since the version has no bucket")


def _read_places(
    run: DatasetGatewayRun, dataset: str, bucket: str, places: list[tuple[str | None, str]]
) -> Iterator[Record]:
    """
    Args:
        places: version, or None for the whole dataset, and prefix.
    """
    urls = [(version, f"gs://{bucket}/{prefix}") for version, prefix in places]
    for _, url in urls:
        validation.gs_url(url)  # all of them, before the first is written
    for version, url in urls:
        if problem := boundary.find_problem(*validation.gs_url(url)):
            run.remark(f"nobody gets a Google token for {dataset} at {validation.quote(url)}: {problem}")
        yield Location(dataset, url, version)


def read_services(run: DatasetGatewayRun) -> Iterator[Step]:
    """Services, CAVE's tables, and the public roots in them."""

    def read_service(row: Row) -> Iterator[Record]:
        name = row.name("name", "service name")
        yield Service(name, row.line("display_name"), run.read_url(row, "base_url"), read_mode(row))
        run.services[row.id] = services.find(run.change.database, name)

    def read_table(row: Row) -> Iterator[Record]:
        service, name = row.name("service_name", "service name"), row.name("table_name", "table name")
        yield ServiceTable(service, name, run.dataset(row))
        run.tables[row.id] = row

    def read_root(row: Row) -> Iterator[Record]:
        table = run.resolve(row, "service_table_id", "service_table", run.tables)
        root_id = service_tables.parse_root_id(row.number("root_id"))
        yield PublicRoot(table.text("service_name"), table.text("table_name"), root_id)

    yield Rows("service", read_service, checked=True)
    yield Rows("service_table", read_table)
    yield Rows("public_root", read_root)
