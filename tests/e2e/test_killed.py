"""Nothing that was acknowledged is lost and nothing half-written is seen, whenever a program is killed."""

import os
from pathlib import Path

from tests.e2e.soak import Soak

SECONDS = float(os.environ.get("DSG_TEST_SOAK_SECONDS", "45"))
SEED = 20261123


def test_programs_killed_at_any_moment_lose_nothing_and_leave_no_half(tmp_path: Path) -> None:
    soak = Soak(tmp_path, SEED)
    soak.run(SECONDS)
    assert not soak.wrong
    assert soak.kills["dsgctl"] + soak.kills["dsgserve"] > SECONDS  # far more where little else goes on
    assert soak.kills["dsgserve"] > 5
    assert all(soak.acknowledged[kind] for kind in ("add", "mint", "import", "login")), soak.acknowledged
