"""The sign-in as anybody: where it works, and where the server refuses to start with it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dsgctl.core import users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import KEY, Server
from tests.e2e.local import free_port
from tests.e2e.visitor import Visitor
from tests.patience import PATIENCE


def test_the_development_login_signs_in_as_an_existing_user(database: Database, serve: Callable[..., Server]) -> None:
    with begin_change(database, "os:test") as change:
        users.add(change, "ada@example.org", name="Ada <b>")
        users.add(change, "cy@example.org")
        users.set_active(change, "cy@example.org", False)
    server = serve(DSG_DEV_LOGIN="1")
    visitor = Visitor(server.origin)
    state = visitor.begin()
    chosen = visitor.session.get(f"{visitor.origin}/auth/login", timeout=PATIENCE).text
    assert "ada@example.org" in chosen and "Ada &lt;b&gt;" in chosen
    assert "cy@example.org" not in chosen
    assert visitor.finish("another", "ada@example.org").status_code == 403
    assert visitor.finish(state, "ada@example.org").headers["Location"] == "/success"
    assert "ada@example.org" in visitor.session.get(f"{visitor.origin}/", timeout=PATIENCE).text
    assert visitor.finish(visitor.begin(), "nobody@example.org").status_code == 403


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        ({"DSG_ORIGIN": "https://auth.example.org"}, ["127.0.0.1"]),
        ({"DSG_ORIGIN": "http://localhost.example.org:8200"}, ["127.0.0.1"]),
        ({"DSG_ORIGIN": "http://localhost:8200"}, ["*"]),
        ({"DSG_ORIGIN": "http://localhost:8200"}, ["127.0.0.1", "*"]),
    ],
)
def test_the_server_refuses_the_development_login_where_others_could_reach_it(
    settings: dict[str, str], hosts: list[str], path: Path
) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "dsgserve", *(f"--listen={host}:{free_port()}" for host in hosts)],
        env={"DATABASE_PATH": str(path), "DSG_SECRET_KEY": KEY, "DSG_DEV_LOGIN": "1", **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.returncode == 2
    assert process.stderr.strip().count("\n") == 0
    assert "DSG_DEV_LOGIN" in process.stderr
