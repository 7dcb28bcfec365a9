"""Measures dsgctl: how fast it starts, and what a row of a long list costs. In CPU time: others may use the machine."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

from dsgctl.core import datasets
from dsgctl.core.transaction import begin_change
from dsgctl.store import models as m
from dsgctl.store.sqlite.database import SqliteDatabase
from tests.bench import plain_lists
from tests.bench.bench import HUGE, LARGE, PYTHON, SMALL, Bench, Row, median

# The console script that pip writes, without -m.
_DSGCTL = str(Path(PYTHON).parent / "dsgctl")
_EVERYBODY = "everybody"  # a dataset that a grant to each group reaches everybody on


def starts(bench: Bench) -> Iterator[Row]:
    path = bench.database(SMALL)
    commands = {
        "python -c 'import click'": [PYTHON, "-c", "import click"],
        "dsgctl --version": [_DSGCTL, "--version"],
        "dsgctl --help": [_DSGCTL, "--help"],
        "dsgctl dataset list -o json": [_DSGCTL, "dataset", "list", "-o", "json"],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for command in commands.values():
        _measure_cpu(path, command)  # Python compiles the modules, as pip does when it installs
    for number in range(8 if bench.quick else 30):
        bench.progress.step(f"round {number + 1}")
        for name, command in commands.items():
            times[name].append(_measure_cpu(path, command))
    base, *others = commands
    for name, limit in zip(others, (1.1, 1.4, 2.2), strict=True):
        ratio = median([seconds / least for seconds, least in zip(times[name], times[base], strict=True)])
        yield Row(f"{name}, over {base}", ratio, at_most=limit, remark=f"{1000 * median(times[name]):.0f} ms")


def lists(bench: Bench) -> Iterator[Row]:
    """Of so many people that the start is a hundredth: one pair each, since each takes seconds."""
    people = LARGE if bench.quick else HUGE
    path = bench.database(people)
    _grant_to_everybody(path)
    for words, plain in (
        (["user", "list"], ["users"]),
        (["access", "who", _EVERYBODY], ["holders", _EVERYBODY]),
        (["grant", "list"], ["grants"]),
    ):
        yield _compare(bench, people, [*words, "-o", "json"], plain)
    # An export has all rows of all tables: of the people here, 1,300,000.
    yield _compare(bench, LARGE, ["export"], ["export"])


def _grant_to_everybody(path: Path) -> None:
    with closing(SqliteDatabase(path)) as database, begin_change(database, "os:bench") as change:
        dataset, added = datasets.add(change, _EVERYBODY)
        if added:
            groups = [group for (group,) in database.tuples(m.Group.select(m.Group.id))]
            values = {"dataset": dataset.id, "permission": "view", "source": "manual", "granted_by": change.actor}
            database.insert_many(m.Grant, [{"group": group, "created": change.at, **values} for group in groups])


def _compare(bench: Bench, people: int, words: list[str], plain: list[str]) -> Row:
    path = bench.database(people)
    name = f"dsgctl {' '.join(words)}, {people:,} people, over SELECT and json.dumps"
    bench.progress.step(name)
    commands = ([PYTHON, plain_lists.__file__, str(path), *plain], [_DSGCTL, *words])
    with ThreadPoolExecutor() as pool:  # at the same time, each on a core of its own: what disturbs one disturbs both
        least, seconds = pool.map(partial(_measure_cpu, path), commands)
    return Row(name, seconds / least, at_most=2, remark=f"{seconds:.1f} s over {least:.1f} s")


def _measure_cpu(path: Path, command: list[str]) -> float:
    """The seconds of CPU that a command takes, with the database at ``path``."""
    # Many development machines set PYTHONDONTWRITEBYTECODE, with which each start would compile all modules anew.
    environment = {**os.environ, "DATABASE_PATH": str(path), "PYTHONDONTWRITEBYTECODE": ""}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with process:
        assert process.stderr is not None
        complaints = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, complaints
    return usage.ru_utime + usage.ru_stime
