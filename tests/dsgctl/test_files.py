"""The one function that writes files, and the one that opens what somebody else has named."""

import hashlib
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from dsgctl.files import create_empty, describe_kind, open_below, write_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A file of root's outside the directory that is written to."""
    file = tmp_path / "victim"
    file.write_text("before")
    return file


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.mark.parametrize("replace", [True, False])
def test_a_planted_link_is_not_followed(place: Path, victim: Path, replace: bool) -> None:
    (place / "file").symlink_to(victim)
    if replace:
        write_file(place / "file", b"new", replace=True)
        assert (place / "file").read_bytes() == b"new" and not (place / "file").is_symlink()
    else:
        with pytest.raises(FileExistsError):
            write_file(place / "file", b"new")
    assert victim.read_text() == "before"
    assert [entry.name for entry in place.iterdir()] == ["file"]


def test_a_dangling_link_counts_as_an_existing_file(place: Path, tmp_path: Path) -> None:
    (place / "file").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        write_file(place / "file", b"new")
    with pytest.raises(FileExistsError):
        create_empty(place / "file", mode=0o600)
    assert not (tmp_path / "nowhere").exists()


def test_a_file_is_written_whole_or_not_at_all(place: Path) -> None:
    class Broken:
        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "the disk is gone")

    (place / "file").write_text("before")
    with pytest.raises(OSError, match="the disk is gone"):
        write_file(place / "file", Broken(), replace=True)  # type: ignore[arg-type]
    with pytest.raises(OSError, match="the written file differs from what was sent"):
        write_file(place / "file", b"new", replace=True, sha256="00")
    assert (place / "file").read_text() == "before"
    assert [entry.name for entry in place.iterdir()] == ["file"]
    write_file(place / "file", b"new", replace=True, sha256=hashlib.sha256(b"new").hexdigest())
    assert (place / "file").read_text() == "new"


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_a_written_file_has_the_given_mode(place: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_file(place / "file", b"", mode=0o640)
    finally:
        os.umask(before)
    assert (place / "file").stat().st_mode & 0o777 == 0o640


# Reading what somebody else has named


@pytest.fixture
def tree(place: Path, victim: Path) -> Path:
    """A directory with files, and with every way out of it."""
    (place / "sub").mkdir()
    (place / "a.md").write_text("inside")
    (place / "sub" / "b.md").write_text("inside")
    (place / "link.md").symlink_to(victim)
    (place / "inner.md").symlink_to("a.md")
    (place / "dir").symlink_to(place.parent)
    (place / "loop").symlink_to("loop")
    os.mkfifo(place / "pipe")
    (place / "proc").symlink_to("/proc/self")
    return place


@pytest.mark.parametrize("name", ["a.md", "./a.md", "sub/b.md", "sub//b.md", "sub/./b.md"])
def test_open_below_opens_a_file_inside_the_directory(tree: Path, name: str) -> None:
    with open_below(tree, name) as file:
        assert file.read() == b"inside"


@pytest.mark.parametrize(
    "name",
    [
        "../victim",
        "sub/../../victim",
        "sub/../a.md",
        "..",
        "link.md",
        "inner.md",
        "dir/victim",
        "dir/place/a.md",
        "loop",
        "proc/environ",
        "/etc/passwd",
        "//etc/passwd",
        "",
        ".",
        "sub",
        "pipe",
        "absent.md",
        "absent/a.md",
        "a.md/b",
        "a\0.md",
        "x" * 300,
        "x/" * 3000,
    ],
)
def test_open_below_refuses_any_other_path(tree: Path, name: str) -> None:
    with pytest.raises(OSError) as caught, open_below(tree, name) as file:
        pytest.fail(file.read().decode())
    assert caught.value.strerror
    assert len(os.listdir("/proc/self/fd")) < 200  # noqa: PTH208


def test_no_descriptor_stays_open(tree: Path) -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for name in ("sub/b.md", "dir/x", "sub/../a.md", "pipe", "sub"):
        try:
            open_below(tree, name).close()
        except OSError:
            continue
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda path: path.touch(), ""),
    "a directory": (lambda path: path.mkdir(), "a directory"),
    "a pipe": (os.mkfifo, "a named pipe"),
    "a socket": (_socket, "a socket"),
    "a device": (lambda path: path.symlink_to("/dev/null"), "a device"),
    "a link to a file": (lambda path: path.symlink_to(__file__), ""),
    "a link to a directory": (lambda path: path.symlink_to("/"), "a directory"),
    "a link to itself": (lambda path: path.symlink_to("it"), "a symbolic link to it, which leads to itself"),
    "a link below a file": (
        lambda path: path.symlink_to("/etc/passwd/x"),
        "a symbolic link to /etc/passwd/x, which does not exist",
    ),
    "a dangling link": (lambda path: path.symlink_to("/nowhere"), "a symbolic link to /nowhere, which does not exist"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_describe_kind_names_the_kind_of_a_file(tmp_path: Path, kind: str) -> None:
    make, words = KINDS[kind]
    make(tmp_path / "it")
    assert describe_kind(tmp_path / "it") == words


# No other way to write

WRITES = re.compile(r"\.write_text\(|\.write_bytes\(|copyfile\(|O_CREAT|\.open\(\"[wax]|open\([^)]*\"[wax]b?\"")
ALLOWED = {
    "dsgctl/files.py": "the function itself",
    "dsgctl/operations/backup/create.py": "into its private staging directory",
    "dsgctl/operations/backup/archive.py": "into the private directory of the caller",
    "dsgctl/operations/backup/encryption.py": "the same",
    "dsgctl/operations/demo.py": "into a temporary directory of its own",
}


def test_no_other_module_writes_files_directly() -> None:
    writers = {
        str(path.relative_to(ROOT))
        for path in [*(ROOT / "dsgctl").rglob("*.py"), *(ROOT / "dsgserve").rglob("*.py")]
        if WRITES.search(path.read_text(encoding="utf-8"))
    }
    assert writers == ALLOWED.keys()
