"""The bundles in a directory: their names, the tiers that keep them, and pruning."""

import json
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core.errors import DsgError, Invalid, NotFound
from dsgctl.files import hash_file, write_file
from dsgctl.json_text import NotJson, parse, read_member
from dsgctl.operations.backup.archive import Manifest
from dsgctl.operations.backup.encryption import is_encrypted

TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"dsg-backup-(\d{8}T\d{6}Z)\.tar\.gz(?:\.age)?")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in a directory.

    Attributes:
        size: bytes.
        tiers: the tiers that keep it; with none it is deleted when the next bundle is made.
    """

    path: Path
    created: datetime
    size: int
    tiers: list[str]
    encrypted: bool


@dataclass(frozen=True, slots=True)
class Tiers:
    """How many bundles each tier keeps: ``DSG_BACKUP_KEEP_HOURLY``, ``_DAILY`` and ``_WEEKLY``."""

    hourly: int
    daily: int
    weekly: int

    @classmethod
    def of(cls, config: Config) -> "Tiers":
        return cls(config.backup_keep_hourly, config.backup_keep_daily, config.backup_keep_weekly)

    def assign(self, moments: list[datetime]) -> dict[str, set[datetime]]:
        """Tier -> the backups that it keeps: the newest of each of the latest hours, days or ISO weeks that have one.

        Hours, days and weeks without a backup do not count, so that after an outage the backups before it remain.
        """
        retained = {}
        for tier, count, period in (
            ("hourly", self.hourly, "%Y%m%d%H"),
            ("daily", self.daily, "%Y%m%d"),
            ("weekly", self.weekly, "%G%V"),
        ):
            newest: dict[str, datetime] = {}
            for moment in sorted(moments, reverse=True):
                newest.setdefault(f"{moment:{period}}", moment)
            retained[tier] = set(list(newest.values())[:count])
        return retained

    def select(self, moments: list[datetime]) -> set[datetime]:
        """The backups that some tier keeps."""
        return set[datetime]().union(*self.assign(moments).values())


def bundle_name(at: datetime) -> str:
    """The name of an unencrypted bundle."""
    return f"dsg-backup-{at.astimezone(UTC):{TIME_FORMAT}}.tar.gz"


def find_directory(config: Config, directory: Path | None = None) -> Path:
    """The directory of bundles: the given one, or that of the settings.

    Raises:
        Invalid: neither is set.
        NotFound: it is not a directory.
    """
    path = directory or config.backup_dir
    if path is None:
        raise Invalid("there is no backup directory", "set DSG_BACKUP_DIR, or use --dir DIRECTORY")
    if not path.is_dir():
        raise NotFound(f"{path} is not a directory", "check DSG_BACKUP_DIR")
    return path


def list_bundles(directory: Path) -> dict[Path, datetime]:
    """The bundles in a directory and when they were made, the newest first.

    A directory, a symbolic link or an impossible date with such a name is not a bundle: it neither stops a backup nor
    takes a place in a tier.
    """
    bundles = {}
    for path in directory.iterdir():
        name = _NAME.fullmatch(path.name)
        if name is None or not stat.S_ISREG(path.lstat().st_mode):
            continue
        with suppress(ValueError):
            bundles[path] = datetime.strptime(name[1], TIME_FORMAT).replace(tzinfo=UTC)
    return dict(sorted(bundles.items(), key=lambda entry: entry[1], reverse=True))


def describe_bundles(directory: Path, tiers: Tiers) -> Iterator[Bundle]:
    """The bundles in a directory, the newest first, with the tiers that keep them."""
    bundles = list_bundles(directory)
    retained = tiers.assign(list(bundles.values()))
    for path, moment in bundles.items():
        names = [tier for tier, moments in retained.items() if moment in moments]
        yield Bundle(path, moment, path.stat().st_size, names, is_encrypted(path))


def prune_directory(directory: Path, tiers: Tiers, *, new: Path) -> list[str]:
    """Delete the bundles that no tier keeps, with their meta files, and never the new one. Returns their names."""
    bundles = list_bundles(directory)
    retained = tiers.select(list(bundles.values()))
    surplus = [path for path, moment in bundles.items() if moment not in retained and path.name != new.name]
    for path in surplus:
        path.unlink()
        meta_path(path).unlink(missing_ok=True)
    return [path.name for path in surplus]


# The meta file


def meta_path(bundle: Path) -> Path:
    return bundle.with_name(f"{bundle.name.partition('.')[0]}.meta.json")


def write_meta(bundle: Path, manifest: Manifest, size: int, sha256: str) -> None:
    """Write the meta file of a bundle.

    Raises:
        OSError: it cannot be written.
    """
    meta = {**asdict(manifest), "bundle": bundle.name, "size": size, "sha256": sha256}
    write_file(meta_path(bundle), json.dumps(meta, indent=1).encode() + b"\n", replace=True)


def require_whole(bundle: Path) -> int:
    """Compare a bundle with its meta file. Returns its size in bytes.

    Raises:
        NotFound: there is no meta file, or it is damaged.
        DsgError: size or hash differ.
    """
    meta = meta_path(bundle)
    try:
        content = parse(meta.read_bytes())
        size, digest = read_member(content, "size", int), read_member(content, "sha256", str)
    except (FileNotFoundError, NotJson):
        raise NotFound(
            f"there is no {meta.name} beside {bundle.name} to compare it with",
            "use --identity FILE to verify the content",
        ) from None
    if bundle.stat().st_size != size or hash_file(bundle) != digest:
        raise DsgError(
            f"{bundle.name} is damaged: it differs from {meta.name}", "use another backup: dsgctl backup list"
        )
    return size


def explain_unwritable(directory: Path, error: OSError) -> DsgError:
    return DsgError(f"cannot write to {directory}: {error.strerror}", "make room, or check who may write there")
