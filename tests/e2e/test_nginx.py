"""nginx/dsg.conf: valid as it is, and the gateway answers through it over TLS."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import KEY, Server
from tests.e2e.local import make_certificate, wait_until
from tests.e2e.proxy import HOST, ROOT, Loopback, run_nginx
from tests.patience import PATIENCE

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")


def test_the_gateway_answers_through_nginx(database: Database, serve: Callable[..., Server], tmp_path: Path) -> None:
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        _, token = tokens.mint(change, ada)
    certificate = make_certificate(tmp_path, HOST)
    server = serve(DSG_ORIGIN=f"https://{HOST}")
    with run_nginx(tmp_path, certificate, server.origin.removeprefix("http://")) as port:
        # The name leads to loopback by the adapter alone, so that the certificate is checked as it would be.
        session = requests.Session()
        session.trust_env = False  # or the environment may name other certificates
        session.verify = str(certificate)
        session.mount(f"https://{HOST}", Loopback(port))
        url = f"https://{HOST}/api/v1/user/cache"
        assert session.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE).json()["email"]
        assert session.get(url, params={"dsg_token": token}, timeout=PATIENCE).status_code == 200
        assert session.get(url, timeout=PATIENCE).status_code == 401
        assert session.post(f"https://{HOST}/gcs_token", data=b"x" * 300_000, timeout=PATIENCE).status_code == 413
        assert session.get(url, timeout=PATIENCE).headers["Strict-Transport-Security"].startswith("max-age=")
        # One that the server does not answer: nginx may log it, but not its query.
        server.process.terminate()
        server.process.wait(timeout=PATIENCE)
        assert session.get(url, params={"dsg_token": token}, timeout=PATIENCE).status_code == 502
        session.close()
    log = "".join(file.read_text() for file in tmp_path.glob("*.log") if not file.name.startswith("dsgserve"))
    assert len(re.findall("GET /api/v1/user/cache", log)) == 5
    assert token not in log


def test_logins_and_tokens_are_rate_limited_and_user_cache_is_not(serve: Callable[..., Server], tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path, HOST)
    server = serve(DSG_ORIGIN=f"https://{HOST}")
    with run_nginx(tmp_path, certificate, server.origin.removeprefix("http://")) as port:

        def statuses(path: str, number: int) -> Counter[int]:
            def ask(_: int) -> int:
                with requests.Session() as session:
                    session.trust_env = False
                    session.verify = str(certificate)
                    session.mount(f"https://{HOST}", Loopback(port))
                    return session.get(f"https://{HOST}{path}", allow_redirects=False, timeout=PATIENCE).status_code

            with ThreadPoolExecutor(60) as several:
                return Counter(several.map(ask, range(number)))

        assert statuses("/api/v1/user/cache", 300) == {401: 300}
        logins = statuses("/login?origin=nonsense", 300)
        assert logins[429] > 0 and logins[400] >= 50
        assert set(logins) == {400, 429}


def test_several_processes_on_sockets_of_their_own_share_the_requests(
    path: Path, database: Database, tmp_path: Path
) -> None:
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        _, token = tokens.mint(change, ada)
    certificate = make_certificate(tmp_path, HOST)
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_PATH": str(path),
        "DSG_SECRET_KEY": KEY,
        "LOG_LEVEL": "DEBUG",
        "DSG_ORIGIN": f"https://{HOST}",
    }
    sockets = [tmp_path / f"dsgserve@{number}.sock" for number in (1, 2)]
    with ExitStack() as stack:
        logs = [stack.enter_context((tmp_path / f"dsgserve@{number}").open("w+")) for number in (1, 2)]
        for where, log in zip(sockets, logs, strict=True):
            command = [sys.executable, "-m", "dsgserve", "--listen", f"unix:{where}"]
            server = stack.enter_context(subprocess.Popen(command, env=environment, stderr=log))
            stack.callback(server.terminate)
        upstream = "; server ".join(f"unix:{where}" for where in sockets)
        port = stack.enter_context(run_nginx(tmp_path, certificate, upstream))
        session = stack.enter_context(requests.Session())
        session.trust_env = False
        session.verify = str(certificate)
        session.mount(f"https://{HOST}", Loopback(port))

        def ask() -> int:
            headers = {"Authorization": f"Bearer {token}"}
            return session.get(f"https://{HOST}/api/v1/user/cache", headers=headers, timeout=PATIENCE).status_code

        wait_until(lambda: [ask() for _ in range(4)] == [200] * 4, event="both processes")
        assert [ask() for _ in range(10)] == [200] * 10
        counts = [Path(log.name).read_text().count('"route": "/api/v1/user/cache", "status": 200') for log in logs]
        assert min(counts) >= 5
        with begin_change(database, "os:test") as change:
            users.set_active(change, "ada@example.org", False)
        assert [ask() for _ in range(4)] == [401] * 4


def test_the_first_certificate_and_the_site_are_set_up_by_the_commands_of_the_manual(tmp_path: Path) -> None:
    """Its commands as they stand, but for the places below / and for nginx's own settings."""
    text = (ROOT / "dsgctl" / "guide" / "install.md").read_text(encoding="utf-8")
    (script,) = [block for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if "openssl req" in block]
    for directory in ("etc/ssl/private", "etc/ssl/certs", "etc/nginx/conf.d", "opt/dsg/share/nginx", "var/log/nginx"):
        (tmp_path / directory).mkdir(parents=True)
    shutil.copy(ROOT / "nginx" / "dsg.conf", tmp_path / "opt/dsg/share/nginx")
    site = tmp_path / "etc/nginx/conf.d/dsg.conf"
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{}} http {{ include {site}; }}\n")
    script = script.replace("auth.example.org    # yours", "auth.example.net").replace("/etc/", f"{tmp_path}/etc/")
    script = script.replace("/opt/", f"{tmp_path}/opt/")
    test = f"sed -i -e 's,/etc/ssl,{tmp_path}/etc/ssl,' -e 's,/var/log,{tmp_path}/var/log,' {site}\n"
    test += f"nginx -t -p {tmp_path} -c {tmp_path}/nginx.conf -e {tmp_path}/log\n"
    process = subprocess.run(
        ["bash", "-euc", script.replace("nginx -t\n", test)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0 and "test is successful" in process.stderr, process.stderr
    assert "server_name auth.example.net;" in site.read_text() and "auth.example.org" not in site.read_text()
