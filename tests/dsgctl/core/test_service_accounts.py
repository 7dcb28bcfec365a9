"""Accounts of programs."""

from typing import Any

import pytest

from dsgctl.core import datasets, grants, principals, service_accounts, token_checks, tokens, users
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.store import models as m
from dsgctl.wire_contract import build_user_cache
from tests.dsgctl.core.builders import AT, DAY, Run, refused


def test_an_account_is_added_once(run: Run) -> None:
    account, new = run(service_accounts.add, "bot", description="Nightly")
    assert new
    before = run.content()
    assert run(service_accounts.add, "bot", description="Nightly") == (account, False)
    assert run.content() == before
    assert service_accounts.show(run.database, "bot") == {
        "id": account.id,
        "name": "bot",
        "description": "Nightly",
        "active": True,
        "created": AT,
        "created_by": "os:test",
        "grants": [],
        "tokens": [],
    }
    with refused(Conflict, "bot", "another description"):
        run(service_accounts.add, "bot")


@pytest.mark.parametrize(
    "words", [{"slug": "b ot"}, {"slug": "bot@x"}, {"slug": ""}, {"description": "a\nb"}], ids=repr
)
def test_a_bad_value_is_refused(run: Run, words: dict[str, str]) -> None:
    with refused(Invalid):
        run(service_accounts.add, words.pop("slug", "bot"), **words)


def test_people_and_programs_share_one_id_space(run: Run) -> None:
    user, _ = run(users.add, "ana@x.org")
    account, _ = run(service_accounts.add, "bot")
    assert account.id == user.id + 1


def test_disabling_and_enabling_say_whether_it_was_otherwise(run: Run) -> None:
    run(service_accounts.add, "bot")
    assert run(service_accounts.set_active, "bot", False)
    assert not run(service_accounts.set_active, "bot", False)
    assert service_accounts.show(run.database, "bot")["active"] is False
    assert run(service_accounts.set_active, "bot", True)
    assert run.actions()[1:] == [
        "service-account.disable service-account:bot",
        "service-account.enable service-account:bot",
    ]


def test_removing_an_account_removes_its_grants_and_tokens(run: Run) -> None:
    account, _ = run(service_accounts.add, "bot")
    run(datasets.add, "fish2")
    run(grants.add, principal_subject(account), Target("fish2", "view"))
    token, secret = run(tokens.mint, account)
    assert run(service_accounts.remove, "bot") == {"grants": ["fish2 view"], "tokens": [token.id]}
    assert token_checks.check(run.database, PresentedToken(secret), AT).problem is TokenError.UNKNOWN
    assert run.database.count(m.Grant.select()) == 0


@pytest.mark.parametrize("verb", [service_accounts.remove, lambda c, slug: service_accounts.set_active(c, slug, False)])
@pytest.mark.parametrize("slug", ["no", "BOT", "ana@x.org"])
def test_no_verb_finds_an_absent_account(run: Run, verb: Any, slug: str) -> None:
    run(service_accounts.add, "bot")
    run(users.add, "ana@x.org")
    with refused(NotFound, f"no service account '{slug}'", "dsgctl service-account list"):
        run(verb, slug)


@pytest.mark.parametrize(
    ("who", "label"),
    [
        ("ana@x.org", "user:ana@x.org"),
        ("ANA@X.ORG", "user:ana@x.org"),
        ("bot", "service-account:bot"),
        ("bot@service-account.dsg.local", "service-account:bot"),
        ("bot@Service-Account.DSG.Local", "service-account:bot"),
    ],
)
def test_a_principal_is_found_by_its_name_and_by_its_address_in_user_cache(run: Run, who: str, label: str) -> None:
    run(users.add, "ana@x.org")
    run(service_accounts.add, "bot")
    assert principals.format_label(service_accounts.find_principal(run.database, who)) == label


@pytest.mark.parametrize("who", ["", "@", "no", "Bot", "no@x.org", "no@service-account.dsg.local", "ana", "bot@x.org"])
def test_a_principal_that_is_not_a_service_account_is_not_found(run: Run, who: str) -> None:
    run(users.add, "ana@x.org")
    run(service_accounts.add, "bot")
    with refused(NotFound):
        service_accounts.find_principal(run.database, who)


def test_the_address_in_user_cache_names_the_account(run: Run) -> None:
    run(service_accounts.add, "bot")
    answer = build_user_cache(run.snapshot("bot"), AT)
    assert service_accounts.find_principal(run.database, answer["email"]).slug == answer["name"] == "bot"


def test_accounts_are_listed_by_name_with_their_live_tokens_and_last_use(run: Run) -> None:
    for slug in ("b", "a"):
        account, _ = run(service_accounts.add, slug)
    token, _ = run(tokens.mint, account)
    run(tokens.mint, account)
    revoked, _ = run(tokens.mint, account)
    run(tokens.revoke, revoked.id)
    tokens.record_uses(run.database, {token.id: AT + DAY})
    listed = [
        (row["name"], row["tokens"], row["last_used"]) for row in service_accounts.list_service_accounts(run.database)
    ]
    assert listed == [("a", 2, AT + DAY), ("b", 0, None)]


def test_add_returns_the_row_that_is_stored(run: Run) -> None:
    account, _ = run(service_accounts.add, "bot", description="exports")
    stored = service_accounts.find(run.database, "bot").__data__
    assert {column: getattr(account, column) for column in stored} == stored
