"""ngauth over WSGI: the popup, /token and /gcs_token, with the exact status of every case."""

import html
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import apsw
import pytest

from dsgctl.core import acceptances, locations, terms, token_checks, tokens
from dsgctl.core.clock import now
from dsgctl.core.service_accounts import find_principal
from dsgctl.core.token_checks import PresentedToken
from dsgctl.store.models import Principal
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.http import signing
from dsgserve.http.signing import Purpose
from dsgserve.ngauth.token_exchange import GoogleRefused, GoogleUnavailable
from tests.dsgserve.conftest import KEY, PAGE, VIEWER, Client, FakeIssuer, Lab, Reply

STRANGER = "https://viewer.example.attacker.example"
NO_ORIGINS = (
    "null",
    "",
    f"{VIEWER}/",
    f"{VIEWER}, {VIEWER}",
    f"{VIEWER},https://x.example",
    "https://u@viewer.example",
    "https://viewer.example:0",
    "https://viewer.example:99999",
    "HTTPS://viewer.example",
    "viewer.example",
)
STRANGERS = (STRANGER, f"{VIEWER}.", f"{VIEWER}:443", "https://Viewer.example", "http://viewer.example")


def user_token(client: Client, cookie: str) -> str:
    """As a program gets one, whatever terms wait."""
    reply = client.post("/token", cookie=cookie)
    assert reply.status == 200, reply.text
    return reply.text


def ask(client: Client, token: str, bucket: str = "fish-bucket", **options: Any) -> Reply:
    body = json.dumps({"token": token, "bucket": bucket}).encode()
    return client.post("/gcs_token", body=body, **{"origin": VIEWER, **options})


def assert_readable_by(reply: Reply, origin: str) -> None:
    assert reply.headers["access-control-allow-origin"] == origin
    assert reply.headers["access-control-allow-credentials"] == "true"
    assert reply.headers["vary"] == "Origin"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-frame-options"] == "DENY"


def assert_readable_by_nobody(reply: Reply) -> None:
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert reply.headers["vary"] == "Origin"


# POST /token


def test_token_for_a_cookie(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        acceptances.accept(opened, lab.fish_v2_terms, "ada@example.org")
    reply = client.post("/token", cookie=lab.ada, origin=VIEWER)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert_readable_by(reply, VIEWER)
    assert ask(client, reply.text).status == 200


@pytest.mark.parametrize("who", ["script", "robot"])
def test_the_cookie_may_hold_any_good_token(client: Client, lab: Lab, who: str) -> None:
    assert ask(client, user_token(client, getattr(lab, who))).status == 200


@pytest.mark.parametrize(
    ("who", "code"),
    [(None, "missing_token"), ("gone", "account_disabled"), ("nobody's", "invalid_token"), ("dsg_x", "invalid_token")],
)
def test_without_a_usable_cookie_401(client: Client, lab: Lab, who: str | None, code: str) -> None:
    cookie = lab.gone if who == "gone" else who
    reply = client.post("/token", cookie=cookie, origin=VIEWER)
    assert (reply.status, reply.json()["error"]) == (401, code)
    assert_readable_by(reply, VIEWER)


def test_an_expired_or_revoked_login_401(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        ada = find_principal(lab.database, "ada@example.org")
        old = tokens.mint(opened, ada, kind="login", expires=now() - timedelta(seconds=1))[1]
        ended, revoked = tokens.mint(opened, ada, kind="login")
        tokens.revoke(opened, ended.id)
    assert client.post("/token", cookie=old, origin=VIEWER).json()["error"] == "expired_token"
    assert client.post("/token", cookie=revoked, origin=VIEWER).status == 401


def test_only_the_cookie_counts(client: Client, lab: Lab) -> None:
    bearer = f"Bearer {lab.ada}"
    assert client.post("/token", origin=VIEWER, authorization=bearer).status == 401
    assert client.post(f"/token?dsg_token={lab.ada}", origin=VIEWER).status == 401


@pytest.mark.parametrize("where", ["/token", "/gcs_token"])
@pytest.mark.parametrize("origin", NO_ORIGINS)
def test_a_bad_origin_400(client: Client, lab: Lab, where: str, origin: str) -> None:
    reply = client.post(where, cookie=lab.ada, origin=origin)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_origin")
    assert_readable_by_nobody(reply)


@pytest.mark.parametrize("where", ["/token", "/gcs_token"])
@pytest.mark.parametrize("origin", STRANGERS)
def test_an_origin_that_is_not_allowed_403_that_its_page_can_read(
    client: Client, lab: Lab, where: str, origin: str
) -> None:
    reply = client.post(where, cookie=lab.ada, origin=origin)
    assert (reply.status, reply.json()["error"]) == (403, "origin_not_allowed")
    assert_readable_by(reply, origin)


def test_a_program_sends_no_origin(client: Client, lab: Lab) -> None:
    reply = client.post("/token", cookie=lab.ada)
    assert reply.status == 200
    assert_readable_by_nobody(reply)


# Preflights


@pytest.mark.parametrize("where", ["/token", "/gcs_token"])
def test_a_preflight_permits_an_allowed_origin(client: Client, where: str) -> None:
    reply = client.request("OPTIONS", where, origin=VIEWER, access_control_request_method="POST")
    assert (reply.status, reply.body) == (204, b"")
    assert_readable_by(reply, VIEWER)
    assert reply.headers["access-control-allow-methods"] == "POST"
    assert reply.headers["access-control-allow-headers"] == "Content-Type"


@pytest.mark.parametrize("where", ["/token", "/gcs_token"])
@pytest.mark.parametrize("origin", [*NO_ORIGINS, *STRANGERS, None])
def test_and_no_other(client: Client, where: str, origin: str | None) -> None:
    headers = {"origin": origin} if origin is not None else {}
    reply = client.request("OPTIONS", where, **headers)
    assert reply.status == 204
    assert_readable_by_nobody(reply)


# POST /gcs_token


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "text/plain;charset=UTF-8", "x/y", ""])
def test_a_google_token(client: Client, lab: Lab, issuer: FakeIssuer, content_type: str) -> None:
    reply = ask(client, user_token(client, lab.ada), content_type=content_type)
    assert (reply.status, reply.json()) == (200, {"token": "google-token-1"})
    assert issuer.asked == [("fish-bucket", ("",))]
    assert_readable_by(reply, VIEWER)


BODIES = {
    "empty": b"",
    "no JSON": b"token=x&bucket=y",
    "not UTF-8": b'{"token": "\xff", "bucket": "fish-bucket"}',
    "UTF-16": json.dumps({"token": "x", "bucket": "fish-bucket"}).encode("utf-16"),
    "a list": b"[]",
    "text": b'"x"',
    "null": b"null",
    "a number": b"1e999",
    "a long number": b"1" * 6000,
    "no bucket": b'{"token": "x"}',
    "no token": b'{"bucket": "fish-bucket"}',
    "empty token": b'{"token": "", "bucket": "fish-bucket"}',
    "empty bucket": b'{"token": "x", "bucket": ""}',
    "token a number": b'{"token": 1, "bucket": "fish-bucket"}',
    "bucket a list": b'{"token": "x", "bucket": ["fish-bucket"]}',
    "nested object": b'{"token": {"token": "x"}, "bucket": "fish-bucket"}',
    "deep": b"[" * 10_000 + b"]" * 6_000,
    "deep object": b'{"token":' * 1800,
    "cut": b'{"token": "x", "bucket": "fish-buck',
    "twice": b'{"token": "x", "bucket": "fish-bucket"}{}',
    "10 MB": b'{"token": "x", "bucket": "fish-bucket", "more": "' + b"x" * 10_000_000 + b'"}',
}


@pytest.mark.parametrize("name", BODIES)
def test_not_such_a_body_400(client: Client, lab: Lab, name: str) -> None:
    reply = client.post("/gcs_token", body=BODIES[name], origin=VIEWER)
    assert (reply.status, reply.json()["error"]) == (400, "invalid_request")
    assert_readable_by(reply, VIEWER)


@pytest.mark.parametrize(
    "bucket",
    [
        "fish-bucket/",
        "/fish-bucket",
        "fish-bucket/fish",
        "gs://fish-bucket",
        "a'b",
        'a"b',
        "a\\b",
        "fish-bucket\n",
        "fish\r\nbucket",
        "fish bucket",
        " fish-bucket",
        "FISH-BUCKET",
        "fïsh",
        "a",
        "a" * 223,
        "..",
        "-ab",
        "ab-",
        "a\x00b",
        "fish-bucket?x",
        "fish-bucket#x",
        "fish-bucket%2f",
        "\ud800ab",
    ],
)
def test_not_the_name_of_a_bucket_400(client: Client, lab: Lab, issuer: FakeIssuer, bucket: str) -> None:
    assert ask(client, user_token(client, lab.ada), bucket).status == 400
    assert not issuer.asked


def bad_tokens(client: Client, lab: Lab) -> dict[str, str]:
    good = user_token(client, lab.ada)
    values = {"principal": 1, "token": 1}
    hour = now() + timedelta(hours=1)
    return {
        "cut": good[:-1],
        "cut in front": good[1:],
        "doubled": good * 2,
        "changed": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "of another key": signing.sign(("x" * 32,), Purpose.USER_TOKEN, values, hour),
        "of another kind": signing.sign((KEY,), Purpose.FORM, values, hour),
        "a login": lab.ada,
        "unsigned": "e30",
        "not ASCII": "é" + good,
        "long": good + "A" * 5000,
        "of no token": signing.sign((KEY,), Purpose.USER_TOKEN, {"principal": 1, "token": 999}, hour),
        "of another's token": signing.sign((KEY,), Purpose.USER_TOKEN, {"principal": 2, "token": 1}, hour),
    }


def test_a_bad_user_token_401(client: Client, lab: Lab, issuer: FakeIssuer) -> None:
    for name, token in bad_tokens(client, lab).items():
        reply = ask(client, token)
        assert (name, reply.status, reply.json()["error"]) == (name, 401, "invalid_token")
        assert_readable_by(reply, VIEWER)
    assert not issuer.asked


def test_an_expired_user_token_401(client: Client, lab: Lab) -> None:
    token = signing.sign((KEY,), Purpose.USER_TOKEN, {"principal": 1, "token": 1}, now() - timedelta(seconds=1))
    assert ask(client, token).json()["error"] == "expired_token"


def test_a_user_token_lives_at_most_an_hour_and_no_longer_than_its_login(client: Client, lab: Lab) -> None:
    start = now()
    with lab.change() as opened:
        ada = find_principal(lab.database, "ada@example.org")
        short = tokens.mint(opened, ada, kind="login", expires=start + timedelta(minutes=5))[1]
    for cookie, life in (
        (lab.ada, timedelta(hours=1)),
        (lab.script, timedelta(hours=1)),
        (short, timedelta(minutes=5)),
    ):
        token = user_token(client, cookie)
        signing.verify((KEY,), Purpose.USER_TOKEN, token, start + life - timedelta(seconds=2))
        with pytest.raises(signing.Refused):
            signing.verify((KEY,), Purpose.USER_TOKEN, token, start + life + timedelta(seconds=10))


def test_a_user_token_ends_with_its_login_or_account_at_once(client: Client, lab: Lab) -> None:
    token, other = user_token(client, lab.ada), user_token(client, lab.script)
    with lab.change() as opened:
        tokens.revoke(opened, token_checks.check(lab.database, PresentedToken(lab.ada), now()).token.id)  # type: ignore[union-attr]
    assert (ask(client, token).status, ask(client, other).status) == (401, 200)
    lab.database.script("UPDATE principals SET active = 0 WHERE email = 'ada@example.org'")
    reply = ask(client, other)
    assert (reply.status, reply.json()["error"]) == (401, "account_disabled")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("ada", "fish-bucket"), (200, None)),
        (("ada", "fly-bucket"), (403, "tos_required")),  # public: accepting gives view
        (("bo", "fly-bucket"), (403, "tos_required")),
        (("bo", "fish-bucket"), (403, "no_permission")),
        (("cy", "fish-bucket"), (403, "no_permission")),
        (("cy", "shared-bucket"), (403, "tos_required")),
        (("ada", "no-such-bucket"), (403, "unknown_bucket")),
        (("robot", "fish-bucket"), (200, None)),
        (("robot", "fly-bucket"), (403, "no_permission")),
        (("robot", "shared-bucket"), (200, None)),
    ],
)
def test_who_may_read_which_bucket(
    client: Client, lab: Lab, issuer: FakeIssuer, question: tuple[str, str], answer: tuple[int, str | None]
) -> None:
    who, bucket = question
    reply = ask(client, user_token(client, getattr(lab, who)), bucket)
    assert (reply.status, reply.json().get("error")) == answer
    assert bool(issuer.asked) is (reply.status == 200)  # what is known here is decided before Google is asked
    assert_readable_by(reply, VIEWER)


def test_only_the_prefixes_that_one_may_read(client: Client, lab: Lab, issuer: FakeIssuer) -> None:
    assert ask(client, user_token(client, lab.robot), "shared-bucket").status == 200
    assert issuer.asked == [("shared-bucket", ("fish/v2/",))]


@pytest.mark.parametrize(
    ("folders", "reason"),
    [([f"f{number}" for number in range(61)], "too_many_prefixes"), (["o'neil"], "unusable_location")],
)
def test_what_no_token_can_be_limited_to_is_refused_with_the_reason(
    client: Client, lab: Lab, issuer: FakeIssuer, folders: list[str], reason: str
) -> None:
    with lab.change() as opened:
        for folder in folders:
            locations.add(opened, "fish", f"gs://wide-bucket/{folder}", any_prefix=True)
    reply = ask(client, user_token(client, lab.ada), "wide-bucket")
    assert (reply.status, reply.json()["error"]) == (403, reason)
    assert "tell the operators" in reply.json()["message"]
    assert not issuer.asked
    assert_readable_by(reply, VIEWER)


def test_where_to_accept_the_terms(client: Client, lab: Lab) -> None:
    url = f"https://auth.example.org/api/v1/tos/{lab.fly_terms}/accept"
    body = ask(client, user_token(client, lab.bo), "fly-bucket").json()
    assert body["url"] == url
    assert body["missing_tos"] == [{"tos_id": lab.fly_terms, "tos_name": "fly terms", "url": url}]
    several = ask(client, user_token(client, lab.ada), "shared-bucket").json()
    assert several["url"] == "https://auth.example.org/activate"
    assert {one["tos_id"] for one in several["missing_tos"]} == {lab.fly_terms, lab.fish_v2_terms}


def test_google_out_of_reach_503(client: Client, lab: Lab, issuer: FakeIssuer) -> None:
    issuer.raises = GoogleUnavailable("busy")
    reply = ask(client, user_token(client, lab.ada))
    assert (reply.status, reply.json()["error"]) == (503, "google_unavailable")
    assert int(reply.headers["retry-after"]) > 0
    assert_readable_by(reply, VIEWER)


def test_google_refusing_502(client: Client, lab: Lab, issuer: FakeIssuer) -> None:
    issuer.raises = GoogleRefused("secret detail")
    reply = ask(client, user_token(client, lab.ada))
    assert (reply.status, reply.json()["error"]) == (502, "google_refused")
    assert "secret detail" not in reply.text
    assert_readable_by(reply, VIEWER)


def test_errors_of_ours_can_be_read_by_the_page_too(
    client: Client, lab: Lab, issuer: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = user_token(client, lab.ada)
    issuer.raises = ZeroDivisionError()
    reply = ask(client, token)
    assert reply.status == 500
    assert_readable_by(reply, VIEWER)
    assert token not in caplog.text


# The popup


def popup(client: Client, origin: str = VIEWER, more: str = "", **options: Any) -> Reply:
    return client.get(f"/login?origin={quote(origin, safe='')}{more}", **{"accept": PAGE, **options})


def posted(reply: Reply) -> tuple[str, Any]:
    """To which origin the page posts, and what."""
    found = re.search(r'data-origin="([^"]*)" data-message="([^"]*)"', reply.text)
    assert found
    return html.unescape(found[1]), json.loads(html.unescape(found[2]))


def test_the_popup_posts_a_token_to_exactly_the_viewer(client: Client, lab: Lab) -> None:
    reply = popup(client, more="&terms=later", cookie=lab.ada)
    assert reply.status == 200
    origin, message = posted(reply)
    assert origin == VIEWER
    assert list(message) == ["token"]
    assert ask(client, message["token"]).status == 200
    assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert reply.headers["cache-control"] == "no-store"


def test_its_script_runs_under_its_own_policy_and_nothing_else_does(client: Client, lab: Lab) -> None:
    first, second = (popup(client, more="&terms=later", cookie=lab.ada) for _ in range(2))
    nonces = []
    for reply in (first, second):
        policy = reply.headers["content-security-policy"]
        found = re.search(r"script-src 'nonce-([^']+)'", policy)
        assert found
        assert re.findall(r"<script[^>]*>", reply.text) == [f'<script nonce="{found[1]}">']
        assert re.findall(r"<style[^>]*>", reply.text) == [f'<style nonce="{found[1]}">']
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        nonces.append(found[1])
    assert nonces[0] != nonces[1]


def test_a_viewer_that_is_not_allowed_is_told_so(client: Client, lab: Lab) -> None:
    for cookie in (lab.ada, None):
        reply = popup(client, STRANGER, cookie=cookie)
        assert reply.status == 200
        assert posted(reply) == (STRANGER, "badorigin")
        assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"


@pytest.mark.parametrize(
    "origin", [*NO_ORIGINS, "javascript:alert(1)", '"><script>alert(1)</script>', "https://é.example"]
)
def test_a_popup_for_no_origin_400(client: Client, lab: Lab, origin: str) -> None:
    for accept in (PAGE, "*/*"):
        reply = popup(client, origin, cookie=lab.ada, accept=accept)
        assert reply.status == 400
        assert "alert(1)" not in reply.text
        assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"


def test_two_origins_400(client: Client, lab: Lab) -> None:
    assert popup(client, more=f"&origin={VIEWER}", cookie=lab.ada).status == 400


@pytest.mark.parametrize("who", [None, "gone", "nobody's"])
def test_somebody_who_is_not_signed_in_is_sent_to_sign_in_and_back(client: Client, lab: Lab, who: str | None) -> None:
    reply = popup(client, cookie=lab.gone if who == "gone" else who)
    assert reply.status == 303
    assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"
    target = urlsplit(reply.headers["location"])
    assert (target.netloc, target.path) == ("", "/auth/login")
    back = urlsplit(parse_qs(target.query)["next"][0])
    assert (back.path, parse_qs(back.query)) == ("/login", {"origin": [VIEWER]})


def test_only_the_cookie_signs_in_a_popup(client: Client, lab: Lab) -> None:
    assert popup(client, more=f"&dsg_token={lab.ada}").status == 303
    assert popup(client, authorization=f"Bearer {lab.ada}").status == 303


def test_terms_that_wait_come_first(client: Client, lab: Lab) -> None:
    reply = popup(client, cookie=lab.bo)
    assert reply.status == 200
    assert "data-message" not in reply.text
    (form,) = reply.forms()
    done = client.post(form.action, form=form.fields, cookie=lab.bo)
    assert done.status == 303
    after = client.get(done.headers["location"], cookie=lab.bo, accept=PAGE)
    origin, message = posted(after)
    assert origin == VIEWER
    assert ask(client, message["token"], "fly-bucket").status == 200


def test_and_one_may_go_on_without(client: Client, lab: Lab) -> None:
    reply = popup(client, cookie=lab.bo)
    later = re.search(r'href="([^"]*)">Continue without', reply.text)
    assert later
    assert posted(client.get(html.unescape(later[1]), cookie=lab.bo, accept=PAGE))[0] == VIEWER


# Terms with a cookie login, which a viewer meets at /token only


def ask_for_token(client: Client, cookie: str) -> tuple[int, str | None]:
    """What a viewer gets: the status, and the word for programs."""
    reply = client.post("/token", cookie=cookie, origin=VIEWER)
    assert_readable_by(reply, VIEWER)
    return reply.status, reply.json()["error"] if reply.status != 200 else None


def go_on_without(client: Client, cookie: str) -> Reply:
    later = re.search(r'href="([^"]*)">Continue without', popup(client, cookie=cookie).text)
    assert later
    return client.get(html.unescape(later[1]), cookie=cookie, accept=PAGE)


WAITS = (401, "tos_required")


@pytest.mark.parametrize(
    ("who", "answer"),
    [
        ("ada", WAITS),  # terms of a version that her grant reaches
        ("bo", WAITS),
        ("cy", (200, None)),  # terms of a public dataset on which they hold nothing
        ("script", WAITS),  # an API token in the cookie
        ("robot", (200, None)),  # a service account has no terms
    ],
)
def test_while_terms_hold_back_what_a_grant_reaches_token_answers_401(
    client: Client, lab: Lab, who: str, answer: tuple[int, str | None]
) -> None:
    assert ask_for_token(client, getattr(lab, who)) == answer
    assert client.post("/token", cookie=getattr(lab, who)).status == 200  # a program has no button to show
    assert client.post("/token", cookie=getattr(lab, who), origin=STRANGER).status == 403


def test_the_401_says_how_to_go_on(client: Client, lab: Lab) -> None:
    reply = client.post("/token", cookie=lab.bo, origin=VIEWER)
    assert reply.json()["url"] == "https://auth.example.org/activate"
    assert reply.headers["www-authenticate"] == 'Bearer realm="DatasetGateway"'


def test_accepted_or_postponed_they_are_not_asked_for_again(client: Client, lab: Lab) -> None:
    (form,) = popup(client, cookie=lab.bo).forms()
    client.post(form.action, form=form.fields, cookie=lab.bo)
    assert ask_for_token(client, lab.bo) == (200, None)
    assert posted(go_on_without(client, lab.ada))[0] == VIEWER
    assert ask_for_token(client, lab.ada) == (200, None)
    assert posted(popup(client, cookie=lab.ada))[0] == VIEWER
    # Postponed is not accepted.
    assert ask(client, user_token(client, lab.ada), "fly-bucket").json()["error"] == "tos_required"


def test_it_is_remembered_for_this_login_alone_and_by_every_process(
    client: Client, lab: Lab, gateway: Gateway, path: Path
) -> None:
    with lab.change() as opened:
        second = tokens.mint(opened, find_principal(lab.database, "bo@example.org"), kind="login")[1]
    revision, records = lab.database.revision(), lab.scalar("SELECT count(*) FROM audit")
    go_on_without(client, lab.bo)
    assert (lab.database.revision(), lab.scalar("SELECT count(*) FROM audit")) == (revision, records)
    assert ask_for_token(client, second) == WAITS
    assert ask_for_token(client, lab.ada) == WAITS
    anew = Gateway.open(gateway.config)
    try:
        assert ask_for_token(Client(make_app(anew)), lab.bo) == (200, None)
        assert ask_for_token(Client(make_app(anew)), second) == WAITS
    finally:
        anew.close()


def test_other_terms_are_asked_for_again(client: Client, lab: Lab) -> None:
    go_on_without(client, lab.bo)
    with lab.change() as opened:
        terms.add(opened, "fly terms", "Cite us twice.", dataset="fly")
    assert ask_for_token(client, lab.bo) == WAITS
    assert "Cite us twice." in popup(client, cookie=lab.bo).text
    go_on_without(client, lab.bo)
    assert ask_for_token(client, lab.bo) == (200, None)


def test_terms_that_came_meanwhile_are_shown_first(client: Client, lab: Lab) -> None:
    later = re.search(r'href="([^"]*)">Continue without', popup(client, cookie=lab.bo).text)
    assert later
    with lab.change() as opened:
        terms.add(opened, "fly terms", "Cite us twice.", dataset="fly")
    assert "Cite us twice." in client.get(html.unescape(later[1]), cookie=lab.bo, accept=PAGE).text
    assert ask_for_token(client, lab.bo) == WAITS


def test_only_our_page_can_postpone_them(client: Client, lab: Lab) -> None:
    """Another site may open this address in a window; without what our page gave, nothing is remembered."""
    theirs = re.search(r"&amp;form=([^&\"]*)", popup(client, cookie=lab.ada).text)
    assert theirs
    assert posted(popup(client, more="&terms=later", cookie=lab.bo))[0] == VIEWER  # this once
    for form in ("x", theirs[1], theirs[1][:-1]):
        assert "fly terms" in popup(client, more=f"&terms=later&form={form}", cookie=lab.bo).text
    assert ask_for_token(client, lab.bo) == WAITS


def test_where_nothing_can_be_written_one_gets_on_all_the_same(
    client: Client, lab: Lab, gateway: Gateway, path: Path
) -> None:
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")  # as a disk that is full does, this stands against every change
    try:
        reply = go_on_without(Client(make_app(replace(gateway, writer=SqliteDatabase(path, busy_timeout=0.1)))), lab.bo)
        assert posted(reply)[0] == VIEWER
    finally:
        writer.close()
    assert ask_for_token(client, lab.bo) == WAITS


def test_a_child_whose_parent_accepts_can_only_go_on_without(client: Client, lab: Lab) -> None:
    parent = find_principal(lab.database, "ada@example.org").id
    lab.database.run(Principal.update(parent=parent).where(Principal.email == "bo@example.org"))
    assert ask_for_token(client, lab.bo) == WAITS
    assert popup(client, cookie=lab.bo).forms() == []
    go_on_without(client, lab.bo)
    assert ask_for_token(client, lab.bo) == (200, None)


# The status


def test_the_login_status(client: Client, lab: Lab) -> None:
    assert client.get("/login", cookie=lab.ada).json() == {"logged_in": True, "email": "ada@example.org"}
    assert client.get("/login").json() == {"logged_in": False}
    assert client.get("/login", cookie=lab.gone).json() == {"logged_in": False}
    assert "ada@example.org" in client.get("/login", cookie=lab.ada, accept=PAGE).text
    page = client.get("/login", accept=PAGE)
    assert (page.status, "/auth/login" in page.text) == (200, True)
    assert page.headers["cross-origin-opener-policy"] == "unsafe-none"


def test_every_key_signs_in_who_held_a_token_of_it(client: Client, lab: Lab, gateway: Gateway) -> None:
    assert gateway.secret_keys == (KEY,)
    token = signing.sign((KEY,), Purpose.USER_TOKEN, {"principal": 1, "token": 1}, now() + timedelta(hours=1))
    assert ask(client, token).status == 200
