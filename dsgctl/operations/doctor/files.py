"""Files that the service needs: readable by its user, and secrets by nobody else."""

from pathlib import Path

from dsgctl.files import describe_kind
from dsgctl.operations.doctor.account import (
    Access,
    Account,
    describe,
    explain_closed,
    explain_refusal,
    find_account,
    is_open_to_all,
)
from dsgctl.operations.doctor.check import Case, Check, Checks, Host, failure, ok, warning

_HIDDEN = ("/home", "/root", "/run/user")  # ProtectHome= in systemd/*.service
_KEY = b"AGE-SECRET-KEY-1"
_LONGEST_KEY = 64 * 1024  # bytes of a file that may hold one


def check_files(case: Case) -> Checks:
    """Whether the service user exists and can read the settings file."""
    account = case.account
    if find_account(case.host.service_user) is None and (case.host.units / "dsgserve.service").exists():
        yield failure("service user", f"there is no user {case.host.service_user}", "make install creates it")
    path = case.settings_file
    if closed := explain_closed(account, path):
        yield failure("settings file", *closed)
        return
    if not path.exists():
        yield warning("settings file", f"there is no {path}", "dsgctl setup writes one")
        return
    if is_open_to_all(path):
        yield failure("settings file", f"everybody on this host can read {path}", f"chmod 640 {path}")
    elif refusal := explain_refusal(account, path, "r"):
        yield failure("settings file", *refusal)
    else:
        yield ok("settings file", f"{path}, {describe(path)}")


def check_secret_file(name: str, account: Account | None, path: Path, host: Host) -> Checks:
    """A file with a secret: it exists, the service can read it, and others cannot."""
    if closed := explain_closed(account, path):
        yield failure(name, *closed)
    elif not path.exists():
        yield explain_missing(name, path)
    elif kind := describe_kind(path):
        yield failure(name, f"{path} is {kind}, not a file", "correct the setting that names it")
    elif is_open_to_all(path):
        yield failure(name, f"everybody on this host can read {path}, which holds a secret", f"chmod 640 {path}")
    else:
        yield from check_access(name, account, path, "r")
        yield from check_sandbox(name, path, host)


def explain_missing(name: str, path: Path) -> Check:
    if path.is_symlink():
        return failure(name, f"{path} is a symbolic link to {path.readlink()}, which is not there", f"ls -l {path}")
    return failure(name, f"there is no {path}", "put it there, or correct the setting that names it")


def check_access(name: str, account: Account | None, path: Path, access: Access) -> Checks:
    """A failed line if the service user does not have this access."""
    if refusal := explain_refusal(account, path, access):
        yield failure(name, *refusal)


def check_sandbox(name: str, path: Path, host: Host) -> Checks:
    """A failed line for a path in a home: the units hide homes from the service, whatever the modes are."""
    absolute = path.absolute()
    if (host.units / "dsgserve.service").exists() and str(absolute).startswith(tuple(f"{place}/" for place in _HIDDEN)):
        yield failure(
            name, f"{absolute} is hidden from the service: its unit has ProtectHome=yes", "move it to /etc/dsg"
        )


def check_secret_keys(case: Case) -> Checks:
    """Secret age keys must not be on this host: whoever has one can read all backups."""
    config = case.config
    if config.backup_identity is not None and config.backup_identity.exists():
        yield failure(
            "age key",
            f"DSG_BACKUP_AGE_IDENTITY_FILE: {config.backup_identity} is on this host, which makes the backups",
            "keep it on another machine, and remove the setting",
        )
    places = {
        *case.host.secret_places,
        case.settings_file.parent,
        config.database.parent,
        config.backup_recipients.parent,
        *filter(None, [config.backup_dir]),
    }
    for path in sorted({file for place in places for file in _small_files(place)} - {config.backup_identity}):
        try:
            holds_key = _KEY in path.read_bytes()
        except OSError:
            continue  # this user cannot read it
        if holds_key:
            yield failure(
                "age key",
                f"{path} holds a secret age key; an attacker on this host could read the backups",
                "keep it on another machine, and delete it here",
            )


def _small_files(place: Path) -> list[Path]:
    try:
        return [path for path in place.iterdir() if path.is_file() and path.stat().st_size <= _LONGEST_KEY]
    except OSError:
        return []
