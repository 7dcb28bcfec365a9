"""The status report; tests/e2e/test_status.py has it of real servers."""

import os
import re
from pathlib import Path

from dsgctl.core import statistics
from dsgctl.core.clock import now
from dsgctl.operations import status_report
from dsgctl.operations.status_report import build_report, format_prometheus
from dsgctl.store import Database, process_registry
from dsgctl.store.process_registry import Process


def test_every_number_has_a_meaning(database: Database) -> None:
    assert status_report.NUMBERS.keys() == statistics.count_all(database, now()).keys()
    source = (Path(status_report.__file__).parents[2] / "dsgserve" / "process" / "metrics.py").read_text()
    assert all(re.search(rf"\b{name}\b", source) for name in status_report.COUNTS)


def test_counts_of_the_servers_are_added_up(database: Database) -> None:
    at = now()
    report = build_report(database, at, origin="https://dsg.example.org", backup_dir=None)
    assert (report.servers, set(report.counts.values()), report.last_backup) == ((), {0}, None)
    for number, pid in enumerate((os.getpid(), os.getppid()), start=1):
        counts = {"requests": 10 * number, "of another release": 1}
        process = Process(pid, "0.1", at.timestamp() - number, at.timestamp(), counts)
        process_registry.report(Path(database.path), process)
    report = build_report(database, at, origin="https://dsg.example.org", backup_dir=None)
    assert [server.pid for server in report.servers] == [os.getppid(), os.getpid()]
    assert report.counts["requests"] == 30
    assert "of another release" not in report.counts
    lines = list(format_prometheus(report))
    assert "dsg_servers 2" in lines
    assert "dsg_requests_total 30" in lines
    assert not any("last_backup" in line for line in lines)
