"""Recipients and identities that are missing, malformed, or of somebody else."""

from pathlib import Path

import pyrage
import pytest

from tests.dsgctl.operations.backup.conftest import Run, find_bundles


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no age recipients"),
        ("", "has no age recipient"),
        ("# nobody yet\n\n", "has no age recipient"),
        ("# Ann\nage1qexample\n", "line 2: not an age recipient"),
        ("ssh-rsa AAAA\n", "line 1: not an age recipient"),
        ("AGE-SECRET-KEY-1QQQQ\n", "line 1: not an age recipient"),
        ("age1\xff", "not an age recipient"),
    ],
)
def test_a_backup_without_recipients_is_refused_and_not_made_in_clear(
    run: Run, home: Path, content: str | None, expected: str
) -> None:
    (home / "recipients.txt").unlink()
    if content is not None:
        (home / "recipients.txt").write_text(content)
    result = run("db", "backup")
    assert result.code == 2 and expected in result.err and "AGE-SECRET" not in result.err
    assert list((home / "out").iterdir()) == []


def test_restore_refuses_a_missing_or_wrong_identity(run: Run, home: Path, keys: Path) -> None:
    run("db", "backup").ok()
    bundle = str(find_bundles(home)[0])
    (home / "other").write_text(str(pyrage.x25519.Identity.generate()))
    (home / "nonsense").write_text("AGE-SECRET-KEY-1NONSENSE")
    for words, expected in (
        ([], "is encrypted; use --identity FILE"),
        (["--identity", str(home / "other")], "cannot be decrypted"),
        (["--identity", str(home / "nonsense")], "is not a file of age identities"),
        (["--identity", str(home / "absent")], "No such file"),
    ):
        result = run("db", "restore", bundle, *words)
        assert (result.code, result.out) == (2, "") and expected in result.err
        assert "NONSENSE" not in result.err
    assert run("db", "restore", str(home / "absent.age")).code == 3
