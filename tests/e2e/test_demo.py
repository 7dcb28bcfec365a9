"""``make demo``'s main job: it shows what it says, in real, and leaves nothing behind."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.e2e.local import free_port, wait_until
from tests.level_table import included_levels
from tests.patience import PATIENCE

EDIT = json.dumps(sorted(included_levels("edit")))


@contextmanager
def run_demo(place: Path, port: int, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """A demo, whose temporary directory is below ``place``; ended at the end if it has not."""
    with subprocess.Popen(
        [sys.executable, "-m", "dsgctl", "demo", "--port", str(port), *words],
        env={"PATH": os.environ["PATH"], "TMPDIR": str(place), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            yield demo
        finally:
            demo.terminate()


def test_the_tour_shows_an_allowed_a_refused_and_a_revoked_request(tmp_path: Path) -> None:
    with run_demo(tmp_path, free_port(), "--once") as demo:
        text, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, text
    lines = [line.strip() for line in text.splitlines()]
    assert f'200 {{"name": "Ada Lovelace", "permissions_v2": {{"fish2": {EDIT}, "fly": ["view"]}}}}' in lines
    assert '401 {"error": "account_disabled", "message": "this account is disabled"}' in lines
    assert "cy@example.org may not view fish2: the account is disabled" in lines
    assert "next     dsgctl user enable cy@example.org" in lines
    assert "bo@example.org may not view fly: terms are not accepted" in lines
    revoked = next(number for number, line in enumerate(lines) if line.startswith("$ dsgctl token revoke"))
    assert lines[revoked - 1].startswith("200 ")
    assert lines[revoked + 3] == '401 {"error": "invalid_token", "message": "this token is not known"}'
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_printed_commands_work_and_a_signal_cleans_up(number: signal.Signals, tmp_path: Path) -> None:
    port = free_port()
    with run_demo(tmp_path, port) as demo:
        assert demo.stdout is not None
        text = ""
        for line in demo.stdout:
            text += line
            if "Ctrl-C" in line:
                break
        tries = text.split("Try it yourself")[1]
        script = "\n".join(line for line in tries.splitlines()[1:] if line.startswith("  "))
        process = subprocess.run(
            ["bash", "-euc", script],
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        assert f'"permissions_v2":{{"fish2":{EDIT.replace(" ", "")},"fly":["view"]}}' in process.stdout
        tokens = dict(re.findall(r"^  (ADA|BO|CY)=(dsgt\w+)$", tries, re.MULTILINE))
        statuses = {
            name: requests.get(
                f"http://localhost:{port}/api/v1/user/cache",
                headers={"Authorization": f"Bearer {token}"},
                timeout=PATIENCE,
            ).json()["permissions_v2"]
            for name, token in tokens.items()
        }
        assert statuses == {"ADA": {"fly": ["view"]}, "BO": {"fly": ["view"]}, "CY": {}}

        demo.send_signal(number)
        assert demo.wait(timeout=PATIENCE) == 0
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(requests.ConnectionError):
            requests.get(f"http://localhost:{port}/health", timeout=PATIENCE)


def test_a_port_in_use_is_reported_in_one_line(tmp_path: Path) -> None:
    port = free_port()
    with run_demo(tmp_path, port):
        wait_until(lambda: is_ready(f"http://localhost:{port}/health"))
        with run_demo(tmp_path, port) as second:
            text, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 4
    assert text.strip().count("\n") == 0
    assert "--port" in text


def is_ready(url: str) -> bool:
    try:
        return requests.get(url, timeout=PATIENCE).ok
    except requests.ConnectionError:
        return False
