"""Delegated keys: how long they live, how many there are, and when a person is asked again."""

from datetime import timedelta

import pytest

from dsgctl.core import clients, delegated_keys, token_checks, token_queries, tokens, users
from dsgctl.core.errors import Conflict
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.store.models import Client, Principal
from tests.dsgctl.core.builders import AT, DAY, Run, refused


@pytest.fixture
def ana(run: Run) -> Principal:
    user: Principal = run(users.add, "ana@x.org", admin=True)[0]
    return user


@pytest.fixture
def atlas(run: Run, ana: Principal) -> Client:
    client: Client = run(clients.add, "atlas", origin="https://lab.github.io", owner="ana@x.org")[0]
    return client


def state(run: Run, key: str, *, days: int = 0) -> TokenError | None:
    return token_checks.check(run.database, PresentedToken(key), AT + days * DAY).problem


def test_a_key_ends_after_seven_days_and_is_listed_like_any_token(run: Run, ana: Principal, atlas: Client) -> None:
    key = run(delegated_keys.mint, ana, atlas)
    (row,) = token_queries.list_tokens(run.database, at=AT)
    assert (row["user"], row["kind"], row["description"], row["expires"]) == (
        "ana@x.org",
        "delegated",
        "atlas",
        AT + timedelta(days=7),
    )
    assert state(run, key, days=6) is None
    assert state(run, key, days=7) is TokenError.EXPIRED
    run(tokens.revoke, row["id"])
    assert state(run, key) is TokenError.REVOKED


def test_with_a_key_an_admin_is_none(run: Run, ana: Principal, atlas: Client) -> None:
    of_key = token_checks.check(run.database, PresentedToken(run(delegated_keys.mint, ana, atlas)), AT).principal
    of_token = token_checks.check(run.database, PresentedToken(run(tokens.mint, ana)[1]), AT).principal
    assert of_key is not None and of_token is not None
    assert (of_key.admin, of_token.admin) == (False, True)


def test_a_person_has_ten_keys_of_a_client_and_the_oldest_ends(run: Run, ana: Principal, atlas: Client) -> None:
    other, _ = run(clients.add, "other", origin="https://other.example", owner="ana@x.org")
    bea, _ = run(users.add, "bea@x.org")
    elsewhere = [run(delegated_keys.mint, ana, other), run(delegated_keys.mint, bea, atlas), run(tokens.mint, ana)[1]]
    keys = [run(delegated_keys.mint, ana, atlas) for _ in range(12)]
    assert [state(run, key) for key in keys] == [TokenError.REVOKED] * 2 + [None] * 10
    assert [state(run, key) for key in elsewhere] == [None] * 3


def test_keys_that_have_ended_do_not_count(run: Run, ana: Principal, atlas: Client) -> None:
    for _ in range(10):
        run(delegated_keys.mint, ana, atlas)
    run(delegated_keys.mint, ana, atlas, at=AT + 8 * DAY)
    assert not [action for action in run.actions() if action.startswith("token.revoke")]


def test_nobody_is_asked_again_who_said_so_while_a_key_is_valid(run: Run, ana: Principal, atlas: Client) -> None:
    def asks() -> bool:
        return not delegated_keys.needs_no_consent(run.database, ana, atlas, AT)

    assert asks()
    run(delegated_keys.remember_consent, ana, atlas)
    assert asks()
    run(delegated_keys.mint, ana, atlas)
    assert not asks()
    before = run.content()
    run(delegated_keys.remember_consent, ana, atlas)
    assert run.content() == before
    (row,) = token_queries.list_tokens(run.database, at=AT)
    run(tokens.revoke, row["id"])
    assert asks()


def test_a_key_cannot_be_rotated(run: Run, ana: Principal, atlas: Client) -> None:
    run(delegated_keys.mint, ana, atlas)
    (row,) = token_queries.list_tokens(run.database, at=AT)
    with refused(Conflict, "is a key that atlas was handed"):
        run(tokens.rotate, row["id"])


def test_a_disabled_account_gets_no_key(run: Run, atlas: Client) -> None:
    run(users.add, "bea@x.org")
    run(users.set_active, "bea@x.org", False)
    with refused(Conflict, "bea@x.org is disabled"):
        run(delegated_keys.mint, users.find(run.database, "bea@x.org"), atlas)
