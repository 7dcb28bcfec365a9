"""Long-lived tokens: which they are, and how many live."""

from datetime import timedelta

from dsgctl.core import long_lived_tokens, token_checks, tokens, users
from dsgctl.core.errors import Conflict
from dsgctl.core.token_checks import PresentedToken
from tests.dsgctl.core.builders import AT, DAY, Run, refused

ANA, BO = "ana@x.org", "bo@x.org"


def is_valid(run: Run, secret: str) -> bool:
    return token_checks.check(run.database, PresentedToken(secret), AT + DAY).problem is None


def test_the_newest_live_and_each_change_is_recorded(run: Run) -> None:
    ana, bo = (run(users.add, email)[0] for email in (ANA, BO))
    of_bo = run(long_lived_tokens.mint, bo)
    others = [
        run(tokens.mint, ana, description="my script")[1],
        run(tokens.mint, ana, description=long_lived_tokens.DESCRIPTION, expires=AT + 9 * DAY)[1],
    ]
    secrets = [run(long_lived_tokens.mint, ana) for _ in range(long_lived_tokens.MAX_TOKENS + 1)]
    assert [is_valid(run, secret) for secret in secrets] == [False, *[True] * long_lived_tokens.MAX_TOKENS]
    assert all(is_valid(run, secret) for secret in (of_bo, *others))
    assert run.actions()[-2:] == ["token.mint token:14 user:ana@x.org", "token.revoke token:4 user:ana@x.org"]


def test_a_token_without_an_end_and_with_this_description_is_long_lived(run: Run) -> None:
    ana, _ = run(users.add, ANA)
    description = long_lived_tokens.DESCRIPTION
    described, _ = run(tokens.mint, ana, description=description)
    ending, _ = run(tokens.mint, ana, description=description, expires=AT + timedelta(days=1))
    login, _ = run(tokens.mint, ana, kind="login", description=description)
    other, _ = run(tokens.mint, ana)
    kinds = [long_lived_tokens.is_long_lived(token) for token in (described, ending, login, other)]
    assert kinds == [True, False, False, False]


def test_a_disabled_person_gets_none(run: Run) -> None:
    ana, _ = run(users.add, ANA)
    run(users.set_active, ANA, False)
    ana.active = False
    with refused(Conflict, ANA, "disabled"):
        run(long_lived_tokens.mint, ana)
