"""User tokens: which are refused, and how long a valid one lives."""

from datetime import timedelta

import pytest

from dsgctl.core import token_checks, tokens
from dsgctl.core.clock import now
from dsgctl.core.service_accounts import find_principal
from dsgctl.core.token_checks import PresentedToken
from dsgserve.gateway import Gateway
from dsgserve.http import signing
from dsgserve.http.signing import Purpose
from tests.dsgserve.conftest import KEY, VIEWER, Client, FakeIssuer, Lab
from tests.dsgserve.ngauth.viewer import (
    assert_readable_by,
    exchange_user_token,
    request_user_token,
)


def bad_tokens(client: Client, lab: Lab) -> dict[str, str]:
    good = request_user_token(client, lab.ada)
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
        reply = exchange_user_token(client, token)
        assert (name, reply.status, reply.json()["error"]) == (name, 401, "invalid_token")
        assert_readable_by(reply, VIEWER)
    assert not issuer.calls


def test_an_expired_user_token_401(client: Client, lab: Lab) -> None:
    token = signing.sign((KEY,), Purpose.USER_TOKEN, {"principal": 1, "token": 1}, now() - timedelta(seconds=1))
    assert exchange_user_token(client, token).json()["error"] == "expired_token"


def test_a_user_token_lives_at_most_an_hour_and_no_longer_than_its_login(client: Client, lab: Lab) -> None:
    start = now()
    with lab.change() as change:
        ada = find_principal(lab.database, "ada@example.org")
        short = tokens.mint(change, ada, kind="login", expires=start + timedelta(minutes=5))[1]
    for cookie, life in (
        (lab.ada, timedelta(hours=1)),
        (lab.script, timedelta(hours=1)),
        (short, timedelta(minutes=5)),
    ):
        token = request_user_token(client, cookie)
        signing.verify((KEY,), Purpose.USER_TOKEN, token, start + life - timedelta(seconds=2))
        with pytest.raises(signing.Refused):
            signing.verify((KEY,), Purpose.USER_TOKEN, token, start + life + timedelta(seconds=10))


def test_a_user_token_ends_with_its_login_or_account_at_once(client: Client, lab: Lab) -> None:
    token, other = request_user_token(client, lab.ada), request_user_token(client, lab.script)
    with lab.change() as change:
        tokens.revoke(change, token_checks.check(lab.database, PresentedToken(lab.ada), now()).token.id)  # type: ignore[union-attr]
    assert (exchange_user_token(client, token).status, exchange_user_token(client, other).status) == (401, 200)
    lab.database.script("UPDATE principals SET active = 0 WHERE email = 'ada@example.org'")
    reply = exchange_user_token(client, other)
    assert (reply.status, reply.json()["error"]) == (401, "account_disabled")


def test_a_user_token_of_a_configured_key_is_valid(client: Client, lab: Lab, gateway: Gateway) -> None:
    assert gateway.secret_keys == (KEY,)
    token = signing.sign((KEY,), Purpose.USER_TOKEN, {"principal": 1, "token": 1}, now() + timedelta(hours=1))
    assert exchange_user_token(client, token).status == 200
