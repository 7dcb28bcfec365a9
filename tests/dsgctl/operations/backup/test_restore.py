"""Restoring: the drill, altered bundles, planted links, and bundles of earlier releases."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dsgctl.store.migrations import list_migrations
from tests.dsgctl.commands.running import Quick
from tests.dsgctl.operations.backup.conftest import SECRET, Run, find_bundles
from tests.dsgctl.store.builders import MOMENT, with_apsw
from tests.e2e.conftest import run_server


def test_a_backup_is_restored_on_a_new_host(run: Run, home: Path, keys: Path, path: Path) -> None:
    """A backup, a loss, a restore on a host that has nothing but the bundle and the key."""
    run("user", "add", "ada@example.org").ok()
    run("db", "backup").ok()
    (bundle,) = find_bundles(home)
    run("user", "add", "bob@example.org").ok()
    assert "is sound" in run("db", "restore", str(bundle), "--identity", str(keys)).ok().out
    assert run("user", "list", "-o", "value").out.split() == ["ada@example.org", "bob@example.org"]

    with run_server(path, home) as server:
        result = run("db", "restore", str(bundle), "--identity", str(keys), "--apply", "-y")
        assert result.code == 1 and f"{path} is in use; stop the servers" in result.err
        assert server.is_ready()
    result = run("db", "restore", str(bundle), "--identity", str(keys), "--apply", "-y").ok()
    assert run("user", "list", "-o", "value").out.split() == ["ada@example.org"]
    run("db", "check").ok()
    assert "db.restore" in run("audit", "list").out
    (former,) = path.parent.glob("dsg.sqlite3.before-*Z")
    assert str(former) in result.out
    assert with_apsw(former, "SELECT count(*) FROM principals") == [(2,)]

    # On another host: no database, no settings.
    (home / "new").mkdir()
    other = Quick(home, home / "new" / "dsg.sqlite3")
    words = ["db", "restore", str(bundle), "--identity", str(keys), "--apply", "-y", "--secrets-to", str(home / "new")]
    other(*words).ok()
    assert other("user", "list", "-o", "value").out.split() == ["ada@example.org"]
    words = ["db", "restore", str(bundle), "--identity", str(keys), "--secrets-to", str(home / "new")]
    written = ("dsg.env", "age-recipients.txt")
    for name in written:
        (home / "new" / name).unlink()
    notes = other(*words).ok().err.splitlines()
    assert notes[:2] == [f"wrote {home / 'new' / name}" for name in written]
    assert [line.split(" is ")[0] for line in notes[2:]] == [
        "note: DATABASE_PATH",
        "note: DSG_BACKUP_AGE_RECIPIENTS_FILE",
    ]
    assert (home / "new" / "age-recipients.txt").read_text() == (home / "recipients.txt").read_text()
    assert SECRET in (home / "new" / "dsg.env").read_text()
    assert (home / "new" / "dsg.env").stat().st_mode & 0o777 == 0o640
    result = other("db", "restore", str(bundle), "--identity", str(keys), "--secrets-to", str(home / "new"))
    assert result.code == 4 and "dsg.env exists already" in result.err


def test_restore_replaces_nothing_without_confirmation(run: Run, home: Path, keys: Path) -> None:
    run("db", "backup").ok()
    run("user", "add", "bob@example.org").ok()
    result = run("db", "restore", str(find_bundles(home)[0]), "--identity", str(keys), "--apply")
    assert result.code == 2 and "including revocations of tokens and of access; use -y" in result.err
    assert run("user", "list", "-o", "value").out == "bob@example.org\n"


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize(
    "damage", ["cut", "cut to the header", "empty", "doubled", *(f"byte {n}/20" for n in range(20))]
)
def test_a_bundle_that_was_altered_is_refused(run: Run, home: Path, path: Path, encrypted: bool, damage: str) -> None:
    keys = home / "identity"
    run("db", "backup", *([] if encrypted else ["--in-clear"])).ok()
    (bundle,) = (home / "out").glob("*.tar.gz*")
    content = bytearray(bundle.read_bytes())
    match damage.split():
        case ["cut"]:
            del content[len(content) * 2 // 3 :]
        case ["cut", *_]:
            del content[30:]
        case ["empty"]:
            content.clear()
        case ["doubled"]:
            content = content + content
        case [_, which]:
            content[len(content) * int(which.split("/")[0]) // 20] ^= 0x10
    bundle.write_bytes(content)
    before = path.read_bytes()
    result = run("db", "restore", str(bundle), "--identity", str(keys), "--apply", "-y")
    # gzip's header and what follows its end are not the content: altering them is harmless.
    if result.code != 0:
        assert result.code in (1, 2) and result.err.count("\n") == 1 and "Traceback" not in result.err
        assert path.read_bytes() == before
        assert not list(path.parent.glob("*before*")) and not list(path.parent.glob(".*arriving*"))
    else:
        assert not encrypted and damage in ("doubled", "byte 0/20")
        assert run("db", "check").ok()


def test_a_planted_link_is_written_through_by_nothing(run: Run, home: Path, keys: Path, path: Path) -> None:
    """Root makes backups and restores in directories of the service's user."""
    victim = home / "victim"
    victim.write_text("before")
    run("db", "backup").ok()
    (bundle,) = find_bundles(home)
    for second in range(5):  # whatever the second in which the next is answer
        moment = datetime.now(UTC) + timedelta(seconds=second)
        stem = home / "out" / f"dsg-backup-{moment:%Y%m%dT%H%M%SZ}"
        for name in (f"{stem}.meta.json", f"{stem.parent}/.{stem.name}.tar.gz.age.part"):
            if not Path(name).exists():
                Path(name).symlink_to(victim)
    run("db", "backup", "--no-prune")
    (path.parent / f".{path.name}.arriving").symlink_to(victim)
    run("db", "restore", str(bundle), "--identity", str(keys), "--apply", "-y").ok()
    (home / "etc").mkdir()
    (home / "etc" / "dsg.env").symlink_to(home / "absent")
    result = run("db", "restore", str(bundle), "--identity", str(keys), "--secrets-to", str(home / "etc"))
    assert result.code == 4 and "dsg.env exists already" in result.err
    assert victim.read_text() == "before" and not (home / "absent").exists()


def test_a_backup_of_an_earlier_release_is_brought_up_afterwards(
    run: Run, quick: Quick, home: Path, keys: Path, path: Path
) -> None:
    path.unlink()
    first = list_migrations()[0]
    with_apsw(path, first.sql, f"INSERT INTO migrations VALUES (1, '{first.name}', '{MOMENT}')")
    run("db", "backup").ok()
    assert (
        "run 'dsgctl db migrate' next"
        in run("db", "restore", str(find_bundles(home)[0]), "--identity", str(keys), "--apply", "-y").ok().out
    )
    output = run("db", "migrate").ok().out
    (former,) = path.parent.glob("dsg.sqlite3.schema-1-*Z")
    assert f"to go back, stop the servers and: mv {former} {path}" in output
    assert with_apsw(former, "SELECT max(number) FROM migrations") == [(1,)]
    assert former.stat().st_mode & 0o777 == 0o600
    run("user", "list").ok()
