"""What a stranger may try with requests alone. The promises are in security.md, "Threat model"."""

import gc
import json
import re
import sys
import tracemalloc
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import quote

import pytest

from dsgctl.core import acceptances, datasets, services, terms, token_checks, token_format, tokens, users
from dsgctl.core.clock import now
from dsgctl.core.token_checks import PresentedToken
from dsgserve.gateway import Gateway
from dsgserve.http import signing
from dsgserve.http.signing import Purpose
from tests.dsgserve.conftest import KEY, Client, Lab, Reply
from tests.dsgserve.routes import EVERY_ROUTE, fill_path

# A token of one kind is good for nothing else


def _kinds(client: Client, lab: Lab) -> dict[str, str]:
    """One secret of each kind that this server gives out or keeps."""
    hour = now() + timedelta(hours=1)
    prefix = lab.scalar("SELECT prefix FROM tokens LIMIT 1")
    digest = lab.scalar("SELECT hex(hash) FROM tokens LIMIT 1")
    begun = client.get("/auth/login?next=/").headers.get("set-cookie", "")
    return {
        "login": lab.ada,
        "user token": client.post("/token", cookie=lab.ada).text,
        "form": signing.sign((KEY,), Purpose.FORM, {"token": 1, "terms": lab.fly_terms}, hour),
        "login under way": begun.partition("=")[2].partition(";")[0] or "x",
        "invitation": lab.scalar(f"SELECT invite_token FROM terms WHERE id = {lab.fly_terms}"),
        "visible prefix": str(prefix),
        "hash in the database": str(digest).lower(),
        "signing key": KEY,
    }


def _doors(client: Client, secret: str) -> dict[str, int]:
    """Every door that asks for a secret, and what it says to this one."""
    body = json.dumps({"token": secret, "bucket": "fish-bucket"}).encode()
    bearer = client.get("/api/v1/user/cache", authorization=f"Bearer {secret}")
    return {
        "user/cache by header": bearer.status,
        "user/cache by query": client.get(f"/api/v1/user/cache?dsg_token={quote(secret)}").status,
        "user/cache by cookie": client.get("/api/v1/user/cache", cookie=secret).status,
        "/token": client.post("/token", cookie=secret).status,
        "/gcs_token": client.post("/gcs_token", body=body).status,
    }


OPEN = {
    "login": {"user/cache by header", "user/cache by query", "user/cache by cookie", "/token"},
    "user token": {"/gcs_token"},
}


def test_a_secret_of_one_kind_is_accepted_only_for_its_purpose(client: Client, lab: Lab) -> None:
    for kind, secret in _kinds(client, lab).items():
        change = {door for door, status in _doors(client, secret).items() if status == 200}
        assert change == OPEN.get(kind, set()), kind


def test_a_form_of_one_login_is_refused_for_another(client: Client, lab: Lab) -> None:
    """So a page of an attacker's own cannot make a victim accept, nor a planted login accept for its owner."""
    theirs = client.get(f"/api/v1/tos/{lab.fly_terms}/accept", cookie=lab.cy).forms()[0].fields
    reply = client.post(f"/api/v1/tos/{lab.fly_terms}/accept", form=theirs, cookie=lab.bo)
    assert reply.status == 403
    assert lab.scalar("SELECT count(*) FROM acceptances") == 0


# What was good ends at once


def test_a_user_token_does_not_outlive_its_login_or_account(client: Client, lab: Lab) -> None:
    def ask(secret: str, bucket: str) -> tuple[int, str]:
        reply = client.post("/gcs_token", body=json.dumps({"token": secret, "bucket": bucket}).encode())
        return reply.status, reply.json().get("error", "")

    ada = client.post("/token", cookie=lab.ada).text
    assert ask(ada, "fish-bucket") == (200, "")
    with lab.change() as change:  # new terms
        added = terms.add(change, "New rules", "Be kind.", dataset="fish")[0]
    assert ask(ada, "fish-bucket") == (403, "tos_required")
    with lab.change() as change:
        acceptances.accept(change, added.id, "ada@example.org")
    assert ask(ada, "fish-bucket") == (200, "")
    with lab.change() as change:  # terms of another wording take their place
        terms.retire(change, added.id)
        terms.add(change, "Newer rules", "Be kinder.", dataset="fish")
    assert ask(ada, "fish-bucket") == (403, "tos_required")
    with lab.change() as change:
        users.set_active(change, "ada@example.org", False)
    assert ask(ada, "fish-bucket") == (401, "account_disabled")
    with lab.change() as change:
        users.set_active(change, "ada@example.org", True)
        users.remove(change, "ada@example.org")
    assert ask(ada, "fish-bucket") == (401, "invalid_token")


# Cookies

ODD_COOKIES = [
    "dsg_token",
    "dsg_token=",
    'dsg_token="',
    "=x",
    ";;;",
    "dsg_token={ada}x",
    "dsg_token={cut}",
    "dsg_token={upper}",
    "DSG_TOKEN={ada}",
    "dsg_token = ; {ada}",
    "$Version=1; dsg_token=x",
    "xdsg_token={ada}",
    "dsg_token=a; " * 900,
    "dsg_token=\\042; x",
    "dsg_token=\x80\xff",
    "dsg_token=" + "a" * 30_000,
    "__Host-dsg_login=x.y.z",
    "dsg_login=.",
    "dsg_token=!sig?cGlja2xl",  # how Bottle spells a signed cookie, which it would unpickle
]


@pytest.mark.parametrize(
    "address",
    [
        "/api/v1/user/cache",
        "/",
        "/login",
        "/auth/login?next=/",
        "/activate",
        "/accounts/google/login/callback/?state=x&code=y",
    ],
)
def test_a_forged_or_stripped_cookie_signs_nobody_in(client: Client, lab: Lab, address: str) -> None:
    for written in ODD_COOKIES:
        cookie = written.replace("{ada}", lab.ada).replace("{cut}", lab.ada[:-1]).replace("{upper}", lab.ada.upper())
        reply = _with_cookie(client, address, cookie)
        assert reply.status < 500 or reply.status == 503, (address, written)  # 503: no provider is set up here
        assert "ada@example.org" not in reply.text, (address, written)


def _with_cookie(client: Client, path: str, cookie: str) -> Reply:
    return client.request("GET", path, accept="text/html", COOKIE=cookie)


@pytest.mark.parametrize("other", ["<=x", "a(1)=2", "{}=", "=", '@,/?="', 'a="; b=', "\x80=\xff", "expires=x; path=/"])
def test_a_malformed_cookie_of_a_sibling_domain_ends_no_login(client: Client, lab: Lab, other: str) -> None:
    for both in (f"{other}; dsg_token={lab.ada}", f"dsg_token={lab.ada}; {other}"):
        assert client.request("GET", "/api/v1/user/cache", COOKIE=both).status == 200
        assert client.request("GET", "/login", COOKIE=both).json()["logged_in"]


def test_every_route_uses_the_same_one_of_two_cookies(client: Client, lab: Lab) -> None:
    """What is shown and what is done must be the same person's.

    Such a host can add a cookie: security.md, "Another host below the cookie's domain".
    """
    for first, second in ((lab.bo, lab.ada), (lab.ada, lab.bo), ("x", lab.ada), (lab.ada, "x")):
        both = f"dsg_token={first}; dsg_token={second}"
        shown_email = client.request("GET", "/login", COOKIE=both).json().get("email")
        cached = client.request("GET", "/api/v1/user/cache", COOKIE=both)
        assert (cached.json()["email"] if cached.status == 200 else None) == shown_email


# Paths


ODD_PATHS = [
    "/gcs_token\xff",
    "/\xffgcs_token",
    "//gcs_token",
    "/gcs_token\x00",
    "///api/v1/user/cache",
    "/api/v1/user/cache\xff",
    "/gcs_token\xc4\x80",
    "/\x80",
]


@pytest.mark.parametrize("address", ODD_PATHS)
def test_an_ambiguous_path_matches_no_route(client: Client, lab: Lab, address: str) -> None:
    """nginx rations logins by their path, and dispatcher.py keeps slow requests apart by it."""
    for method in ("GET", "POST"):
        assert client.request(method, address, cookie=lab.ada).status == 404


def test_a_script_of_another_site_does_not_end_a_login(client: Client, lab: Lab) -> None:
    for method, path in (("GET", "/api/v1/logout"), ("POST", "/api/v1/logout"), ("POST", "/logout")):
        headers = {"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "no-cors"}
        assert client.request(method, path, cookie=lab.ada, **headers).status == 403
    assert client.get("/api/v1/user/cache", cookie=lab.ada).status == 200
    followed = {"SEC_FETCH_SITE": "cross-site", "SEC_FETCH_MODE": "navigate"}  # a link that somebody follows
    assert client.request("GET", "/api/v1/logout", cookie=lab.ada, accept="text/html", **followed).status == 200
    assert client.get("/api/v1/user/cache", cookie=lab.ada).status == 401


# Browsers


def test_no_page_and_no_answer_can_be_framed_sniffed_or_leak_its_address(client: Client, lab: Lab) -> None:
    for route in EVERY_ROUTE:
        path = fill_path(route, lab.fly_terms)
        for method in (*route.methods, "DELETE"):
            for cookie in (None, lab.ada):
                headers = client.request(method, path, cookie=cookie, accept="text/html").headers
                assert headers["x-frame-options"] == "DENY", path
                assert "frame-ancestors 'none'" in headers["content-security-policy"], path
                assert "default-src 'none'" in headers["content-security-policy"], path
                assert headers["x-content-type-options"] == "nosniff", path
                assert headers["referrer-policy"] == "no-referrer", path
                assert "unsafe-inline" not in headers["content-security-policy"], path


EVIL = "\"><script>evil()</script><img src=x onerror=evil()>'`{{111*111}}</title></textarea>&lt;b&gt;"


class _Tags(HTMLParser):
    """The tags of a page, with their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _assert_harmless(reply: Reply, where: str) -> None:
    parser = _Tags()
    parser.feed(reply.text)
    nonce = re.search("nonce-([^']+)'", reply.headers["content-security-policy"])
    for tag, attributes in parser.tags:
        assert tag not in ("img", "iframe", "object", "embed", "base", "svg", "math"), where
        assert not [name for name in attributes if name.startswith("on")], where
        if tag in ("script", "style"):
            assert nonce and attributes.get("nonce") == nonce[1], where
        for name in ("href", "action", "src"):
            assert re.match(r"(https?://|mailto:|/(?!/)|\Z)", attributes.get(name) or ""), (where, attributes)
    assert "12321" not in parser.text, where


def test_no_stored_string_is_a_script_on_any_page(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        users.set_attributes(change, "ada@example.org", name=EVIL, display_name=EVIL, pi=EVIL, notes=EVIL)
        users.set_attributes(change, "bo@example.org", name=EVIL)
        datasets.set_attributes(change, "fish", description=EVIL)
        services.add(change, "evil", display_name=EVIL, url="https://evil.example/")
        about = terms.add(change, EVIL, f"# {EVIL}\n\n[{EVIL}](javascript:evil()) {EVIL}", dataset="fish")[0]
        terms.add(change, EVIL + "2", EVIL, dataset="fly", service="evil")
    pages = [
        "/",
        "/login",
        "/activate",
        "/activate?service=evil",
        f"/api/v1/tos/{about.id}/accept",
        "/success",
        f"/activate?dataset={quote(EVIL)}",
        f"/activate?service={quote(EVIL)}",
        f"/auth/login?next={quote(EVIL)}",
        f"/api/v1/authorize?redirect={quote(EVIL)}",
        f"/login?origin={quote(EVIL)}",
        f"/{quote(EVIL)}",
        f"/activate?invite={quote(EVIL)}",
        "/login?origin=https://viewer.example",
        f"/accounts/google/login/callback/?state={quote(EVIL)}&code={quote(EVIL)}&error=x",
    ]
    for page in pages:
        for cookie in (lab.ada, lab.bo, EVIL, None):
            reply = client.get(page, cookie=None if cookie == EVIL else cookie, accept="text/html")
            if "html" in reply.headers.get("content-type", ""):
                _assert_harmless(reply, page)
    assert "<script>evil" not in client.get("/", cookie=lab.ada, accept="text/html").text
    assert "evil()" in client.get("/", cookie=lab.ada, accept="text/html").text  # it is shown, as text


# Finding out


def test_a_closed_dataset_is_answered_like_one_that_does_not_exist(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        hidden = terms.add(change, "Secret project terms", "x", dataset="fish")[0]
    for who in (None, lab.cy, lab.robot):
        there = client.get(f"/api/v1/tos/{hidden.id}/accept", cookie=who, accept="text/html")
        not_there = client.get("/api/v1/tos/999999/accept", cookie=who, accept="text/html")
        assert (there.status, _plain(there)) == (not_there.status, _plain(not_there))
        for form in ({"form": "x"}, {}):
            there = client.post(f"/api/v1/tos/{hidden.id}/accept", form=form, cookie=who)
            not_there = client.post("/api/v1/tos/999999/accept", form=form, cookie=who)
            assert (there.status, _plain(there)) == (not_there.status, _plain(not_there))
        there = client.get("/activate?dataset=fish", cookie=who, accept="text/html")
        not_there = client.get("/activate?dataset=nothing", cookie=who, accept="text/html")
        assert (there.status, _plain(there)) == (not_there.status, _plain(not_there))


def _plain(reply: Reply) -> str:
    """A page without what differs by chance, and without the address that was asked for."""
    text = re.sub(r'nonce="[^"]*"|[0-9a-f]{16}|/tos/[0-9]+|%2Ftos%2F[0-9]+|dataset(=|%3D)[a-z]+', "", reply.text)
    return text + re.sub(r"/tos/[0-9]+|%2Ftos%2F[0-9]+|dataset(=|%3D)[a-z]+", "", reply.headers.get("location", ""))


def test_every_unknown_token_gets_the_same_answer(client: Client, lab: Lab) -> None:
    revoked = token_checks.check(lab.database, PresentedToken(lab.script), now()).token
    assert revoked is not None
    with lab.change() as change:
        tokens.revoke(change, revoked.id)
    answers = {
        client.get("/api/v1/user/cache", authorization=f"Bearer {token}").body
        for token in (lab.script, lab.script[:-1] + "x", "nothing", "dsgt" + "a" * 39, token_format.generate())
    }
    assert len(answers) == 1


def test_a_token_lookup_takes_no_longer_when_the_prefix_is_right(gateway: Gateway, lab: Lab) -> None:
    """Only the hash is looked for: nothing compares a presented token with a stored one letter by letter."""
    secret = "0123456789abcdef0123456789abcdef"  # as another system made them, and an import kept them
    with lab.change() as change:
        owner = users.find(lab.database, "ada@example.org")
        tokens.import_token(
            change, owner, secret, kind="api", description="", created=now(), expires=None, last_used=None
        )
    connection = gateway.reader._db.connection()

    def count_steps(presented: str) -> int:
        """Instructions of SQLite's virtual machine: the same on every machine, however busy."""
        steps = 0

        def step() -> bool:
            nonlocal steps
            steps += 1
            return False

        connection.set_progress_handler(step, 1)
        try:
            assert token_checks.check(gateway.reader, PresentedToken(presented), now()).token is None
        finally:
            connection.set_progress_handler(None)
        return steps

    count_steps("another")  # the first on a connection reads the schema too
    near = {count_steps(f"{secret[:-4]}{number:04d}") for number in range(100)}
    far = {count_steps(f"{'9' * 28}{number:04d}") for number in range(100)}
    assert max(near) > 0
    assert near == far


# Filling up


def test_anonymous_requests_use_bounded_memory_and_disk(client: Client, gateway: Gateway, lab: Lab) -> None:
    def ask(number: int) -> None:
        client.get("/api/v1/user/cache", authorization=f"Bearer dsg_{number:038d}", host=f"h{number}.example")
        client.get(f"/api/v1/user/cache?dsg_token=t{number}&service=s{number}")
        client.get(f"/auth/login?next=/p{number}")
        client.get(f"/login?origin=https://o{number}.example", origin=f"https://o{number}.example")
        client.get(f"/nothing/{number}", cookie=f"c{number}")
        client.get(f"/activate?invite=i{number}", cookie=f"c{number}")
        client.get(f"/accounts/google/login/callback/?state=s{number}&code=c{number}")
        client.post("/token", cookie=f"c{number}", origin="https://viewer.example")
        client.post("/gcs_token", body=b'{"token": "t%d", "bucket": "bucket-%d"}' % (number, number))
        client.post(f"/api/v1/tos/{number}/accept", form={"form": f"f{number}"}, cookie=f"c{number}")
        client.post("/logout", cookie=f"c{number}")

    def measure(first: int, number: int) -> int:
        """The bytes in use after these requests, without garbage: how much there is depends on Python's release."""
        for each in range(first, first + number):
            ask(each)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    measure(0, 60)
    before = lab.database.table_sizes(), gateway.reader.change_marker()
    tracemalloc.start()
    grown = -measure(60, 200) + measure(260, 200)
    tracemalloc.stop()
    entries = 200 * sys.getsizeof("c0")  # an entry for each request of a kind has at least a key
    assert grown < entries, f"{grown} bytes after 200 of each request"
    assert (lab.database.table_sizes(), gateway.reader.change_marker()) == before
    assert not gateway.response_cache._responses
