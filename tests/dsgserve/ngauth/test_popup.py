"""GET /login over WSGI: the window of a viewer, and the login status."""

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.dsgserve.conftest import PAGE, VIEWER, Client, Lab
from tests.dsgserve.ngauth.viewer import (
    NO_ORIGINS,
    STRANGER,
    exchange_user_token,
    open_popup,
    read_message,
)


def test_the_popup_posts_a_token_to_exactly_the_viewer(client: Client, lab: Lab) -> None:
    reply = open_popup(client, more="&terms=later", cookie=lab.ada)
    assert reply.status == 200
    origin, message = read_message(reply)
    assert origin == VIEWER
    assert list(message) == ["token"]
    assert exchange_user_token(client, message["token"]).status == 200
    assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert reply.headers["cache-control"] == "no-store"


def test_its_script_runs_under_its_own_policy_and_nothing_else_does(client: Client, lab: Lab) -> None:
    first, second = (open_popup(client, more="&terms=later", cookie=lab.ada) for _ in range(2))
    nonces = []
    for reply in (first, second):
        policy = reply.headers["content-security-policy"]
        nonce = re.search(r"script-src 'nonce-([^']+)'", policy)
        assert nonce
        assert re.findall(r"<script[^>]*>", reply.text) == [f'<script nonce="{nonce[1]}">']
        assert re.findall(r"<style[^>]*>", reply.text) == [f'<style nonce="{nonce[1]}">']
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        nonces.append(nonce[1])
    assert nonces[0] != nonces[1]


def test_a_viewer_that_is_not_allowed_gets_an_error_message(client: Client, lab: Lab) -> None:
    for cookie in (lab.ada, None):
        reply = open_popup(client, STRANGER, cookie=cookie)
        assert reply.status == 200
        assert read_message(reply) == (STRANGER, "badorigin")
        assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"


@pytest.mark.parametrize(
    "origin", [*NO_ORIGINS, "javascript:alert(1)", '"><script>alert(1)</script>', "https://é.example"]
)
def test_a_popup_without_a_valid_origin_is_refused_with_400(client: Client, lab: Lab, origin: str) -> None:
    for accept in (PAGE, "*/*"):
        reply = open_popup(client, origin, cookie=lab.ada, accept=accept)
        assert reply.status == 400
        assert "alert(1)" not in reply.text
        assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"


def test_two_origins_are_refused_with_400(client: Client, lab: Lab) -> None:
    assert open_popup(client, more=f"&origin={VIEWER}", cookie=lab.ada).status == 400


@pytest.mark.parametrize("who", [None, "gone", "nobody's"])
def test_somebody_who_is_not_signed_in_is_sent_to_sign_in_and_back(client: Client, lab: Lab, who: str | None) -> None:
    reply = open_popup(client, cookie=lab.gone if who == "gone" else who)
    assert reply.status == 303
    assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"
    target = urlsplit(reply.headers["location"])
    assert (target.netloc, target.path) == ("", "/auth/login")
    back = urlsplit(parse_qs(target.query)["next"][0])
    assert (back.path, parse_qs(back.query)) == ("/login", {"origin": [VIEWER]})


def test_a_popup_accepts_only_the_cookie(client: Client, lab: Lab) -> None:
    assert open_popup(client, more=f"&dsg_token={lab.ada}").status == 303
    assert open_popup(client, authorization=f"Bearer {lab.ada}").status == 303


def test_a_popup_shows_pending_terms_first(client: Client, lab: Lab) -> None:
    reply = open_popup(client, cookie=lab.bo)
    assert reply.status == 200
    assert "data-message" not in reply.text
    (form,) = reply.forms()
    postponed = client.post(form.action, form=form.fields, cookie=lab.bo)
    assert postponed.status == 303
    after = client.get(postponed.headers["location"], cookie=lab.bo, accept=PAGE)
    origin, message = read_message(after)
    assert origin == VIEWER
    assert exchange_user_token(client, message["token"], "fly-bucket").status == 200


def test_a_popup_can_continue_without_accepting_terms(client: Client, lab: Lab) -> None:
    reply = open_popup(client, cookie=lab.bo)
    later = re.search(r'href="([^"]*)">Continue without', reply.text)
    assert later
    assert read_message(client.get(html.unescape(later[1]), cookie=lab.bo, accept=PAGE))[0] == VIEWER


def test_the_login_route_answers_with_the_login_status(client: Client, lab: Lab) -> None:
    assert client.get("/login", cookie=lab.ada).json() == {"logged_in": True, "email": "ada@example.org"}
    assert client.get("/login").json() == {"logged_in": False}
    assert client.get("/login", cookie=lab.gone).json() == {"logged_in": False}
    assert "ada@example.org" in client.get("/login", cookie=lab.ada, accept=PAGE).text
    page = client.get("/login", accept=PAGE)
    assert (page.status, "/auth/login" in page.text) == (200, True)
    assert page.headers["cross-origin-opener-policy"] == "unsafe-none"
