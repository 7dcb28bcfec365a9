"""The database file: whether the service can use it, whether it is sound, and whether it has room."""

import os
import shlex
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from dsgctl.config import Config
from dsgctl.core import audit, datasets, users, validation
from dsgctl.operations.doctor.account import Account, describe, explain_closed, explain_refusal, is_open_to_all
from dsgctl.operations.doctor.check import Case, Checks, failed, ok, warning
from dsgctl.operations.doctor.files import missing
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import LATEST, schema_number
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgctl.wording import counted

SKEW = timedelta(seconds=30)  # ID tokens and signed tokens are dated
FULL = 64 * 1024**2  # bytes, under which a busy journal soon finds none


def check_database_files(case: Case) -> Checks:
    """Owner and mode of the database, its journal and their directory. Before anything opens them: that mends some."""
    path, user = case.config.database, case.host.service_user
    account = case.account
    if closed := explain_closed(account, path):
        yield failed("database", *closed)
        return
    if not path.exists():
        if path.is_symlink():
            yield missing("database", path)
        elif path.parent.is_dir():
            yield from _refused("database", account, path.parent, "w")
        else:
            yield failed(
                "database",
                f"the directory {path.parent} does not exist",
                f"install -d -o {user} -g {user} -m 2770 {path.parent}",
            )
        return
    if is_open_to_all(path):
        yield failed("database", f"everybody on this host can read {path}", f"chmod 660 {path}")
    yield from _refused("database", account, path.parent, "w")
    yield from _refused("database", account, path, "w")
    for suffix in ("-wal", "-shm"):
        with suppress(FileNotFoundError):  # whoever closes the database last takes them away
            yield from _check_journal(account, path, path.with_name(path.name + suffix))


def _check_journal(account: Account | None, database: Path, path: Path) -> Checks:
    """Raises:
    FileNotFoundError: it is not there, as it should be while nobody has the database open.
    """
    mend = f"chown --reference={database} {path}; chmod --reference={database} {path}"
    if is_open_to_all(path):
        yield failed("journal", f"everybody on this host can read {path}", mend)
    if explain_refusal(account, path, "w"):
        yield failed(
            "journal", f"{path} ({describe(path)}) was left by a program of another user: the server cannot write", mend
        )


def _refused(name: str, account: Account | None, path: Path, access: str) -> Checks:
    if refusal := explain_refusal(account, path, "w" if access == "w" else "r"):
        yield failed(name, *refusal)


def check_database(case: Case) -> Checks:
    """What is in the database."""
    path = Path(case.config.database)
    if path.is_symlink() and not path.exists():
        return  # named above
    database = SqliteDatabase(path)
    try:
        number = schema_number(database)
        if number != LATEST:
            do = "dsgctl db migrate" if number < LATEST else "install the release that was here"
            yield failed("database", f"it has schema {number}; this program needs {LATEST}", do)
            return
        problems = database.integrity_problems()
        dangling = database.dangling_rows()
        if problems:
            yield failed("database", f"damaged: {problems[0]}", "stop the servers, and dsgctl db restore")
        elif dangling:
            yield warning("database", f"{dangling[0]}, and {len(dangling) - 1} more", "dsgctl db check --mend")
        else:
            yield ok("database", f"{path} is sound, schema {LATEST}, {describe(path)}, {database.engine_name()}")
        broken = audit.verify(database)
        if broken is not None:
            yield failed(
                "audit log",
                f"record {broken} does not follow from the one before it",
                "somebody changed the log: compare it with a backup",
            )
        else:
            yield ok("audit log", "every record follows from the one before it")
        latest = audit.latest(database)
        if latest is not None and latest - case.at > SKEW:
            yield failed(
                "clock",
                f"this host's clock is behind the last change, of {latest:%Y-%m-%d %H:%M} UTC",
                "timedatectl set-ntp true; dsgserve will not start",
            )
        yield from _check_domains(case.config, database)
        yield from check_people(database)
        for name in datasets.list_public_without_terms(database):
            yield warning(
                "datasets",
                f"{name} is public, but without terms to accept nobody can open it",
                f"dsgctl terms add NAME --file FILE --dataset {shlex.quote(name)}",
            )
    finally:
        database.close()
    journal = path.with_name(path.name + "-wal")
    if journal.exists() and journal.stat().st_size > case.host.long_journal:
        size = journal.stat().st_size // 1024**2
        yield warning("journal", f"{journal} has {size} MB: something reads without end", "restart what has it open")


def _check_domains(config: Config, database: Database) -> Checks:
    """Whether DSG_ALLOWED_EMAIL_DOMAINS lets those in that there are."""
    if not config.allowed_email_domains:
        return
    query = m.Principal.select(m.Principal.email, m.Principal.admin).where(
        m.Principal.kind == "user", m.Principal.active == True
    )
    people = [(str(email), bool(admin)) for email, admin in database.tuples(query)]
    domains = ", ".join(config.allowed_email_domains)
    let_in = [one for one in people if validation.email_key(one[0].rpartition("@")[2]) in config.allowed_email_domains]
    if people and not let_in:
        here = counted(len(people), "person", "people")
        yield failed(
            "sign-in",
            f"DSG_ALLOWED_EMAIL_DOMAINS ({domains}) lets in nobody of those here ({here})",
            "correct it: dsgctl user list shows their addresses",
        )
    elif any(admin for _, admin in people) and not any(admin for _, admin in let_in):
        yield warning("sign-in", f"DSG_ALLOWED_EMAIL_DOMAINS ({domains}) lets in no admin", "dsgctl user list --admin")


def check_people(database: Database) -> Checks:
    """Who has another address with the provider by now, and who may be here twice."""
    renamed = list(users.list_renamed(database))
    if renamed:
        email, seen = renamed[0]
        yield warning(
            "sign-in", f"{email} signs in as {seen} now{_more(renamed)}", f"dsgctl user set {email} --email {seen}"
        )
    twins = users.list_twins(database)
    if twins:
        yield warning(
            "sign-in",
            f"{' and '.join(twins[0])} are probably one person{_more(twins)}",
            "ask them which they sign in with, and disable the other",
        )


def _more(found: Sequence[object]) -> str:
    return f", and {len(found) - 1} more such" if len(found) > 1 else ""


def check_disk(case: Case) -> Checks:
    """Room beside the database, and where backups are made."""
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
        least, better: bytes under which it is failed, and a warning.
    """
    try:
        free, inodes = shutil.disk_usage(directory).free, os.statvfs(directory)
    except FileNotFoundError:
        yield failed(name, f"there is no directory {directory}, which is for {use}", f"install -d {directory}")
        return
    said = f"{free // 1024**2} MB are free at {directory}, for {use}"
    if free < least:
        yield failed(
            name, f"the disk is full: {said}", f"make room: {better // 1024**2} MB; du -xh {directory} | sort -h"
        )
    elif inodes.f_files and inodes.f_favail < 100:
        yield failed(name, f"{directory} takes no more files: {inodes.f_favail} inodes are free", "delete some there")
    elif free < better:
        yield warning(name, said, f"make room: {better // 1024**2} MB")
    else:
        yield ok(name, said)
