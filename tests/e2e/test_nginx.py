"""nginx/dsg.conf: valid as it is, and the gateway answers through it over TLS."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from dsgctl.core import tokens, users
from dsgctl.core.change import change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.local import make_certificate
from tests.e2e.proxy import HOST, Loopback, nginx

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")


def test_the_gateway_answers_through_it(database: Database, serve: Callable[..., Server], tmp_path: Path) -> None:
    with change(database, "os:test") as opened:
        ada, _ = users.add(opened, "ada@example.org")
        _, token = tokens.mint(opened, ada)
    certificate = make_certificate(tmp_path, HOST)
    server = serve(DSG_ORIGIN=f"https://{HOST}")
    with nginx(tmp_path, certificate, server.origin.removeprefix("http://")) as port:
        # The name leads to loopback by the adapter alone, so that the certificate is checked as it would be.
        session = requests.Session()
        session.trust_env = False  # or the environment may name other certificates
        session.verify = str(certificate)
        session.mount(f"https://{HOST}", Loopback(port))
        url = f"https://{HOST}/api/v1/user/cache"
        assert session.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()["email"]
        assert session.get(url, params={"dsg_token": token}, timeout=10).status_code == 200
        assert session.get(url, timeout=10).status_code == 401
        assert session.post(f"https://{HOST}/gcs_token", data=b"x" * 70_000, timeout=10).status_code == 413
    log = (tmp_path / "dsg.access.log").read_text()
    assert len(re.findall("GET /api/v1/user/cache", log)) == 3
    assert token not in log
