"""Tokens: of which form, for how long, and that nobody can read one out of the database."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import service_accounts, token_checks, token_format, token_queries, tokens, users
from dsgctl.core.errors import Conflict, Invalid, NotFound
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.store import models as m
from dsgctl.store.models import Principal, Token
from tests.dsgctl.core.builders import AT, DAY, Run, refused

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def ana(run: Run) -> Principal:
    user: Principal = run(users.add, "ana@x.org")[0]
    return user


def problem(run: Run, secret: str, at: datetime = AT) -> TokenError | None:
    return token_checks.check(run.database, PresentedToken(secret), at).problem


# Minting


def test_a_token_is_its_owners_and_valid_from_the_start(run: Run, ana: Principal) -> None:
    token, secret = run(tokens.mint, ana, description="notebook", expires=AT + DAY)
    checked = token_checks.check(run.database, PresentedToken(secret), AT)
    assert (checked.problem, checked.principal, checked.token) == (None, ana, token)
    assert token_checks.check(run.database, PresentedToken(token.id), AT) == checked
    assert (
        token_queries.show(run.database, token.id, AT)
        == token_queries.describe(checked)
        == {
            "id": token.id,
            "of": "user:ana@x.org",
            "state": "valid",
            "kind": "api",
            "prefix": secret[:8],
            "description": "notebook",
            "created": AT,
            "expires": AT + DAY,
            "revoked": None,
            "last_used": None,
        }
    )
    assert run.actions()[-1] == f"token.mint token:{token.id} user:ana@x.org"


def test_a_service_account_has_tokens_as_a_person_has(run: Run) -> None:
    account, _ = run(service_accounts.add, "bot")
    _, secret = run(tokens.mint, account)
    assert (
        token_queries.describe(token_checks.check(run.database, PresentedToken(secret), AT))["of"]
        == "service-account:bot"
    )


def test_the_token_itself_is_nowhere_in_the_database(run: Run, ana: Principal, path: Path) -> None:
    secrets = [run(tokens.mint, ana, description="secret")[1] for _ in range(3)]
    secrets.append("an-imported-token-of-another-form")
    run(tokens.import_token, ana, secrets[-1], **_imported_fields())
    run(tokens.rotate, 1)
    files = [path, Path(f"{path}-wal")]
    stored = b"".join(file.read_bytes() for file in files)
    assert b"ana@x.org" in stored  # it is there that things are
    for secret in secrets:
        assert token_format.digest(secret) in stored
        for length in (len(secret), 16):
            for start in range(len(secret) - length + 1):
                assert secret[start : start + length].encode() not in stored


def test_a_disabled_account_gets_no_token(run: Run, ana: Principal) -> None:
    run(users.set_active, "ana@x.org", False)
    with refused(Conflict, "ana@x.org is disabled"):
        run(tokens.mint, users.find(run.database, "ana@x.org"))


@pytest.mark.parametrize("description", ["a\nb", " a", "\x1b[31m", "a" * 256])
def test_a_bad_description_is_refused(run: Run, ana: Principal, description: str) -> None:
    with refused(Invalid, "description"):
        run(tokens.mint, ana, description=description)


# How long they live


def test_a_token_is_valid_until_it_expires(run: Run, ana: Principal) -> None:
    token, secret = run(tokens.mint, ana, expires=AT + DAY)
    assert problem(run, secret, AT + DAY - MICROSECOND) is None
    assert problem(run, secret, AT + DAY) is TokenError.EXPIRED
    assert [row["id"] for row in token_queries.list_tokens(run.database, at=AT + DAY - MICROSECOND)] == [token.id]
    assert list(token_queries.list_tokens(run.database, at=AT + DAY)) == []
    assert token_queries.show(run.database, token.id, AT + DAY)["state"] == "expired"


def test_a_token_without_an_end_has_none(run: Run, ana: Principal) -> None:
    _, secret = run(tokens.mint, ana)
    assert problem(run, secret, AT + 100_000 * DAY) is None


def test_a_revoked_token_is_refused_at_once_and_revoked_once(run: Run, ana: Principal) -> None:
    token, secret = run(tokens.mint, ana)
    assert run(tokens.revoke, token.id)
    assert problem(run, secret) is TokenError.REVOKED
    assert not run(tokens.revoke, token.id, at=AT + DAY)
    assert tokens.find(run.database, token.id).revoked == AT
    assert run.actions()[-1] == f"token.revoke token:{token.id} user:ana@x.org"


def test_a_disabled_account_is_refused_until_it_is_enabled(run: Run, ana: Principal) -> None:
    token, secret = run(tokens.mint, ana)
    run(users.set_active, "ana@x.org", False)
    assert problem(run, secret) is TokenError.DISABLED
    assert token_queries.show(run.database, token.id, AT)["state"] == "account_disabled"
    run(users.set_active, "ana@x.org", True)
    assert problem(run, secret) is None


def test_of_several_problems_a_permanent_one_is_reported(run: Run, ana: Principal) -> None:
    token, secret = run(tokens.mint, ana, expires=AT)
    run(users.set_active, "ana@x.org", False)
    assert problem(run, secret) is TokenError.EXPIRED
    run(tokens.revoke, token.id)
    assert problem(run, secret) is TokenError.REVOKED


@pytest.mark.parametrize("verb", [tokens.revoke, tokens.rotate])
def test_an_unknown_token_is_not_found(run: Run, verb: Any) -> None:
    with refused(NotFound, "no token 7", "dsgctl token list"):
        run(verb, 7)


# Rotating


def test_a_rotated_token_is_refused_at_once_without_an_overlap(run: Run, ana: Principal) -> None:
    old, old_secret = run(tokens.mint, ana, description="notebook", kind="login")
    new, new_secret = run(tokens.rotate, old.id, at=AT + DAY)
    assert problem(run, old_secret, AT + DAY) is TokenError.REVOKED
    assert problem(run, new_secret, AT + DAY) is None
    assert (new.description, new.kind, new.principal_id, new.expires) == ("notebook", "login", ana.id, None)
    assert new_secret != old_secret


def test_a_rotated_token_ends_after_the_overlap(run: Run, ana: Principal) -> None:
    old, old_secret = run(tokens.mint, ana)
    _, new_secret = run(tokens.rotate, old.id, at=AT + DAY, overlap=7 * DAY)
    assert problem(run, old_secret, AT + 8 * DAY - MICROSECOND) is None
    assert problem(run, old_secret, AT + 8 * DAY) is TokenError.EXPIRED
    assert problem(run, new_secret, AT + 8 * DAY) is None
    record = run.records()[-1]
    assert (record["action"], record["before"]) == ("token.set", {"expires": None})


def test_an_overlap_does_not_prolong_a_token(run: Run, ana: Principal) -> None:
    old, old_secret = run(tokens.mint, ana, expires=AT + 2 * DAY)
    new, _ = run(tokens.rotate, old.id, at=AT + DAY, overlap=7 * DAY)
    assert problem(run, old_secret, AT + 2 * DAY) is TokenError.EXPIRED
    assert new.expires == AT + 3 * DAY  # as long from now as the old one was made to live


def test_rotating_an_expired_token_does_not_make_it_valid_again(run: Run, ana: Principal) -> None:
    for overlap in (timedelta(0), 7 * DAY):
        old, old_secret = run(tokens.mint, ana, expires=AT + DAY)
        _, new_secret = run(tokens.rotate, old.id, at=AT + 2 * DAY, overlap=overlap)
        assert problem(run, old_secret, AT + 2 * DAY) in (TokenError.EXPIRED, TokenError.REVOKED)
        assert problem(run, new_secret, AT + 2 * DAY) is None


def test_a_revoked_token_and_that_of_a_disabled_account_cannot_be_rotated(run: Run, ana: Principal) -> None:
    token, _ = run(tokens.mint, ana)
    run(users.set_active, "ana@x.org", False)
    with refused(Conflict, "ana@x.org is disabled"):
        run(tokens.rotate, token.id)
    run(users.set_active, "ana@x.org", True)
    run(tokens.revoke, token.id)
    with refused(Conflict, f"token {token.id} is revoked", "dsgctl token mint"):
        run(tokens.rotate, token.id)


# Pruning


def test_prune_deletes_only_tokens_that_ended_before_the_given_time(run: Run, ana: Principal) -> None:
    def mint(expires: datetime | None, revoked: datetime | None) -> int:
        token, _ = run(tokens.mint, ana, expires=expires)
        if revoked:
            run(tokens.revoke, token.id, at=revoked)
        return int(token.id)

    for expires, revoked in ((AT - DAY, None), (None, AT - DAY), (AT + DAY, AT - DAY), (AT - DAY, AT)):
        mint(expires, revoked)
    remaining = [mint(*dates) for dates in ((None, None), (AT, None), (None, AT), (AT + DAY, None))]
    assert run(tokens.prune, before=AT) == 4
    assert [row["id"] for row in token_queries.list_tokens(run.database, at=AT, ended=True)] == remaining
    assert run(tokens.prune, before=AT) == 0
    assert [action.split()[0] for action in run.actions()[-4:]] == ["token.prune"] * 4


# Tokens of other systems


def _imported_fields(**more: Any) -> dict[str, Any]:
    return {"kind": "api", "description": "", "created": AT - DAY, "expires": None, "last_used": None, **more}


@pytest.mark.parametrize(
    "secret",
    [
        "a",
        "0123456789abcdef" * 4,
        "dsg_short",
        "dsg_" + "x" * 40,
        "dsgt" + "x" * 38,
        "with space, ünicode\nand more",
        "a" * 4096,
        "eyJhbGciOi.J9.x-_",
        "\x00\xff",
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_an_imported_token_of_any_form_keeps_working(run: Run, ana: Principal, secret: str) -> None:
    assert run(tokens.import_token, ana, secret, **_imported_fields(kind="login", expires=AT + DAY, last_used=AT))
    checked = token_checks.check(run.database, PresentedToken(secret), AT)
    assert checked.problem is None
    described = token_queries.describe(checked)
    assert (described["kind"], described["created"], described["expires"], described["last_used"]) == (
        "login",
        AT - DAY,
        AT + DAY,
        AT,
    )
    before = run.content()
    assert not run(tokens.import_token, ana, secret, **_imported_fields())
    assert run.content() == before


def test_many_imported_tokens_are_each_stored_once(run: Run, ana: Principal) -> None:
    imported = [tokens.hash_imported(ana, f"secret {number % 700}", **_imported_fields()) for number in range(1000)]
    assert run(tokens.import_tokens, imported) == 700
    before = run.content()
    assert run(tokens.import_tokens, imported) == 0
    assert run.content() == before
    newest, _ = run(tokens.mint, ana)
    assert newest.id == 701
    assert run.actions()[-2] == f"token.mint token:700 user:{ana.email}"


# Their use


def test_when_a_token_was_used_is_written_without_a_change_of_facts(run: Run, ana: Principal) -> None:
    token, _ = run(tokens.mint, ana)
    revision, actions = run.database.revision(), run.actions()
    for moment, expected in ((AT, AT), (AT + DAY, AT + DAY), (AT - DAY, AT + DAY)):
        tokens.record_uses(run.database, {token.id: moment, 999: moment})
        assert tokens.find(run.database, token.id).last_used == expected
    assert (run.database.revision(), run.actions()) == (revision, actions)


# Lists


def test_tokens_are_listed_by_owner_and_ended_ones_on_request(run: Run, ana: Principal) -> None:
    account, _ = run(service_accounts.add, "bot")
    live, _ = run(tokens.mint, ana)
    bots, _ = run(tokens.mint, account)
    ended, _ = run(tokens.mint, ana, expires=AT)
    revoked, _ = run(tokens.mint, ana)
    run(tokens.revoke, revoked.id)
    listed = list(token_queries.list_tokens(run.database, at=AT))
    assert [(row["id"], row["user"], row["service_account"]) for row in listed] == [
        (live.id, "ana@x.org", None),
        (bots.id, None, "bot"),
    ]
    of_ana = token_queries.list_tokens(run.database, principal=ana, at=AT, ended=True)
    assert [row["id"] for row in of_ana] == [live.id, ended.id, revoked.id]


def test_lists_and_descriptions_do_not_contain_the_hash(run: Run, ana: Principal) -> None:
    token, secret = run(tokens.mint, ana)
    for shown in (
        token_queries.show(run.database, token.id, AT),
        next(token_queries.list_tokens(run.database, at=AT)),
        *run.records(),
    ):
        text = repr(shown)
        assert secret not in text
        assert token_format.digest(secret).hex() not in text
        assert repr(token_format.digest(secret)) not in text


def test_an_unknown_token_is_described_by_its_problem_alone(run: Run) -> None:
    assert token_queries.describe(token_checks.check(run.database, PresentedToken("abc"), AT)) == {"state": "unknown"}
    assert token_queries.describe(token_checks.check(run.database, PresentedToken("a" * 5000), AT)) == {
        "state": "mistyped"
    }


def test_the_id_of_a_token_is_never_reused(run: Run, ana: Principal) -> None:
    token, _ = run(tokens.mint, ana, expires=AT - DAY)
    run(tokens.prune, before=AT)
    again, _ = run(tokens.mint, ana)
    assert again.id > token.id


def test_a_hash_is_stored_once(run: Run, ana: Principal) -> None:
    run(tokens.import_token, ana, "secret", **_imported_fields())
    assert run.database.count(Token.select().where(m.Token.hash == token_format.digest("secret"))) == 1
