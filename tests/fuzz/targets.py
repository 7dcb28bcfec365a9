"""The parsers of untrusted text, each as a function of bytes that raises only if something is wrong.

Hypothesis feeds them the same bytes in every test run (test_fuzz.py). ``make fuzz`` searches freely with atheris, which
is guided by coverage. What it finds becomes a case in regressions.py.
"""

import atexit
import csv
import json
import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from io import BytesIO, StringIO
from pathlib import Path
from urllib.parse import urlsplit

from bottle import LocalRequest

from dsgctl.config import Config
from dsgctl.core import datasets, hidden_characters, markdown, token_format, users, validation, web_origins
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError, Invalid
from dsgctl.core.transaction import begin_change
from dsgctl.importers import clio, datasetgateway, export, neuprint
from dsgctl.importers import csv as people_csv
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.setting_values import APIS
from dsgctl.settings import load
from dsgctl.store import Database, StoreError
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.times import utc_text
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.http import origins, redirects, signing
from dsgserve.http.requests import MAX_COOKIES, presented_tokens
from dsgserve.http.signing import Purpose
from dsgserve.login.login_state import LoginStateStore
from dsgserve.ngauth import endpoints
from tests.dsgserve.routes import EVERY_ROUTE, fill_path

KEY = "0123456789abcdef0123456789abcdef"
CONFIG = Config(
    origin="https://auth.example.org", cookie_domain=".example.org", allowed_redirects=("https://cave.example",)
)


def _text(data: bytes) -> str:
    """As WSGI has it: a byte a character."""
    return data.decode("latin-1")


def token(data: bytes) -> None:
    """A presented token: recognised or not, and never shown beyond its prefix."""
    text = data.decode("utf-8", "surrogateescape")
    token_format.is_mistyped(text)
    token_format.is_malformed(text)
    assert len(token_format.digest(text)) == 32
    assert len(token_format.visible_prefix(text)) <= 8
    try:
        signing.verify((KEY,), Purpose.USER_TOKEN, text, now())
    except signing.Refused:
        return
    raise AssertionError("it verified")


def request(data: bytes) -> None:
    """Cookies, a header and a query with tokens in them."""
    cookie, _, rest = _text(data).partition("\n")
    header, _, query = rest.partition("\n")
    parsed = LocalRequest(
        {
            "HTTP_COOKIE": cookie,
            "HTTP_AUTHORIZATION": header,
            "QUERY_STRING": query,
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/",
            "wsgi.input": BytesIO(),
        }
    )
    try:
        presented = presented_tokens(parsed, ("dsg_token", "middle_auth_token")).tokens
    except Invalid:
        return
    assert all(isinstance(token, str) and token for token in presented)
    assert len(presented) <= MAX_COOKIES
    logins = LoginStateStore((KEY,), secure=True)
    assert logins.find(parsed, query) is None


@cache
def _pattern() -> Config:
    return load({"NGAUTH_ALLOWED_ORIGINS": r"https://([a-z0-9-]+\.)*example\.org|http://localhost(:\d+)?"})


def origin(data: bytes) -> None:
    """An Origin: scheme, host, port and nothing else."""
    parsed = web_origins.parse(_text(data))
    if parsed is None:
        return
    parts = urlsplit(parsed)
    assert parts.scheme in ("http", "https")
    assert parts.hostname
    assert not (parts.path or parts.query or parts.fragment or parts.username)
    if origins.is_allowed(parsed, _pattern().ngauth_origins):
        host = parts.hostname
        assert host in ("localhost", "example.org") or host.endswith(".example.org")


def target(data: bytes) -> None:
    """``next`` and ``redirect``: on this server, or to where the settings allow."""
    text = data.decode("utf-8", "surrogateescape")
    local = redirects.local_path(text)
    if local is not None:
        assert local.startswith("/")
        assert local.isascii()
        assert local[1:2] not in ("/", "\\")
        assert not re.search(r"[\x00-\x20\x7f\\]", local)
    away = redirects.external_url(CONFIG, text)
    if away is not None:
        parts = urlsplit(away)
        host = parts.hostname or ""
        assert not re.search(r"[\x00-\x20\x7f\\]", away)
        assert parts.username is None
        assert host in ("cave.example", "example.org") or host.endswith(".example.org")
        assert "secret" not in urlsplit(redirects.with_token(away, "secret", CONFIG)).netloc


def gcs_body(data: bytes) -> None:
    """The body of /gcs_token: a token and the name of a bucket, or nothing."""
    request = LocalRequest({"CONTENT_LENGTH": str(len(data)), "REQUEST_METHOD": "POST", "wsgi.input": BytesIO(data)})
    body = endpoints._read_body(request)
    if body is not None:
        assert all(isinstance(part, str) and part for part in body)
        assert re.fullmatch(r"[a-z0-9][a-z0-9._-]*[a-z0-9]", body[1])


def terms(data: bytes) -> None:
    """Terms in Markdown: only harmless tags come out."""
    html = markdown.render(data.decode("utf-8", "replace"))
    for tag, attributes in re.findall(r"<(/?[a-zA-Z0-9]+)([^>]*)>", html):
        assert tag.strip("/") in {
            "p",
            "a",
            "em",
            "strong",
            "code",
            "pre",
            "ul",
            "ol",
            "li",
            "blockquote",
            "hr",
            "br",
            "div",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }, tag
        assert re.fullmatch(
            r"""( (href|title|target|rel|start|style|class|dir|tabindex|role|id|aria-label)="[^"]*")* ?/?""", attributes
        ), attributes
    for url in re.findall(r'href="([^"]*)"', html):
        assert re.match(r"(https?://|mailto:|\Z)", url, re.IGNORECASE), url  # an empty one leads to the page itself


def people(data: bytes) -> None:
    """A CSV of people: read, or refused in one line."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        try:
            rows = list(people_csv.CsvPeople("people.csv", file).rows("people"))
        except DsgError as error:
            assert "\n" not in error.message
        except csv.Error as error:
            raise AssertionError(f"csv: {error}") from error
        else:
            assert all("\n" not in f"{row.where}{row.problem}" for row in rows)


@cache
def _database() -> Database:
    """A database with one dataset; every import into it is rolled back."""
    path = Path(tempfile.mkdtemp()) / "dsg.sqlite3"
    atexit.register(shutil.rmtree, path.parent)
    migrate(path, now=utc_text(now()))
    database = open_current(path)
    with begin_change(database, "os:fuzz") as change:
        datasets.add(change, "fish2")
    return database


IMPORTERS: tuple[Callable[[], BaseImporter], ...] = (
    clio.Importer,
    lambda: neuprint.Importer(("fish2",)),
    lambda: people_csv.Importer("fish2"),
    export.Importer,
    datasetgateway.Importer,
)


def document(data: bytes) -> None:
    """A file of another system, which the first byte chooses: imported, or refused in one line."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data[1:])
        file.flush()
        try:
            with begin_change(_database(), "os:fuzz", dry_run=True) as change:
                IMPORTERS[data[0] % len(IMPORTERS) if data else 0]().run(change, file.name)
        except (DsgError, StoreError) as error:
            assert "\n" not in error.message


def name(data: bytes) -> None:
    """Names as operators type them: kept as they are, or refused in one line."""
    text = data.decode("utf-8", "surrogateescape")
    for rule in (validation.email, validation.single_line, validation.gs_url, validation.date, validation.duration):
        try:
            rule(text, *(("name",) if rule is validation.single_line else ()))
        except DsgError as error:
            assert not hidden_characters.has_control(error.message)


@cache
def _app() -> Callable[..., Iterable[bytes]]:
    """A gateway over a database with a person in it; kept until the process ends."""
    path = Path(tempfile.mkdtemp()) / "dsg.sqlite3"
    atexit.register(shutil.rmtree, path.parent)
    migrate(path, now=utc_text(now()))
    database = open_current(path)
    with begin_change(database, "os:fuzz") as change:
        users.add(change, "ada@example.org")
    database.close()
    return make_app(Gateway.open(replace(CONFIG, database=path, secret_keys=(KEY,), apis=tuple(APIS))))


HEADERS = (
    "HTTP_COOKIE",
    "HTTP_AUTHORIZATION",
    "HTTP_ORIGIN",
    "HTTP_ACCEPT",
    "HTTP_X_REQUESTED_WITH",
    "HTTP_HOST",
    "HTTP_X_FORWARDED_FOR",
    "CONTENT_TYPE",
    "HTTP_REFERER",
    "HTTP_TRANSFER_ENCODING",
)


def whole(data: bytes) -> None:
    """A request of any form, by lines: method, route, query, headers, and then the body. Never our fault (500)."""
    lines = data.split(b"\n", 3 + len(HEADERS))
    lines += [b""] * (4 + len(HEADERS) - len(lines))
    method, route, query, *headers, body = lines
    number = route[0] if route else 0
    path = fill_path(EVERY_ROUTE[number % len(EVERY_ROUTE)], 1) if number < 128 else _text(route)
    environ = {
        "REQUEST_METHOD": ("GET", "POST", "OPTIONS", "HEAD", "PUT")[method[0] % 5 if method else 0],
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": _text(query),
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": StringIO(),
    }
    environ |= {name: _text(value) for name, value in zip(HEADERS, headers, strict=True) if value}
    responses: list[tuple[str, list[tuple[str, str]]]] = []
    logging.disable(logging.CRITICAL)
    try:
        list(_app()(environ, lambda status, sent, *_: responses.append((status, sent))))
    finally:
        logging.disable(logging.NOTSET)
    status, sent = responses[-1]
    assert status[:3] in {"200", "204", "302", "303", "400", "401", "403", "404", "405", "413", "503"}, status
    assert dict(sent)["X-Frame-Options"] == "DENY"
    assert not [value for _, value in sent if re.search(r"[\x00-\x08\x0a-\x1f]", value)], sent
    assert "ada@example.org" not in str(sent)


TARGETS: dict[str, Callable[[bytes], None]] = {
    check.__name__: check for check in (token, request, origin, target, gcs_body, terms, people, document, name, whole)
}
# What the search of each begins with.
SEEDS: dict[str, list[bytes]] = {
    "token": [b"dsgt" + b"a" * 39, b"dsg_" + b"a" * 38, b"0123456789abcdef0123456789abcdef", b".eJx.abc"],
    "request": [b"dsg_token=abc; x=y\nBearer abc\ndsg_token=abc&x=%20", b'dsg_token="a\\042b"\nbearer  x\n'],
    "origin": [b"https://viewer.example.org:8080", b"http://[::1]:80", b"null"],
    "target": [b"/success?x=%2F%2Fevil", b"https://cave.example/a?b=c#d", b"//evil.example", b"https://x.example.org"],
    "gcs_body": [json.dumps({"token": "t", "bucket": "lab-data"}).encode(), b"[[[[", b'{"token":"\\ud800"}'],
    "terms": [
        b"# A\n\n[x](https://a.example) <b@a.example>\n\n|a|b|\n|-|-|\n|1|2|",
        b"<script>x</script>",
        b"1. a\n\n> b",
    ],
    "people": [b"email,name\nada@example.org,Ada\n", b'\xef\xbb\xbfEMAIL\n"a\n', b"email\r\na@b.org\r\n"],
    "document": [
        b'\0{"users": {"ada@example.org": {"global_roles": ["admin"], "datasets": {"vnc": ["clio_write"]}}},'
        b' "datasets": {"vnc": {"public": true}}}',
        b'\1{"ada@example.org": "readwrite", "bo@example.org": "admin"}',
        b"\2email,name\nada@example.org,Ada\n",
        b'\3{"format": "dsg export", "version": 1}\n',
        b"\4SQLite format 3\0",
    ],
    "whole": [
        b"\0\n\0\ndsg_token=x&next=/\ndsg_token=x\nBearer x\nhttps://a.example\ntext/html\nx\nhost\n1.2.3.4\n",
        b"\1\n\x0c\nx=y\n\n\n\n\n\n\n\nmultipart/form-data; boundary=x\n\n\n--x\r\n\r\n--x--",
        b"\1\n\x0b\nx=y\n\n\n\n\n\n\n\napplication/x-www-form-urlencoded\n\n\nform=%ff&terms=1",
    ],
    "name": [b"ada@example.org", b"gs://lab-data/fish2/", b"2027-01-31T12:00Z", b"90d", "Zoë 陈".encode()],
}
