"""nginx/dsg.conf: valid as it is, and the gateway answers through it over TLS."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from dsgctl.core import tokens, users
from dsgctl.core.change import change
from dsgctl.store import Database
from tests.e2e.conftest import Server, free_port, wait_until

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "nginx" / "dsg.conf"
HOST = "auth.example.org"

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={HOST}",
         "-addext", f"subjectAltName=DNS:{HOST}", "-keyout", place / "dsg.key", "-out", place / "dsg.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return place


@contextmanager
def nginx(place: Path, certificate: Path, upstream: str) -> Iterator[int]:
    """The shipped file, with only its addresses and certificate files replaced. Yields the TLS port."""
    tls, plain = free_port(), free_port()
    site = CONFIG.read_text()
    for old, new in (
        ("127.0.0.1:8200", upstream),
        ("listen 443", f"listen 127.0.0.1:{tls}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("/etc/ssl/certs", str(certificate)),
        ("/etc/ssl/private", str(certificate)),
        ("/var/log/nginx", str(place)),
    ):
        assert old in site
        site = site.replace(old, new)
    (place / "dsg.conf").write_text(site)
    temporary = "".join(f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
    (place / "nginx.conf").write_text(
        f"pid {place}/pid; error_log {place}/error.log; daemon off; master_process off; events {{}}\n"
        f"http {{ access_log off; {temporary} include {place}/dsg.conf; }}\n"
    )
    command = ["nginx", "-p", str(place), "-c", str(place / "nginx.conf"), "-e", str(place / "error.log")]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0 and "warn" not in tested.stderr, tested.stderr
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: (place / "pid").exists() and (place / "pid").read_text() != "", what="nginx")
        yield tls
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_the_gateway_answers_through_it(
    database: Database, serve: Callable[..., Server], tmp_path: Path, certificate: Path
) -> None:
    with change(database, "os:test") as opened:
        ada, _ = users.add(opened, "ada@example.org")
        _, token = tokens.mint(opened, ada)
    server = serve(DSG_ORIGIN=f"https://{HOST}")
    with nginx(tmp_path, certificate, server.origin.removeprefix("http://")) as port:
        # The name leads to loopback by the adapter alone, so that the certificate is checked as it would be.
        session = requests.Session()
        session.trust_env = False  # or the environment may name other certificates
        session.verify = str(certificate / "dsg.pem")
        session.mount(f"https://{HOST}", Loopback(port))
        url = f"https://{HOST}/api/v1/user/cache"
        assert session.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()["email"]
        assert session.get(url, params={"dsg_token": token}, timeout=10).status_code == 200
        assert session.get(url, timeout=10).status_code == 401
        assert session.post(f"https://{HOST}/gcs_token", data=b"x" * 70_000, timeout=10).status_code == 413
    log = (tmp_path / "dsg.access.log").read_text()
    assert len(re.findall("GET /api/v1/user/cache", log)) == 3
    assert token not in log


class Loopback(requests.adapters.HTTPAdapter):
    """Connects to loopback under whatever name the URL has."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None):  # type: ignore[no-untyped-def]
        host, pool = self.build_connection_pool_key_attributes(request, verify, cert)
        pool |= {"server_hostname": host["host"], "assert_hostname": host["host"]}
        return self.poolmanager.connection_from_host("127.0.0.1", self._port, "https", pool_kwargs=pool)
