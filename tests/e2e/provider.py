"""Stands in for Google's sign-in: an OpenID provider from npm (node/provider.mjs), and a browser that signs in."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.e2e.local import free_port
from tests.patience import PATIENCE

NODE = Path(__file__).parent / "node"
ADA = {"sub": "s-ada", "email": "ada@example.org", "email_verified": True, "name": "Ada Lovelace"}
CLIENT = {"GOOGLE_CLIENT_ID": "the-client", "GOOGLE_CLIENT_SECRET": "the-secret"}
# Further names in the certificate.
HOSTS = ("auth.example.org", "cave.example.org", "cave.other.test", "viewer.test", "other.test", "data.example.org")

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and (NODE / "node_modules").is_dir()), reason="needs node and npm: make node-parts"
)


@dataclass
class Provider:
    """A running provider."""

    issuer: str
    certificate: Path
    process: "subprocess.Popen[str]"

    def configure(self, **settings: Any) -> None:
        """Set what the provider does from now on; see provider.mjs."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps({"claims": ADA, **settings}) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "ok\n"


@contextmanager
def run_provider(certificate: Path) -> Iterator[Provider]:
    """Start the provider; stop it at the end."""
    with subprocess.Popen(
        ["node", "provider.mjs", str(free_port()), certificate, certificate.with_suffix(".key")],
        cwd=NODE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Provider(process.stdout.readline().strip(), certificate, process)
        process.terminate()


class Browser:
    """Handles cookies and redirects like a browser.

    Attributes:
        visited: the URLs of the last request and its redirects.
    """

    def __init__(self, origin: str, certificate: Path) -> None:
        self.origin = origin
        self.session = requests.Session()
        self.session.trust_env = False  # because the environment may name other certificates
        self.session.verify = str(certificate)
        self.session.headers["Accept"] = "text/html"
        self.visited: list[str] = []

    def get(self, path: str, *, follow: bool = True, **headers: str) -> requests.Response:
        response = self.session.get(
            self.origin + path if path.startswith("/") else path,
            allow_redirects=follow,
            headers=headers,
            timeout=PATIENCE,
        )
        self.visited = [step.url for step in (*response.history, response)]
        return response

    def cookie(self, name: str) -> str | None:
        return self.session.cookies.get(name)

    def signed_in_email(self) -> str | None:
        """The email of the signed-in person according to /login; None if nobody is signed in."""
        email: str | None = self.get("/login", Accept="application/json").json().get("email")
        return email
