"""No test depends on how fast or how busy the machine is: work is counted, and what must come is waited for."""

import ast
import functools
from pathlib import Path

TESTS = Path(__file__).parent
FILES = sorted(path for path in TESTS.rglob("*.py") if "bench" not in path.parts and "node_modules" not in path.parts)
CLOCKS = {"monotonic", "perf_counter", "process_time", "thread_time"}
# Assertions about a clock that hold on every machine: "file: function" -> why.
ALLOWED = {
    "e2e/local.py: wait_until": "the end of what hangs",
    "dsgctl/commands/terminal.py: wait_for": "the end of what hangs",
    "dsgctl/commands/test_secrets.py: wait_until": "the end of what hangs",
    "dsgctl/commands/test_completing.py: _say": "the end of what hangs",
    "dsgctl/store/sqlite/test_database.py: test_a_locked_file_is_an_error_after_the_timeout": "a least, on any machine",
    "dsgserve/process/test_outbound.py: test_a_deadline_counts_from_when_the_request_arrived": "a moment that is past",
}


@functools.cache
def _parse_files() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def test_a_limit_of_time_only_ends_what_hangs() -> None:
    short = [
        f"{path.relative_to(TESTS)}:{keyword.value.lineno}"
        for path, tree in _parse_files().items()
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "timeout" and isinstance(keyword.value, ast.Constant) and (keyword.value.value or 0) >= 1
    ]
    assert not short, "write timeout=PATIENCE (tests/patience.py)"


def _asserts_about_a_clock(function: ast.FunctionDef) -> bool:
    return any(
        isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in CLOCKS
        for claim in ast.walk(function)
        if isinstance(claim, ast.Assert)
        for call in ast.walk(claim)
    )


def test_nothing_is_asserted_about_a_clock() -> None:
    timed = [
        f"{path.relative_to(TESTS)}: {function.name}"
        for path, tree in _parse_files().items()
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef) and _asserts_about_a_clock(function)
    ]
    assert not sorted(set(timed) - ALLOWED.keys()), "count work instead"
