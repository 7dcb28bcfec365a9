"""Nothing that was acknowledged is lost and nothing half-written is seen, whenever a program is killed."""

from collections import Counter
from pathlib import Path

from tests.e2e.soak import COMMANDS, Soak

SEED = 20261123
KILLS = {"dsgctl": 40, "dsgserve": 6}
ACKNOWLEDGED = dict.fromkeys((*COMMANDS, "login"), 4)


def has_run_enough(soak: Soak) -> bool:
    """Work is counted, not seconds: a slow machine takes longer for the same."""
    return soak.kills >= Counter(KILLS) and soak.acknowledged >= Counter(ACKNOWLEDGED)


def test_programs_killed_at_any_moment_lose_no_change_and_leave_no_partial_one(tmp_path: Path) -> None:
    soak = Soak(tmp_path, SEED)
    soak.run(has_run_enough)
    assert not soak.wrong
    assert has_run_enough(soak), (soak.kills, soak.acknowledged)
