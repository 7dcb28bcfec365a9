"""Terms, acceptances and grants of the original's database."""

from pathlib import Path

import pytest

from dsgctl.core import datasets, grants, locations, terms, users, versions
from dsgctl.core.grant_targets import principal_subject
from dsgctl.importers import datasetgateway
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import Run
from tests.dsgctl.importers.datasetgateway.original import ANSWERED, moment, query_original, spoil
from tests.dsgctl.importers.datasetgateway.release_sources import make_source
from tests.level_table import FOREIGN


def test_terms_and_who_accepted_them_are_taken_over(target: Database) -> None:
    t, a = m.Terms, m.Acceptance
    rows = target.tuples(
        t.select(
            t.id, t.name, t.text, t.dataset, m.Version.name, m.Service.name, t.invite_token, t.effective, t.retired
        )
        .join_from(t, m.Version, "LEFT OUTER JOIN")
        .join_from(t, m.Service, "LEFT OUTER JOIN")
        .order_by(t.id)
    )
    expected = query_original(
        "SELECT t.id, t.name, text, t.dataset_id, v.version, s.name, invite_token, effective_date, retired_date"
        " FROM tos_document t LEFT JOIN dataset_version v ON v.id = dataset_version_id"
        " LEFT JOIN service s ON s.id = service_id ORDER BY t.id"
    )
    assert list(rows) == [(*row[:-2], moment(row[-2]), moment(row[-1])) for row in expected]
    accepted = target.tuples(a.select(a.principal, a.terms, a.accepted, a.address, a.recorded_by))
    assert sorted(accepted, key=repr) == sorted(
        (
            (user, document, moment(at), address, f"user:{email}")
            for user, document, at, address, email in query_original(
                "SELECT user_id, tos_document_id, accepted_at, ip_address, email"
                " FROM tos_acceptance JOIN dsg_user u ON u.id = user_id"
            )
        ),
        key=repr,
    )


def test_grants_to_people_are_taken_over(target: Database) -> None:
    g, scope = m.Grant, m.Group.alias()
    rows = target.tuples(
        g.select(
            g.principal, m.Dataset.name, m.Version.name, g.permission, scope.name, g.source, g.granted_by, g.created
        )
        .join_from(g, m.Dataset)
        .join_from(g, m.Version, "LEFT OUTER JOIN")
        .join_from(g, scope, "LEFT OUTER JOIN", on=(g.scope_group == scope.id))
        .join_from(g, m.Principal)
        .where(m.Principal.kind == "user")
    )
    expected = query_original(
        "SELECT g.user_id, d.name, v.version, p.name, s.name, replace(g.source, '_', '-'),"
        " coalesce('user:' || by.email, 'os:test'),"
        ' g.created FROM "grant" g JOIN dataset d ON d.id = g.dataset_id'
        " LEFT JOIN dataset_version v ON v.id = g.dataset_version_id JOIN permission p ON p.id = g.permission_id"
        " LEFT JOIN dsg_group s ON s.id = g.group_id LEFT JOIN dsg_user by ON by.id = g.granted_by_id"
    )
    assert sorted(rows, key=repr) == sorted(((*row[:-1], moment(row[-1])) for row in expected), key=repr)


def test_grants_to_groups_are_taken_over(target: Database) -> None:
    g = m.Grant
    rows = target.tuples(
        g.select(m.Group.name, m.Dataset.name, g.permission, g.source)
        .join_from(g, m.Group, on=(g.group == m.Group.id))
        .join_from(g, m.Dataset)
    )
    expected = query_original(
        "SELECT s.name, d.name, p.name, 'import' FROM group_dataset_permission g"
        " JOIN dsg_group s ON s.id = group_id JOIN dataset d ON d.id = dataset_id"
        " JOIN permission p ON p.id = permission_id"
    )
    assert sorted(rows) == sorted(expected)


def test_other_permissions_pass_through(run: Run, source: Path) -> None:
    spoil(source, f"UPDATE permission SET name = '{FOREIGN}' WHERE name = 'manage'")
    run(datasetgateway.Importer().run, source)
    assert {row["permission"] for row in grants.list_grants(run.database)} == {"view", "edit", FOREIGN, "admin"}


def test_a_duplicate_grant_is_imported_once(run: Run, source: Path) -> None:
    columns = "source, created, dataset_id, dataset_version_id, granted_by_id, user_id, group_id, permission_id"
    spoil(source, f'INSERT INTO "grant" ({columns}) SELECT {columns} FROM "grant" WHERE id = 1')
    report = run(datasetgateway.Importer().run, source)
    assert (report.added["grants"], report.unchanged["grants"]) == (136, 1)


def test_a_grant_of_an_unknown_source_counts_as_imported(run: Run, source: Path) -> None:
    spoil(source, "UPDATE \"grant\" SET source = 'script' WHERE id = 1")
    run(datasetgateway.Importer().run, source)
    first = query_original("SELECT email FROM dsg_user WHERE id = 1")[0][0]
    subject = principal_subject(users.find(run.database, first))
    assert "import" in {row["source"] for row in grants.list_grants(run.database, subject=subject)}


def test_terms_of_a_version_may_leave_out_the_dataset(run: Run, source: Path) -> None:
    spoil(source, "UPDATE tos_document SET dataset_id = NULL, dataset_version_id = 2 WHERE id = 2")
    run(datasetgateway.Importer().run, source)
    row = next(row for row in terms.list_terms(run.database) if row["id"] == 2)
    assert (row["dataset"], row["version"]) == ("fish2", "v1")


@pytest.mark.parametrize(
    ("bucket", "version", "is_imported"),
    [
        ("shared-bucket", None, True),
        ("shared-bucket", "v1", True),
        ("elsewhere", "v1", False),  # the version reaches more here
        ("elsewhere", "v9", True),  # another version does
        ("elsewhere", None, True),  # the whole dataset does, which a grant of the version does not reach
    ],
)
def test_a_grant_for_all_buckets_of_its_version_is_imported_unless_the_version_reaches_more_here(
    run: Run, newest_source: Path, bucket: str, version: str | None, is_imported: bool
) -> None:
    spoil(newest_source, "INSERT INTO grant_buckets (grant_id, datasetbucket_id) VALUES (75, 15), (75, 16)")
    run(datasets.add, "fish11", imported_id=12)
    for name in ("v1", "v9"):
        run(versions.add, "fish11", name, public=name == "v1")
    run(locations.add, "fish11", f"gs://{bucket}/x", version=version)
    report = run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
    refusals = [line for line in report.left_out if line.startswith("grant row 75: the grant reaches 2 buckets alone")]
    assert (not refusals, report.added["grants"]) == (is_imported, 136 if is_imported else 135)


def test_a_grant_for_one_service_is_in_no_answer_that_names_no_single_service(run: Run, tmp_path: Path) -> None:
    make_source(source := tmp_path / "db.sqlite3", 17)
    run(datasetgateway.Importer().run, source)
    snapshot = run.snapshot("First.Last+0@Example.ORG")
    assert build_user_cache(snapshot, ANSWERED)["permissions_v2_ignore_tos"]["fish11"] == ["view"]
    assert [(grant.dataset, grant.permission, grant.service) for grant in snapshot.service_grants] == [
        ("fish11", "edit", "neuprint")
    ]
