"""The database file and its content, the disk, and the clock."""

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dsgctl.commands import doctor as doctor_command
from dsgctl.core import datasets, terms
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
from tests.dsgctl.operations.doctor.installation import IS_ROOT, Installation
from tests.dsgctl.operations.doctor.planting import (
    REFUSED,
    Examine,
    Fault,
    add_people,
    close,
    delete,
    each_fault,
    find_row,
    make_dangling,
    plant_all,
    require_reported,
    run_doctor,
    set_mode,
    write_settings,
    write_text,
)
from tests.dsgctl.store.builders import with_apsw


def _journal_of_root(here: Installation) -> None:
    """What a program of root leaves that was killed: it is there while a reader holds it."""
    for suffix in ("-wal", "-shm"):
        path = here.database.with_name(here.database.name + suffix)
        path.touch()
        here.close_to_the_service(path)


FAULTS: list[Fault] = [
    (
        "domains of nobody",
        plant_all(
            add_people("ada@example.org", admin="ada@example.org"),
            write_settings(DSG_ALLOWED_EMAIL_DOMAINS="exmaple.org"),
        ),
        "sign-in",
        "failed",
        ("admits none of the existing users", "1 person"),
    ),
    (
        "domains of no admin",
        plant_all(
            add_people("ada@a.org", "bo@b.org", admin="ada@a.org"), write_settings(DSG_ALLOWED_EMAIL_DOMAINS="b.org")
        ),
        "sign-in",
        "warning",
        ("no admin",),
    ),
    ("database for all", set_mode("database", 0o664), "database", "failed", ("everybody on this host", "chmod 660")),
    ("database for nobody", close("database"), "database", "failed", (REFUSED, "write")),
    ("its directory for nobody", close("lib"), "database", "failed", ("may not",)),
    ("journal of root", _journal_of_root, "journal", "failed", ("left by a program of another user", "chown --ref")),
    ("database leads nowhere", make_dangling("database"), "database", "failed", ("symbolic link to",)),
    ("no database", delete("database"), "database", "failed", ("there is no database", "dsgctl db migrate")),
    ("no directory", lambda here: shutil.rmtree(here.lib), "database", "failed", ("does not exist", "install -d")),
    ("not a database", write_text("database", "x" * 4096), "database", "failed", ("is not a database",)),
    (
        "older",
        lambda here: with_apsw(here.database, "DELETE FROM migrations WHERE number > 1"),
        "database",
        "failed",
        ("it has schema 1", "dsgctl db migrate"),
    ),
    (
        "newer",
        lambda here: with_apsw(
            here.database, "INSERT INTO migrations VALUES (99, 'later', '2026-01-01T00:00:00.000000Z')"
        ),
        "database",
        "failed",
        ("install the release",),
    ),
    (
        "dangling rows",
        lambda here: with_apsw(here.database, "PRAGMA foreign_keys = 0", "INSERT INTO memberships VALUES (7, 8, 0)"),
        "database",
        "warning",
        ("refers to", "db check --mend"),
    ),
    (
        "no staging",
        lambda here: here.write(DSG_BACKUP_STAGING_DIR=str(here.place / "no")),
        "staging",
        "failed",
        ("there is no directory", "making backups"),
    ),
]


@each_fault(FAULTS)
def test_a_planted_fault_is_reported(fault: Fault, here: Installation, examine: Examine) -> None:
    require_reported(fault, here, examine)


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount")
@pytest.mark.parametrize(
    ("size", "state", "part"), [("32m", "failed", "the disk is full"), ("100m", "warning", "free at")]
)
def test_doctor_reports_a_full_disk(
    here: Installation, examine: Examine, tmp_path: Path, size: str, state: str, part: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=False).returncode == 0
    assert mounted, "needs the right to mount"
    try:
        here.write(DSG_BACKUP_STAGING_DIR=str(disk))
        _, rows = examine(host=replace(here.host, room=2**30))
        find_row(rows, "staging", state, part, f"at {disk}, for making backups (DSG_BACKUP_STAGING_DIR)")
        shutil.copytree(here.lib, disk / "lib")
        here.write(DATABASE_PATH=str(disk / "lib" / "dsg.sqlite3"))
        result = run_doctor(here, host=replace(here.host, room=2**30), database=disk / "lib" / "dsg.sqlite3")
        find_row(json.loads(result.out), "disk", state, part, "for the database")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_doctor_warns_of_a_journal_that_does_not_shrink(here: Installation, examine: Examine) -> None:
    database = open_current(here.database)
    try:
        with begin_change(database, "os:test") as change:
            datasets.add(change, "fish")
        find_row(examine(host=replace(here.host, long_journal=10))[1], "journal", "warning", "a reader never ends")
    finally:
        database.close()


def test_doctor_reports_a_broken_audit_log_and_a_wrong_clock(
    here: Installation, examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:

    add_people("ada@example.org")(here)
    monkeypatch.setattr(doctor_command, "now", lambda: datetime.now(UTC) - timedelta(days=2))
    _, rows = examine()
    find_row(rows, "clock", "failed", "behind the last change", "timedatectl")
    find_row(rows, "clock", "failed", "s away from the provider's", "timedatectl")
    with_apsw(
        here.database,
        "DROP TRIGGER audit_no_delete",
        "INSERT INTO audit (at, actor, action, target, hash) VALUES "
        "('2026-11-20T12:00:00.000000Z', 'x', 'x', 'x', zeroblob(32))",
    )
    find_row(examine()[1], "audit log", "failed", "does not follow")


def test_public_datasets_without_terms_open_to_nobody(here: Installation, examine: Examine) -> None:
    database = open_current(here.database)
    with begin_change(database, "os:test") as change:
        for name in ("fish", "fly"):
            datasets.add(change, name, public=True)
        terms.add(change, "fly terms", "Be kind.", dataset="fly")
    database.close()
    _, rows = examine()
    warned = find_row(
        rows, "datasets", "warning", "fish is public, but has no terms to accept", "--file FILE --dataset fish"
    )
    assert [row for row in rows if row["check"] == "datasets"] == [warned]
