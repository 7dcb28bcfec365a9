"""The directory of backups, the newest bundle, and the recipients."""

import shutil
import subprocess
from functools import partial
from pathlib import Path

from tests.dsgctl.operations.doctor.installation import Installation
from tests.dsgctl.operations.doctor.planting import (
    REFUSED,
    Examine,
    Fault,
    close,
    delete,
    each_fault,
    find_row,
    make_backup,
    plant_all,
    require_reported,
    set_mode,
    write_settings,
    write_text,
)

SYSTEMD = Path(__file__).parents[4] / "systemd"

FAULTS: list[Fault] = [
    (
        "keep no backup",
        write_settings(DSG_BACKUP_KEEP_HOURLY="0", DSG_BACKUP_KEEP_DAILY="0", DSG_BACKUP_KEEP_WEEKLY="0"),
        "backup",
        "warning",
        ("deletes all before it",),
    ),
    ("recipients that all may write", set_mode("recipients", 0o666), "backup", "failed", ("can write", "chmod 640")),
    ("backups that all may write", set_mode("backups", 0o777), "backup", "failed", ("can write", "chmod 750")),
    ("recipients for nobody", close("recipients"), "backup", "failed", (REFUSED, "read")),
    ("no recipients", delete("recipients"), "backup", "failed", ("no age recipients", "age-keygen")),
    ("recipients are empty", write_text("recipients", "# none\n"), "backup", "failed", ("has no age recipient",)),
    (
        "recipient is nonsense",
        write_text("recipients", "age1x\n"),
        "backup",
        "failed",
        ("line 1: not an age recipient",),
    ),
    ("none set", write_settings(DSG_BACKUP_DIR=""), "backup", "failed", ("DSG_BACKUP_DIR is not set",)),
    ("relative", write_settings(DSG_BACKUP_DIR="backups"), "backup", "failed", ("is backups", "absolute path")),
    ("none made", lambda here: None, "backup", "failed", ("there is none in", "dsgctl db backup")),
    ("an old one", partial(make_backup, hours=600), "backup", "failed", ("600.0 hours old", "dsg-backup.timer")),
    ("one of tomorrow", partial(make_backup, hours=-20), "backup", "failed", ("in the future", "timedatectl")),
    ("an empty one", partial(make_backup, size=0), "backup", "failed", ("is empty",)),
    ("half a header", partial(make_backup, size=9), "backup", "failed", ("not encrypted with age, or damaged",)),
    (
        "a short one",
        lambda here: (
            (path := make_backup(here, size=100))
            .with_name(path.name.partition(".")[0] + ".meta.json")
            .write_text('{"size": 200}')
        ),
        "backup",
        "failed",
        ("100 bytes of 200",),
    ),
    (
        "directory is closed to the unit",
        lambda here: shutil.copy(SYSTEMD / "dsg-backup.service", here.units),
        "backup",
        "failed",
        ("dsg-backup.service may not write to", "printf '[Service]\\nReadWritePaths="),
    ),
    ("directory is gone", lambda here: here.backups.rmdir(), "backup", "failed", ("is not a directory", "install -d")),
    ("directory for nobody", plant_all(make_backup, close("backups")), "backup", "failed", (REFUSED, "write")),
]


@each_fault(FAULTS)
def test_a_planted_fault_is_reported(fault: Fault, here: Installation, examine: Examine) -> None:
    require_reported(fault, here, examine)


def test_a_drop_in_opens_the_directory_of_backups_to_the_unit(here: Installation, examine: Examine) -> None:
    shutil.copy(SYSTEMD / "dsg-backup.service", here.units)
    row = find_row(examine()[1], "backup", "failed", "may not write to")
    command = row["do"].replace("/etc/systemd/system", str(here.units)).replace("systemctl daemon-reload", "true")
    subprocess.run(["bash", "-euc", command], check=True)
    assert not any("may not write to" in row["found"] for row in examine()[1] if row["check"] == "backup")
