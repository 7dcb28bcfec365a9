"""Files that the service needs: each with a wrong mode or owner, or missing."""

from tests.dsgctl.operations.doctor.installation import Installation
from tests.dsgctl.operations.doctor.planting import (
    REFUSED,
    SECRET_KEY,
    Examine,
    Fault,
    close,
    each_fault,
    plant_all,
    require_reported,
    set_mode,
    write_text,
)

FAULTS: list[Fault] = [
    ("settings for all", set_mode("env", 0o644), "settings file", "failed", ("everybody on this host", "chmod 640")),
    ("settings for nobody", close("env"), "settings file", "failed", (REFUSED, "read")),
    ("directory of settings closed", close("etc"), "settings file", "failed", ("may not enter", "etc")),
    (
        "secret key as recipient",
        write_text("recipients", f"{SECRET_KEY}\n"),
        "age key",
        "failed",
        ("a secret age key",),
    ),
    (
        "secret key beside",
        lambda here: (here.etc / "backup.key").write_text(f"# key\n{SECRET_KEY}\n"),
        "age key",
        "failed",
        ("backup.key holds a secret age key", "another machine"),
    ),
    (
        "secret key among backups",
        lambda here: (here.backups / "key").write_text(SECRET_KEY),
        "age key",
        "failed",
        ("holds a secret age key",),
    ),
    (
        "secret key is set",
        plant_all(
            lambda here: (here.place / "k").write_text("x"),
            lambda here: here.write(DSG_BACKUP_AGE_IDENTITY_FILE=str(here.place / "k")),
        ),
        "age key",
        "failed",
        ("is on this host",),
    ),
]


@each_fault(FAULTS)
def test_a_planted_fault_is_reported(fault: Fault, here: Installation, examine: Examine) -> None:
    require_reported(fault, here, examine)
