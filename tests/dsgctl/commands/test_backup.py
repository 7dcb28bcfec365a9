"""Backups: whole, encrypted, pruned by tiers, and a way back that is tried here."""

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest

from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.operations import backup
from dsgctl.operations import bundle as bundle_form
from dsgctl.store import Database
from dsgctl.store.migrations import LATEST, list_migrations, open_current
from tests.dsgctl.commands.running import Process, Quick
from tests.dsgctl.store.builders import MOMENT, with_apsw
from tests.e2e.conftest import running

SECRET = "GOOGLE_CLIENT_SECRET=the-clients-secret"


@pytest.fixture
def keys(home: Path) -> Path:
    """A file with a secret age key; its public half is in ``recipients.txt`` beside it."""
    identity = pyrage.x25519.Identity.generate()
    (home / "recipients.txt").write_text(f"# Ann\n{identity.to_public()}\n\n")
    (home / "identity").write_text(f"# created: 2026-11-20\n{identity}\n")
    return home / "identity"


@pytest.fixture
def settings(home: Path, path: Path, keys: Path) -> Path:
    """A settings file that says all that a backup needs."""
    (home / "out").mkdir()
    file = home / "dsg.env"
    file.write_text(f"""
DATABASE_PATH={path}
DSG_BACKUP_DIR={home}/out
DSG_BACKUP_STAGING_DIR={home}
DSG_BACKUP_AGE_RECIPIENTS_FILE={home}/recipients.txt
{SECRET}
""")
    return file


@pytest.fixture
def run(quick: Quick, settings: Path) -> Callable[..., Any]:
    """``dsgctl`` in this process, with those settings."""
    return lambda *words, **options: quick("--env-file", str(settings), *words, **options)


def bundles(home: Path) -> list[Path]:
    return sorted((home / "out").glob("*.age"))


# Making one


def test_a_bundle_is_encrypted_for_its_owner_alone_and_tells_no_secret(
    run: Callable[..., Any], home: Path, keys: Path, database: Database
) -> None:
    with begin_change(database, "os:test") as opened:
        ada, _ = users.add(opened, "ada@example.org")
        tokens.mint(opened, ada)
    made = json.loads(run("db", "backup", "-o", "json").ok().out)
    (bundle,) = bundles(home)
    assert made["path"] == str(bundle)
    assert made["rows"]["principals"] == made["rows"]["tokens"] == 1
    assert bundle.stat().st_mode & 0o777 == 0o600
    assert bundle.read_bytes().startswith(backup.AGE_HEADER)
    meta = (home / "out" / f"{bundle.name.partition('.')[0]}.meta.json").read_text()
    assert json.loads(meta)["sha256"] == made["sha256"]
    for text in (bundle.read_bytes().decode("latin-1"), meta):
        assert "ada@example.org" not in text and "the-clients-secret" not in text
    assert {entry.name for entry in home.iterdir()} == {"out", "recipients.txt", "identity", "dsg.env"}


def test_it_is_of_one_moment_while_others_write(run: Callable[..., Any], home: Path, keys: Path, path: Path) -> None:
    """Each change adds a user and a token: never one without the other."""
    stop = threading.Event()

    def write() -> None:
        writer = open_current(path)
        number = 0
        while not stop.is_set():
            with begin_change(writer, "os:test") as opened:
                user, _ = users.add(opened, f"u{number}@example.org")
                tokens.mint(opened, user)
            number += 1
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(3):
            made = json.loads(run("db", "backup", "--to", str(home / "out"), "-o", "json").ok().out)
            assert made["rows"]["principals"] == made["rows"]["tokens"]
            Path(made["path"]).unlink()
    finally:
        stop.set()
        thread.join()


def test_in_clear_only_if_told(run: Callable[..., Any], home: Path) -> None:
    run("db", "backup", "--in-clear").ok()
    (bundle,) = (home / "out").glob("*.tar.gz")
    with tarfile.open(bundle) as tar:
        assert tar.getnames() == ["manifest.json", "db.sqlite3"]  # no secrets in clear


def test_to_a_pipe(path: Path, home: Path, keys: Path, settings: Path) -> None:
    command = [sys.executable, "-m", "dsgctl", "--env-file", str(settings), "db", "backup", "--to-stdout"]
    done = subprocess.run(command, capture_output=True, check=True)
    (home / "piped.age").write_bytes(done.stdout)
    assert b"SHA-256" in done.stderr
    words = ["--env-file", str(settings), "db", "restore", str(home / "piped.age"), "--identity", str(keys)]
    assert "is sound" in Process(home, path)(*words).ok().out
    assert bundles(home) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "nobody to encrypt to"),
        ("", "names nobody to encrypt to"),
        ("# nobody yet\n\n", "names nobody"),
        ("# Ann\nage1qexample\n", "line 2: not an age recipient"),
        ("ssh-rsa AAAA\n", "line 1: not an age recipient"),
        ("AGE-SECRET-KEY-1QQQQ\n", "line 1: not an age recipient"),
        ("age1\xff", "not an age recipient"),
    ],
)
def test_nobody_to_encrypt_to_is_no_backup_in_clear(
    run: Callable[..., Any], home: Path, content: str | None, said: str
) -> None:
    (home / "recipients.txt").unlink()
    if content is not None:
        (home / "recipients.txt").write_text(content)
    result = run("db", "backup")
    assert result.code == 2 and said in result.err and "AGE-SECRET" not in result.err
    assert list((home / "out").iterdir()) == []


def test_nowhere_to_put_it(quick: Quick, run: Callable[..., Any], home: Path, keys: Path) -> None:
    result = run("db", "backup", "--to", str(home / "absent"))
    assert result.code == 2 and f"{home}/absent is not a directory" in result.err
    result = quick("db", "backup", "--in-clear")
    assert result.code == 2 and "there is nowhere to put a backup; set DSG_BACKUP_DIR" in result.err
    assert run("db", "backup", "--to", str(home), "--to-stdout").code == 2


def test_a_full_disk_leaves_the_older_ones_and_nothing_half(
    run: Callable[..., Any], home: Path, settings: Path, database: Database
) -> None:
    run("db", "backup").ok()
    before = bundles(home)
    with begin_change(database, "os:test") as opened:
        for number in range(300):
            users.add(opened, f"u{number}@example.org", notes="x" * 500)
    # A limit on the size of files is met like the end of a disk: the write fails.
    command = f'ulimit -f 100; exec "{sys.executable}" -m dsgctl --env-file {settings} db backup'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    assert bundles(home) == before
    assert not [entry for entry in home.iterdir() if "dsg-backup" in entry.name]
    assert not [entry for entry in (home / "out").iterdir() if entry.name.startswith(".")]


def test_a_damaged_database_makes_no_backup(run: Callable[..., Any], home: Path, path: Path) -> None:
    with path.open("r+b") as file:
        for page in range(3, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\x0d" + b"\xff" * 200)
    result = run("db", "backup")
    assert result.code == 1 and "damaged" in result.err
    assert list((home / "out").iterdir()) == []


def test_what_the_sqlite3_shell_left_dangling_hinders_no_backup(
    run: Callable[..., Any], home: Path, path: Path
) -> None:
    with_apsw(path, "PRAGMA foreign_keys = 0", "INSERT INTO memberships VALUES (7, 8, 0)")
    run("db", "backup").ok()
    assert len(bundles(home)) == 1


def test_the_bundle_just_made_is_never_pruned(run: Callable[..., Any], home: Path) -> None:
    later = home / "out" / "dsg-backup-29991231T235959Z.tar.gz.age"  # by a clock that was wrong
    later.touch()
    made = run("db", "backup", "-o", "value").ok().out.strip()
    assert Path(made).exists()
    later.unlink()


# Tiers

NOON = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ages", "tiers", "kept"),
    [
        ([], (1, 1, 1), []),
        (["0m", "10m", "20m"], (1, 0, 0), ["0m"]),  # the newest of an hour
        (["0m", "40m", "100m"], (2, 0, 0), ["0m", "40m"]),
        (["0m", "40m", "100m"], (9, 0, 0), ["0m", "40m", "100m"]),
        (["0d", "1d", "1d1m", "2d"], (0, 2, 0), ["0d", "1d"]),
        (["0d", "40d", "41d", "300d"], (0, 3, 0), ["0d", "40d", "41d"]),  # days without one do not count
        (["0d", "1d", "7d", "8d", "14d"], (0, 0, 2), ["0d", "1d"]),  # Monday, and the week before
        (["0d", "1d", "7d", "8d", "14d"], (0, 0, 3), ["0d", "1d", "8d"]),
        (["0m", "10m", "1d", "9d"], (1, 2, 3), ["0m", "1d", "9d"]),
        (["0m", "1d"], (0, 0, 0), []),
    ],
)
def test_what_the_tiers_keep(ages: list[str], tiers: tuple[int, int, int], kept: list[str]) -> None:
    assert backup.select_kept([ago(age) for age in ages], *tiers) == {ago(age) for age in kept}


def ago(age: str) -> datetime:
    days, _, rest = age.rpartition("d")
    return NOON - timedelta(days=int(days or 0), minutes=int(rest.removesuffix("m") or 0))


def test_pruning_deletes_bundles_and_nothing_else(run: Callable[..., Any], home: Path) -> None:
    out = home / "out"
    for name in (
        "dsg-backup-20200101T000000Z.tar.gz.age",
        "dsg-backup-20200101T000000Z.meta.json",
        "dsg-backup-20200101T001000Z.tar.gz.age",
        "notes.txt",
        "dsg-backup-old.tar.gz.age",
    ):
        (out / name).write_text("x")
    run("db", "backup", "--no-prune").ok()
    assert len(list(out.iterdir())) == 7
    (out / bundles(home)[-2].name).unlink()
    assert "deleted 1 older bundle" in run("db", "backup").ok().out
    names = {entry.name for entry in out.iterdir()}
    assert {"notes.txt", "dsg-backup-old.tar.gz.age", "dsg-backup-20200101T001000Z.tar.gz.age"} <= names
    assert not names & {"dsg-backup-20200101T000000Z.tar.gz.age", "dsg-backup-20200101T000000Z.meta.json"}


# Looking at them


def test_bundles_are_listed_with_age_size_and_tier(run: Callable[..., Any], home: Path) -> None:
    assert json.loads(run("backup", "list", "-o", "json").ok().out) == []
    old = ["dsg-backup-20200101T000000Z.tar.gz.age", "dsg-backup-20200101T001000Z.tar.gz.age"]
    for name in (*old, "notes.txt"):
        (home / "out" / name).write_text("x")
    made = Path(run("db", "backup", "--no-prune", "-o", "value").ok().out.strip())
    rows = json.loads(run("backup", "list", "-o", "json").ok().out)
    assert [row["bundle"] for row in rows] == [made.name, *reversed(old)]
    assert [row["tier"] for row in rows] == [["hourly", "daily", "weekly"], ["hourly", "daily", "weekly"], []]
    assert [row["encrypted"] for row in rows] == [True, False, False]
    assert rows[0]["bytes"] == made.stat().st_size and rows[0]["age"] == "0 min" and rows[1]["age"].endswith(" days")
    assert rows[1]["created"] == "2020-01-01T00:10:00.000000Z"
    assert made.name in run("backup", "list").ok().out


def _link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    ("name", "make"),
    {
        "a date that is none": ("dsg-backup-20261399T999999Z.tar.gz.age", Path.touch),
        "a day that is none": ("dsg-backup-20260230T000000Z.tar.gz", Path.touch),
        "the year 0": ("dsg-backup-00000101T000000Z.tar.gz", Path.touch),
        "a directory": ("dsg-backup-29991231T235959Z.tar.gz.age", Path.mkdir),
        "a pipe": ("dsg-backup-29991231T235958Z.tar.gz.age", os.mkfifo),
        "a symbolic link": ("dsg-backup-29991231T235957Z.tar.gz.age", _link),
    }.values(),
)
def test_what_is_no_bundle_stops_no_backup_and_takes_no_tier(
    run: Callable[..., Any], home: Path, name: str, make: Callable[[Path], None]
) -> None:
    planted = home / "out" / name
    make(planted)
    made = Path(run("db", "backup", "-o", "value").ok().out.strip())
    rows = json.loads(run("backup", "list", "-o", "json").ok().out)
    assert [(row["bundle"], row["tier"]) for row in rows] == [(made.name, ["hourly", "daily", "weekly"])]
    assert made.name in run("backup", "check").ok().out
    assert run("status", "-o", "json").ok()
    assert os.path.lexists(planted)


@pytest.mark.parametrize("words", [["backup", "list"], ["backup", "check"]])
def test_there_is_nothing_to_look_at(quick: Quick, run: Callable[..., Any], home: Path, words: list[str]) -> None:
    assert quick(*words).code == 2
    (home / "out").rmdir()
    assert run(*words).code == 3


def test_a_bundle_is_whole_without_the_key_and_sound_with_it(run: Callable[..., Any], home: Path, keys: Path) -> None:
    result = run("backup", "check")
    assert result.code == 3 and "dsgctl db backup makes one" in result.err
    made = Path(run("db", "backup", "-o", "value").ok().out.strip())
    assert f"{made.name} is whole" in run("backup", "check").ok().out
    assert f"{made.name} is sound" in run("backup", "check", str(made), "--identity", str(keys)).ok().out
    content = bytearray(made.read_bytes())
    content[len(content) // 2] ^= 1
    made.write_bytes(content)
    for words in ([], ["--identity", str(keys)]):
        result = run("backup", "check", *words)
        assert result.code in (1, 2) and result.out == "" and result.err.count("\n") == 1
    (meta,) = (home / "out").glob("*.meta.json")
    for text in ("", "[]", "{}", '{"size": "9"}', '{"size": %s}' % ("9" * 5000)):
        meta.write_text(text)
        result = run("backup", "check")
        assert result.code == 3 and "to hold it against" in result.err
    assert run("backup", "check", str(home / "absent")).code == 3


# The way back


def test_the_drill(run: Callable[..., Any], home: Path, keys: Path, path: Path) -> None:
    """A backup, a loss, a restore on a host that has nothing but the bundle and the key."""
    run("user", "add", "ada@example.org").ok()
    run("db", "backup").ok()
    (bundle,) = bundles(home)
    run("user", "add", "bob@example.org").ok()
    assert "is sound" in run("db", "restore", str(bundle), "--identity", str(keys)).ok().out
    assert run("user", "list", "-o", "value").out.split() == ["ada@example.org", "bob@example.org"]

    with running(path, home) as server:
        result = run("db", "restore", str(bundle), "--identity", str(keys), "--apply", "-y")
        assert result.code == 1 and f"{path} is in use; stop the servers" in result.err
        assert server.answers()
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
    told = other(*words).ok().err.splitlines()
    assert told[:2] == [f"wrote {home / 'new' / name}" for name in written]
    assert [line.split(" is ")[0] for line in told[2:]] == [
        "note: DATABASE_PATH",
        "note: DSG_BACKUP_AGE_RECIPIENTS_FILE",
    ]
    assert (home / "new" / "age-recipients.txt").read_text() == (home / "recipients.txt").read_text()
    assert SECRET in (home / "new" / "dsg.env").read_text()
    assert (home / "new" / "dsg.env").stat().st_mode & 0o777 == 0o640
    result = other("db", "restore", str(bundle), "--identity", str(keys), "--secrets-to", str(home / "new"))
    assert result.code == 4 and "dsg.env is there already" in result.err


def test_without_saying_yes_nothing_is_replaced(run: Callable[..., Any], home: Path, keys: Path) -> None:
    run("db", "backup").ok()
    run("user", "add", "bob@example.org").ok()
    result = run("db", "restore", str(bundles(home)[0]), "--identity", str(keys), "--apply")
    assert result.code == 2 and "revocations of tokens and access too; say -y" in result.err
    assert run("user", "list", "-o", "value").out == "bob@example.org\n"


def test_who_cannot_decrypt_it(run: Callable[..., Any], home: Path, keys: Path) -> None:
    run("db", "backup").ok()
    bundle = str(bundles(home)[0])
    (home / "other").write_text(str(pyrage.x25519.Identity.generate()))
    (home / "nonsense").write_text("AGE-SECRET-KEY-1NONSENSE")
    for words, said in (
        ([], "is encrypted; say --identity FILE"),
        (["--identity", str(home / "other")], "cannot be decrypted"),
        (["--identity", str(home / "nonsense")], "is not a file of age identities"),
        (["--identity", str(home / "absent")], "No such file"),
    ):
        result = run("db", "restore", bundle, *words)
        assert (result.code, result.out) == (2, "") and said in result.err
        assert "NONSENSE" not in result.err
    assert run("db", "restore", str(home / "absent.age")).code == 3


@pytest.mark.parametrize("encrypted", [True, False])
@pytest.mark.parametrize(
    "damage", ["cut", "cut to the header", "empty", "doubled", *(f"byte {n}/20" for n in range(20))]
)
def test_a_bundle_that_was_altered_is_refused(
    run: Callable[..., Any], home: Path, path: Path, encrypted: bool, damage: str
) -> None:
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


def packed(home: Path, members: list[tuple[str, bytes]], **manifest: Any) -> Path:
    """A bundle made by hand."""
    said = asdict(backup.Manifest("2026-11-20T12:00:00Z", "9.9.9", LATEST, "SQLite", {}, {})) | manifest
    bundle = home / "made.tar.gz"
    with tarfile.open(bundle, "w:gz") as tar:
        for name, content in [("manifest.json", json.dumps(said).encode()), *members]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return bundle


@pytest.mark.parametrize(
    ("members", "manifest", "said"),
    [
        ([], {"files": {"db.sqlite3": "00"}}, "db.sqlite3 is not what the manifest says"),
        ([("../evil", b"x")], {"files": {"../evil": "00"}}, "no backup of this program"),
        ([("/evil", b"x")], {"files": {"/evil": "00"}}, "no backup of this program"),
        ([("other", b"x")], {}, "no backup of this program"),
        ([("db.sqlite3", b"x")], {"files": {"db.sqlite3": "00"}}, "db.sqlite3 is not what the manifest says"),
        (
            [],
            {"schema": LATEST + 1},
            f"has schema {LATEST + 1}; this program knows schema {LATEST}; install release 9.9.9",
        ),
        ([], {"surplus": 1}, "no backup of this program"),
        ([], {"files": []}, "no backup of this program"),
    ],
)
def test_a_bundle_that_is_not_ours(
    run: Callable[..., Any], home: Path, members: list[tuple[str, bytes]], manifest: dict[str, Any], said: str
) -> None:
    result = run("db", "restore", str(packed(home, members, **manifest)))
    assert result.code == 1 and said in result.err and result.err.count("\n") == 1
    assert not (home.parent / "evil").exists() and not Path("/evil").exists()


DIGEST = "00" * 32


def tar_of(home: Path, *entries: tuple[tarfile.TarInfo, bytes], level: int = 6) -> Path:
    bundle = home / "made.tar.gz"
    with tarfile.open(bundle, "w:gz", compresslevel=level) as tar:
        for entry, content in entries:
            tar.addfile(entry, io.BytesIO(content))
    return bundle


def entry(name: str, content: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def manifest_entry(**more: Any) -> tuple[tarfile.TarInfo, bytes]:
    said = asdict(bundle_form.Manifest("2026-11-20T12:00:00Z", "9.9.9", LATEST, "SQLite", {}, {"db.sqlite3": DIGEST}))
    return entry("manifest.json", json.dumps(said | more).encode())


OUT_OF_PLACE = [
    "../evil",
    "/tmp/evil-of-a-bundle",
    "sub/evil",
    "..",
    ".",
    "",
    "db.sqlite3/..",
    "./db.sqlite3",
    "manifest.json",
    "dsg.env\n",
    "x" * 300,
]


@pytest.mark.parametrize("name", OUT_OF_PLACE)
def test_a_name_leads_nowhere_else(run: Callable[..., Any], home: Path, name: str) -> None:
    """In the manifest, in the tar, and in both; with and without --secrets-to, which writes what the manifest names."""
    (home / "etc").mkdir()
    before = {path for path in home.parent.rglob("*") if path.name != "made.tar.gz"}
    for files, member in (({name: DIGEST}, "db.sqlite3"), ({"db.sqlite3": DIGEST}, name), ({name: DIGEST}, name)):
        bundle = tar_of(home, manifest_entry(files=files), entry(member, b"x"))
        for words in ([], ["--secrets-to", str(home / "etc")], ["--apply", "-y"]):
            result = run("db", "restore", str(bundle), *words)
            assert result.code == 1 and "no backup of this program" in result.err and result.err.count("\n") == 1
    assert {path for path in home.parent.rglob("*") if path.name != "made.tar.gz"} == before
    assert not Path("/tmp/evil-of-a-bundle").exists()


KINDS = {
    "a symbolic link": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "a hard link": {"type": tarfile.LNKTYPE, "linkname": "manifest.json"},
    "a device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3},
    "a pipe": {"type": tarfile.FIFOTYPE},
    "a directory": {"type": tarfile.DIRTYPE},
}


@pytest.mark.parametrize("what", KINDS)
def test_only_plain_files_are_taken(run: Callable[..., Any], home: Path, what: str) -> None:
    bundle = tar_of(home, manifest_entry(), entry("db.sqlite3", **KINDS[what]))
    result = run("db", "restore", str(bundle))
    assert result.code == 1 and "no backup of this program" in result.err


def zeros(home: Path, size: int, name: str = "db.sqlite3") -> Path:
    """A bundle with a file of so many zeros, a thousandth of that itself."""
    bundle = home / "made.tar.gz"
    info = tarfile.TarInfo(name)
    info.size = size
    first, content = manifest_entry()
    with gzip.open(bundle, "wb", compresslevel=9) as file:
        file.write(first.tobuf() + content + bytes(-len(content) % 512))
        file.write(info.tobuf())
        for _ in range(size // 2**20):
            file.write(bytes(2**20))
        file.write(bytes(1024))
    return bundle


@pytest.mark.parametrize("where", ["in a file", "after the end", "in a header"])
def test_a_bomb_unpacks_to_no_more_than_its_size_allows(
    run: Callable[..., Any], home: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsgctl.operations.bundle.ALWAYS_ALLOWED", 2**20)
    written = list[int]()
    copy = bundle_form._copy

    def counting(stream: Any, size: int, target: Any) -> None:
        try:
            copy(stream, size, target)
        finally:
            written.append(target.tell())

    monkeypatch.setattr("dsgctl.operations.bundle._copy", counting)
    bundle = zeros(home, 64 * 2**20)
    if where == "after the end":
        first, content = manifest_entry()
        with gzip.open(bundle, "wb") as file:
            file.write(first.tobuf() + content + bytes(-len(content) % 512 + 1024))
            file.write(bytes(64 * 2**20))
    elif where == "in a header":
        info, _ = entry("pax", type=tarfile.XHDTYPE)
        info.size = 64 * 2**20
        with gzip.open(bundle, "wb") as file:
            file.write(info.tobuf() + bytes(64 * 2**20))
    result = run("db", "restore", str(bundle))
    assert result.code == 1 and result.err.count("\n") == 1
    assert ("unpacks to more than 200 times" in result.err) == (where != "in a header")
    assert sum(written) <= bundle.stat().st_size * 200
    assert not [one for one in home.iterdir() if one.name.startswith("dsg-backup")]


def test_a_bundle_for_which_there_is_no_room_is_not_called_damaged(
    run: Callable[..., Any], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("db", "backup").ok()
    usage = shutil.disk_usage(home)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage._replace(free=100))
    result = run("db", "restore", str(bundles(home)[0]), "--identity", str(home / "identity"))
    assert result.code == 1 and "there is no room to unpack" in result.err and "DSG_BACKUP_STAGING_DIR" in result.err


def test_a_database_of_next_to_nothing_but_zeros_is_backed_up_and_restored(
    run: Callable[..., Any], home: Path, keys: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsgctl.operations.bundle.ALWAYS_ALLOWED", 0)
    text = "x" * 90_000
    with_apsw(path, *(f"INSERT INTO services (name, display_name) VALUES ('{n}', '{text}')" for n in range(200)))
    run("db", "backup").ok()
    assert "is sound" in run("db", "restore", str(bundles(home)[0]), "--identity", str(keys)).ok().out


ADMIN = "UPDATE principals SET admin = 1 WHERE id = new.id"
PLANTED = {
    "a trigger": [f"CREATE TRIGGER evil AFTER INSERT ON tokens BEGIN {ADMIN}; END"],
    "a trigger of one of our names": [
        "DROP TRIGGER tokens_change_delete",
        f"CREATE TRIGGER tokens_change_delete AFTER INSERT ON tokens BEGIN {ADMIN}; END",
    ],
    "one trigger less": ["DROP TRIGGER audit_no_delete"],
    "a view": ["CREATE VIEW evil AS SELECT * FROM principals"],
    "a view in a table's place": [
        "PRAGMA foreign_keys = 0",
        "ALTER TABLE affiliations RENAME TO a",
        "CREATE VIEW affiliations AS SELECT * FROM a",
    ],
    "a table": ["CREATE TABLE evil (a)"],
    "a table of an index's name": ["CREATE TABLE principals_search_evil (a)"],
    "a column": ["ALTER TABLE principals ADD COLUMN evil TEXT"],
    "an index": ["CREATE INDEX evil ON tokens (kind)"],
    "one index less": ["DROP INDEX principals_email"],
    "no check": [
        "PRAGMA writable_schema = 1",
        "UPDATE sqlite_schema SET sql = replace(sql, 'CHECK (admin IN (0, 1))', '') WHERE name = 'principals'",
    ],
    "a migration more": [f"INSERT INTO migrations VALUES ({LATEST + 1}, 'evil', 'x')"],
    "a migration less": ["DELETE FROM migrations WHERE number = 2"],
    "a migration of another name": ["UPDATE migrations SET name = 'evil' WHERE number = 2"],
    "migrations that are a view": ["ALTER TABLE migrations RENAME TO m", "CREATE VIEW migrations AS SELECT * FROM m"],
}


@pytest.mark.parametrize("what", PLANTED)
def test_a_schema_that_is_not_ours_passes_nowhere(run: Callable[..., Any], home: Path, path: Path, what: str) -> None:
    planted = home / "planted.sqlite3"
    planted.write_bytes(path.read_bytes())
    with_apsw(planted, *PLANTED[what])
    content = planted.read_bytes()
    sizes = dict.fromkeys(open_sizes(path), 0)
    bundle = tar_of(
        home,
        manifest_entry(files={"db.sqlite3": hashlib.sha256(content).hexdigest()}, rows=sizes),
        entry("db.sqlite3", content),
    )
    result = run("db", "restore", str(bundle), "--apply", "-y")
    assert result.code == 1 and "is damaged" in result.err and result.err.count("\n") == 1
    before = path.read_bytes()
    with_apsw(path, *PLANTED[what])
    result = run("db", "check")
    assert result.code == 1 and result.err.count("\n") == 1 and "fault" not in result.err
    assert run("db", "backup").code == 1
    path.write_bytes(before)
    run("db", "check").ok()


def open_sizes(path: Path) -> dict[str, int]:
    database = open_current(path)
    try:
        return database.table_sizes()
    finally:
        database.close()


def test_statistics_that_analyze_leaves_are_no_fault(run: Callable[..., Any], path: Path) -> None:
    run("user", "add", "ada@example.org").ok()
    with_apsw(path, "ANALYZE")
    run("db", "check").ok()
    run("db", "backup").ok()


# Where somebody has planted a link


def test_a_planted_link_is_written_through_by_nothing(
    run: Callable[..., Any], home: Path, keys: Path, path: Path
) -> None:
    """Root makes backups and restores in directories of the service's user."""
    victim = home / "victim"
    victim.write_text("before")
    run("db", "backup").ok()
    (bundle,) = bundles(home)
    for second in range(5):  # whatever the second in which the next is made
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
    assert result.code == 4 and "dsg.env is there already" in result.err
    assert victim.read_text() == "before" and not (home / "absent").exists()


def test_a_backup_of_an_earlier_release_is_brought_up_afterwards(
    run: Callable[..., Any], quick: Quick, home: Path, keys: Path, path: Path
) -> None:
    path.unlink()
    first = list_migrations()[0]
    with_apsw(path, first.sql, f"INSERT INTO migrations VALUES (1, '{first.name}', '{MOMENT}')")
    run("db", "backup").ok()
    assert (
        "run 'dsgctl db migrate' next"
        in run("db", "restore", str(bundles(home)[0]), "--identity", str(keys), "--apply", "-y").ok().out
    )
    said = run("db", "migrate").ok().out
    (former,) = path.parent.glob("dsg.sqlite3.schema-1-*Z")
    assert f"to go back, stop the servers and: mv {former} {path}" in said
    assert with_apsw(former, "SELECT max(number) FROM migrations") == [(1,)]
    assert former.stat().st_mode & 0o777 == 0o600
    run("user", "list").ok()
