"""Nothing that a stranger sends makes a parser fail, hang, or let through what it should not.

Here the search is the same in every run: fixed seeds, a fixed number of examples. ``make fuzz`` searches freely.
"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.regressions import REGRESSIONS
from tests.fuzz.targets import SEEDS, TARGETS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_break_a_target(name: str) -> None:
    check = TARGETS[name]
    for seed in SEEDS[name]:
        check(seed)
    pieces = st.one_of(st.binary(max_size=40), st.sampled_from(SEEDS[name]), st.text(max_size=40).map(_encode))

    @settings(max_examples=400)
    @given(st.lists(pieces, max_size=4).map(b"".join))
    def run(data: bytes) -> None:
        check(data)

    run()


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("case", REGRESSIONS)
def test_inputs_found_by_earlier_searches_pass(case: str) -> None:
    name, data = REGRESSIONS[case]
    TARGETS[name](data)


@pytest.mark.skipif(find_spec("atheris") is None, reason="there is no atheris for this machine")
def test_the_coverage_guided_search_runs() -> None:
    command = [sys.executable, "-m", "tests.fuzz", "origin", "-runs=200", "-seed=1"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert process.returncode == 0, process.stderr.decode("utf-8", "replace")[-3000:]
    assert b"Done 200 runs" in process.stderr
