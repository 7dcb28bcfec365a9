"""An installed gateway in a directory: settings, keys, database, backups; and a site that serves it over TLS."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyrage
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from dsgctl.operations.doctor import Host
from tests.e2e.conftest import KEY
from tests.e2e.local import free_port, is_listening, wait_until
from tests.e2e.proxy import run_nginx

IS_ROOT = os.geteuid() == 0
SERVICE_USER = "nobody" if IS_ROOT else "nobody-else"  # as root the checks try as that user, else as oneself
CLIENT_ID = "1-lab.apps.googleusercontent.com"


def make_dated_certificate(place: Path, *names: str, days: tuple[int, int] = (-1, 90)) -> Path:
    """A key and a certificate of its own, good between two days from now. Returns the certificate."""
    place.mkdir(exist_ok=True)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (place / "dsg.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (place / "dsg.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))
    return place / "dsg.pem"


@dataclass
class Site:
    """dsgserve on a unix socket, nginx with TLS before it, and a provider's description beside it."""

    origin: str
    issuer: str
    certificate: Path
    sockets: Path
    upstream: str
    database: Path


@contextmanager
def running_site(place: Path, database: Path) -> Iterator[Site]:
    """All of it, with the shipped configuration of nginx, on localhost."""
    certificate = make_dated_certificate(place / "certificates", "localhost")
    sockets, provider = place / "run", free_port()
    sockets.mkdir()
    upstream = f"unix:{sockets}/dsgserve.sock"
    issuer = f"https://localhost:{provider}"
    with ExitStack() as stack:
        more = f"""server {{
            listen 127.0.0.1:{provider} ssl;
            ssl_certificate {certificate}; ssl_certificate_key {certificate.with_suffix(".key")};
            default_type application/json;
            location = /.well-known/openid-configuration {{ return 200 '{{"issuer": "{issuer}"}}'; }}
            location = /else/.well-known/openid-configuration {{ return 200 '{{"issuer": "https://id.example.org"}}'; }}
            location = /odd/.well-known/openid-configuration {{ return 200 '[]'; }}
            location = /moved/.well-known/openid-configuration {{ return 301 https://id.example.org/; }}
            location = /broken/.well-known/openid-configuration {{ return 500; }}
            location / {{ return 404; }}
        }}"""
        port = stack.enter_context(run_nginx(place, certificate, upstream, more))
        site = Site(f"https://localhost:{port}", issuer, certificate, sockets, upstream, database)
        stack.enter_context(running_server(sockets / "dsgserve.sock", database, site.origin))
        yield site


@contextmanager
def running_server(listen: Path, database: Path, origin: str) -> Iterator[None]:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_PATH": str(database),
        "DSG_SECRET_KEY": KEY,
        "DSG_ORIGIN": origin,
    }
    command = [sys.executable, "-m", "dsgserve", "--listen", f"unix:{listen}"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            wait_until(lambda: is_listening(listen) or server.poll() is not None, event="the server")
            assert server.poll() is None
            yield
        finally:
            server.terminate()


@dataclass
class Installation:
    """Everything as the manual has it, below one directory that the service's user can enter."""

    place: Path
    site: Site
    settings: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.etc, self.lib, self.backups = self.place / "etc", self.place / "lib", self.place / "backups"
        self.env, self.database = self.etc / "dsg.env", self.lib / "dsg.sqlite3"
        self.client, self.recipients = self.etc / "client_credentials.json", self.etc / "age-recipients.txt"
        self.units = self.place / "units"
        for directory in (self.etc, self.lib, self.backups, self.units, self.units / "sockets.target.wants"):
            directory.mkdir()
        (self.units / "dsgserve.socket").write_text("")
        (self.units / "sockets.target.wants" / "dsgserve.socket").symlink_to(self.units / "dsgserve.socket")
        redirect = f"{self.site.origin}/accounts/google/login/callback/"
        self.client.write_text(
            f'{{"web": {{"client_id": "{CLIENT_ID}", "client_secret": "s", "redirect_uris": ["{redirect}"]}}}}'
        )
        self.recipients.write_text(f"{pyrage.x25519.Identity.generate().to_public()}\n")
        self.settings = {
            "DATABASE_PATH": str(self.database),
            "DSG_ORIGIN": self.site.origin,
            "DSG_SECRET_KEY": KEY,
            "DSG_OIDC_ISSUER": self.site.issuer,
            "CLIENT_CREDENTIALS_PATH": str(self.client),
            "NGAUTH_ALLOWED_ORIGINS": r"https://neuroglancer-demo\.appspot\.com",
            "DSG_BACKUP_DIR": str(self.backups),
            "DSG_BACKUP_AGE_RECIPIENTS_FILE": str(self.recipients),
            "DSG_BACKUP_STAGING_DIR": str(self.place),
            "REQUESTS_CA_BUNDLE": str(self.site.certificate),
        }

    @property
    def host(self) -> Host:
        return Host(
            service_user=SERVICE_USER,
            proxy_user="root",
            sockets=self.site.sockets,
            units=self.units,
            systemd=self.place / "absent",
            secret_places=(),
            room=2**20,
        )

    def install(self, empty_database: Path) -> None:
        """Put the database there, and give all to whom it belongs."""
        shutil.copyfile(empty_database, self.database)
        self.write()
        for path in (self.env, self.client, self.recipients):
            path.chmod(0o640)
        self.lib.chmod(0o2770)
        self.database.chmod(0o660)
        if IS_ROOT:
            for path in (self.lib, self.database, self.backups):
                shutil.chown(path, SERVICE_USER, "nogroup")
            for path in (self.etc, self.env, self.client, self.recipients):
                shutil.chown(path, "root", "nogroup")
            self.etc.chmod(0o750)

    def write(self, *more: str, **settings: str) -> None:
        """Write the settings file: as it is, with some settings changed (taken out if empty), and further lines."""
        values = {name: value for name, value in {**self.settings, **settings}.items() if value}
        self.env.write_text("".join([f"{name}={value}\n" for name, value in values.items()] + [f"{x}\n" for x in more]))

    def close_to_the_service(self, path: Path) -> None:
        """Take a file or directory from the service's user, whoever runs the tests."""
        if IS_ROOT:
            shutil.chown(path, "root", "root")
        path.chmod(0o700 if path.is_dir() and IS_ROOT else 0o600 if IS_ROOT else 0)


@contextmanager
def open_installation(site: Site, empty_database: Path) -> Iterator[Installation]:
    place = Path(tempfile.mkdtemp(prefix="dsg-installed-"))
    place.chmod(0o755)  # the service's user enters it
    try:
        installation = Installation(place, site)
        installation.install(empty_database)
        yield installation
    finally:
        if not IS_ROOT:
            for directory in [path for path in place.rglob("*") if path.is_dir()]:
                directory.chmod(0o700)
        shutil.rmtree(place)


Plant = Callable[[Installation], object]
