"""The whole report on a sound installation."""

import pytest

from tests.dsgctl.commands.running import Quick
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
        ("cache", "nothing in front keeps answers"),
        ("address", "the server sees 127.0.0.1"),
        ("backup", "hours old"),
    ):
        find_row(rows, check, "ok", part)
    assert examine("--strict")[0] == 1
