"""The whole report on a sound installation."""

import pytest

from dsgctl.operations.doctor import SECTIONS
from tests.dsgctl.commands.running import Quick
from tests.dsgctl.operations.doctor import test_backups as backups
from tests.dsgctl.operations.doctor import test_database as database
from tests.dsgctl.operations.doctor import test_files as files
from tests.dsgctl.operations.doctor import test_google as google
from tests.dsgctl.operations.doctor import test_proxy as proxy
from tests.dsgctl.operations.doctor import test_server as server
from tests.dsgctl.operations.doctor import test_settings as settings
from tests.dsgctl.operations.doctor import test_sign_in as sign_in
from tests.dsgctl.operations.doctor.installation import Installation
from tests.dsgctl.operations.doctor.planting import Examine, find_row, make_backup


def test_a_sound_installation_passes_but_for_what_a_test_lacks(
    here: Installation, examine: Examine, quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_backup(here)
    code, rows = examine()
    assert code == 0
    assert {(row["check"], row["found"][:30]) for row in rows if row["state"] != "ok"} == {
        ("units", "systemd does not run here"),
        ("backup", f"{here.backups} is on the database's own disk"[:30]),
    }
    for check, part in (
        ("settings", "are set, each well-formed"),
        ("settings file", str(here.env)),
        ("signing keys", "one signs"),
        ("viewers", "it admits https://neuroglancer-demo.appspot.com"),
        ("database", "is sound"),
        ("disk", "MB are free"),
        ("audit log", "follows"),
        ("oauth client", "of a web application"),
        ("provider", here.site.issuer),
        ("clock", "agrees"),
        ("server", here.site.upstream),
        ("origin", here.site.origin),
        ("certificate", "good until"),
        ("headers", "cookie, Authorization and query arrive"),
        ("long headers", "8192 bytes pass"),
        ("cache", "nothing in front caches answers"),
        ("address", "the server sees 127.0.0.1"),
        ("backup", "hours old"),
    ):
        find_row(rows, check, "ok", part)
    assert examine("--strict")[0] == 1


# Sections whose faults need more than a planted file or setting, and the test that has them.
UNTABLED = {
    "viewers": "test_viewers.py: a table of patterns, without an installation",
    "data sites": "test_data_sites.py: servers that answer",
    "disk": "test_database.py: a full disk is mounted",
    "buckets": "test_google.py: a Google that answers",
}


def test_every_section_has_a_row_in_the_table_of_faults_of_a_module() -> None:
    modules = [backups, database, files, google, proxy, server, settings, sign_in]
    tabled = {check for module in modules for _, _, check, _, _ in module.FAULTS}
    assert {section.name for section in SECTIONS} - tabled == UNTABLED.keys()
