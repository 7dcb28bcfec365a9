"""Checks of a bundle, with a secret key and without."""

from dataclasses import replace
from pathlib import Path

import pytest

from dsgctl.core.errors import Invalid, NotFound
from dsgctl.operations.backup.check import check_bundle
from dsgctl.settings import load
from tests.dsgctl.operations.backup.conftest import Run


def test_the_newest_bundle_is_checked_as_far_as_there_is_a_key(run: Run, settings: Path, keys: Path) -> None:
    config = load({}, str(settings))
    (settings.parent / "out" / "dsg-backup-20200101T000000Z.tar.gz").touch()
    bundle = Path(run("db", "backup", "-o", "value").ok().out.strip())
    whole = check_bundle(None, config)
    assert (whole.path, whole.size, whole.manifest) == (bundle, bundle.stat().st_size, None)
    for sound in (check_bundle(None, config, identity=keys), check_bundle(None, replace(config, backup_identity=keys))):
        assert (sound.path, sound.size) == (bundle, None)
        assert sound.manifest is not None and "principals" in sound.manifest.rows


def test_without_a_bundle_or_a_directory_there_is_nothing_to_check(settings: Path) -> None:
    config = load({}, str(settings))
    with pytest.raises(NotFound, match="no bundle"):
        check_bundle(None, config)
    with pytest.raises(Invalid, match="no backup directory"):
        check_bundle(None, replace(config, backup_dir=None))


def test_a_bundle_is_whole_without_the_key_and_sound_with_it(run: Run, home: Path, keys: Path) -> None:
    result = run("backup", "check")
    assert result.code == 3 and "dsgctl db backup makes one" in result.err
    answer = Path(run("db", "backup", "-o", "value").ok().out.strip())
    assert f"{answer.name} is whole" in run("backup", "check").ok().out
    assert f"{answer.name} is sound" in run("backup", "check", str(answer), "--identity", str(keys)).ok().out
    content = bytearray(answer.read_bytes())
    content[len(content) // 2] ^= 1
    answer.write_bytes(content)
    for words in ([], ["--identity", str(keys)]):
        result = run("backup", "check", *words)
        assert result.code in (1, 2) and result.out == "" and result.err.count("\n") == 1
    (meta,) = (home / "out").glob("*.meta.json")
    for text in ("", "[]", "{}", '{"size": "9"}', '{"size": %s}' % ("9" * 5000)):
        meta.write_text(text)
        result = run("backup", "check")
        assert result.code == 3 and "to compare it with" in result.err
    assert run("backup", "check", str(home / "absent")).code == 3
