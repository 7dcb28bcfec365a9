"""The bundles in a directory: tiers, pruning, and files that only look like bundles."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dsgctl.operations.backup.bundles import Tiers
from tests.dsgctl.commands.running import Quick
from tests.dsgctl.operations.backup.conftest import Run, find_bundles

NOON = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ages", "tiers", "retained"),
    [
        ([], (1, 1, 1), []),
        (["0m", "10m", "20m"], (1, 0, 0), ["0m"]),  # the newest of an hour
        (["0m", "40m", "100m"], (2, 0, 0), ["0m", "40m"]),
        (["0m", "40m", "100m"], (9, 0, 0), ["0m", "40m", "100m"]),
        (["0d", "1d", "1d1m", "2d"], (0, 2, 0), ["0d", "1d"]),
        (["0d", "40d", "41d", "300d"], (0, 3, 0), ["0d", "40d", "41d"]),  # days without one do not count
        (["0d", "1d", "7d", "8d", "14d"], (0, 0, 2), ["0d", "1d"]),  # Monday, and the week before
        (["0d", "1d", "7d", "8d", "14d"], (0, 0, 3), ["0d", "1d", "8d"]),
        (["0m", "10m", "1d", "9d"], (1, 2, 3), ["0m", "1d", "9d"]),
        (["0m", "1d"], (0, 0, 0), []),
    ],
)
def test_the_tiers_select_the_bundles_to_retain(
    ages: list[str], tiers: tuple[int, int, int], retained: list[str]
) -> None:
    assert Tiers(*tiers).select([moment_before(age) for age in ages]) == {moment_before(age) for age in retained}


def moment_before(age: str) -> datetime:
    days, _, rest = age.rpartition("d")
    return NOON - timedelta(days=int(days or 0), minutes=int(rest.removesuffix("m") or 0))


def test_the_bundle_just_made_is_never_pruned(run: Run, home: Path) -> None:
    later = home / "out" / "dsg-backup-29991231T235959Z.tar.gz.age"  # by a clock that was wrong
    later.touch()
    answer = run("db", "backup", "-o", "value").ok().out.strip()
    assert Path(answer).exists()
    later.unlink()


def test_pruning_deletes_bundles_and_nothing_else(run: Run, home: Path) -> None:
    out = home / "out"
    for name in (
        "dsg-backup-20200101T000000Z.tar.gz.age",
        "dsg-backup-20200101T000000Z.meta.json",
        "dsg-backup-20200101T001000Z.tar.gz.age",
        "notes.txt",
        "dsg-backup-old.tar.gz.age",
    ):
        (out / name).write_text("x")
    run("db", "backup", "--no-prune").ok()
    assert len(list(out.iterdir())) == 7
    (out / find_bundles(home)[-2].name).unlink()
    assert "deleted 1 older bundle" in run("db", "backup").ok().out
    names = {entry.name for entry in out.iterdir()}
    assert {"notes.txt", "dsg-backup-old.tar.gz.age", "dsg-backup-20200101T001000Z.tar.gz.age"} <= names
    assert not names & {"dsg-backup-20200101T000000Z.tar.gz.age", "dsg-backup-20200101T000000Z.meta.json"}


def test_bundles_are_listed_with_age_size_and_tier(run: Run, home: Path) -> None:
    assert json.loads(run("backup", "list", "-o", "json").ok().out) == []
    old = ["dsg-backup-20200101T000000Z.tar.gz.age", "dsg-backup-20200101T001000Z.tar.gz.age"]
    for name in (*old, "notes.txt"):
        (home / "out" / name).write_text("x")
    answer = Path(run("db", "backup", "--no-prune", "-o", "value").ok().out.strip())
    rows = json.loads(run("backup", "list", "-o", "json").ok().out)
    assert [row["bundle"] for row in rows] == [answer.name, *reversed(old)]
    assert [row["tier"] for row in rows] == [["hourly", "daily", "weekly"], ["hourly", "daily", "weekly"], []]
    assert [row["encrypted"] for row in rows] == [True, False, False]
    assert rows[0]["bytes"] == answer.stat().st_size and rows[0]["age"] == "0 min" and rows[1]["age"].endswith(" days")
    assert rows[1]["created"] == "2020-01-01T00:10:00.000000Z"
    assert answer.name in run("backup", "list").ok().out


def make_link(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")


@pytest.mark.parametrize(
    ("name", "make"),
    {
        "a date that is none": ("dsg-backup-20261399T999999Z.tar.gz.age", Path.touch),
        "a day that is none": ("dsg-backup-20260230T000000Z.tar.gz", Path.touch),
        "the year 0": ("dsg-backup-00000101T000000Z.tar.gz", Path.touch),
        "a directory": ("dsg-backup-29991231T235959Z.tar.gz.age", Path.mkdir),
        "a pipe": ("dsg-backup-29991231T235958Z.tar.gz.age", os.mkfifo),
        "a symbolic link": ("dsg-backup-29991231T235957Z.tar.gz.age", make_link),
    }.values(),
)
def test_a_file_that_is_not_a_bundle_is_ignored_by_every_command(
    run: Run, home: Path, name: str, make: Callable[[Path], None]
) -> None:
    planted = home / "out" / name
    make(planted)
    answer = Path(run("db", "backup", "-o", "value").ok().out.strip())
    rows = json.loads(run("backup", "list", "-o", "json").ok().out)
    assert [(row["bundle"], row["tier"]) for row in rows] == [(answer.name, ["hourly", "daily", "weekly"])]
    assert answer.name in run("backup", "check").ok().out
    assert run("status", "-o", "json").ok()
    assert os.path.lexists(planted)


@pytest.mark.parametrize("words", [["backup", "list"], ["backup", "check"]])
def test_a_missing_directory_of_backups_is_an_error(quick: Quick, run: Run, home: Path, words: list[str]) -> None:
    assert quick(*words).code == 2
    (home / "out").rmdir()
    assert run(*words).code == 3
