"""Counters of a process: nothing is lost between threads, and `dsgctl status` reads what the reporter writes."""

import os
import threading
from pathlib import Path

import pytest

from dsgctl.core import clock
from dsgctl.store import process_registry
from dsgserve.process.metrics import CLOCK_BEHIND, Metrics, StatusReporter


def test_the_counts_are_the_sums_over_all_threads() -> None:
    metrics = Metrics()
    assert metrics.counts() == {}

    def count() -> None:
        for _ in range(1000):
            metrics.add("requests")
        metrics.add("logins")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics.add("requests")
    assert metrics.counts() == {"requests": 4001, "logins": 4}


def test_a_report_has_the_counts_and_sockets_until_the_process_stops(tmp_path: Path) -> None:
    database, metrics = tmp_path / "dsg.sqlite3", Metrics()
    reporter = StatusReporter(database, metrics, ("unix:/run/dsg/dsg.sock",))
    metrics.add("requests")
    reporter.start()
    reporter.report()
    (process,) = process_registry.list_running(database, now=clock.seconds())
    assert (process.pid, process.counts) == (os.getpid(), {"requests": 1})
    assert process.listening == ("unix:/run/dsg/dsg.sock",)
    reporter.stop()
    assert process_registry.list_running(database, now=clock.seconds()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_report_that_cannot_be_written_is_logged_and_the_next_one_has_everything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "later"
    metrics = Metrics()
    reporter = StatusReporter(directory / "dsg.sqlite3", metrics)
    metrics.add("requests")
    reporter.report()
    assert "cannot report the status of this process" in caplog.text
    directory.mkdir()
    reporter.report()
    (process,) = process_registry.list_running(directory / "dsg.sqlite3", now=clock.seconds())
    assert process.counts == {"requests": 1}


def test_a_clock_that_was_set_back_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    reporter = StatusReporter(tmp_path / "dsg.sqlite3", Metrics())
    reporter.report()
    assert caplog.text == ""
    monkeypatch.setattr(clock, "behind", lambda: CLOCK_BEHIND + 1)
    reporter.report()
    assert "clock was set back by 61 s" in caplog.text
