"""``dsgctl status`` tells how the servers do."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from dsgctl import __version__
from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database, process_registry
from dsgserve.process.metrics import Metrics
from tests.e2e.conftest import Server
from tests.e2e.local import wait_until
from tests.e2e.visitor import Visitor
from tests.patience import PATIENCE

Serve = Callable[..., Server]


def test_the_counts_of_two_servers_are_added_up(
    serve: Serve, database: Database, dsgctl: Callable[..., str], path: Path
) -> None:
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        _, token = tokens.mint(change, ada)
    servers = [serve(), serve()]
    for server in servers:
        for _ in range(3):
            assert server.ask(token).status_code == 200
        assert server.ask("nobodys").status_code == 401
    read_status = lambda: json.loads(dsgctl("status", "-o", "json"))  # noqa: E731
    wait_until(lambda: read_status()["denied"] == 2, event="what they tell")
    answer = read_status()
    assert answer["answers_built"] == 2 and answer["answers_kept"] == 4
    assert answer["requests"] >= 8 and answer["failed"] == answer["calls"] == 0
    assert [entry["pid"] for entry in answer["servers"]] == [server.process.pid for server in servers]
    for entry, server in zip(answer["servers"], servers, strict=True):
        assert entry["version"] == __version__ and entry["listening"] == [server.origin.removeprefix("http://")]
        assert datetime.fromisoformat(entry["started"]) <= datetime.fromisoformat(entry["seen"])
    text = dsgctl("status", "-o", "prometheus")
    assert "# TYPE dsg_denied_total counter\ndsg_denied_total 2" in text
    assert "# TYPE dsg_users gauge\ndsg_users 1" in text and "dsg_servers 2" in text
    assert "version=" in text and f'pid="{servers[0].process.pid}"' in text
    require_metrics(text)
    values = dict(line.split("=", 1) for line in dsgctl("status", "-o", "value").splitlines())
    assert values["users"] == "1" and values["denied"] == "2"
    assert values["servers"] == " ".join(str(server.process.pid) for server in servers)
    table = dsgctl("status")
    assert f"{servers[0].process.pid} (release {__version__}) on 127.0.0.1:" in table
    servers[0].process.terminate()
    servers[0].process.wait(timeout=PATIENCE)
    assert len(read_status()["servers"]) == 1


def require_metrics(text: str) -> None:
    """What Prometheus' own checker accepts: each metric with a help and a type, well named."""
    sample = r'dsg_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? \d+'
    assert all(re.fullmatch(rf"# (HELP|TYPE) dsg_\w+ .+|{sample}", line) for line in text.splitlines())
    if shutil.which("promtool"):
        process = subprocess.run(
            ["promtool", "check", "metrics"], input=f"{text}\n", capture_output=True, text=True, check=False
        )
        assert (process.returncode, process.stdout + process.stderr) == (0, "")


def test_status_reports_times_and_no_ages(dsgctl: Callable[..., str], path: Path, tmp_path: Path) -> None:
    """An age in a file stands still when nobody writes the file anew."""
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "dsg-backup-20261123T010000Z.tar.gz.age").write_text("x")
    (tmp_path / "dsg.env").write_text(f"DSG_BACKUP_DIR={tmp_path}/backups\n")
    text = dsgctl("--env-file", str(tmp_path / "dsg.env"), "status", "-o", "prometheus")
    assert f"\ndsg_last_backup_timestamp_seconds {int(datetime(2026, 11, 23, 1, tzinfo=UTC).timestamp())}" in text
    written = re.search(r"\ndsg_status_timestamp_seconds (\d+)\n", text)
    assert written and abs(int(written[1]) - time.time()) < 600 and "_age_" not in text
    require_metrics(text)


def test_logins_and_refused_google_tokens_are_counted_and_in_the_log(
    serve: Serve, database: Database, dsgctl: Callable[..., str]
) -> None:
    with begin_change(database, "os:test") as change:
        users.add(change, "ada@example.org")
    server = serve(DSG_DEV_LOGIN="1")
    visitor = Visitor(server.origin)
    visitor.sign_in("ada@example.org")
    assert visitor.finish("forged", "ada@example.org").status_code == 403
    good = visitor.session.post(
        f"{server.origin}/token", timeout=PATIENCE, headers={"Cookie": f"dsg_token={visitor.token}"}
    ).text
    for presented, code in ((good, 403), ("nobodys", 401)):
        body = {"token": presented, "bucket": "lab-data"}
        assert requests.post(f"{server.origin}/gcs_token", json=body, timeout=PATIENCE).status_code == code
    read_status = lambda: json.loads(dsgctl("status", "-o", "json"))  # noqa: E731
    wait_until(lambda: read_status()["gcs_tokens_refused"] == 2, event="what it tells")
    assert (read_status()["logins"], read_status()["logins_failed"], read_status()["gcs_tokens"]) == (1, 1, 0)
    logged = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [line["message"] for line in logged if line["logger"] == "dsgserve.login"] == [
        "signed in",
        "login failed: stale (state)",
    ]
    refused = [line for line in logged if line.get("route") == "/gcs_token"]
    assert [(line["status"], line.get("decision"), "principal" in line) for line in refused] == [
        (403, "unknown_bucket", True),
        (401, None, False),
    ]
    assert visitor.token not in server.log.read_text() and good not in server.log.read_text()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"pid": "x"}',
        '{"pid": 1, "of": "another release"}',
        '{"pid": 1e400, "version": "0", "started": 0, "reported_at": 9e99, "counts": {}}',
        '{"pid": 1, "version": "0", "started": 0, "reported_at": 9e99, "counts": []}',
    ],
)
def test_a_metrics_file_without_content_is_left_out(path: Path, content: str) -> None:
    path.with_name(f"{path.name}.server-1.json").write_text(content)
    assert process_registry.list_running(path, now=time.time()) == []


def test_a_server_that_was_killed_is_not_shown(path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    process_registry.report(path, process_registry.Process(ended.pid, "0", 0.0, time.time()))
    process_registry.report(path, process_registry.Process(os.getpid(), "0", 0.0, time.time(), {"requests": 7}))
    # One that has told nothing for long: another program has its number now.
    process_registry.report(path, process_registry.Process(os.getppid(), "0", 0.0, time.time() - 120, {"requests": 9}))
    assert [entry.counts for entry in process_registry.list_running(path, now=time.time())] == [{"requests": 7}]


def test_counts_of_several_threads_are_complete() -> None:
    from concurrent.futures import ThreadPoolExecutor

    metrics = Metrics()
    with ThreadPoolExecutor(8) as several:
        for _ in several.map(lambda _: [metrics.add("requests") for _ in range(1000)], range(50)):
            pass
    assert metrics.counts() == {"requests": 50_000}
