"""Datasets, versions, locations and services of the original's database."""

from dsgctl.core import datasets, versions
from dsgctl.importers import datasetgateway
from dsgctl.importers.engine.report import Report
from dsgctl.store import Database
from dsgctl.store import models as m
from tests.dsgctl.core.builders import Run
from tests.dsgctl.importers.datasetgateway.original import ORIGINAL, query_original


def test_datasets_and_versions_are_taken_over(target: Database) -> None:
    d, v = m.Dataset, m.Version
    datasets = target.tuples(d.select(d.id, d.name, d.description, d.access, d.own_terms_id).order_by(d.id))
    assert list(datasets) == query_original(
        "SELECT id, name, description, access_mode, tos_id FROM dataset ORDER BY id"
    )
    rows = target.tuples(v.select(v.dataset, v.name, v.public).order_by(v.id))
    assert list(rows) == query_original("SELECT dataset_id, version, is_public FROM dataset_version ORDER BY id")


def test_buckets_belong_to_their_version_or_to_the_whole_dataset(target: Database) -> None:
    expected = query_original(
        "SELECT b.dataset_id, v.version, b.name, v.prefix"
        " FROM dataset_bucket b LEFT JOIN dataset_version_buckets l ON l.datasetbucket_id = b.id"
        " LEFT JOIN dataset_version v ON v.id = l.datasetversion_id"
    )
    query = m.Location.select(m.Location.dataset, m.Version.name, m.Location.bucket, m.Location.prefix)
    rows = list(target.tuples(query.join(m.Version, "LEFT OUTER JOIN")))
    assert sorted(rows, key=repr) == sorted(
        (
            (dataset, version, bucket, prefix.rstrip("/") + "/" if prefix else "")
            for dataset, version, bucket, prefix in expected
        ),
        key=repr,
    )


def test_a_prefix_without_a_bucket_is_reported(import_result: tuple[Database, Report]) -> None:
    lost = query_original(
        "SELECT name, version, prefix FROM dataset_version v JOIN dataset d ON d.id = dataset_id"
        " WHERE prefix <> '' AND v.id NOT IN (SELECT datasetversion_id FROM dataset_version_buckets)"
    )
    assert lost
    for dataset, version, prefix in lost:
        assert [
            line for line in import_result[1].skipped if f"version {version} of {dataset}:" in line and prefix in line
        ], (dataset, version)


def test_services_their_tables_and_roots_are_taken_over(target: Database) -> None:
    s, t, r = m.Service, m.ServiceTable, m.PublicRoot
    services = target.tuples(s.select(s.name, s.display_name, s.url))
    assert sorted(services) == sorted(query_original("SELECT name, display_name, base_url FROM service"))
    tables = target.tuples(t.select(t.service, t.name, t.dataset))
    assert sorted(tables) == sorted(query_original("SELECT service_name, table_name, dataset_id FROM service_table"))
    roots = target.tuples(r.select(t.service, t.name, r.root_id).join(t))
    assert sorted(roots) == sorted(
        query_original(
            "SELECT service_name, table_name, root_id FROM public_root JOIN service_table t ON t.id = service_table_id"
        )
    )


def test_versions_keep_their_ids_where_they_are_free(run: Run, target: Database) -> None:
    expected = query_original("SELECT id, version FROM dataset_version ORDER BY id")
    assert list(target.tuples(m.Version.select(m.Version.id, m.Version.name).order_by(m.Version.id))) == expected
    run(datasets.add, "ours", imported_id=900)
    run(versions.add, "ours", "v9")  # it has the id 1
    run(datasetgateway.Importer().run, ORIGINAL)
    assert [row["name"] for row in versions.list_versions(run.database, "fish1")] == ["v1"]
    assert [row["name"] for row in versions.list_versions(run.database, "ours")] == ["v9"]
