"""nginx in front of the gateway, with the shipped configuration, over TLS on loopback."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.e2e.local import free_port, wait_until
from tests.patience import PATIENCE

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "nginx" / "dsg.conf"
HOST = "auth.example.org"


@contextmanager
def run_nginx(
    place: Path,
    certificate: Path,
    upstream: str,
    more: str = "",
    alter: Callable[[str], str] = str,
    *,
    plain: int = 0,
    debug: bool = False,
) -> Iterator[int]:
    """The shipped file, with only its addresses and certificate files replaced.

    Args:
        certificate: as `make_certificate` made it.
        more: further server blocks; PORT and CERTIFICATES in them are replaced.
        alter: makes another configuration of it, as an operator might.
        plain: the port of the site without TLS; any if 0.
        debug: nginx's main log says all that it can.

    Yields:
        The TLS port.
    """
    tls, plain = free_port(), plain or free_port()
    site = CONFIG.read_text()
    for old, new in (
        ("unix:/run/dsg/dsgserve.sock", upstream),
        ("listen 443", f"listen 127.0.0.1:{tls}"),
        ("listen 80", f"listen 127.0.0.1:{plain}"),
        ("    listen [::]:443 ssl http2;\n", ""),  # not every machine that tests has IPv6
        ("    listen [::]:80;\n", ""),
        ("/etc/ssl/certs", str(certificate.parent)),
        ("/etc/ssl/private", str(certificate.parent)),
        ("/var/log/nginx", str(place)),
    ):
        assert old in site
        site = site.replace(old, new)
    more = more.replace("PORT", str(tls)).replace("CERTIFICATES", str(certificate.parent))
    (place / "dsg.conf").write_text(alter(site) + more)
    temporary = "".join(f"{kind}_temp_path {place}/{kind};" for kind in ("client_body", "proxy", "fastcgi"))
    (place / "run_nginx.conf").write_text(
        f"pid {place}/pid; error_log {place}/error.log{' debug' if debug else ''}; daemon off; master_process off;\n"
        f"events {{ {'debug_connection 127.0.0.1;' if debug else ''} }}\n"
        f"http {{ access_log off; {temporary} include {place}/dsg.conf; }}\n"
    )
    command = ["nginx", "-p", str(place), "-c", str(place / "run_nginx.conf"), "-e", str(place / "error.log")]
    tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0 and "warn" not in tested.stderr, tested.stderr
    process = subprocess.Popen(command)
    try:
        wait_until(lambda: (place / "pid").exists() and (place / "pid").read_text() != "", what="nginx")
        yield tls
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


class Loopback(requests.adapters.HTTPAdapter):
    """Connects to loopback under whatever name the URL has."""

    def __init__(self, port: int) -> None:
        self._port = port
        super().__init__()

    def get_connection_with_tls_context(self, request, verify, proxies=None, cert=None):  # type: ignore[no-untyped-def]
        host, pool = self.build_connection_pool_key_attributes(request, verify, cert)
        pool |= {"server_hostname": host["host"], "assert_hostname": host["host"]}
        return self.poolmanager.connection_from_host("127.0.0.1", self._port, "https", pool_kwargs=pool)

    def add_headers(self, request, **arguments):  # type: ignore[no-untyped-def]
        request.headers["Host"] = urlsplit(request.url).netloc  # the name, not the address that is connected to
