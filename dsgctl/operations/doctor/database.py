"""The database file: access of the service, soundness, and disk space."""

import os
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core import addresses, audit, audit_chain, datasets, validation
from dsgctl.operations.doctor.account import Account, describe, explain_closed, explain_refusal, is_open_to_all
from dsgctl.operations.doctor.check import DATABASE, Case, Checks, failure, ok, warning
from dsgctl.operations.doctor.files import check_access, explain_missing
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import LATEST, schema_number
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgctl.wording import format_count

SKEW = timedelta(seconds=30)  # of clocks: ID tokens and signed tokens have dates
FULL = 64 * 1024**2  # bytes; with less, a busy journal soon fills the disk


def check_database_files(case: Case) -> Checks:
    """Owner and mode of the database, its journal and their directory, before a connection changes them."""
    path, user = case.config.database, case.host.service_user
    account = case.account
    if closed := explain_closed(account, path):
        yield failure(DATABASE, *closed)
        return
    if not path.exists():
        if path.is_symlink():
            yield explain_missing(DATABASE, path)
        elif path.parent.is_dir():
            yield from check_access(DATABASE, account, path.parent, "w")
        else:
            yield failure(
                DATABASE,
                f"the directory {path.parent} does not exist",
                f"install -d -o {user} -g {user} -m 2770 {path.parent}",
            )
        return
    if is_open_to_all(path):
        yield failure(DATABASE, f"everybody on this host can read {path}", f"chmod 660 {path}")
    yield from check_access(DATABASE, account, path.parent, "w")
    yield from check_access(DATABASE, account, path, "w")
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):  # the last connection deletes them
            yield from _check_journal(account, path, path.with_name(path.name + suffix))


def _check_journal(account: Account | None, database: Path, path: Path) -> Checks:
    """Raises:
    FileNotFoundError: there is no journal; no connection is open.
    """
    command = f"chown --reference={database} {path}; chmod --reference={database} {path}"
    if is_open_to_all(path):
        yield failure("journal", f"everybody on this host can read {path}", command)
    if explain_refusal(account, path, "w"):
        yield failure(
            "journal",
            f"{path} ({describe(path)}) was left by a program of another user: the server cannot write",
            command,
        )


def check_database(case: Case) -> Checks:
    """The content of the database: schema, damage, the audit log, accounts, and public datasets."""
    path = Path(case.config.database)
    if path.is_symlink() and not path.exists():
        return  # `check_database_files` reports it
    database = SqliteDatabase(path)
    try:
        number = schema_number(database)
        if number != LATEST:
            do = "dsgctl db migrate" if number < LATEST else "install the release that was here"
            yield failure(DATABASE, f"it has schema {number}; this program needs {LATEST}", do)
            return
        problems = database.integrity_problems()
        dangling = database.dangling_rows()
        if problems:
            yield failure(DATABASE, f"damaged: {problems[0]}", "stop the servers, and dsgctl db restore")
        elif dangling:
            yield warning(DATABASE, f"{dangling[0]}, and {len(dangling) - 1} more", "dsgctl db check --mend")
        else:
            yield ok(DATABASE, f"{path} is sound, schema {LATEST}, {describe(path)}, {database.engine_name()}")
        broken = audit_chain.verify(database)
        if broken is not None:
            yield failure(
                "audit log",
                f"record {broken} does not follow from the one before it",
                "somebody changed the log: compare it with a backup",
            )
        else:
            yield ok("audit log", "every record follows from the one before it")
        latest = audit.find_latest_change(database)
        if latest is not None and latest - case.at > SKEW:
            yield failure(
                "clock",
                f"this host's clock is behind the last change, of {latest:%Y-%m-%d %H:%M} UTC",
                "timedatectl set-ntp true; dsgserve will not start",
            )
        yield from _check_domains(case.config, database)
        yield from check_people(database)
        for name in datasets.list_public_without_terms(database):
            yield warning(
                "datasets",
                f"{name} is public, but has no terms to accept: only the native API and the gate open it, to everybody",
                f"dsgctl terms add NAME --file FILE --dataset {shlex.quote(name)}",
            )
    finally:
        database.close()
    journal = path.with_name(path.name + "-wal")
    if journal.exists() and journal.stat().st_size > case.host.long_journal:
        size = journal.stat().st_size // 1024**2
        yield warning(
            "journal", f"{journal} has {size} MB: a reader never ends", "restart the program that has it open"
        )


def _check_domains(config: Config, database: Database) -> Checks:
    """Whether DSG_ALLOWED_EMAIL_DOMAINS admits any of the existing users, and any admin."""
    if not config.allowed_email_domains:
        return
    query = m.Principal.select(m.Principal.email, m.Principal.admin).where(
        m.Principal.kind == "user", m.Principal.active == True
    )
    people = [(str(email), bool(admin)) for email, admin in database.tuples(query)]
    domains = ", ".join(config.allowed_email_domains)
    admitted = [
        (email, admin)
        for email, admin in people
        if validation.email_key(email.rpartition("@")[2]) in config.allowed_email_domains
    ]
    if people and not admitted:
        count = format_count(len(people), "person", "people")
        yield failure(
            "sign-in",
            f"DSG_ALLOWED_EMAIL_DOMAINS ({domains}) admits none of the existing users ({count})",
            "correct it: dsgctl user list shows their addresses",
        )
    elif any(admin for _, admin in people) and not any(admin for _, admin in admitted):
        yield warning("sign-in", f"DSG_ALLOWED_EMAIL_DOMAINS ({domains}) admits no admin", "dsgctl user list --admin")


def check_people(database: Database) -> Checks:
    """Users whose address changed at the provider, and pairs of accounts that are probably one person."""
    renamed = list(addresses.list_renamed(database))
    if renamed:
        email, new_email = renamed[0]
        yield warning(
            "sign-in",
            f"{email} signs in as {new_email} now{_more(renamed)}",
            f"dsgctl user set {email} --email {new_email}",
        )
    twins = addresses.list_twins(database)
    if twins:
        yield warning(
            "sign-in",
            f"{' and '.join(twins[0])} are probably one person{_more(twins)}",
            "ask them which they sign in with, and disable the other",
        )


def _more(rows: Sequence[object]) -> str:
    return f", and {len(rows) - 1} more such" if len(rows) > 1 else ""


def check_disk(case: Case) -> Checks:
    """Free space on the disks of the database and of the staging directory."""
    path = Path(case.config.database)
    size = path.stat().st_size if path.exists() else 0
    room = case.host.room
    yield from _check_room("disk", "the database", path.parent, least=FULL, better=max(room, 2 * size))
    if case.config.backup_dir is not None:
        staging = case.config.backup_staging_dir
        use = "making backups (DSG_BACKUP_STAGING_DIR)"
        yield from _check_room("staging", use, staging, least=max(FULL, 2 * size), better=max(room, 3 * size))


def _check_room(name: str, use: str, directory: Path, *, least: int, better: int) -> Checks:
    """
    Args:
        least, better: with fewer free bytes it fails, or warns.
    """
    try:
        free, inodes = shutil.disk_usage(directory).free, os.statvfs(directory)
    except FileNotFoundError:
        yield failure(name, f"there is no directory {directory}, which is for {use}", f"install -d {directory}")
        return
    space = f"{free // 1024**2} MB are free at {directory}, for {use}"
    if free < least:
        yield failure(
            name, f"the disk is full: {space}", f"make room: {better // 1024**2} MB; du -xh {directory} | sort -h"
        )
    elif inodes.f_files and inodes.f_favail < 100:
        yield failure(name, f"{directory} takes no more files: {inodes.f_favail} inodes are free", "delete some there")
    elif free < better:
        yield warning(name, space, f"make room: {better // 1024**2} MB")
    else:
        yield ok(name, space)
