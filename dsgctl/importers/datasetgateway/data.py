"""Takes over datasets, their versions, where they lie, and the services and tables that name them."""

from dsgctl.core import boundary, datasets, names, services
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.importers.datasetgateway.taking import Taking, of
from dsgctl.importers.rows import Row

_PUBLIC = {"public": True, "closed": False}


def take_datasets(taking: Taking) -> None:
    """Datasets with their ids; versions with theirs where they are free."""
    change = taking.change

    def take(row: Row) -> None:
        name, mode = row.text("name"), row.text("access_mode")
        if mode not in _PUBLIC:
            raise Invalid(f"access_mode {mode!a} is neither closed nor public", "mend it there first")
        known, holder = datasets.by_name(change.database, name), datasets.by_id(change.database, row.id)
        other = next((one for one in (known, holder) if one and (one.id != row.id or one.name != name)), None)
        if other:
            raise Conflict(
                f"dataset {name} has id {row.id} there, but here {other.name} has id {other.id}",
                "import into an empty database, or remove the dataset here first",
            )
        description = row.paragraph("description")
        if known is None:
            datasets.add(change, name, description=description, public=_PUBLIC[mode], kept_id=row.id)
        else:
            here = {"description": known.description, "access": known.access}
            taking.compare(f"dataset {name}", here, {"description": description, "access": mode})
        taking.datasets[row.id] = name
        taking.count("datasets", known is None)

    def take_version(row: Row) -> None:
        dataset, name, public = (
            of(taking.datasets, row.number("dataset_id")),
            row.text("version"),
            row.flag("is_public"),
        )
        known = [one for one in datasets.versions(change.database, dataset) if one["name"] == name]
        if known:
            taking.compare(f"version {name} of {dataset}", known[0], {"public": public})
        else:
            datasets.add_version(change, dataset, name, public=public, kept_id=row.id)
        taking.versions[row.id] = row
        taking.count("versions", not known)

    taking.each("dataset", take)
    taking.each("dataset_version", take_version)


def take_locations(taking: Taking) -> None:
    """A bucket that is linked to versions is a location of each, at its prefix; else one of the whole dataset."""
    of_bucket: dict[int, list[Row]] = {}
    placed: set[int] = set()

    def link(row: Row) -> None:
        version = of(taking.versions, row.number("datasetversion_id"))
        of_bucket.setdefault(row.number("datasetbucket_id"), []).append(version)
        placed.add(version.id)

    def take(row: Row) -> None:
        dataset_id = row.number("dataset_id")
        places: list[tuple[str | None, str]] = [
            (taking.version(version.id, dataset_id), version.text("prefix").strip("/"))
            for version in of_bucket.get(row.id, ())
        ]
        for version, prefix in places or [(None, "")]:
            url, name = f"gs://{row.text('name')}/{prefix}", of(taking.datasets, dataset_id)
            new = datasets.add_location(taking.change, name, url, version=version, any_prefix=True)
            if problem := boundary.find_problem(*names.gs_url(url)):
                taking.remark(f"nobody gets a Google token for {name} at {names.shown(url)}: {problem}")
            taking.count("locations", new)

    taking.each("dataset_version_buckets", link)
    taking.each("dataset_bucket", take)
    for version in taking.versions.values():
        if version.text("prefix") and version.id not in placed:
            name = f"version {version.text('version')} of {taking.datasets[version.number('dataset_id')]}"
            taking.note(f"{name}: prefix {version.text('prefix')} is not kept, since the version has no bucket")


def take_services(taking: Taking) -> None:
    """Services, CAVE's tables, and the public roots in them."""
    change = taking.change

    def take(row: Row) -> None:
        name, there = row.text("name"), {"display_name": row.line("display_name"), "url": row.line("base_url")}
        known = services.by_name(change.database, name)
        if known:
            taking.compare(f"service {name}", {key: getattr(known, key) for key in there}, there)
        service = known or services.add(change, name, **there)[0]
        taking.services[row.id] = service.id
        taking.count("services", known is None)

    def take_table(row: Row) -> None:
        dataset = of(taking.datasets, row.number("dataset_id"))
        new = services.add_table(change, row.text("service_name"), row.text("table_name"), dataset)
        taking.tables[row.id] = row
        taking.count("service tables", new)

    def take_root(row: Row) -> None:
        table = of(taking.tables, row.number("service_table_id"))
        new = services.add_root(change, table.text("service_name"), table.text("table_name"), row.number("root_id"))
        taking.count("public roots", new)

    taking.each("service", take)
    taking.each("service_table", take_table)
    taking.each("public_root", take_root)
