"""The archive in a bundle: a gzipped tar of `Manifest` and the files that it names, read with suspicion.

Whoever has the recipients' public keys can make a bundle, so `unpack` trusts no name, no size and no end in it. It
extracts only plain files of known names, within bounds on their size.
"""

import gzip
import io
import json
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from dsgctl.core.errors import DsgError
from dsgctl.files import hash_file
from dsgctl.json_text import NotJson, parse_object, read_member

DATABASE = "db.sqlite3"
MANIFEST = "manifest.json"
SETTINGS, CLIENT, RECIPIENTS = "dsg.env", "client_credentials.json", "age-recipients.txt"
FILES = frozenset({DATABASE, SETTINGS, CLIENT, RECIPIENTS})

MAX_MANIFEST = 1024 * 1024  # bytes
MAX_RATIO = 200  # unpacked size to packed; a real database seldom reaches 10
ALWAYS_ALLOWED = 64 * 2**20  # bytes that any bundle may unpack to
_CHUNK = 2**16
_BLOCK = tarfile.BLOCKSIZE
_PAX_SIZE = re.compile(rb"(?:^|\n)[0-9]+ size=([0-9]{1,19})\n")


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a bundle.

    Attributes:
        created: UTC, to the second.
        rows: of each table.
        files: name -> SHA-256, of all but the manifest.
    """

    created: str
    version: str
    schema: int
    engine: str
    rows: dict[str, int]
    files: dict[str, str]


class _NotABundle(Exception):
    """The bytes are damaged, or were never a backup of this program."""


class _TooMuch(Exception):
    """The bundle unpacks to more than its allowance."""


def pack(directory: Path, bundle: Path, manifest: Manifest) -> None:
    """Write a bundle of a manifest and the files of a directory that it names."""
    size = sum((directory / name).stat().st_size for name in manifest.files)
    _pack(directory, bundle, manifest, level=6)
    if size > _allowance(bundle):  # nearly all zeros: stored, so that `unpack` does not take it for a bomb
        _pack(directory, bundle, manifest, level=0)


def _pack(directory: Path, bundle: Path, manifest: Manifest, *, level: int) -> None:
    with tarfile.open(bundle, "w:gz", compresslevel=level) as tar:
        content = json.dumps(asdict(manifest), indent=1).encode()
        first = tarfile.TarInfo(MANIFEST)
        first.size = len(content)
        tar.addfile(first, io.BytesIO(content))
        for name in manifest.files:
            tar.add(directory / name, name, recursive=False)


def unpack(packed: Path, name: str, directory: Path) -> Manifest:
    """Extract a bundle into a private directory, and verify its files.

    Args:
        name: of the bundle, for messages.

    Raises:
        DsgError: it is damaged, not a backup of this program, or unpacks to more than its allowance.
        OSError: the bundle cannot be read, or a file cannot be written: a fault of the disk, not of the bundle.
    """
    room = shutil.disk_usage(directory).free * 9 // 10
    allowance = min(_allowance(packed), room)
    try:
        with packed.open("rb") as file, gzip.open(file) as stream:
            manifest = _read_bundle(_Bounded(stream, allowance), directory)
    except (_NotABundle, NotJson, tarfile.HeaderError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DsgError(f"{name} is damaged, or is not a backup of this program", "use another backup") from error
    except _TooMuch:
        if allowance == room:
            raise DsgError(
                f"there is no room to unpack {name} in {directory.parent}",
                "make room there, or set DSG_BACKUP_STAGING_DIR",
            ) from None
        raise DsgError(
            f"{name} unpacks to more than {MAX_RATIO} times its size: it is not a backup of this program",
            "use another backup",
        ) from None
    for file_name, digest in manifest.files.items():
        path = directory / file_name
        if not path.is_file() or hash_file(path) != digest:
            raise DsgError(f"{name} is damaged: {file_name} does not match the manifest", "use another backup")
    return manifest


def _allowance(packed: Path) -> int:
    return max(ALWAYS_ALLOWED, packed.stat().st_size * MAX_RATIO)


class _Bounded:
    """A stream that yields at most ``allowance`` bytes in all."""

    def __init__(self, stream: gzip.GzipFile, allowance: int) -> None:
        self._stream = stream
        self._left = allowance

    def read_exactly(self, size: int) -> bytes:
        """The next ``size`` bytes.

        Raises:
            _NotABundle: fewer are left.
        """
        content = self.read(size)
        if len(content) != size:
            raise _NotABundle
        return content

    def read(self, size: int) -> bytes:
        """The next bytes, at most ``size``; fewer only at the end."""
        content = b""
        while len(content) < size and (part := self._stream.read(size - len(content))):
            content += part
        self._left -= len(content)
        if self._left < 0:
            raise _TooMuch
        return content


def _read_bundle(stream: _Bounded, directory: Path) -> Manifest:
    entries = _read_entries(stream)
    first, size = next(entries, ("", 0))
    if first != MANIFEST or size > MAX_MANIFEST:
        raise _NotABundle
    manifest = _read_manifest(stream.read_exactly(size))
    _skip_padding(stream, size)
    unread = set(manifest.files)
    for name, size in entries:
        if name not in unread:
            raise _NotABundle
        unread.remove(name)
        with (directory / name).open("xb") as target:
            _copy(stream, size, target)
        _skip_padding(stream, size)
    while stream.read(_CHUNK):  # to the end, where gzip has its checksum
        pass
    return manifest


def _read_entries(stream: _Bounded) -> Iterator[tuple[str, int]]:
    """Name and size of each file of a tar. The caller reads the content and its padding before the next.

    `tarfile`'s own reader accepts links, devices and headers of any length; before Python 3.11.4 it cannot refuse them.
    """
    pax_size = None
    while True:
        try:
            entry = tarfile.TarInfo.frombuf(stream.read_exactly(_BLOCK), "utf-8", "strict")
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]  # a block of zeros
            return
        except UnicodeDecodeError:
            raise _NotABundle from None
        if entry.type == tarfile.XHDTYPE and entry.size <= _CHUNK:  # times in fractions, and sizes beyond 8 GB
            content = stream.read_exactly(entry.size)
            _skip_padding(stream, entry.size)
            size = _PAX_SIZE.search(content)
            pax_size = int(size[1]) if size else None
            continue
        if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.size < 0:
            raise _NotABundle
        yield entry.name, entry.size if pax_size is None else pax_size
        pax_size = None


def _copy(stream: _Bounded, size: int, target: BinaryIO) -> None:
    while size:
        content = stream.read_exactly(min(size, _CHUNK))
        target.write(content)
        size -= len(content)


def _skip_padding(stream: _Bounded, size: int) -> None:
    stream.read_exactly(-size % _BLOCK)


def _read_manifest(content: bytes) -> Manifest:
    """Raises:
    NotJson, _NotABundle: it is not a manifest.
    """
    fields = parse_object(content)
    manifest = Manifest(
        created=read_member(fields, "created", str),
        version=read_member(fields, "version", str),
        schema=read_member(fields, "schema", int),
        engine=read_member(fields, "engine", str),
        rows=read_member(fields, "rows", dict),
        files=read_member(fields, "files", dict),
    )
    counts = all(type(count) is int for count in manifest.rows.values())
    digests = all(isinstance(digest, str) for digest in manifest.files.values())
    if fields.keys() != asdict(manifest).keys() or not counts or not digests or not manifest.files.keys() <= FILES:
        raise _NotABundle
    if not (manifest.created + manifest.version + manifest.engine).isprintable():
        raise _NotABundle
    return manifest
