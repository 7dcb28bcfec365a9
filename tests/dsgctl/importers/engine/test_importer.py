"""What holds for every importer of `CASES`."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from itertools import groupby
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


ZERO = {"acceptances": 0, "grants": 0, "tokens": 0}
EMPTY: dict[str, dict[str, int]] = {  # importer -> what it adds of an empty source
    "clio": {"groups": 1, "users": 0},
    "csv": {"groups": 1},
    "datasetgateway": ZERO,
    "middle-auth": ZERO,
    "neuprint": {"users": 0},
}


@pytest.mark.parametrize("name", EMPTY)
def test_the_report_of_an_empty_source_has_a_zero_for_each_kind_of_its_batches(
    name: str, run: Run, tmp_path: Path
) -> None:
    run(datasets.add, "fish2")
    path = tmp_path / "source"
    CASES[name].write(path)
    _empty(path)
    report = run(CASES[name].importer().run, str(path))
    assert report.added == report.unchanged | EMPTY[name] == EMPTY[name]
    assert report.added.keys() == report.unchanged.keys()


def _empty(path: Path) -> None:
    """Take everything out of a source but its form."""
    if path.is_dir():
        for table in path.glob("*.csv"):
            table.write_text(table.read_text(encoding="utf-8").partition("\n")[0] + "\n", encoding="utf-8")
    elif path.read_bytes().startswith(b"SQLite"):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            for (table,) in tables.fetchall():
                if not table.startswith(("sqlite_", "django_")):
                    connection.execute(f'DELETE FROM "{table}"')
    elif path.read_bytes().startswith(b"{"):
        content = json.loads(path.read_bytes())
        path.write_text(json.dumps({key: {} for key in content} if "users" in content else {}))
    else:
        path.write_text("email\n")


def _write_clio(path: Path, emails: list[str]) -> None:
    path.write_text(json.dumps({"users": {email: {} for email in emails}, "datasets": {}}))


def _write_neuprint(path: Path, emails: list[str]) -> None:
    path.write_text(json.dumps(dict.fromkeys(emails, "readonly")))


def _write_csv(path: Path, emails: list[str]) -> None:
    path.write_text("email\n" + "".join(f"{email}\n" for email in emails))


@pytest.mark.parametrize(
    ("name", "size", "write"),
    [("clio", 500, _write_clio), ("csv", 1000, _write_csv), ("neuprint", 500, _write_neuprint)],
    ids=["clio", "csv", "neuprint"],
)
def test_people_are_written_in_batches_and_so_are_their_audit_records(
    run: Run, tmp_path: Path, name: str, size: int, write: Callable[[Path, list[str]], None]
) -> None:
    run(datasets.add, "fish2")
    write(tmp_path / "source", [f"p{number}@example.org" for number in range(size + 1)])
    run(CASES[name].importer().run, str(tmp_path / "source"))
    actions = [record.split()[0] for record in run.actions()]
    batches = [(action, len(list(group))) for action, group in groupby(actions) if action == "user.add"]
    assert batches == [("user.add", size), ("user.add", 1)]


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
    run(case.importer().run, source, progress=lambda count, total: progress.append((count, total)))
    count, total = progress[-1]
    assert count == total > 0
