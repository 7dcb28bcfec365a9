"""POST /token and POST /gcs_token over WSGI, with the exact status of each case."""

import json
from datetime import timedelta

import pytest

from dsgctl.core import acceptances, locations, tokens
from dsgctl.core.clock import now
from dsgctl.core.service_accounts import find_principal
from dsgserve.ngauth.token_exchange import GoogleRefused, GoogleUnavailable
from tests.dsgserve.conftest import VIEWER, Client, FakeIssuer, Lab
from tests.dsgserve.ngauth.viewer import (
    NO_ORIGINS,
    STRANGERS,
    assert_readable_by,
    assert_readable_by_nobody,
    exchange_user_token,
    request_user_token,
)

# POST /token


def test_a_cookie_is_exchanged_for_a_user_token(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        acceptances.accept(change, lab.fish_v2_terms, "ada@example.org")
    reply = client.post("/token", cookie=lab.ada, origin=VIEWER)
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    assert_readable_by(reply, VIEWER)
    assert exchange_user_token(client, reply.text).status == 200


@pytest.mark.parametrize("who", ["script", "robot"])
def test_the_cookie_may_hold_any_good_token(client: Client, lab: Lab, who: str) -> None:
    assert exchange_user_token(client, request_user_token(client, getattr(lab, who))).status == 200


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
    with lab.change() as change:
        ada = find_principal(lab.database, "ada@example.org")
        old = tokens.mint(change, ada, kind="login", expires=now() - timedelta(seconds=1))[1]
        ended, revoked = tokens.mint(change, ada, kind="login")
        tokens.revoke(change, ended.id)
    assert client.post("/token", cookie=old, origin=VIEWER).json()["error"] == "expired_token"
    assert client.post("/token", cookie=revoked, origin=VIEWER).status == 401


def test_token_accepts_only_the_cookie(client: Client, lab: Lab) -> None:
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
def test_a_preflight_permits_no_other_origin(client: Client, where: str, origin: str | None) -> None:
    headers = {"origin": origin} if origin is not None else {}
    reply = client.request("OPTIONS", where, **headers)
    assert reply.status == 204
    assert_readable_by_nobody(reply)


# POST /gcs_token


@pytest.mark.parametrize("content_type", ["text/plain", "application/json", "text/plain;charset=UTF-8", "x/y", ""])
def test_a_user_token_is_exchanged_for_a_google_token(
    client: Client, lab: Lab, issuer: FakeIssuer, content_type: str
) -> None:
    reply = exchange_user_token(client, request_user_token(client, lab.ada), content_type=content_type)
    assert (reply.status, reply.json()) == (200, {"token": "google-token-1"})
    assert issuer.calls == [("fish-bucket", ("",))]
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
def test_an_invalid_body_is_refused_with_400(client: Client, lab: Lab, name: str) -> None:
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
def test_an_invalid_bucket_name_is_refused_with_400(client: Client, lab: Lab, issuer: FakeIssuer, bucket: str) -> None:
    assert exchange_user_token(client, request_user_token(client, lab.ada), bucket).status == 400
    assert not issuer.calls


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
def test_a_bucket_is_readable_by_those_with_view_on_its_dataset(
    client: Client, lab: Lab, issuer: FakeIssuer, question: tuple[str, str], answer: tuple[int, str | None]
) -> None:
    who, bucket = question
    reply = exchange_user_token(client, request_user_token(client, getattr(lab, who)), bucket)
    assert (reply.status, reply.json().get("error")) == answer
    assert bool(issuer.calls) is (reply.status == 200)  # what is known here is decided before Google is asked
    assert_readable_by(reply, VIEWER)


def test_a_token_is_limited_to_the_readable_prefixes(client: Client, lab: Lab, issuer: FakeIssuer) -> None:
    assert exchange_user_token(client, request_user_token(client, lab.robot), "shared-bucket").status == 200
    assert issuer.calls == [("shared-bucket", ("fish/v2/",))]


@pytest.mark.parametrize(
    ("folders", "reason"),
    [([f"f{number}" for number in range(61)], "too_many_prefixes"), (["o'neil"], "unusable_location")],
)
def test_a_location_that_no_token_can_express_is_refused_with_the_reason(
    client: Client, lab: Lab, issuer: FakeIssuer, folders: list[str], reason: str
) -> None:
    with lab.change() as change:
        for folder in folders:
            locations.add(change, "fish", f"gs://wide-bucket/{folder}", any_prefix=True)
    reply = exchange_user_token(client, request_user_token(client, lab.ada), "wide-bucket")
    assert (reply.status, reply.json()["error"]) == (403, reason)
    assert "tell the operators" in reply.json()["message"]
    assert not issuer.calls
    assert_readable_by(reply, VIEWER)


def test_a_refusal_has_the_address_of_the_missing_terms(client: Client, lab: Lab) -> None:
    url = f"https://auth.example.org/api/v1/tos/{lab.fly_terms}/accept"
    body = exchange_user_token(client, request_user_token(client, lab.bo), "fly-bucket").json()
    assert body["url"] == url
    assert body["missing_tos"] == [{"tos_id": lab.fly_terms, "tos_name": "fly terms", "url": url}]
    several = exchange_user_token(client, request_user_token(client, lab.ada), "shared-bucket").json()
    assert several["url"] == "https://auth.example.org/activate"
    assert {document["tos_id"] for document in several["missing_tos"]} == {lab.fly_terms, lab.fish_v2_terms}


def test_google_out_of_reach_503(client: Client, lab: Lab, issuer: FakeIssuer) -> None:
    issuer.raises = GoogleUnavailable("busy")
    reply = exchange_user_token(client, request_user_token(client, lab.ada))
    assert (reply.status, reply.json()["error"]) == (503, "google_unavailable")
    assert int(reply.headers["retry-after"]) > 0
    assert_readable_by(reply, VIEWER)


def test_google_refusing_502(client: Client, lab: Lab, issuer: FakeIssuer) -> None:
    issuer.raises = GoogleRefused("secret detail")
    reply = exchange_user_token(client, request_user_token(client, lab.ada))
    assert (reply.status, reply.json()["error"]) == (502, "google_refused")
    assert "secret detail" not in reply.text
    assert_readable_by(reply, VIEWER)


def test_errors_of_ours_can_be_read_by_the_page_too(
    client: Client, lab: Lab, issuer: FakeIssuer, caplog: pytest.LogCaptureFixture
) -> None:
    token = request_user_token(client, lab.ada)
    issuer.raises = ZeroDivisionError()
    reply = exchange_user_token(client, token)
    assert reply.status == 500
    assert_readable_by(reply, VIEWER)
    assert token not in caplog.text
