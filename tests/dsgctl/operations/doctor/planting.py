"""Runs ``dsgctl doctor`` on an installation with a planted fault, and finds the line that reports it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import pyrage
import pytest

from dsgctl.core import users
from dsgctl.core.transaction import begin_change
from dsgctl.operations import doctor
from dsgctl.store.migrations import open_current
from tests.dsgctl.commands.running import Quick, Result
from tests.dsgctl.operations.doctor.installation import IS_ROOT, SERVICE_USER, Installation

Rows = list[dict[str, str]]
Plant = Callable[[Installation], object]
# A name, how the fault is planted, then the check that reports it, its state, and parts of what it says.
Fault = tuple[str, Plant, str, str, tuple[str, ...]]

SECRET_KEY = "AGE-SECRET-KEY-1QQPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSPQRSTUV"
REFUSED = f"{SERVICE_USER if IS_ROOT else ''} may not "


class Examine(Protocol):
    """Runs ``dsgctl doctor``; returns its exit code and its lines."""

    def __call__(self, *words: str, host: doctor.Host | None = None) -> tuple[int, Rows]: ...


def run_doctor(
    here: Installation, *words: str, host: doctor.Host | None = None, database: Path | None = None
) -> Result:
    """``dsgctl doctor -o json`` with the settings of an installation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "Case", partial(doctor.Case, host=host or here.host))
        patch.setenv("REQUESTS_CA_BUNDLE", "")  # the settings file has it
        quick = Quick(here.place, database or here.database)
        return quick("--env-file", str(here.env), "doctor", "-o", "json", *words)


def worst_state(rows: Rows) -> str:
    return max((row["state"] for row in rows), key=("ok", "warning", "failed").index)


def find_row(rows: Rows, check: str, state: str, *parts: str) -> dict[str, str]:
    """The line of a check in a state whose text has all these parts."""
    for row in rows:
        text = f"{row['found']}; {row['do']}"
        if (row["check"], row["state"]) == (check, state) and all(part in text for part in parts):
            return row
    raise AssertionError((check, state, parts, [row for row in rows if row["check"] == check] or rows))


def each_fault(faults: list[Fault]) -> pytest.MarkDecorator:
    """A test for each row of a table."""
    return pytest.mark.parametrize("fault", faults, ids=[name for name, *_ in faults])


def require_reported(fault: Fault, here: Installation, examine: Examine) -> Rows:
    """Plant a fault; doctor must report it, and fail unless it is a warning. Returns all its lines."""
    _, plant, check, state, parts = fault
    plant(here)
    code, rows = examine()
    find_row(rows, check, state, *parts)
    assert code == 1 or state == "warning"
    assert not any("fault of dsgctl" in row["found"] for row in rows)
    return rows


# Faults. An attribute is a file or directory of the installation, by name.


def write_settings(*lines: str, **values: str) -> Plant:
    return lambda here: here.write(*lines, **values)


def write_text(attribute: str, text: str) -> Plant:
    return lambda here: getattr(here, attribute).write_text(text)


def set_mode(attribute: str, bits: int) -> Plant:
    return lambda here: getattr(here, attribute).chmod(bits)


def close(attribute: str) -> Plant:
    return lambda here: here.close_to_the_service(getattr(here, attribute))


def delete(attribute: str) -> Plant:
    return lambda here: getattr(here, attribute).unlink()


def make_dangling(attribute: str) -> Plant:
    def plant(here: Installation) -> None:
        path = getattr(here, attribute)
        path.unlink()
        path.symlink_to(here.place / "elsewhere")

    return plant


def add_people(*emails: str, admin: str = "") -> Plant:
    def plant(here: Installation) -> None:
        database = open_current(here.database)
        try:
            with begin_change(database, "os:test") as change:
                for email in emails:
                    users.add(change, email, admin=email == admin)
        finally:
            database.close()

    return plant


def make_backup(here: Installation, *, hours: float = 0, size: int | None = None) -> Path:
    """A bundle of this age, cut off after ``size`` bytes."""
    at = datetime.now(UTC) - timedelta(hours=hours)
    path = here.backups / f"dsg-backup-{at:%Y%m%dT%H%M%SZ}.tar.gz.age"
    key = pyrage.x25519.Recipient.from_str(here.recipients.read_text().strip())
    path.write_bytes(pyrage.encrypt(b"bundle", [key])[:size])
    return path


def plant_all(*plants: Plant) -> Plant:
    def plant(here: Installation) -> None:
        for each in plants:
            each(here)

    return plant
