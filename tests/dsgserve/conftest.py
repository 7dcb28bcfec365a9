"""The server's application, driven in this process through WSGI, over a real database.

def test_x(client, lab):
    reply = client.get("/login", cookie=lab.ada)
    assert (reply.status, reply.json()["email"]) == (200, "ada@example.org")
"""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from dsgctl.config import Config
from dsgctl.core import datasets, grants, locations, service_accounts, terms, tokens, users, versions
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgserve.app import make_app
from dsgserve.gateway import Gateway

KEY = "0123456789abcdef0123456789abcdef"
VIEWER = "https://viewer.example"  # the one origin that may ask for tokens
PAGE = "text/html,application/xhtml+xml"  # what a browser accepts


class FakeIssuer:
    """Stands where Google is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[str, ...]]] = []
        self.about: list[dict[str, Any]] = []  # who asked, and until when
        self.raises: Exception | None = None

    def issue(self, bucket: str, prefixes: tuple[str, ...], credential: str | None = None, **about: object) -> str:
        self.asked.append((bucket, prefixes))
        self.about.append(about)
        if self.raises:
            raise self.raises
        return f"google-token-{len(self.asked)}"


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def gateway(path: Path, issuer: FakeIssuer) -> Iterator[Gateway]:
    """A gateway over the file `path`, without an OpenID provider; Google is `issuer`."""
    opened = Gateway.open(
        Config(
            database=path,
            origin="https://auth.example.org",
            secret_keys=(KEY,),
            ngauth_origins=re.compile(r"https://viewer\.example"),
            allowed_redirects=("https://cave.example",),
            cookie_domain=".example.org",
        )
    )
    yield replace(opened, issuer=issuer)  # type: ignore[arg-type]
    opened.close()


@dataclass
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case; of a name sent twice, the last
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        return json.loads(self.body)

    def forms(self) -> list["Form"]:
        """The forms of a page, in their order."""
        found = _Forms()
        found.feed(self.text)
        return found.forms


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append(Form(found["action"] or ""))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[found["name"] or ""] = found["value"] or ""


class Client:
    """Sends requests to an application; every answer is held against the WSGI specification (PEP 3333)."""

    def __init__(self, app: Callable[[WSGIEnvironment, StartResponse], Iterable[bytes]]) -> None:
        self._app = validator(app)

    def request(
        self,
        method: str,
        path: str,
        *,
        cookie: str | None = None,
        body: bytes = b"",
        content_type: str = "text/plain",
        address: str = "192.0.2.7",
        **headers: str,
    ) -> Reply:
        """
        Args:
            path: with its query.
            cookie: the token in the login cookie.
            headers: by name, ``_`` for ``-``.
        """
        where, _, query = path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": where,
            "QUERY_STRING": query,
            "REMOTE_ADDR": address,
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": content_type,
            "wsgi.input": io.BytesIO(body),
        }
        environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
        if cookie is not None:
            environ["HTTP_COOKIE"] = f"dsg_token={cookie}"
        setup_testing_defaults(environ)
        said: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, sent: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            said.append((status, sent))
            return lambda _: None

        parts = self._app(environ, start)
        try:
            answer = b"".join(parts)
        finally:
            parts.close()  # type: ignore[attr-defined]
        status, sent = said[-1]
        return Reply(int(status[:3]), {name.lower(): value for name, value in sent}, answer)

    def get(self, path: str, **options: Any) -> Reply:
        return self.request("GET", path, **options)

    def post(self, path: str, *, form: dict[str, str] | None = None, **options: Any) -> Reply:
        if form is not None:
            options |= {"body": urlencode(form).encode(), "content_type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, **options)


@pytest.fixture
def client(gateway: Gateway) -> Client:
    return Client(make_app(gateway))


@dataclass
class Lab:
    """A small lab, and the tokens of those who work there.

    Attributes:
        ada: a login; ``view`` on fish, a closed dataset.
        bo: a login; ``view`` on fly, a public dataset whose terms are not accepted.
        cy: a login; nothing.
        gone: a login of a disabled account.
        script: an API token of ada's.
        robot: a service account's token; ``view`` on fish.
        fly_terms, fish_v2_terms: ids; the second of one version of fish, in force.
    """

    ada: str
    bo: str
    cy: str
    gone: str
    script: str
    robot: str
    fly_terms: int
    fish_v2_terms: int
    database: Database

    def change(self) -> Any:
        """A change of facts: ``with lab.change() as opened: ...``"""
        return begin_change(self.database, "os:test")

    def scalar(self, sql: str) -> Any:
        return self.database.scalar(sql)


@pytest.fixture
def lab(database: Database) -> Lab:
    with begin_change(database, "os:test") as opened:
        return _lab(opened)


def _lab(opened: Change) -> Lab:
    found: dict[str, str] = {}
    for name in ("ada", "bo", "cy", "gone"):
        user, _ = users.add(opened, f"{name}@example.org", name=f"{name.title()} Example")
        week = opened.at + timedelta(days=7)
        found[name] = tokens.mint(opened, user, kind="login", expires=week)[1]
    ada, bo = (users.find(opened.database, f"{name}@example.org") for name in ("ada", "bo"))
    robot, _ = service_accounts.add(opened, "robot")
    found["script"] = tokens.mint(opened, ada)[1]
    found["robot"] = tokens.mint(opened, robot)[1]

    datasets.add(opened, "fish")
    versions.add(opened, "fish", "v2")
    locations.add(opened, "fish", "gs://fish-bucket")
    locations.add(opened, "fish", "gs://shared-bucket/fish/v2", version="v2")
    fish_v2_terms = terms.add(opened, "fish v2 terms", "Be careful.", dataset="fish", version="v2")[0].id
    datasets.add(opened, "fly", public=True)
    locations.add(opened, "fly", "gs://fly-bucket")
    locations.add(opened, "fly", "gs://shared-bucket/fly")
    fly_terms = terms.add(opened, "fly terms", "# Rules\n\nCite us.", dataset="fly")[0].id
    for subject, dataset in ((ada, "fish"), (robot, "fish"), (bo, "fly")):
        grants.add(opened, principal_subject(subject), Target(dataset, "view"))
    users.set_active(opened, "gone@example.org", False)
    return Lab(**found, fly_terms=fly_terms, fish_v2_terms=fish_v2_terms, database=opened.database)
