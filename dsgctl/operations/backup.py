"""Backups: a consistent copy of the database, verified, encrypted, shipped and pruned; and the way back.

A bundle is ``dsg-backup-TIME.tar.gz.age``: a tar of the database, `Manifest`, and, unless the settings say
otherwise, the settings file and the OAuth client. Beside it lies ``….meta.json``, which holds no secret.
"""

import json
import os
import re
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from dsgctl import __version__
from dsgctl.config import Config, load
from dsgctl.core.errors import Conflict, DsgError, Invalid, NotFound
from dsgctl.files import SETTINGS_MODE, hash_of, write_file
from dsgctl.json_text import NotJson, member, parse
from dsgctl.operations.bundle import CLIENT, DATABASE, RECIPIENTS, SETTINGS, Manifest, pack, unpack
from dsgctl.store import Database, StoreError
from dsgctl.store.database import exclusive, ownership
from dsgctl.store.migrations import LATEST, schema_number, schema_problems

AGE_HEADER = b"age-encryption.org/v1"
_NAME = re.compile(r"dsg-backup-(\d{8}T\d{6}Z)\.tar\.gz(?:\.age)?")
_TIME = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup that is where it belongs: ``path`` is None for one that went to a stream."""

    path: Path | None
    size: int
    sha256: str
    manifest: Manifest
    pruned: list[str] = field(default_factory=list)


# Making one


def make_backup(
    config: Config,
    at: datetime,
    *,
    to: Path | None = None,
    stream: BinaryIO | None = None,
    env_file: Path | None = None,
    in_clear: bool = False,
    prune: bool = True,
) -> BackupResult:
    """Copy the database while it is in use, verify the copy, encrypt it, and put it where it belongs.

    Args:
        to: a directory; None for ``DSG_BACKUP_DIR``.
        stream: is written to instead of a directory.
        env_file: the settings file, to be taken along.
        in_clear: do not encrypt. Token hashes and people's addresses are in it, but no settings and no secrets.
        prune: afterwards delete the bundles that no tier keeps.

    Raises:
        Invalid: there is nobody to encrypt to, or nowhere to put it.
        DsgError: the copy is damaged, or did not arrive whole; nothing older is touched.
    """
    encryption = None if in_clear else recipients(config.backup_recipients)
    directory = to or config.backup_dir
    if directory is None and stream is None:
        raise Invalid("there is nowhere to put a backup", "set DSG_BACKUP_DIR, or say --to DIRECTORY or --to-stdout")
    if stream is None and directory is not None and not directory.is_dir():
        raise Invalid(f"{directory} is not a directory", "make it, writable for the service's user")
    with _scratch(config) as scratch:
        manifest = _collect(config, scratch, at, env_file, settings=config.backup_include_secrets and not in_clear)
        bundle = scratch / f"dsg-backup-{at.astimezone(UTC):{_TIME}}.tar.gz"
        pack(scratch, bundle, manifest)
        if encryption is not None:
            bundle = _encrypt(bundle, encryption)
        size, digest = bundle.stat().st_size, hash_of(bundle)
        if stream is not None or directory is None:
            with bundle.open("rb") as source:
                shutil.copyfileobj(source, stream)  # type: ignore[arg-type]  # one of the two is there: see above
            return BackupResult(None, size, digest, manifest)
        path = _ship(bundle, directory, digest)
    meta = {**asdict(manifest), "bundle": path.name, "size": size, "sha256": digest}
    try:
        write_file(_meta(path), json.dumps(meta, indent=1).encode() + b"\n", replace=True)
    except OSError as error:
        raise _unwritable(directory, error) from error
    keep = (config.backup_keep_hourly, config.backup_keep_daily, config.backup_keep_weekly)
    return BackupResult(path, size, digest, manifest, prune_directory(directory, *keep, new=path) if prune else [])


@contextmanager
def _scratch(config: Config) -> Iterator[Path]:
    """A directory for what is not yet, or no more, encrypted; gone afterwards."""
    try:
        with tempfile.TemporaryDirectory(prefix="dsg-backup-", dir=config.backup_staging_dir) as name:
            yield Path(name)
    except OSError as error:
        where = error.filename or config.backup_staging_dir
        raise DsgError(f"{where}: {error.strerror}", "make room there, or set DSG_BACKUP_STAGING_DIR") from error


def recipients(path: Path) -> list[Any]:
    """The age recipients of a file, one a line; ``#`` begins a comment.

    Raises:
        Invalid: there is none, or a line is not one.
    """
    from pyrage import RecipientError, ssh, x25519  # only for backups

    hint = "age-keygen prints a public key; put it there, one a line, or say --in-clear"
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise Invalid(f"nobody to encrypt to: {path}: {error.strerror}", hint) from None
    except UnicodeDecodeError:
        raise Invalid(f"{path} is not text", hint) from None
    found = []
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#"):
            continue
        try:
            kind = ssh if line.startswith("ssh-") else x25519
            found.append(kind.Recipient.from_str(line))
        except RecipientError:
            raise Invalid(f"{path}, line {number}: not an age recipient", hint) from None
    if not found:
        raise Invalid(f"{path} names nobody to encrypt to", hint)
    return found


def _collect(config: Config, scratch: Path, at: datetime, env_file: Path | None, *, settings: bool) -> Manifest:
    copy = scratch / DATABASE
    database = Database(config.database, read_only=True)
    try:
        database.copy_to(copy)
    finally:
        database.close()
    schema, rows = _verify_copy(copy)
    if settings:
        sources = ((env_file, SETTINGS), (config.client_credentials, CLIENT), (config.backup_recipients, RECIPIENTS))
        for source, name in sources:
            if source is not None and source.exists():
                shutil.copyfile(source, scratch / name)
    files = {one.name: hash_of(one) for one in sorted(scratch.iterdir())}
    created = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Manifest(created, __version__, schema, Database.engine(), rows, files)


def _verify_copy(path: Path) -> tuple[int, dict[str, int]]:
    """The schema and the number of rows of each table of a database that is sound.

    Raises:
        DsgError: it is not.
    """
    database = None
    try:
        database = Database(path, read_only=True)
        # The schema first: what somebody has added to it would run when the rest is read, or later.
        problems = schema_problems(database) or database.integrity_problems()
        schema, rows = (0, {}) if problems else (schema_number(database), database.table_sizes())
    except StoreError as error:
        problems = [error.message]
    finally:
        if database:
            database.close()
    if problems:
        raise DsgError(f"the database is damaged: {problems[0]}", "'dsgctl db check' tells more; restore a backup")
    return schema, rows


def _encrypt(bundle: Path, to: list[Any]) -> Path:
    from pyrage import encrypt_io

    sealed = bundle.with_name(bundle.name + ".age")
    with bundle.open("rb") as source, sealed.open("wb") as target:
        encrypt_io(source, target, to)
    return sealed


def _ship(bundle: Path, directory: Path, digest: str) -> Path:
    """Copy a bundle, and read it again where it is now; its name appears when it is whole."""
    target = directory / bundle.name
    try:
        with bundle.open("rb") as source:
            write_file(target, source, sha256=digest)
    except FileExistsError:
        raise Conflict(f"{target} is there already", "one backup a second will do: run it again") from None
    except OSError as error:
        raise _unwritable(directory, error) from error
    return target


def _unwritable(directory: Path, error: OSError) -> DsgError:
    return DsgError(f"cannot write to {directory}: {error.strerror}", "make room, or check who may write there")


def _meta(bundle: Path) -> Path:
    """Where it is said, beside a bundle, what is in it."""
    return bundle.with_name(f"{bundle.name.partition('.')[0]}.meta.json")


# Pruning


def select_kept(moments: list[datetime], hourly: int, daily: int, weekly: int) -> set[datetime]:
    """Which backups to keep: the newest of each of the latest so many hours, days and ISO weeks that have one.

    Hours, days and weeks without a backup do not count, so that an outage never costs what was made before it.
    """
    return set().union(*_tiers(moments, hourly, daily, weekly).values())


def _tiers(moments: list[datetime], hourly: int, daily: int, weekly: int) -> dict[str, set[datetime]]:
    """Tier -> what it keeps."""
    tiers = {}
    for tier, number, name in (("hourly", hourly, "%Y%m%d%H"), ("daily", daily, "%Y%m%d"), ("weekly", weekly, "%G%V")):
        newest: dict[str, datetime] = {}
        for moment in sorted(moments, reverse=True):
            newest.setdefault(f"{moment:{name}}", moment)
        tiers[tier] = set(list(newest.values())[:number])
    return tiers


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle in a directory.

    Attributes:
        tiers: which keep it; none: it is deleted when the next one is made.
    """

    path: Path
    created: datetime
    size: int
    tiers: list[str]
    encrypted: bool


def described(directory: Path, config: Config) -> Iterator[Bundle]:
    """The bundles in a directory, the newest first."""
    bundles = list_bundles(directory)
    keep = (config.backup_keep_hourly, config.backup_keep_daily, config.backup_keep_weekly)
    tiers = _tiers(list(bundles.values()), *keep)
    for path, moment in bundles.items():
        keeps = [tier for tier, moments in tiers.items() if moment in moments]
        yield Bundle(path, moment, path.stat().st_size, keeps, is_encrypted(path))


def is_encrypted(bundle: Path) -> bool:
    """Raises:
    NotFound: there is no such file.
    """
    if not bundle.is_file():
        raise NotFound(f"there is no file {bundle}", "dsgctl backup list")
    with bundle.open("rb") as file:
        return file.read(len(AGE_HEADER)) == AGE_HEADER


def require_whole(bundle: Path) -> int:
    """Hold a bundle against what was noted beside it when it was made. Returns its size.

    Raises:
        NotFound: nothing is noted.
        DsgError: it is not what was made.
    """
    meta = _meta(bundle)
    try:
        noted = parse(meta.read_bytes())
        size, digest = member(noted, "size", int), member(noted, "sha256", str)
    except (FileNotFoundError, NotJson):
        raise NotFound(
            f"there is no {meta.name} beside {bundle.name} to hold it against", "say --identity FILE to look inside"
        ) from None
    if bundle.stat().st_size != size or hash_of(bundle) != digest:
        raise DsgError(f"{bundle.name} is damaged: it is not what was made", "take another: dsgctl backup list")
    return size


def list_bundles(directory: Path) -> dict[Path, datetime]:
    """The bundles in a directory, the newest first; nothing else that has such a name stops a backup, or takes a
    bundle's place in a tier: no directory, no symbolic link, no date that is none."""
    bundles = {}
    for path in directory.iterdir():
        name = _NAME.fullmatch(path.name)
        if name is None or not stat.S_ISREG(path.lstat().st_mode):
            continue
        with suppress(ValueError):
            bundles[path] = datetime.strptime(name[1], _TIME).replace(tzinfo=UTC)
    return dict(sorted(bundles.items(), key=lambda entry: entry[1], reverse=True))


def prune_directory(directory: Path, hourly: int, daily: int, weekly: int, *, new: Path) -> list[str]:
    """Delete the bundles that no tier keeps, with their meta files, and never the new one. Returns their names."""
    bundles = list_bundles(directory)
    keep = select_kept(list(bundles.values()), hourly, daily, weekly)
    gone = [path for path, moment in bundles.items() if moment not in keep and path.name != new.name]
    for path in gone:
        path.unlink()
        _meta(path).unlink(missing_ok=True)
    return [path.name for path in gone]


# The way back


@contextmanager
def open_bundle(bundle: Path, config: Config, *, identity: Path | None = None) -> Iterator[tuple[Path, Manifest]]:
    """A bundle, decrypted, unpacked and verified. Yields the directory with its files.

    Args:
        identity: file with age identities; None for ``DSG_BACKUP_AGE_IDENTITY_FILE``.

    Raises:
        NotFound: there is no such file.
        Invalid: it cannot be decrypted with these identities, or is no bundle.
        DsgError: it is damaged, or of a later release.
    """
    encrypted = is_encrypted(bundle)
    with _scratch(config) as scratch:
        packed = _decrypt(bundle, scratch, identity or config.backup_identity) if encrypted else bundle
        manifest = unpack(packed, bundle.name, scratch)
        _verify_database(scratch, manifest, bundle.name)
        yield scratch, manifest


def _decrypt(bundle: Path, scratch: Path, identity: Path | None) -> Path:
    from pyrage import DecryptError, IdentityError, decrypt_io, ssh, x25519

    hint = "say --identity FILE, or set DSG_BACKUP_AGE_IDENTITY_FILE"
    if identity is None:
        raise Invalid(f"{bundle.name} is encrypted", hint)
    try:
        content = identity.read_bytes()
        if content.startswith(b"-----BEGIN"):
            identities: list[Any] = [ssh.Identity.from_buffer(content)]
        else:
            lines = [line.strip() for line in content.decode().splitlines()]
            identities = [x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except OSError as error:
        raise Invalid(f"{identity}: {error.strerror}", hint) from None
    except (IdentityError, UnicodeDecodeError):
        raise Invalid(f"{identity} is not a file of age identities", hint) from None
    packed = scratch / "bundle.tar.gz"
    try:
        with bundle.open("rb") as source, packed.open("wb") as target:
            decrypt_io(source, target, identities)
    except DecryptError as error:
        raise Invalid(f"{bundle.name} cannot be decrypted: {error}", "it is damaged, or encrypted to others") from None
    except OSError as error:
        if error.errno is not None:
            raise  # of the disk; pyrage's own of a bundle that was cut off or changed has no number
        raise DsgError(f"{bundle.name} is damaged: {error}", "take another") from None
    return packed


def _verify_database(scratch: Path, manifest: Manifest, name: str) -> None:
    if manifest.schema > LATEST:
        raise DsgError(
            f"{name} has schema {manifest.schema}; this program knows schema {LATEST}",
            f"install release {manifest.version} or later first",
        )
    if DATABASE not in manifest.files:
        raise DsgError(f"{name} is damaged: there is no database in it", "take another")
    schema, rows = _verify_copy(scratch / DATABASE)
    if (schema, rows) != (manifest.schema, manifest.rows):
        raise DsgError(f"{name} is damaged: its database is not what the manifest says", "take another")


def apply(files: Path, manifest: Manifest, path: Path, at: datetime) -> Path | None:
    """Put the database of an opened bundle into its place; what was there is kept beside it.

    Returns:
        Where the former database is now; None if there was none.

    Raises:
        Conflict: somebody uses the database that is there.
        StoreError: the directory is not there or may not be written to.
    """
    aside = path.with_name(f"{path.name}.before-{at.astimezone(UTC):{_TIME}}")
    arriving = path.with_name(f".{path.name}.{secrets.token_hex(8)}.arriving")
    try:
        mode, owner = ownership(path.parent)
        with (files / DATABASE).open("rb") as source:
            write_file(arriving, source, mode=mode, owner=owner)
        with exclusive(path):
            existed = path.exists()
            for suffix in ("", "-wal", "-shm"):  # a journal belongs to its database
                one = path.with_name(path.name + suffix)
                if one.exists():
                    one.rename(aside.with_name(aside.name + suffix))
            arriving.rename(path)
    except OSError as error:
        raise StoreError(f"cannot put the database at {path}: {error.strerror}", "check who may write there") from error
    finally:
        with suppress(OSError):  # the directory may not be there
            arriving.unlink(missing_ok=True)
    return aside if existed else None


def list_misplaced_settings(directory: Path, database: Path) -> list[str]:
    """What settings that `give_secrets` has written say otherwise than where things are now, a sentence each."""
    if not (directory / SETTINGS).exists():
        return []
    try:
        config = load({}, str(directory / SETTINGS))
    except Invalid as error:  # of another release: they are there now, and doctor says the same
        return [error.message]
    places = (
        ("DATABASE_PATH", config.database, database),
        ("CLIENT_CREDENTIALS_PATH", config.client_credentials, directory / CLIENT),
        ("DSG_BACKUP_AGE_RECIPIENTS_FILE", config.backup_recipients, directory / RECIPIENTS),
    )
    return [
        f"{name} is {said}, not {here}: edit {directory / SETTINGS}, or move the file"
        for name, said, here in places
        if said is not None and said != here and (here.exists() or here == database)
    ]


def give_secrets(files: Path, manifest: Manifest, directory: Path) -> list[Path]:
    """Write what the bundle has beside the database (settings, OAuth client, recipients) into a directory.

    The files are for root and the group of the directory, as `dsgctl setup` leaves them: the service reads them.

    Returns:
        Where they are now.

    Raises:
        NotFound: there are none in the bundle.
        Conflict: one of them is there already; none is written.
    """
    names = [name for name in (SETTINGS, CLIENT, RECIPIENTS) if name in manifest.files]
    if not names:
        raise NotFound("the bundle has no settings", "it was made --in-clear, or with DSG_BACKUP_INCLUDE_SECRETS=0")
    if not directory.is_dir():
        raise NotFound(f"there is no directory {directory}", "'make install' makes /etc/dsg")
    for name in names:
        if os.path.lexists(directory / name):
            raise Conflict(f"{directory / name} is there already", "name an empty directory")
    owner = (0, directory.stat().st_gid) if os.geteuid() == 0 else None
    try:
        for name in names:
            with (files / name).open("rb") as source:
                write_file(directory / name, source, mode=SETTINGS_MODE, owner=owner)
    except OSError as error:
        raise _unwritable(directory, error) from error
    return [directory / name for name in names]
