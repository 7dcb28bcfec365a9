"""What holds for every importer of `CASES`."""

from pathlib import Path

import pytest

from dsgctl.core import audit_chain, datasets, principals
from dsgctl.core.errors import Conflict, DsgError, Invalid
from dsgctl.importers.engine.importer import list_names, load
from tests.dsgctl.core.builders import Run
from tests.dsgctl.importers.cases import CASES, Case


def test_every_importer_has_a_case() -> None:
    assert sorted(list_names()) == sorted(CASES)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, run: Run) -> Case:
    case = CASES[request.param]
    if case.importer().options():
        run(datasets.add, "fish2")
    return case


@pytest.fixture
def source(case: Case, tmp_path: Path) -> str:
    case.write(tmp_path / "source")
    return str(tmp_path / "source")


@pytest.mark.parametrize("name", CASES)
def test_its_name_loads_it_and_its_command_has_help_and_an_example(name: str) -> None:
    importer = load(name)
    assert importer is type(CASES[name].importer())
    assert importer is not None
    assert (importer.__doc__ or "").strip()
    assert importer.example.startswith(f"dsgctl import {name} ")


@pytest.mark.parametrize("name", ["excel", "engine", "middle_auth", ""])
def test_another_name_loads_nothing(name: str) -> None:
    assert load(name) is None


def test_a_user_is_imported_and_a_second_run_changes_nothing(case: Case, run: Run, source: str) -> None:
    assert run(case.importer().run, source).changed
    assert principals.find_by_email(run.database, case.email) is not None
    before = run.content()
    report = run(case.importer().run, source)
    assert not report.changed
    assert report.unchanged.total()
    assert run.content() == before
    assert audit_chain.verify(run.database) is None


def test_a_dry_run_writes_nothing(case: Case, run: Run, source: str) -> None:
    before = run.content()
    assert run(case.importer().run, source, dry_run=True).changed
    assert run.content() == before


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe\0", b'neither\none, "nor\nthe other', b"{}x", None],
    ids=["empty", "no text", "other text", "almost JSON", "missing"],
)
def test_another_source_is_refused_in_one_line(case: Case, run: Run, tmp_path: Path, content: bytes | None) -> None:
    source = tmp_path / "other"
    if content is not None:
        source.write_bytes(content)
    before = run.content()
    with pytest.raises((DsgError, OSError), match=str(source)) as caught:
        run(case.importer().run, str(source))
    if isinstance(caught.value, DsgError):
        assert isinstance(caught.value, Invalid | Conflict)
        assert "\n" not in f"{caught.value.message}{caught.value.hint}"
    assert run.content() == before


def test_progress_ends_with_the_total(case: Case, run: Run, source: str) -> None:
    progress: list[tuple[int, int]] = []
    run(case.importer().run, source, progress=lambda done, total: progress.append((done, total)))
    done, total = progress[-1]
    assert done == total > 0
