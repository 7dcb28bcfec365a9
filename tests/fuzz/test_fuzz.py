"""Nothing that a stranger sends makes a parser fail, hang, or let through what it should not."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS

SECONDS = os.environ.get("DSG_TEST_FUZZ_SECONDS", "4")


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes(name: str) -> None:
    check = TARGETS[name]
    for seed in SEEDS[name]:
        check(seed)
    pieces = st.one_of(st.binary(max_size=40), st.sampled_from(SEEDS[name]), st.text(max_size=40).map(_encoded))

    @settings(max_examples=400, deadline=None, database=None)
    @given(st.lists(pieces, max_size=4).map(b"".join))
    def run(data: bytes) -> None:
        check(data)

    run()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.skipif(find_spec("atheris") is None, reason="there is no atheris for this machine")
@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_are_led_by_the_code_that_they_reach(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", name, f"-max_total_time={SECONDS}", "-max_len=4096", "-timeout=10",
         "-rss_limit_mb=1500"],
        cwd=Path(__file__).parents[2], capture_output=True, check=False, timeout=float(SECONDS) + 90,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-3000:]
    assert b"Done " in done.stderr
