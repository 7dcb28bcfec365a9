"""The sign-in as anybody: where it works, and where the server refuses to start with it."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from dsgctl.core import users
from dsgctl.core.change import change
from dsgctl.store import Database
from tests.e2e.conftest import KEY, Server


def test_one_signs_in_as_somebody_who_is_there(database: Database, serve: Callable[..., Server]) -> None:
    with change(database, "os:test") as opened:
        users.add(opened, "ada@example.org", name="Ada <b>")
        users.add(opened, "cy@example.org")
        users.set_active(opened, "cy@example.org", False)
    server = serve(DSG_DEV_LOGIN="1")
    with requests.Session() as browser:
        origin = server.origin.replace("127.0.0.1", "localhost")
        chosen = browser.get(f"{origin}/auth/login?next=/success", timeout=10)
        assert "ada@example.org" in chosen.text and "Ada &lt;b&gt;" in chosen.text
        assert "cy@example.org" not in chosen.text
        state = re.search(r'name="state" value="([^"]+)"', chosen.text)
        assert state is not None

        def finish(email: str, with_state: str = state[1]) -> requests.Response:
            asked = {"state": with_state, "code": email}
            return browser.get(
                f"{origin}/accounts/google/login/callback/", params=asked, allow_redirects=False, timeout=10
            )

        assert finish("ada@example.org", "another").status_code == 403
        assert finish("ada@example.org").headers["Location"] == "/success"
        assert "ada@example.org" in browser.get(f"{origin}/", timeout=10).text
        again = browser.get(f"{origin}/auth/login", timeout=10)
        state = re.search(r'name="state" value="([^"]+)"', again.text)
        assert state is not None
        assert finish("nobody@example.org", state[1]).status_code == 403


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"DSG_ORIGIN": "https://auth.example.org"}, []),
        ({"DSG_ORIGIN": "http://localhost.example.org:8200"}, []),
        ({"DSG_ORIGIN": "http://localhost:8200"}, ["--listen", "0.0.0.0:8200"]),
        ({"DSG_ORIGIN": "http://localhost:8200"}, ["--listen", "127.0.0.1:8200", "--listen", "*:8201"]),
    ],
)
def test_the_server_does_not_start_with_it_where_others_could_use_it(
    settings: dict[str, str], words: list[str], path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dsgserve", *words],
        env={"DATABASE_PATH": str(path), "DSG_SECRET_KEY": KEY, "DSG_DEV_LOGIN": "1", **settings},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "DSG_DEV_LOGIN" in done.stderr
