"""Archives that this program did not make: names, kinds, sizes and manifests."""

import gzip
import io
import json
import shutil
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dsgctl.operations.backup import archive
from dsgctl.operations.backup.archive import Manifest
from dsgctl.store.migrations import LATEST
from tests.dsgctl.operations.backup.conftest import Run, find_bundles
from tests.dsgctl.operations.backup.tars import DIGEST, make_entry, make_manifest, make_tar
from tests.dsgctl.store.builders import with_apsw


def pack_members(home: Path, members: list[tuple[str, bytes]], **manifest: Any) -> Path:
    """A bundle answer by hand."""
    expected = asdict(Manifest("2026-11-20T12:00:00Z", "9.9.9", LATEST, "SQLite", {}, {})) | manifest
    bundle = home / "archive.tar.gz"
    with tarfile.open(bundle, "w:gz") as tar:
        for name, content in [("manifest.json", json.dumps(expected).encode()), *members]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return bundle


@pytest.mark.parametrize(
    ("members", "manifest", "expected"),
    [
        ([], {"files": {"db.sqlite3": "00"}}, "db.sqlite3 does not match the manifest"),
        ([("../evil", b"x")], {"files": {"../evil": "00"}}, "not a backup of this program"),
        ([("/evil", b"x")], {"files": {"/evil": "00"}}, "not a backup of this program"),
        ([("other", b"x")], {}, "not a backup of this program"),
        ([("db.sqlite3", b"x")], {"files": {"db.sqlite3": "00"}}, "db.sqlite3 does not match the manifest"),
        (
            [],
            {"schema": LATEST + 1},
            f"has schema {LATEST + 1}; this program knows schema {LATEST}; install release 9.9.9",
        ),
        ([], {"surplus": 1}, "not a backup of this program"),
        ([], {"files": []}, "not a backup of this program"),
    ],
)
def test_restore_refuses_a_bundle_of_another_program(
    run: Run, home: Path, members: list[tuple[str, bytes]], manifest: dict[str, Any], expected: str
) -> None:
    result = run("db", "restore", str(pack_members(home, members, **manifest)))
    assert result.code == 1 and expected in result.err and result.err.count("\n") == 1
    assert not (home.parent / "evil").exists() and not Path("/evil").exists()


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
def test_restore_writes_to_no_path_named_in_a_bundle(run: Run, home: Path, name: str) -> None:
    """In the manifest, in the tar, and in both; with and without --secrets-to, which writes what the manifest names."""
    (home / "etc").mkdir()
    before = {path for path in home.parent.rglob("*") if path.name != "archive.tar.gz"}
    for files, member in (({name: DIGEST}, "db.sqlite3"), ({"db.sqlite3": DIGEST}, name), ({name: DIGEST}, name)):
        bundle = make_tar(home, make_manifest(files=files), make_entry(member, b"x"))
        for words in ([], ["--secrets-to", str(home / "etc")], ["--apply", "-y"]):
            result = run("db", "restore", str(bundle), *words)
            assert result.code == 1 and "not a backup of this program" in result.err and result.err.count("\n") == 1
    assert {path for path in home.parent.rglob("*") if path.name != "archive.tar.gz"} == before
    assert not Path("/tmp/evil-of-a-bundle").exists()


KINDS = {
    "a symbolic link": {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"},
    "a hard link": {"type": tarfile.LNKTYPE, "linkname": "manifest.json"},
    "a device": {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3},
    "a pipe": {"type": tarfile.FIFOTYPE},
    "a directory": {"type": tarfile.DIRTYPE},
}


@pytest.mark.parametrize("kind", KINDS)
def test_restore_accepts_plain_files_only(run: Run, home: Path, kind: str) -> None:
    bundle = make_tar(home, make_manifest(), make_entry("db.sqlite3", **KINDS[kind]))
    result = run("db", "restore", str(bundle))
    assert result.code == 1 and "not a backup of this program" in result.err


def make_bomb(home: Path, size: int, name: str = "db.sqlite3") -> Path:
    """A bundle with a file of so many zeros, a thousandth of that itself."""
    bundle = home / "archive.tar.gz"
    info = tarfile.TarInfo(name)
    info.size = size
    first, content = make_manifest()
    with gzip.open(bundle, "wb", compresslevel=9) as file:
        file.write(first.tobuf() + content + bytes(-len(content) % 512))
        file.write(info.tobuf())
        for _ in range(size // 2**20):
            file.write(bytes(2**20))
        file.write(bytes(1024))
    return bundle


@pytest.mark.parametrize("where", ["in a file", "after the end", "in a header"])
def test_unpacking_a_bomb_stops_at_the_size_that_is_allowed(
    run: Run, home: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsgctl.operations.backup.archive.ALWAYS_ALLOWED", 2**20)
    written = list[int]()
    copy = archive._copy

    def count_bytes(stream: Any, size: int, target: Any) -> None:
        try:
            copy(stream, size, target)
        finally:
            written.append(target.tell())

    monkeypatch.setattr("dsgctl.operations.backup.archive._copy", count_bytes)
    bundle = make_bomb(home, 64 * 2**20)
    if where == "after the end":
        first, content = make_manifest()
        with gzip.open(bundle, "wb") as file:
            file.write(first.tobuf() + content + bytes(-len(content) % 512 + 1024))
            file.write(bytes(64 * 2**20))
    elif where == "in a header":
        info, _ = make_entry("pax", type=tarfile.XHDTYPE)
        info.size = 64 * 2**20
        with gzip.open(bundle, "wb") as file:
            file.write(info.tobuf() + bytes(64 * 2**20))
    result = run("db", "restore", str(bundle))
    assert result.code == 1 and result.err.count("\n") == 1
    assert ("unpacks to more than 200 times" in result.err) == (where != "in a header")
    assert sum(written) <= bundle.stat().st_size * 200
    assert not [path for path in home.iterdir() if path.name.startswith("dsg-backup")]


def test_a_bundle_for_which_there_is_no_room_is_not_called_damaged(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("db", "backup").ok()
    usage = shutil.disk_usage(home)
    monkeypatch.setattr("shutil.disk_usage", lambda place: usage._replace(free=100))
    result = run("db", "restore", str(find_bundles(home)[0]), "--identity", str(home / "identity"))
    assert result.code == 1 and "there is no room to unpack" in result.err and "DSG_BACKUP_STAGING_DIR" in result.err


def test_a_database_of_next_to_nothing_but_zeros_is_backed_up_and_restored(
    run: Run, home: Path, keys: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsgctl.operations.backup.archive.ALWAYS_ALLOWED", 0)
    text = "x" * 90_000
    with_apsw(path, *(f"INSERT INTO services (name, display_name) VALUES ('{n}', '{text}')" for n in range(200)))
    run("db", "backup").ok()
    assert "is sound" in run("db", "restore", str(find_bundles(home)[0]), "--identity", str(keys)).ok().out
