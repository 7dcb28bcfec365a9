"""What services call datasets: a name that is left out never means another dataset instead."""

from pathlib import Path

import pytest

from dsgctl.core import datasets, services, translations
from dsgctl.core.errors import Invalid
from dsgctl.core.translations import ServiceName
from dsgctl.importers import datasetgateway
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.importers.datasetgateway.original import spoil

INSERT = (
    "INSERT INTO dataset_translation"
    " (id, client_name, client_version, dataset_id, dataset_version_id, service_id) VALUES "
)
LOST = "UPDATE dataset SET name = 'a' || char(27) WHERE id = 12"  # fish11, which cannot be stored here
# Translations whose dataset, version or service is left out, and whether the name would mean another dataset.
DEPENDENT: dict[str, tuple[tuple[str, ...], bool]] = {
    "to a dataset, of a name that means nothing": ((INSERT + "(1, 'nothing', NULL, 12, NULL, 1)", LOST), False),
    "to a dataset, of another's name": ((INSERT + "(1, 'fish2', NULL, 12, NULL, 1)", LOST), True),
    "to a dataset, of a name and version that mean nothing": ((INSERT + "(1, 'n', '3', 12, NULL, 1)", LOST), False),
    "of a version, when the name has a meaning without it": (
        (INSERT + "(1, 'n', '3', 12, NULL, 1), (2, 'n', NULL, 3, NULL, 1)", LOST),
        True,
    ),
    "of a version, when the name has a meaning for another service": (
        (INSERT + "(1, 'n', '3', 12, NULL, 1), (2, 'n', NULL, 3, NULL, 2)", LOST),
        False,
    ),
    "of a service, of a dataset's name": (
        (INSERT + "(1, 'fish2', NULL, 12, NULL, 3)", "UPDATE service SET version_eval_mode = 'tree' WHERE id = 3"),
        True,
    ),
    "to a version, of another dataset's name": (
        (
            INSERT + "(1, 'fish2', NULL, 2, 1, 1)",
            "UPDATE dataset_version SET version = char(9) WHERE id = 1",
        ),
        True,
    ),
}


@pytest.mark.parametrize(("sql", "means_another"), DEPENDENT.values(), ids=DEPENDENT)
def test_a_translation_is_left_out_with_what_it_leads_to_unless_its_name_would_mean_another_dataset(
    run: Run, newest_source: Path, sql: tuple[str, ...], means_another: bool
) -> None:
    spoil(newest_source, *sql)
    before = run.content()
    if means_another:
        with refused(Invalid, "dataset_translation row 1: ", "would mean another dataset without it"):
            run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
        assert run.content() == before
        return
    report = run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
    assert "dataset_translation: 1 row belongs to what was left out" in report.left_out
    assert not [row for row in translations.list_translations(run.database) if row["dataset"] == "fish11"]


def test_a_name_that_means_something_else_here_stays_and_is_reported(run: Run, newest_source: Path) -> None:
    spoil(newest_source, INSERT + "(1, 'hemibrain', NULL, 3, NULL, 1)")
    run(datasets.add, "ours", imported_id=900)
    run(services.add, "celltyping", display_name="Celltyping", url="https://celltyping.example.org")
    run(translations.add, ServiceName("celltyping", "hemibrain"), "ours")
    report = run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
    assert [line for line in report.left_out if "dataset_translation row 1: " in line and "stands for ours" in line]
    assert [row["dataset"] for row in translations.list_translations(run.database)] == ["ours"]
