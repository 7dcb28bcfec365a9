"""Runs nginx in front of the gateway, with the shipped configuration, over TLS on loopback."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.e2e.local import ROOT, free_port, wait_until
from tests.patience import PATIENCE

CONFIG = ROOT / "nginx" / "dsg.conf"
HOST = "auth.example.org"

# A site for a service beside the gateway's, so that its addresses are https too.
_SITE = """
server {
    listen 127.0.0.1:PORT ssl;
    server_name NAMES;
    ssl_certificate CERTIFICATES/dsg.pem;
    ssl_certificate_key CERTIFICATES/dsg.key;
    location / {
        proxy_pass http://127.0.0.1:SERVICE;
        proxy_set_header Host $host;
    }
}
"""


def build_site(port: int, *names: str) -> str:
    """A site with these names, for `run_nginx`, of a service that listens on a port."""
    return _SITE.replace("SERVICE", str(port)).replace("NAMES", " ".join(names))


@contextmanager
def run_nginx(
    directory: Path,
    certificate: Path,
    upstream: str,
    more: str = "",
    alter: Callable[[str], str] = str,
    *,
    plain: int = 0,
    debug: bool = False,
) -> Iterator[int]:
    """Run nginx with the shipped file, in which only addresses and paths are replaced.

    Args:
        directory: for its files and logs.
        certificate: from `make_certificate`.
        more: further server blocks; PORT and CERTIFICATES in them are replaced.
        alter: changes the configuration, as an operator might.
        plain: the port of the site without TLS; any free port if 0.
        debug: write nginx's error log at level debug.

    Yields:
        The TLS port.
    """
    tls, plain = free_port(), plain or free_port()
    site = CONFIG.read_text()
    for old, new in (
        ("unix:/run/dsg/dsgserve.sock", upstream),
        ("listen 443", f"listen 127.0.0.1:{tls}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("    listen [::]:443 ssl http2;\n", ""),  # not every machine has IPv6
        ("    listen [::]:80;\n", ""),
        ("/etc/ssl/certs", str(certificate.parent)),
        ("/etc/ssl/private", str(certificate.parent)),
        ("/var/log/nginx", str(directory)),
    ):
        assert old in site
        site = site.replace(old, new)
    more = more.replace("PORT", str(tls)).replace("CERTIFICATES", str(certificate.parent))
    (directory / "dsg.conf").write_text(alter(site) + more)
    temporary = "".join(f"{kind}_temp_path {directory}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
    (directory / "nginx.conf").write_text(
        f"pid {directory}/pid; error_log {directory}/error.log{' debug' if debug else ''};\n"
        "daemon off; master_process off;\n"
        f"events {{ {'debug_connection 127.0.0.1;' if debug else ''} }}\n"
        f"http {{ access_log off; {temporary} include {directory}/dsg.conf; }}\n"
    )
    command = [
        "nginx",
        "-p",
        str(directory),
        "-c",
        str(directory / "nginx.conf"),
        "-e",
        str(directory / "error.log"),
    ]
    check = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert check.returncode == 0 and "warn" not in check.stderr, check.stderr
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: (directory / "pid").exists() and (directory / "pid").read_text() != "", event="nginx")
        yield tls
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


class Loopback(requests.adapters.HTTPAdapter):
    """Connects to loopback, whatever host the URL names."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None):  # type: ignore[no-untyped-def]
        host, pool = self.build_connection_pool_key_attributes(request, verify, cert)
        pool |= {"server_hostname": host["host"], "assert_hostname": host["host"]}
        return self.poolmanager.connection_from_host("127.0.0.1", self._port, "https", pool_kwargs=pool)

    def add_headers(self, request, **arguments):  # type: ignore[no-untyped-def]
        request.headers["Host"] = urlsplit(request.url).netloc  # the name, not the address that is connected to
