"""Every check of a presented token: when it refuses, what client and operator read, and how long the result holds."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import pytest

from dsgctl.core import clients, delegated_keys, service_accounts, token_checks, tokens, users
from dsgctl.core.change import Change
from dsgctl.core.token_checks import BY_ERROR, Evidence, Expired, PresentedToken, TokenCheck, TokenError, TokenStatus
from dsgctl.store.models import Client, Principal
from tests.dsgctl.core.builders import AT, DAY, Run

TOKEN = "dsg_0123456789ABCDEFGHIJKLMNOPQRSTUV1ggZdL"  # well-formed, and nobody's

Prepare = Callable[[Change, Principal], str]


def _mint(change: Change, owner: Principal, **values: Any) -> str:
    return tokens.mint(change, owner, **values)[1]


def _mint_then_revoke(change: Change, owner: Principal) -> str:
    token, secret = tokens.mint(change, owner)
    tokens.revoke(change, token.id)
    return secret


def _mint_then_disable(change: Change, owner: Principal) -> str:
    secret = _mint(change, owner)
    users.set_active(change, owner.email, False)
    return secret


def _mint_then_revoke_and_disable(change: Change, owner: Principal) -> str:
    secret = _mint_then_revoke(change, owner)
    users.set_active(change, owner.email, False)
    return secret


@dataclass(frozen=True)
class Case:
    """A token, and what the checks say of it.

    Attributes:
        prepare: makes the data, and returns what is presented.
        code: of the response (contract.md, "The token on a request").
        address: of the client that presents it; ``in_cookie``: whether it does so in a cookie.
        changes_at: when the result ends by itself.
    """

    prepare: Prepare
    error: TokenError | None
    code: str = "invalid_token"
    at: datetime = AT
    address: str | None = None
    changes_at: datetime | None = None
    cacheable: bool = True
    in_cookie: bool = False


def _mint_key(change: Change, owner: Principal) -> str:
    client, _ = clients.add(change, "atlas", origin="https://lab.github.io", owner=owner.email)
    return delegated_keys.mint(change, owner, client)


def _mint_key_then_delete_the_client(change: Change, owner: Principal) -> str:
    key = _mint_key(change, owner)
    change.database.run(Client.delete())  # as the sqlite3 shell does
    return key


def _mint_expiring(change: Change, owner: Principal) -> str:
    return _mint(change, owner, expires=AT + DAY)


CASES = {
    "ok/valid": Case(_mint, None),
    "ok/until the moment it expires": Case(_mint_expiring, None, changes_at=AT + DAY),
    "fail/mistyped": Case(lambda change, owner: TOKEN[:-1] + "0", TokenError.MISTYPED),
    "fail/too long": Case(lambda change, owner: "a" * 4097, TokenError.MISTYPED),
    "fail/unknown": Case(lambda change, owner: TOKEN, TokenError.UNKNOWN),
    "fail/revoked": Case(_mint_then_revoke, TokenError.REVOKED),
    "fail/expired": Case(_mint_expiring, TokenError.EXPIRED, "expired_token", at=AT + DAY),
    "fail/owner disabled": Case(_mint_then_disable, TokenError.DISABLED, "account_disabled"),
    "ok/in a cookie": Case(_mint, None, in_cookie=True),
    "ok/key of a client": Case(_mint_key, None, changes_at=AT + 7 * DAY),
    "fail/key of a client in a cookie": Case(_mint_key, TokenError.IN_COOKIE, changes_at=AT + 7 * DAY, in_cookie=True),
    "fail/key without its client": Case(
        _mint_key_then_delete_the_client, TokenError.CLIENT_REMOVED, changes_at=AT + 7 * DAY
    ),
    "fail/revoked, of a disabled account": Case(_mint_then_revoke_and_disable, TokenError.REVOKED),
}


@pytest.mark.parametrize("name", CASES)
def test_a_token_is_refused_for_the_first_reason(run: Run, name: str) -> None:
    case = CASES[name]
    owner, _ = run(users.add, "ana@x.org")
    secret = run(case.prepare, owner)
    status = token_checks.check(run.database, PresentedToken(secret, case.address, in_cookie=case.in_cookie), case.at)
    assert (status.problem, status.changes_at, status.cacheable) == (case.error, case.changes_at, case.cacheable)
    assert name.startswith("ok/" if case.error is None else "fail/")
    if case.error is not None:
        assert BY_ERROR[case.error].code == case.code
    if status.token is not None:
        by_id = PresentedToken(status.token.id, case.address, in_cookie=case.in_cookie)
        assert token_checks.check(run.database, by_id, case.at) == status


def test_each_error_has_one_check_and_one_case() -> None:
    assert list(BY_ERROR) == list(TokenError)
    assert {case.error for case in CASES.values()} == {None, *TokenError}
    assert all(refusal.message and refusal.reason for refusal in BY_ERROR.values())


@pytest.mark.parametrize("text", ["", "\x00", "\udcff", "a" * 4096, "ä", "'; --", TOKEN, "dsg_", "\n"])
def test_any_text_may_be_presented(run: Run, text: str) -> None:
    assert token_checks.check(run.database, PresentedToken(text), AT) == TokenStatus(TokenError.UNKNOWN)


def test_an_id_that_no_token_has_is_unknown(run: Run) -> None:
    assert token_checks.check(run.database, PresentedToken(7), AT) == TokenStatus(TokenError.UNKNOWN)


def test_a_malformed_token_is_not_looked_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_checks, "_look_up", lambda database, token: pytest.fail("looked up"))
    assert token_checks.check(run.database, PresentedToken("a" * 5000), AT).problem is TokenError.MISTYPED


# Checks that another release may add. Each is tried with only those that it needs: the others may change.


class OnlyFromHome(TokenCheck):
    """A check on the request: tokens of service accounts work from one address only."""

    error = TokenError.DISABLED
    reason = "it is presented from another address"
    home: ClassVar[str] = "192.0.2.7"

    def fails(self, evidence: Evidence) -> bool:
        return evidence.principal.kind == "service_account" and evidence.presented.address != self.home

    def is_cacheable(self, evidence: Evidence) -> bool:
        return evidence.principal.kind != "service_account"


class NotBefore(TokenCheck):
    """A check on the stored token: it begins a day after it was created."""

    error = TokenError.EXPIRED
    reason = "it is not valid yet"

    def fails(self, evidence: Evidence) -> bool:
        return evidence.at < evidence.token.created + DAY

    def changes_at(self, evidence: Evidence) -> datetime | None:
        return evidence.token.created + DAY  # type: ignore[no-any-return]


def test_a_check_on_the_request_is_one_class(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_checks, "CHECKS", (OnlyFromHome(),))
    bot, person = run(service_accounts.add, "bot")[0], run(users.add, "ana@x.org")[0]
    of_bot, of_person = run(_mint, bot), run(_mint, person)

    def check(secret: str, address: str | None) -> tuple[TokenError | None, bool]:
        status = token_checks.check(run.database, PresentedToken(secret, address), AT)
        return status.problem, status.cacheable

    assert check(of_bot, OnlyFromHome.home) == (None, False)
    assert check(of_bot, "192.0.2.8") == check(of_bot, None) == (TokenError.DISABLED, False)
    assert check(of_person, "192.0.2.8") == (None, True)


def test_a_check_on_the_stored_token_is_one_class(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_checks, "CHECKS", (NotBefore(), Expired()))
    ana, _ = run(users.add, "ana@x.org")
    secret = run(_mint, ana, expires=AT + 9 * DAY)
    early = token_checks.check(run.database, PresentedToken(secret), AT)
    assert (early.problem, early.changes_at) == (TokenError.EXPIRED, AT + DAY)
    later = token_checks.check(run.database, PresentedToken(secret), AT + DAY)
    assert (later.problem, later.changes_at) == (None, AT + 9 * DAY)
