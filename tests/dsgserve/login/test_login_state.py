"""The cookie of sign-ins that have begun: nobody else can plant, reuse or outlive one."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from bottle import BaseRequest, HTTPResponse, LocalRequest

from dsgctl.core.clock import now
from dsgserve.http import signing
from dsgserve.http.signing import Purpose
from dsgserve.login import login_state
from dsgserve.login.login_state import LoginStateStore
from tests.dsgserve.conftest import KEY


@pytest.fixture
def logins() -> Iterator[LoginStateStore]:
    yield LoginStateStore((KEY,), secure=True)


def begin(logins: LoginStateStore, target: str = "/") -> tuple[str, str]:
    """State and cookie of a login that was begun."""
    reply, login = HTTPResponse(), login_state.begin_login(target)
    logins.add(reply, BaseRequest({}), login)
    cookie = dict(reply.headerlist)["Set-Cookie"]
    assert cookie.startswith("__Host-dsg_login=") and cookie.endswith("Path=/; HttpOnly; SameSite=Lax; Secure")
    return login.state, cookie.partition("; ")[0]


PLANTED_BEFORE = ("", "\x85", "\xa0", "\x0b", "\x0c", "\x1c", "\x1f", "\xad", "\xc2\xa0", "\xe2\x80\x8b", "x", ".", "$")


@pytest.mark.parametrize("odd", PLANTED_BEFORE[1:])
def test_a_login_state_cannot_be_planted_by_a_sibling_domain(odd: str, logins: LoginStateStore) -> None:
    mine, cookie = begin(logins)
    theirs, planted = begin(logins)
    for header in (f"{odd}{planted}; {cookie}", f"{cookie}; {odd}{planted}", f"a=b;{odd}{planted};{cookie}"):
        request = BaseRequest({"HTTP_COOKIE": header})
        assert logins.find(request, mine) is not None
        assert logins.find(request, theirs) is None
    assert logins.find(BaseRequest({"HTTP_COOKIE": f"{odd}{planted}"}), theirs) is None


def test_a_cookie_of_the_same_name_that_is_not_ours_stops_no_login(logins: LoginStateStore) -> None:
    mine, cookie = begin(logins)
    for planted in (
        "__Host-dsg_login=x",
        "__Host-dsg_login=",
        f"__Host-dsg_login={'x' * 5000}",
        "__Host-dsg_login=a.b.c",
    ):
        assert logins.find(BaseRequest({"HTTP_COOKIE": f"{planted}; {cookie}"}), mine) is not None


def test_a_target_is_limited_by_the_size_of_the_cookie(logins: LoginStateStore) -> None:
    def url(length: int) -> str:
        noise = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(250))  # does not compress
        return ("https://cave.example/?" + base64.urlsafe_b64encode(noise).decode())[:length]

    longest = max(length for length in range(100, 4097, 20) if logins.fits(url(length)))
    assert 2900 < longest < 4096
    _, cookie = begin(logins, url(longest))
    assert 3900 < len(cookie) <= 4096 - len("; Max-Age=600; Path=/; HttpOnly; SameSite=Lax; Secure")
    assert json.dumps(re.findall(r"[^!-~]", cookie)) == "[]"


@pytest.mark.parametrize("purpose", sorted(set(Purpose) - {Purpose.LOGIN}))
def test_a_value_signed_for_another_purpose_begins_no_login(purpose: Purpose, logins: LoginStateStore) -> None:
    state, cookie = begin(logins)
    values = signing.verify((KEY,), Purpose.LOGIN, cookie.partition("=")[2], now(), max_length=4000)
    text = signing.sign((KEY,), purpose, values, now() + timedelta(minutes=5))
    assert logins.find(BaseRequest({"HTTP_COOKIE": f"__Host-dsg_login={text}"}), state) is None


def test_a_login_that_began_too_long_ago_is_expired(logins: LoginStateStore) -> None:
    state, cookie = begin(logins)
    values = signing.verify((KEY,), Purpose.LOGIN, cookie.partition("=")[2], now(), max_length=4000)
    for age, is_valid in ((-1, True), (1, False)):
        text = signing.sign((KEY,), Purpose.LOGIN, values, now() - timedelta(minutes=age))
        request = BaseRequest({"HTTP_COOKIE": f"__Host-dsg_login={text}"})
        assert (logins.find(request, state) is not None) is is_valid


def test_many_logins_under_way_with_long_targets_fit_into_the_cookie(logins: LoginStateStore) -> None:
    cookie = ""
    states = []
    for number in range(6):
        reply = HTTPResponse()
        begun = login_state.begin_login("/success?x=" + "a" * 1480)
        states.append(begun.state)
        logins.add(reply, LocalRequest({"HTTP_COOKIE": cookie}), begun)
        header = dict(reply.headerlist)["Set-Cookie"]
        cookie = header.partition(";")[0]
        assert len(cookie) < 4096, number
    request = LocalRequest({"HTTP_COOKIE": cookie})
    assert logins.find(request, states[-1]) is not None
    assert logins.find(request, states[0]) is None
