"""A secret that is shown once: what could not show it has not made it."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dsgctl.commands.output import FORMATS
from tests.dsgctl.commands.running import Process, dump
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World
from tests.patience import PATIENCE

SECRET = re.compile(r"\bdsgt[0-9A-Za-z]{39}\b")
PRINT_A_SECRET = {  # test_help.py looks whether any other does
    "token mint": "token mint --user ada@example.org",
    "token rotate": "token rotate 1",
    "token rotate --overlap": "token rotate 1 --overlap 7d",
}

# How a shell leaves standard output, and what is said of it.
SINKS = {
    "a full disk": ("> /dev/full", "No space left on device"),
    "closed": (">&-", "it is closed"),
    "closed, and the other streams too": (">&- <&-", "it is closed"),
    "a file open for reading": ("1< /dev/null", "Bad file descriptor"),
}


CASES = [(command, sink, "value") for command in PRINT_A_SECRET.values() for sink in SINKS]
CASES += [(PRINT_A_SECRET["token rotate"], "a full disk", format_) for format_ in FORMATS if format_ != "value"]


@pytest.mark.parametrize(("command", "sink", "format_"), CASES)
def test_a_secret_that_cannot_be_written_is_not_made(filled: World, command: str, sink: str, format_: str) -> None:
    redirection, why = SINKS[sink]
    before = dump(filled.database)
    result = filled.run.shell(f"dsgctl {command} -o {format_} {redirection}")
    assert result.code == 1
    assert why in result.err
    assert "nothing was changed" in result.err
    if format_ in ("table", "wide"):  # the sentence about the token was said before
        assert "dsgctl: the token cannot be written to standard output" in result.err
    elif format_ not in ("json", "jsonl"):
        assert is_one_line(result), result
    assert not SECRET.search(result.err)
    assert dump(filled.database) == before


@pytest.mark.parametrize("command", PRINT_A_SECRET.values(), ids=PRINT_A_SECRET)
def test_a_secret_for_a_reader_who_has_gone_is_not_made(filled: World, command: str) -> None:
    before = dump(filled.database)
    reading, writing = os.pipe()
    os.close(reading)
    with filled.run.start(*command.split(), stdout=writing) as process:
        os.close(writing)
        assert process.stderr
        message = process.stderr.read().decode()
    assert process.returncode == 1
    assert "Broken pipe; nothing was changed" in message
    assert dump(filled.database) == before


@pytest.mark.parametrize("command", PRINT_A_SECRET.values(), ids=PRINT_A_SECRET)
def test_a_reader_that_does_not_read_blocks_no_other_writer(filled: World, command: str) -> None:
    """A full pipe would keep the lock of the database, and every login waiting."""
    before = dump(filled.database)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    while True:
        try:
            os.write(writing, b"x" * 4096)
        except BlockingIOError:
            break
    os.set_blocking(writing, True)
    with filled.run.start(*command.split(), stdout=writing) as process:
        assert process.stderr
        message = process.stderr.read().decode()
    os.close(writing)
    os.close(reading)
    assert process.returncode == 1
    assert "nobody reads it; nothing was changed" in message
    assert dump(filled.database) == before


@pytest.mark.parametrize("command", PRINT_A_SECRET.values(), ids=PRINT_A_SECRET)
def test_a_secret_that_finds_no_room_in_a_file_is_not_made(filled: World, command: str) -> None:
    """A file that may not grow ends as a disk does that is full: SIGXFSZ is ignored by Python, and the write fails."""
    before = dump(filled.database)
    largest = max(path.stat().st_size for path in filled.directory.glob("dsg.sqlite3*"))
    path = filled.directory / "answer"
    path.write_bytes(b"")
    os.truncate(path, largest * 4)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest * 4, largest * 4))

    with path.open("ab") as file, filled.run.start(*command.split(), stdout=file, preexec_fn=limit) as process:
        assert process.stderr
        message = process.stderr.read().decode()
    assert process.returncode == 1
    assert "File too large; nothing was changed" in message
    assert dump(filled.database) == before


@pytest.mark.parametrize("command", PRINT_A_SECRET.values(), ids=PRINT_A_SECRET)
def test_a_printed_secret_whose_change_failed_is_reported_as_invalid(filled: World, command: str) -> None:
    before = dump(filled.database)
    page = 4096

    def limit() -> None:  # nothing may be written to the log of the database: the commit fails
        resource.setrlimit(resource.RLIMIT_FSIZE, (page, page))

    with filled.run.start(*command.split(), "-o", "value", preexec_fn=limit) as process:
        assert process.stdout
        assert process.stderr
        shown, message = process.stdout.read().decode(), process.stderr.read().decode()
    assert process.returncode == 1
    assert dump(filled.database) == before
    if SECRET.search(shown):
        assert "the token that was printed does not work" in message


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("command", PRINT_A_SECRET.values(), ids=PRINT_A_SECRET)
def test_a_secret_that_was_written_works(filled: World, command: str, format_: str) -> None:
    (secret,) = set(SECRET.findall(filled.quick(*command.split(), "-o", format_).ok().out))
    assert filled.quick("token", "inspect", "-o", "value", input=secret).ok().out == "valid\n"


def test_a_process_that_holds_secrets_leaves_no_core(filled: World) -> None:
    """Where the caller allows one, and it is killed while it waits for a token."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with filled.run.start(
        "token",
        "inspect",
        stdin=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    ) as process:
        limits = Path(f"/proc/{process.pid}/limits")
        wait_until(lambda: re.search(r"Max core file size +0 +0 ", limits.read_text()) is not None)
        process.send_signal(signal.SIGSEGV)
    assert process.returncode == -signal.SIGSEGV
    assert not list(filled.directory.glob("core*"))


def test_no_other_program_may_read_the_memory(dsgctl: Process) -> None:
    code = (
        "import ctypes; from dsgctl.memory import forbid_core_dumps; forbid_core_dumps();"
        "print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    )
    process = subprocess.run(
        [sys.executable, "-c", code], env=dsgctl.environment(), capture_output=True, check=True, text=True
    )
    assert process.stdout == "0\n"


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
