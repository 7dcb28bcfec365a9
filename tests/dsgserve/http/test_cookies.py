"""The login cookie: several of one name, planted ones, and every variant of it set and cleared."""

from dataclasses import replace

import pytest
from bottle import HTTPResponse

from dsgctl.config import Config
from dsgctl.core import acceptances, tokens, users
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.http import cookies
from dsgserve.http.requests import MAX_COOKIES
from tests.dsgserve.conftest import PAGE, VIEWER, Client, Lab

STALE = "dsg_" + "x" * 38


def build_cookie_headers(good: str, lab: Lab) -> list[str]:
    """Cookie headers in which a good token stands among others of its name."""
    gone = lab.gone
    return [
        f"dsg_token={STALE}; dsg_token={good}",
        f"dsg_token={good}; dsg_token={STALE}",
        f"dsg_token={gone}; dsg_token={good}",
        f"dsg_token=; dsg_token={good}",
        f"dsg_token; dsg_token={good}",
        f'dsg_token="; dsg_token="{good}"',
        f"dsg_token={'x' * 9000}; dsg_token={good}",
        f"dsg_token=\xff\x85; dsg_token={good}",
        "; ".join([f"dsg_token=planted{number}" for number in range(MAX_COOKIES - 1)] + [f"dsg_token={good}"]),
    ]


def test_a_good_token_is_found_whatever_cookies_precede_it(client: Client, lab: Lab) -> None:
    """A stale host-only cookie, or one with a longer path, is sent before the domain's."""
    with lab.change() as change:
        for waiting in (lab.fish_v2_terms, lab.fly_terms):
            acceptances.accept(change, waiting, "ada@example.org")
    for cookie in build_cookie_headers(lab.ada, lab):
        assert client.request("GET", "/api/v1/user/cache", COOKIE=cookie).json()["email"] == "ada@example.org", cookie
        assert client.request("HEAD", "/api/v1/user/cache", COOKIE=cookie).status == 200
        assert client.request("GET", "/login", COOKIE=cookie).json()["email"] == "ada@example.org"
        assert client.request("POST", "/token", COOKIE=cookie, origin=VIEWER).status == 200
        assert "Ada Example" in client.request("GET", "/", COOKIE=cookie, accept=PAGE).text
        assert "You are signed in" in client.request("GET", f"/login?origin={VIEWER}", COOKIE=cookie, accept=PAGE).text
        assert client.request("GET", "/activate?next=/success", COOKIE=cookie).headers["location"] == "/success"


def test_a_request_with_several_bad_tokens_is_refused(client: Client, lab: Lab) -> None:
    reply = client.request("GET", "/api/v1/user/cache", COOKIE=f"dsg_token={lab.gone}; dsg_token={STALE}")
    assert (reply.status, reply.json()["error"]) == (401, "account_disabled")
    reply = client.request("GET", "/api/v1/user/cache", COOKIE=f"dsg_token={STALE}", authorization=f"Bearer {lab.ada}")
    assert reply.status == 401  # the first place that has a token decides
    many = "; ".join([f"dsg_token=planted{number}" for number in range(MAX_COOKIES)] + [f"dsg_token={lab.ada}"])
    assert client.request("GET", "/api/v1/user/cache", COOKIE=many).status == 401


def test_a_form_is_valid_only_for_the_login_that_it_was_shown_to(client: Client, lab: Lab) -> None:
    """A planted login with a longer path comes first where the form is sent, and not where it was shown."""
    path = f"/api/v1/tos/{lab.fly_terms}/accept"
    form = client.get("/activate", cookie=lab.bo, accept=PAGE).forms()[0].fields
    reply = client.post(path, form=form, COOKIE=f"dsg_token={lab.cy}; dsg_token={lab.bo}")
    assert reply.status == 303
    assert (
        lab.scalar("SELECT email FROM acceptances JOIN principals ON principals.id = principal_id") == "bo@example.org"
    )
    again = client.post(path, form=form, COOKIE=f"dsg_token={lab.cy}; dsg_token={lab.ada}")
    assert again.status == 403


def test_configured_cookie_names_are_tried_in_their_order(gateway: Gateway, lab: Lab) -> None:
    names = ("dsg_token", "middle_auth_token")
    client = Client(make_app(replace(gateway, config=replace(gateway.config, token_names=names))))

    def who(cookie: str) -> str | None:
        reply = client.request("GET", "/api/v1/user/cache", COOKIE=cookie)
        return str(reply.json()["email"]) if reply.status == 200 else None

    assert who(f"middle_auth_token={lab.bo}; dsg_token={lab.ada}") == "ada@example.org"
    assert who(f"middle_auth_token={lab.bo}; dsg_token={STALE}") == "bo@example.org"
    assert who(f"middle_auth_token={STALE}; middle_auth_token={lab.bo}; dsg_token={STALE}") == "bo@example.org"


def set_cookies_of(reply: HTTPResponse) -> list[str]:
    return [value for name, value in reply.headerlist if name == "Set-Cookie"]


@pytest.mark.parametrize(
    ("origin", "domain", "attributes"),
    [
        ("https://auth.example.org", "", "Path=/; HttpOnly; SameSite=None; Secure"),
        ("https://auth.example.org", ".example.org", "Path=/; HttpOnly; SameSite=None; Secure"),
        ("http://localhost:8200", "", "Path=/; HttpOnly; SameSite=Lax"),
    ],
)
def test_every_variant_is_cleared_and_the_right_one_set(origin: str, domain: str, attributes: str) -> None:
    config = Config(origin=origin, cookie_domain=domain, token_names=("dsg_token", "middle_auth_token"))
    whole = f"; Domain={domain}" if domain else ""
    reply = HTTPResponse()
    cookies.set_login(reply, config, "T")
    gone = [f"dsg_token=; Max-Age=0; {attributes}"] if domain else []
    assert set_cookies_of(reply) == [*gone, f"dsg_token=T; Max-Age=604800; {attributes}{whole}"]
    reply = HTTPResponse()
    cookies.clear_login(reply, config)
    assert set_cookies_of(reply) == [
        f"{name}=; Max-Age=0; {attributes}{variant}"
        for name in config.token_names
        for variant in dict.fromkeys(("", whole))
    ]


def test_a_logout_clears_every_variant_of_the_cookie(client: Client, lab: Lab) -> None:
    """Both of them are ours: after it neither the cookies nor what they held are good."""
    with lab.change() as change:
        _, other = tokens.mint(change, users.find(lab.database, "bo@example.org"), kind="login")
    both = f"dsg_token={lab.ada}; dsg_token={other}"
    client.request("POST", "/logout", COOKIE=both)
    assert client.request("GET", "/api/v1/user/cache", COOKIE=both).status == 401


def test_pending_terms_are_those_of_the_login_that_is_used(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        acceptances.accept(change, lab.fly_terms, "bo@example.org")
    reply = client.request("GET", "/activate?next=/success", COOKIE=f"dsg_token={STALE}; dsg_token={lab.bo}")
    assert reply.headers["location"] == "/success"
