"""Backups: encrypted, whole, of one moment, and nothing half done."""

import json
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.operations.backup.encryption import AGE_HEADER
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from tests.dsgctl.commands.running import Process, Quick
from tests.dsgctl.operations.backup.conftest import Run, find_bundles
from tests.dsgctl.store.builders import with_apsw


def test_a_bundle_is_encrypted_for_its_owner_alone_and_tells_no_secret(
    run: Run, home: Path, keys: Path, database: Database
) -> None:
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        tokens.mint(change, ada)
    answer = json.loads(run("db", "backup", "-o", "json").ok().out)
    (bundle,) = find_bundles(home)
    assert answer["path"] == str(bundle)
    assert answer["rows"]["principals"] == answer["rows"]["tokens"] == 1
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert bundle.read_bytes().startswith(AGE_HEADER)
    meta = (home / "out" / f"{bundle.name.partition('.')[0]}.meta.json").read_text()
    assert json.loads(meta)["sha256"] == answer["sha256"]
    for text in (bundle.read_bytes().decode("latin-1"), meta):
        assert "ada@example.org" not in text and "the-clients-secret" not in text
    assert {entry.name for entry in home.iterdir()} == {"out", "recipients.txt", "identity", "dsg.env"}


def test_a_backup_is_consistent_while_others_write(run: Run, home: Path, keys: Path, path: Path) -> None:
    """Each change adds a user and a token: never one without the other."""
    stop = threading.Event()

    def write() -> None:
        writer = open_current(path)
        number = 0
        while not stop.is_set():
            with begin_change(writer, "os:test") as change:
                user, _ = users.add(change, f"u{number}@example.org")
                tokens.mint(change, user)
            number += 1
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            answer = json.loads(run("db", "backup", "--to", str(home / "out"), "-o", "json").ok().out)
            assert answer["rows"]["principals"] == answer["rows"]["tokens"]
            Path(answer["path"]).unlink()
    finally:
        stop.set()
        thread.join()


def test_a_backup_in_clear_has_no_secrets(run: Run, home: Path) -> None:
    run("db", "backup", "--in-clear").ok()
    (bundle,) = (home / "out").glob("*.tar.gz")
    with tarfile.open(bundle) as tar:
        assert tar.getnames() == ["manifest.json", "db.sqlite3"]  # no secrets in clear


def test_a_backup_can_be_written_to_a_pipe(path: Path, home: Path, keys: Path, settings: Path) -> None:
    command = [sys.executable, "-m", "dsgctl", "--env-file", str(settings), "db", "backup", "--to-stdout"]
    process = subprocess.run(command, capture_output=True, check=True)
    (home / "piped.age").write_bytes(process.stdout)
    assert b"SHA-256" in process.stderr
    words = ["--env-file", str(settings), "db", "restore", str(home / "piped.age"), "--identity", str(keys)]
    assert "is sound" in Process(home, path)(*words).ok().out
    assert find_bundles(home) == []


def test_a_backup_without_a_destination_is_refused(quick: Quick, run: Run, home: Path, keys: Path) -> None:
    result = run("db", "backup", "--to", str(home / "absent"))
    assert result.code == 2 and f"{home}/absent is not a directory" in result.err
    result = quick("db", "backup", "--in-clear")
    assert result.code == 2 and "there is nowhere to put a backup; set DSG_BACKUP_DIR" in result.err
    assert run("db", "backup", "--to", str(home), "--to-stdout").code == 2


def test_a_full_disk_leaves_the_older_ones_and_nothing_half(
    run: Run, home: Path, settings: Path, database: Database
) -> None:
    run("db", "backup").ok()
    before = find_bundles(home)
    with begin_change(database, "os:test") as change:
        for number in range(300):
            users.add(change, f"u{number}@example.org", notes="x" * 500)
    # A limit on the size of files is met like the end of a disk: the write fails.
    command = f'ulimit -f 100; exec "{sys.executable}" -m dsgctl --env-file {settings} db backup'
    process = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert process.returncode == 1, process.stderr
    assert process.stderr.count("\n") == 1 and "Traceback" not in process.stderr
    assert find_bundles(home) == before
    assert not [entry for entry in home.iterdir() if "dsg-backup" in entry.name]
    assert not [entry for entry in (home / "out").iterdir() if entry.name.startswith(".")]


def test_a_damaged_database_makes_no_backup(run: Run, home: Path, path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(3, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\x0d" + b"\xff" * 200)
    result = run("db", "backup")
    assert result.code == 1 and "damaged" in result.err
    assert list((home / "out").iterdir()) == []


def test_a_database_with_dangling_rows_can_be_backed_up(run: Run, home: Path, path: Path) -> None:
    with_apsw(path, "PRAGMA foreign_keys = 0", "INSERT INTO memberships VALUES (7, 8, 0)")
    run("db", "backup").ok()
    assert len(find_bundles(home)) == 1


def test_statistics_that_analyze_leaves_are_no_fault(run: Run, path: Path) -> None:
    run("user", "add", "ada@example.org").ok()
    with_apsw(path, "ANALYZE")
    run("db", "check").ok()
    run("db", "backup").ok()
