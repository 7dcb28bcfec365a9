"""Takes over datasets, their versions, their locations, and the services and tables that name them."""

from dsgctl.core import datasets, locations, services, validation, versions
from dsgctl.core.errors import Invalid
from dsgctl.core.rules import boundary
from dsgctl.importers.datasetgateway.check import PUBLIC
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun, no_place, start_run
from dsgctl.importers.engine.row import Row


def import_datasets(taking: DatasetGatewayRun) -> None:
    """Datasets with their ids; versions with theirs where they are free."""
    change = taking.change

    def take(row: Row) -> None:
        name, public, description = (
            row.name("name", "dataset name"),
            row.text("access_mode"),
            row.paragraph("description"),
        )
        known = datasets.by_name(change.database, name)
        if known is None:
            datasets.add(change, name, description=description, public=PUBLIC[public], kept_id=row.id)
        else:
            here = {"description": known.description, "access": known.access}
            taking.compare(f"dataset {name}", here, {"description": description, "access": public})
        taking.datasets[row.id] = name
        taking.count("datasets", known is None)

    def take_version(row: Row) -> None:
        dataset, name = start_run(taking.datasets, row.number("dataset_id")), row.name("version", "version name")
        public = row.flag("is_public")
        known = [one for one in versions.list_versions(change.database, dataset) if one["name"] == name]
        if known:
            taking.compare(f"version {name} of {dataset}", known[0], {"public": public})
        else:
            versions.add(change, dataset, name, public=public, kept_id=row.id)
        taking.versions[row.id] = row
        taking.count("versions", not known)

    taking.each_checked("dataset", take)
    taking.each_checked("dataset_version", take_version)


def import_locations(taking: DatasetGatewayRun) -> None:
    """A bucket that is linked to versions is a location of each, at its prefix; else one of the whole dataset."""
    of_bucket: dict[int, list[Row]] = {}
    placed: set[int] = set()

    def link(row: Row) -> None:
        linked = of_bucket.setdefault(row.number("datasetbucket_id"), [])  # also if the only one was left out
        version = start_run(taking.versions, row.number("datasetversion_id"))
        linked.append(version)
        placed.add(version.id)

    def take(row: Row) -> None:
        dataset_id = row.number("dataset_id")
        places: list[tuple[str | None, str]] = [
            (taking.version(version.id, dataset_id), version.text("prefix").strip("/"))
            for version in of_bucket.get(row.id, ())
        ]
        if row.id not in of_bucket:
            places.append((None, ""))
        _add(taking, start_run(taking.datasets, dataset_id), row.text("name"), places)

    def take_older(row: Row) -> None:
        """As it was before a bucket could be linked to several versions."""
        if bucket := row.text("gcs_bucket"):
            version = start_run(taking.versions, row.id)
            placed.add(row.id)
            place = (version.text("version"), version.text("prefix").strip("/"))
            _add(taking, start_run(taking.datasets, row.number("dataset_id")), bucket, [place])

    taking.each("dataset_version_buckets", link)
    taking.each("dataset_bucket", take)
    for version in taking.versions.values():
        taking.attempt(version, take_older)
        if version.text("prefix") and version.id not in placed:
            name = f"version {version.text('version')} of {taking.datasets[version.number('dataset_id')]}"
            taking.note(f"{name}: prefix {version.text('prefix')} is not kept, since the version has no bucket")


def _add(taking: DatasetGatewayRun, dataset: str, bucket: str, places: list[tuple[str | None, str]]) -> None:
    urls = [(version, f"gs://{bucket}/{prefix}") for version, prefix in places]
    for _, url in urls:
        validation.gs_url(url)
    for version, url in urls:
        if problem := boundary.find_problem(*validation.gs_url(url)):
            taking.remark(f"nobody gets a Google token for {dataset} at {validation.quoted(url)}: {problem}")
        new = locations.add(taking.change, dataset, url, version=version, any_prefix=True)
        taking.count("locations", new)


def import_services(taking: DatasetGatewayRun) -> None:
    """Services, CAVE's tables, and the public roots in them."""
    change = taking.change

    def take(row: Row) -> None:
        name, there = (
            row.name("name", "service name"),
            {"display_name": row.line("display_name"), "url": _url(taking, row)},
        )
        known = services.by_name(change.database, name)
        if known:
            taking.compare(f"service {name}", {key: getattr(known, key) for key in there}, there)
        service = known or services.add(change, name, **there)[0]
        taking.services[row.id] = service.id
        taking.count("services", known is None)

    def take_table(row: Row) -> None:
        dataset = start_run(taking.datasets, row.number("dataset_id"))
        service, table = row.name("service_name", "service name"), row.name("table_name", "table name")
        new = services.add_table(change, service, table, dataset)
        taking.tables[row.id] = row
        taking.count("service tables", new)

    def take_root(row: Row) -> None:
        table = start_run(taking.tables, row.number("service_table_id"))
        new = services.add_root(change, table.text("service_name"), table.text("table_name"), row.number("root_id"))
        taking.count("public roots", new)

    taking.each_checked("service", take)
    taking.each("service_table", take_table)
    taking.each("public_root", take_root)


def _url(taking: DatasetGatewayRun, row: Row) -> str:
    text = row.line("base_url")
    try:
        return validation.url(text)
    except Invalid as error:
        taking.note(f"{row.where}: base_url: {error.message}")
        return ""


def refuse_new_kinds(taking: DatasetGatewayRun) -> None:
    """What newer releases of the original know and this one has no place for."""

    def translation(row: Row) -> None:
        raise no_place(f"it translates the name {validation.quoted(row.text('client_name'))} of a service")

    def client(row: Row) -> None:
        raise no_place(f"{validation.quoted(row.text('origin'))} is a registered client")

    def consent(row: Row) -> None:
        start_run({}, row.number("client_id"))

    taking.each("dataset_alias", translation)
    taking.each("dataset_translation", translation)
    taking.each("core_registeredclient", client)
    taking.each("core_clientconsent", consent)
