"""What a request asks for beside its route: where to go on to, which terms, which kind of token."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest

from dsgctl.core import datasets, grants, terms, users, validation, versions
from dsgctl.core.grant_targets import Target, principal_subject
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.http.redirects import MAX_LENGTH
from dsgserve.login.dev_login import DevProvider
from tests.dsgserve.conftest import PAGE, VIEWER, Client, Lab

HERE = "localhost:8200"


@pytest.fixture
def login(gateway: Gateway) -> Iterator[Client]:
    """A gateway with a sign-in, which shows a page in place of the provider's."""
    yield Client(make_app(replace(gateway, provider=DevProvider(gateway.reader))))


def address(length: int) -> str:
    """An allowed one of this many characters, which does not compress."""
    noise = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(250))
    return ("https://cave.example/?" + base64.urlsafe_b64encode(noise).decode())[:length]


@pytest.mark.parametrize("length", [30, 1500, 1501, 1735, 2000, 2500])
def test_a_long_address_is_accepted(length: int, login: Client) -> None:
    assert login.get(f"/api/v1/authorize?redirect={quote(address(length), safe='')}", accept=PAGE).status == 200
    assert login.get(f"/auth/login?next=/success?{address(length)[-(length - 10) :]}", accept=PAGE).status == 200


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("/api/v1/authorize?redirect=", address(MAX_LENGTH)),
        ("/api/v1/authorize?redirect=", address(MAX_LENGTH + 1)),
        ("/api/v1/authorize?redirect=", address(9000)),
        ("/api/v1/authorize?redirect=", "https://cave.example/" + "x" * 14_000),
        ("/api/v1/authorize?redirect=", "https://cave.example/" + "é" * 1500),
        ("/auth/login?next=", "/success?x=" + address(MAX_LENGTH)[20:4000]),
        ("/auth/login?next=", "/" + "x" * 5000),
        ("/api/v1/authorize?service=x&redirect=", address(4000)),
        ("/activate?redirect=", address(MAX_LENGTH + 1)),
        ("/activate?next=", "/" + "x" * 5000),
        ("/activate?next=", "/" + "x" * 14_000),
    ],
)
def test_an_address_that_does_not_fit_is_refused_as_too_long(where: str, value: str, login: Client) -> None:
    page = login.get(where + quote(value, safe=""), accept=PAGE)
    assert page.status == 400
    assert "too long" in page.text and "not allowed" not in page.text and "not one that" not in page.text
    reply = login.get(where + quote(value, safe=""))
    assert (reply.status, reply.json()["error"]) == (400, "redirect_too_long")


@pytest.mark.parametrize(
    "value", ["https://evil.example/", "//evil.example", "javascript:x", "https://evil.example/" + "x" * 2000]
)
def test_an_address_that_is_not_allowed_is_refused_as_not_allowed(value: str, login: Client) -> None:
    page = login.get("/api/v1/authorize?redirect=" + quote(value, safe=""), accept=PAGE)
    assert page.status == 400 and "not allowed" in page.text and "too long" not in page.text
    assert login.get("/api/v1/authorize?redirect=" + quote(value, safe="")).json()["error"] == "invalid_redirect"


# POST /api/v1/authorize

JSON = "application/json"


def post_authorize(login: Client, body: object, kind: str = JSON) -> tuple[int, str]:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = login.post("/api/v1/authorize", body=sent, content_type=kind, x_requested_with="x")
    return reply.status, reply.json().get("authorization_url", reply.json().get("error"))


def test_a_json_body_is_read(login: Client) -> None:
    status, url = post_authorize(login, {"redirect": "https://cave.example/x", "service": "clio", "dataset": "fish"})
    assert status == 200
    assert url.endswith("?redirect=https%3A%2F%2Fcave.example%2Fx&service=clio&dataset=fish")
    assert post_authorize(login, {"redirect": "https://evil.example/"}) == (400, "invalid_redirect")
    assert post_authorize(login, {})[1].endswith("?redirect=%2F")
    assert post_authorize(login, {"redirect": None})[1].endswith("?redirect=%2F")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        {"redirect": 1},
        {"redirect": []},
        b"[" * 9000,
        {"redirect": {"a": 1}},
        {"service": True},
        b'{"redirect": ' + b"1" * 5000 + b"}",
    ],
)
def test_a_json_body_that_cannot_be_read_is_refused(body: object, login: Client) -> None:
    assert post_authorize(login, body) == (400, "invalid")


# GET /login?token=


@pytest.mark.parametrize("mode", ["api", "API", "", "ngauth", "x", "1", "api&token=", "%00"])
@pytest.mark.parametrize("origin", [VIEWER, "https://stranger.example"])
def test_an_unknown_kind_of_token_is_refused(mode: str, origin: str, client: Client, lab: Lab) -> None:
    for cookie in (lab.ada, None):
        for accept in (PAGE, "*/*"):
            reply = client.get(f"/login?origin={origin}&token={mode}", cookie=cookie, accept=accept)
            assert reply.status == 400
            assert "postMessage" not in reply.text
            assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert client.get(f"/login?origin={VIEWER}", cookie=lab.ada, accept=PAGE).status == 200


# /activate?dataset=NAME:VERSION


@pytest.mark.parametrize(
    ("dataset", "shown"),
    [
        ("fish", {"fish terms", "fish v2 terms", "fish v3 terms", "fish v2:x terms"}),
        ("fish:v2", {"fish terms", "fish v2 terms"}),
        ("fish:v3", {"fish terms", "fish v3 terms"}),
        ("fish:nothing", {"fish terms"}),
        ("fish:", {"fish terms"}),
        ("fish:v2:x", {"fish terms", "fish v2:x terms"}),
        ("fish:v2:y", {"fish terms"}),
        ("fish:v2:", {"fish terms"}),
        ("mb:v1", {"mb v1 terms", "mb:v1 terms"}),
        ("mb:v1:v1", {"mb:v1 terms"}),
        ("mb", {"mb v1 terms"}),
        ("fis:v2", set()),
        ("fly:v2", {"fly terms"}),
        (":v2", set()),
        ("v2", set()),
        ("fish:V2", {"fish terms"}),
    ],
)
def test_the_terms_of_a_version_include_those_of_its_dataset(
    dataset: str, shown: set[str], client: Client, lab: Lab
) -> None:
    with lab.change() as change:
        versions.add(change, "fish", "v3")
        terms.add(change, "fish terms", "x", dataset="fish")
        terms.add(change, "fish v3 terms", "x", dataset="fish", version="v3")
        ada = users.find(lab.database, "ada@example.org")
        grants.add(change, principal_subject(ada), Target("fly", "view"))
        # Names of other systems have colons: of a version, and of a dataset that reads like a version of another.
        versions.add(change, "fish", validation.foreign("v2:x", "version name"))
        terms.add(change, "fish v2:x terms", "x", dataset="fish", version="v2:x")
        for name in ("mb", "mb:v1"):
            datasets.add(change, validation.foreign(name, "dataset name"))
            grants.add(change, principal_subject(ada), Target(name, "view"))
        versions.add(change, "mb", "v1")
        terms.add(change, "mb v1 terms", "x", dataset="mb", version="v1")
        terms.add(change, "mb:v1 terms", "x", dataset="mb:v1")
    page = client.get(f"/activate?dataset={dataset}&next=/success", cookie=lab.ada, accept=PAGE)
    assert set(re.findall("<h2 id=[^>]*><bdi[^>]*>([^<]*)</bdi></h2>", page.text)) == shown
    assert (page.status == 303) is (not shown)


# The sign-in as anybody


@pytest.fixture
def anybody(gateway: Gateway) -> Client:
    config = replace(gateway.config, dev_login=True, origin="http://localhost:8200")
    return Client(make_app(replace(gateway, config=config, provider=DevProvider(gateway.reader))))


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8200",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "169.254.1.1",
        "auth.example.org",
        "localhost.",
        "localhost:8200, evil.example",
    ],
)
def test_the_development_login_is_refused_under_another_host_name(host: str, anybody: Client, lab: Lab) -> None:
    """DNS rebinding: a page of that site would be of one origin with us."""
    for path in (
        "/auth/login",
        "/api/v1/authorize",
        "/accounts/google/login/callback/?state=x&code=ada@example.org",
        "/",
        "/login",
        "/nothing",
        "/api/v1/user/cache",
    ):
        reply = anybody.get(path, host=host, cookie=lab.ada, accept=PAGE)
        assert reply.status == 403, path
        assert "ada@example.org" not in reply.text


@pytest.mark.parametrize("host", [HERE, "localhost", "127.0.0.1:9", "[::1]:8200", "LOCALHOST:8200"])
def test_the_development_login_works_under_its_own_host_name(host: str, anybody: Client, lab: Lab) -> None:
    assert "ada@example.org" in anybody.get("/auth/login", host=host, accept=PAGE).text


@pytest.mark.parametrize("name", [" lead", "lead ", "slash/ed", "p%2Fct", "a&b=c#d?e", "魚 の脳 ✓", "mb:v1", "x" * 300])
def test_a_dataset_of_any_name_is_found_by_its_terms_page(name: str, client: Client, lab: Lab) -> None:
    with lab.change() as change:
        datasets.add(change, validation.foreign(name, "dataset name"))
        terms.add(change, "these terms", "x", dataset=name)
        ada = users.find(lab.database, "ada@example.org")
        grants.add(change, principal_subject(ada), Target(name, "view"))
    page = client.get(f"/activate?dataset={quote(name, safe='')}&next=/success", cookie=lab.ada, accept=PAGE)
    assert page.status == 200
    assert "these terms" in page.text
    cache = json.loads(client.get("/api/v1/user/cache", cookie=lab.ada).text)
    assert [row["dataset_name"] for row in cache["missing_tos"] if row["tos_name"] == "these terms"] == [name]
    assert name in cache["permissions_v2_ignore_tos"]
