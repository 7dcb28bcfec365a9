"""Backups: recent, whole, encrypted, and on another disk."""

import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dsgctl.core.errors import Invalid
from dsgctl.json_text import NotJson, parse, read_member
from dsgctl.operations.backup.bundles import list_bundles, meta_path
from dsgctl.operations.backup.encryption import AGE_HEADER, read_recipients
from dsgctl.operations.doctor.account import explain_closed, explain_refusal, is_writable_to_all
from dsgctl.operations.doctor.check import Case, Checks, failure, ok, warning
from dsgctl.operations.doctor.files import check_access, check_sandbox, explain_missing

OLD = timedelta(hours=26)  # the timer makes a backup every hour


def check_backups(case: Case) -> Checks:
    """The directory of backups, the recipients, and the newest bundle."""
    config, account = case.config, case.account
    directory = config.backup_dir
    if directory is None:
        yield failure(
            "backup",
            "DSG_BACKUP_DIR is not set: there are no backups",
            "dsgctl setup, or see 'dsgctl help backup-and-restore'",
        )
        return
    if not directory.is_absolute():
        yield failure(
            "backup",
            f"DSG_BACKUP_DIR is {directory}, a relative path: it depends on the current directory",
            "use an absolute path, such as /var/backups/dsg",
        )
        return
    yield from _check_recipients(case)
    if not directory.is_dir():
        yield failure(
            "backup",
            f"{directory} is not a directory",
            f"install -d -o {case.host.service_user} -g {case.host.service_user} -m 750 {directory}",
        )
        return
    if refusal := explain_refusal(account, directory, "w"):
        yield failure("backup", *refusal)
    if is_writable_to_all(directory):
        yield failure("backup", f"everybody on this host can write to {directory}", f"chmod 750 {directory}")
    yield from check_sandbox("backup", directory, case.host)
    if not (config.backup_keep_hourly or config.backup_keep_daily or config.backup_keep_weekly):
        yield warning(
            "backup",
            "DSG_BACKUP_KEEP_HOURLY, _DAILY and _WEEKLY are 0: each backup deletes all before it",
            "let one of them be 1 or more",
        )
    if (unit := case.host.units / "dsg-backup.service").exists() and not _may_write(unit, directory):
        yield failure(
            "backup",
            f"dsg-backup.service may not write to {directory}: no ReadWritePaths= names it",
            allow_writing(directory),
        )
    if config.database.exists() and directory.stat().st_dev == config.database.stat().st_dev:
        yield warning(
            "backup",
            f"{directory} is on the database's own disk: one fault takes both",
            "mount a disk of another machine there",
        )
    bundles = list_bundles(directory)
    if not bundles:
        yield failure("backup", f"there is none in {directory}", "dsgctl db backup; systemctl status dsg-backup.timer")
        return
    newest, moment = next(iter(bundles.items()))
    yield from _check_bundle(newest)
    yield from _check_age(moment, case.at)


def _may_write(unit: Path, directory: Path) -> bool:
    """Whether a unit with ProtectSystem=strict can write to a directory: systemd.exec(5)."""
    allowed = [Path("/var/lib/dsg")]  # StateDirectory=
    for file in (unit, *sorted(unit.with_name(f"{unit.name}.d").glob("*.conf"))):
        for line in file.read_text(encoding="utf-8").splitlines():
            name, _, value = line.strip().partition("=")
            if name.strip() == "ReadWritePaths":
                allowed += [Path(word.strip("\"'").lstrip("-+")) for word in value.split()]
    return any(directory.is_relative_to(place) for place in allowed)


def allow_writing(directory: Path) -> str:
    """The command that lets dsg-backup.service write to a directory."""
    drop_in = "/etc/systemd/system/dsg-backup.service.d"
    text = shlex.quote(f"[Service]\\nReadWritePaths={directory}\\n")
    return f"install -d {drop_in} && printf {text} > {drop_in}/directory.conf && systemctl daemon-reload"


def _check_recipients(case: Case) -> Checks:
    path = case.config.backup_recipients
    if closed := explain_closed(case.account, path):
        yield failure("backup", *closed)
        return
    if not path.exists():
        yield (
            failure(
                "backup",
                f"no age recipients: there is no {path}",
                "put the public keys there that age-keygen prints, one a line",
            )
            if not path.is_symlink()
            else explain_missing("backup", path)
        )
        return
    yield from check_access("backup", case.account, path, "r")
    if is_writable_to_all(path):  # with a key added there, the next backup can be read
        yield failure("backup", f"everybody on this host can write {path}, and so read backups", f"chmod 640 {path}")
    try:
        read_recipients(path)
    except Invalid as error:
        yield failure("backup", error.message, error.hint)


def _check_bundle(path: Path) -> Checks:
    """The newest bundle: not empty, encrypted if its name says so, and of the size in its meta file."""
    size = path.stat().st_size
    if size == 0:
        yield failure("backup", f"{path} is empty", "dsgctl db backup; journalctl -u dsg-backup")
        return
    try:
        with path.open("rb") as file:
            header = file.read(len(AGE_HEADER))
    except PermissionError as error:
        yield warning(
            "backup", f"{path}: {error.strerror}, so it was not checked", "run it as root: sudo dsgctl doctor"
        )
        return
    if path.suffix == ".age" and header != AGE_HEADER:
        yield failure("backup", f"{path} is not encrypted with age, or damaged", "dsgctl db backup makes another")
        return
    meta = meta_path(path)
    try:
        expected = read_member(parse(meta.read_bytes()), "size", int)
    except (OSError, NotJson):
        return  # it may have been copied here without its meta file
    if expected != size:
        yield failure("backup", f"{path} has {size} bytes of {expected}", "dsgctl db backup makes another")


def _check_age(moment: datetime, at: datetime) -> Checks:
    age = at.astimezone(UTC) - moment
    finding = f"the last one is {age.total_seconds() / 3600:.1f} hours old"
    if age < -timedelta(minutes=5):
        yield failure("backup", f"the last one is of {moment:%Y-%m-%d %H:%M} UTC, in the future", "timedatectl")
    elif age < OLD:
        yield ok("backup", finding)
    else:
        yield failure("backup", finding, "systemctl status dsg-backup.timer; journalctl -u dsg-backup")
