"""How the tests of the command line run it: as a process of its own, and in this process where many runs are needed."""

import io
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.commands import main
from tests.patience import PATIENCE

REPOSITORY = Path(__file__).parents[3]


@dataclass(frozen=True)
class Result:
    """What a run left: its exit code, and what it printed where."""

    code: int
    out: str
    err: str

    def ok(self) -> "Result":
        """This result, of a run that must have succeeded."""
        assert self.code == 0, self
        return self


class Process:
    """Runs ``dsgctl`` as a process in a directory of its own, on one database."""

    def __init__(self, directory: Path, database: Path) -> None:
        self.directory = directory
        self.database = database

    def environment(self, **more: str) -> dict[str, str]:
        """What a process gets: nothing of ours but what it needs."""
        inherited = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
        own = {"DATABASE_PATH": str(self.database), "PYTHONPATH": str(REPOSITORY), "HOME": str(self.directory)}
        return {**inherited, **own, "PYTHONWARNINGS": "error", **more}

    def __call__(self, *words: str, input: str = "", env: Mapping[str, str] | None = None) -> Result:
        process = subprocess.run(
            [sys.executable, "-m", "dsgctl", *words],
            input=input.encode(),
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            cwd=self.directory,
            env=self.environment(**(env or {})),
        )
        return Result(process.returncode, process.stdout.decode(), process.stderr.decode())

    def start(self, *words: str, **settings: Any) -> "subprocess.Popen[bytes]":
        """The process, running."""
        return subprocess.Popen(
            [sys.executable, "-m", "dsgctl", *words],
            **{"cwd": self.directory, "env": self.environment(), "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            | settings,
        )

    def shell(self, line: str, **env: str) -> Result:
        """A line as an operator types it: ``dsgctl`` is on the path."""
        program = self.directory / "bin" / "dsgctl"
        if not program.exists():
            program.parent.mkdir(exist_ok=True)
            program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m dsgctl "$@"\n')
            program.chmod(0o755)
        path = f"{program.parent}:{os.environ['PATH']}"
        process = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            cwd=self.directory,
            env=self.environment(PATH=path, **env),
        )
        return Result(process.returncode, process.stdout.decode(), process.stderr.decode())


class Quick:
    """The same entry point, called in this process: no interpreter to start, so that thousands of runs take seconds."""

    def __init__(self, directory: Path, database: Path) -> None:
        self.directory = directory
        self.database = database

    def __call__(self, *words: str, input: str = "", stdout: io.BytesIO | None = None) -> Result:
        out, err = _text_stream(pipe=stdout), _text_stream()
        code: object = 0
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.directory)
            patch.setenv("DATABASE_PATH", str(self.database))
            patch.setattr(sys, "argv", ["dsgctl", *words])
            patch.setattr(sys, "stdin", _text_stream(input))
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            try:
                main()
            except SystemExit as end:
                code = end.code
        assert isinstance(code, int)
        return Result(code, _read_text(out), _read_text(err))


def _text_stream(text: str = "", *, pipe: io.BytesIO | None = None) -> io.TextIOWrapper:
    stream = io.BytesIO(text.encode("utf-8", "surrogateescape")) if pipe is None else pipe
    return io.TextIOWrapper(stream, encoding="utf-8", newline="")


def _read_text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()


def dump(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table: two dumps are equal exactly if nothing was changed."""
    connection = apsw.Connection(str(database))
    try:
        tables = [str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: list(connection.execute(f'SELECT * FROM "{name}"')) for name in tables}
    finally:
        connection.close()


def execute(database: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Run a statement as somebody with the sqlite3 shell would."""
    connection = apsw.Connection(str(database))
    try:
        connection.set_busy_timeout(5000)
        return list(connection.execute(sql, values))
    finally:
        connection.close()
