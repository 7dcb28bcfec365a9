"""Modules that are imported when they are first used."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsgctl.commands.imports_on_use import imports_on_use


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A package with two modules, each of which leaves a file when it is run."""
    directory = tmp_path / "on_use_example"
    directory.mkdir()
    (directory / "__init__.py").touch()
    for name in ("first", "second"):
        (directory / f"{name}.py").write_text(
            f"from pathlib import Path\nPath({str(tmp_path)!r}, {name!r}).touch()\nNAME = {name!r}\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield directory.name
    for name in [name for name in sys.modules if name.startswith(directory.name)]:
        del sys.modules[name]


def test_a_module_is_run_at_its_first_use(package: str, tmp_path: Path) -> None:
    finders = list(sys.meta_path)
    with imports_on_use():
        first = importlib.import_module(f"{package}.first")
    assert not (tmp_path / "first").exists()
    assert first.NAME == "first"
    assert (tmp_path / "first").exists()
    assert sys.meta_path == finders
    importlib.import_module(f"{package}.second")
    assert (tmp_path / "second").exists()


def test_a_module_that_is_not_there_is_an_error_at_once(package: str) -> None:
    with pytest.raises(ModuleNotFoundError), imports_on_use():
        importlib.import_module(f"{package}.third")
