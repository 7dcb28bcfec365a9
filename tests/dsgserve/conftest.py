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
from dsgctl.core import datasets, grants, locations, service_accounts, service_tables, terms, tokens, users, versions
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.setting_values import APIS
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from tests.dsgserve.routes import NAMES

KEY = "0123456789abcdef0123456789abcdef"
VIEWER = "https://viewer.example"  # the one origin that may ask for tokens
PAGE = "text/html,application/xhtml+xml"  # what a browser accepts


class FakeIssuer:
    """Takes the place of the issuer of Google tokens."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.options: list[dict[str, Any]] = []  # client and deadline of each call
        self.raises: Exception | None = None

    def issue(self, bucket: str, prefixes: tuple[str, ...], credential: str | None = None, **options: object) -> str:
        self.calls.append((bucket, prefixes))
        self.options.append(options)
        if self.raises:
            raise self.raises
        return f"google-token-{len(self.calls)}"


@pytest.fixture
def issuer() -> FakeIssuer:
    return FakeIssuer()


@pytest.fixture
def gateway(path: Path, issuer: FakeIssuer) -> Iterator[Gateway]:
    """A gateway over the file `path`, with every API and without an OpenID provider; Google is `issuer`."""
    gateway = Gateway.open(
        Config(
            database=path,
            origin="https://auth.example.org",
            secret_keys=(KEY,),
            ngauth_origins=re.compile(r"https://viewer\.example"),
            allowed_redirects=("https://cave.example",),
            cookie_domain=".example.org",
            apis=tuple(APIS),
        )
    )
    yield replace(gateway, issuer=issuer)  # type: ignore[arg-type]
    gateway.close()


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
        parser = _Forms()
        parser.feed(self.text)
        return parser.forms


@dataclass
class Form:
    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            self.forms.append(Form(attributes["action"] or ""))
        elif tag == "input" and self.forms:
            self.forms[-1].fields[attributes["name"] or ""] = attributes["value"] or ""


class Client:
    """Sends requests to an application; every response is checked against the WSGI specification (PEP 3333)."""

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
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start(status: str, sent: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            started.append((status, sent))
            return lambda _: None

        parts = self._app(environ, start)
        try:
            answer = b"".join(parts)
        finally:
            parts.close()  # type: ignore[attr-defined]
        status, sent = started[-1]
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
        """A transaction that changes data: ``with lab.change() as change: ...``"""
        return begin_change(self.database, "os:test")

    def scalar(self, sql: str) -> Any:
        return self.database.scalar(sql)


@pytest.fixture(scope="session")
def built_lab(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Lab:
    """Built once; its database is closed, and no test writes to the file."""
    path = tmp_path_factory.mktemp("lab") / "dsg.sqlite3"
    path.write_bytes(empty_database.read_bytes())
    database = open_current(path)
    with begin_change(database, "os:test") as change:
        lab = _build_lab(change)
    database.close()
    return lab


@pytest.fixture
def path(request: pytest.FixtureRequest, tmp_path: Path, empty_database: Path) -> Path:
    """The file of a migrated database: empty, or the lab's for a test that uses `lab`."""
    uses_lab = "lab" in request.fixturenames
    source = Path(request.getfixturevalue("built_lab").database.path) if uses_lab else empty_database
    copy = tmp_path / "dsg.sqlite3"
    copy.write_bytes(source.read_bytes())
    return copy


@pytest.fixture
def lab(built_lab: Lab, database: Database) -> Lab:
    return replace(built_lab, database=database)


def _build_lab(change: Change) -> Lab:
    secrets: dict[str, str] = {}
    for name in ("ada", "bo", "cy", "gone"):
        user, _ = users.add(change, f"{name}@example.org", name=f"{name.title()} Example")
        week = change.at + timedelta(days=7)
        secrets[name] = tokens.mint(change, user, kind="login", expires=week)[1]
    ada, bo = (users.find(change.database, f"{name}@example.org") for name in ("ada", "bo"))
    robot, _ = service_accounts.add(change, "robot")
    secrets["script"] = tokens.mint(change, ada)[1]
    secrets["robot"] = tokens.mint(change, robot)[1]

    datasets.add(change, "fish")
    versions.add(change, "fish", "v2")
    locations.add(change, "fish", "gs://fish-bucket")
    locations.add(change, "fish", "gs://shared-bucket/fish/v2", version="v2")
    fish_v2_terms = terms.add(change, "fish v2 terms", "Be careful.", dataset="fish", version="v2")[0].id
    datasets.add(change, "fly", public=True)
    locations.add(change, "fly", "gs://fly-bucket")
    locations.add(change, "fly", "gs://shared-bucket/fly")
    fly_terms = terms.add(change, "fly terms", "# Rules\n\nCite us.", dataset="fly")[0].id
    for subject, dataset in ((ada, "fish"), (robot, "fish"), (bo, "fly")):
        grants.add(change, principal_subject(subject), Target(dataset, "view"))
    users.set_active(change, "gone@example.org", False)
    service_tables.add_table(change, NAMES["service"], NAMES["table"], "fish")
    service_tables.add_root(change, NAMES["service"], NAMES["table"], int(NAMES["root"]))
    return Lab(**secrets, fly_terms=fly_terms, fish_v2_terms=fish_v2_terms, database=change.database)
