"""The list of people and its filters, and what is shown of one."""

from datetime import timedelta
from typing import Any

import pytest

from dsgctl.core import (
    groups,
    service_accounts,
    tokens,
    user_queries,
    users,
)
from dsgctl.core.errors import Invalid, NotFound
from tests.dsgctl.core.builders import AT, DAY, Run, refused

ANA = "Ana@Example.org"


def emails(rows: Any) -> list[str]:
    return [row["email"] for row in rows]


class TestListed:
    """``user list`` and its filters."""

    @pytest.fixture(autouse=True)
    def people(self, run: Run) -> None:
        run(users.add, "ana@x.org", name="Ana", at=AT - 100 * DAY)
        run(users.add, "bea@x.org", admin=True, at=AT - 100 * DAY)
        run(users.add, "new@x.org")
        run(users.add, "cid@x.org", at=AT - 100 * DAY)
        run(users.set_active, "cid@x.org", False)
        run(groups.add, "lab")
        run(groups.add_member, "lab", "bea@x.org")
        run(service_accounts.add, "ana-bot", at=AT - 100 * DAY)

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ({}, ["ana", "bea", "new", "cid"]),
            ({"search": "ANA"}, ["ana"]),
            ({"search": "x.org", "limit": 2}, ["ana", "bea"]),
            ({"group": "lab"}, ["bea"]),
            ({"admin": True}, ["bea"]),
            ({"disabled": True}, ["cid"]),
            ({"admin": True, "disabled": True}, []),
            ({"limit": 0}, []),
            ({"idle_since": AT - 90 * DAY}, ["ana", "bea", "cid"]),
            ({"idle_since": AT + DAY}, ["ana", "bea", "new", "cid"]),
        ],
        ids=repr,
    )
    def test_only_users_who_pass_every_filter(self, run: Run, filters: dict[str, Any], expected: list[str]) -> None:
        assert emails(user_queries.list_users(run.database, **filters)) == [f"{name}@x.org" for name in expected]

    @pytest.mark.parametrize("group", ["LAB", "no such"])
    def test_a_group_that_does_not_exist_is_refused(self, run: Run, group: str) -> None:
        with pytest.raises(NotFound, match=group):
            user_queries.list_users(run.database, group=group)

    def test_a_user_who_used_a_token_since_is_not_idle(self, run: Run) -> None:
        for email, moment in (("ana@x.org", AT - 91 * DAY), ("bea@x.org", AT - 89 * DAY)):
            token, _ = run(tokens.mint, users.find(run.database, email))
            tokens.record_uses(run.database, {token.id: moment})
        assert emails(user_queries.list_users(run.database, idle_since=AT - 90 * DAY)) == ["ana@x.org", "cid@x.org"]
        assert user_queries.show(run.database, "bea@x.org")["last_used"] == AT - 89 * DAY

    @pytest.mark.parametrize("text", ["a\x00b", "a\nb", "\udcff"])
    def test_a_search_for_what_no_name_may_have_is_refused(self, run: Run, text: str) -> None:
        with refused(Invalid):
            user_queries.list_users(run.database, search=text)


def test_a_time_in_any_year_can_be_stored(run: Run) -> None:
    """Also those with less than four digits, which not every strftime fills up."""
    early = AT.replace(year=987)
    run(users.add, ANA, at=early)
    assert user_queries.show(run.database, ANA)["created"] == early
    assert emails(user_queries.list_users(run.database, idle_since=early + timedelta(1))) == [ANA]
