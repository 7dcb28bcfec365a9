"""Long lists: they begin at once, take little memory, and are whole."""

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from dsgctl.core import user_queries
from tests.dsgctl.commands.running import Process, Quick
from tests.patience import PATIENCE

CROWD = 20_000
LITTLE = 10  # megabytes; the rows of a crowd take more than twice as much as objects


def _crowd(database: Path, count: int) -> None:
    connection = apsw.Connection(str(database))
    with connection:
        connection.executemany(
            "INSERT INTO principals (kind, email, name, created, created_by) "
            "VALUES ('user', ?, ?, '2026-01-31T00:00:00.000000Z', 'os:test')",
            ((f"person{index}@example.org", f"Person Number {index}") for index in range(count)),
        )
    connection.close()


def test_a_pipe_that_closes_early_is_no_error(dsgctl: Process) -> None:
    _crowd(dsgctl.database, 5000)
    for options in ("", "-o json", "-o jsonl", "-o csv", "-o value"):
        result = dsgctl.shell(f"set +o pipefail; dsgctl user list {options} | head -1")
        assert (result.code, result.err) == (0, "")
        assert result.out.count("\n") == 1


# Long answers


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Process:
    directory = tmp_path_factory.mktemp("crowd")
    database = directory / "dsg.sqlite3"
    database.write_bytes(empty_database.read_bytes())
    _crowd(database, CROWD)
    connection = apsw.Connection(str(database))
    connection.execute(
        """
        INSERT INTO datasets (id, name, created) VALUES (1, 'empty', '2026-01-31T00:00:00.000000Z');
        INSERT INTO datasets (id, name, created) VALUES (2, 'fish2', '2026-01-31T00:00:00.000000Z');
        INSERT INTO terms (id, name, text, dataset_id, invite_token, effective)
            VALUES (1, 'Terms', 'Be kind.', 2, 't', '2026-01-31T00:00:00.000000Z');
        UPDATE datasets SET own_terms_id = 1 WHERE id = 2;
        INSERT INTO acceptances (principal_id, terms_id, accepted, recorded_by)
            SELECT id, 1, '2026-02-01T00:00:00.000000Z', 'web' FROM principals;
        INSERT INTO grants (principal_id, dataset_id, permission, source, granted_by, created)
            SELECT id, 2, 'view', 'manual', 'os:test', '2026-02-01T00:00:00.000000Z' FROM principals;
        """
    )
    connection.close()
    return Process(directory, database)


# The high-water mark of the process itself: rusage of a child would count the parent's memory, at the fork, as its own.
_MEASURED = """
import atexit, sys
from dsgctl.commands import main
atexit.register(lambda: print(next(line for line in open("/proc/self/status") if "VmHWM" in line), file=sys.stderr))
sys.argv[0] = "dsgctl"
main()
"""


def _peak(here: Process, *words: str) -> int:
    """Megabytes."""
    process = subprocess.run(
        [sys.executable, "-W", "default", "-c", _MEASURED, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=True,
        cwd=here.directory,
        env=here.environment(PYTHONWARNINGS=""),
        timeout=PATIENCE,
    )
    return int(process.stderr.split(b"VmHWM:")[1].split()[0]) // 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
@pytest.mark.parametrize("format_", ["table", "json", "csv"])
@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("user list --limit 1", "user list"),
        ("access who empty", "access who fish2"),
        ("grant list --dataset empty", "grant list"),
    ],
)
def test_a_list_of_everybody_takes_hardly_more_memory_than_of_one(
    crowd: Process, format_: str, short: str, long: str
) -> None:
    assert _peak(crowd, *long.split(), "-o", format_) - _peak(crowd, *short.split(), "-o", format_) < LITTLE


@pytest.mark.parametrize("format_", ["table", "json", "jsonl", "csv", "value"])
def test_a_long_list_begins_before_it_is_all_there(
    crowd: Process, format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted in rows, not in seconds: how many were read when the first bytes were written."""
    rows_read = 0
    first_written_after: list[int] = []
    list_users = user_queries.list_users

    def count_rows(*arguments: Any, **options: Any) -> Iterator[dict[str, Any]]:
        nonlocal rows_read
        for row in list_users(*arguments, **options):
            rows_read += 1
            yield row

    class Pipe(io.BytesIO):
        def write(self, data: Any) -> int:
            first_written_after.append(rows_read)
            return super().write(data)

    monkeypatch.setattr(user_queries, "list_users", count_rows)
    answer = Quick(crowd.directory, crowd.database)("user", "list", "-o", format_, stdout=Pipe()).ok().out
    assert rows_read == CROWD
    assert first_written_after[0] < CROWD / 2
    assert len(answer.splitlines()) == CROWD + {"table": 1, "json": 2, "csv": 1}.get(format_, 0)


def test_a_limit_is_quick_and_exact(crowd: Process) -> None:
    quick = Quick(crowd.directory, crowd.database)
    assert quick("user", "list", "--limit", "3", "-o", "value").ok().out.split() == [
        f"person{index}@example.org" for index in range(3)
    ]
    assert quick("user", "list", "--search", "Number 19999", "-o", "value").ok().out == "person19999@example.org\n"


def test_the_whole_list_is_one_valid_answer_in_every_format(crowd: Process) -> None:
    quick = Quick(crowd.directory, crowd.database)
    assert len(json.loads(quick("user", "list", "-o", "json").ok().out)) == CROWD
    assert len(quick("user", "list", "-o", "csv").ok().out.splitlines()) == CROWD + 1
