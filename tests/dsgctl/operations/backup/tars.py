"""Archives that this program did not make."""

import io
import json
import tarfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dsgctl.operations.backup.archive import Manifest
from dsgctl.store.migrations import LATEST

DIGEST = "00" * 32


def make_tar(home: Path, *entries: tuple[tarfile.TarInfo, bytes], level: int = 6) -> Path:
    bundle = home / "archive.tar.gz"
    with tarfile.open(bundle, "w:gz", compresslevel=level) as tar:
        for entry, content in entries:
            tar.addfile(entry, io.BytesIO(content))
    return bundle


def make_entry(name: str, content: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def make_manifest(**more: Any) -> tuple[tarfile.TarInfo, bytes]:
    fields = asdict(Manifest("2026-11-20T12:00:00Z", "9.9.9", LATEST, "SQLite", {}, {"db.sqlite3": DIGEST}))
    return make_entry("manifest.json", json.dumps(fields | more).encode())
