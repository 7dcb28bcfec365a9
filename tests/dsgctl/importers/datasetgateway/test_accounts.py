"""People, service accounts and tokens of the original's database."""

from pathlib import Path

import pytest

from dsgctl.core import service_accounts, token_checks, user_queries, users
from dsgctl.core.errors import Conflict
from dsgctl.core.token_checks import PresentedToken
from dsgctl.importers import datasetgateway
from dsgctl.store import Database
from dsgctl.store import models as m
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.importers.datasetgateway.original import ANSWERED, moment, query_original, spoil


def test_people_are_taken_over(target: Database) -> None:
    expected = query_original(
        "SELECT id, email, name, display_name, admin, is_active, read_only, pi, notes, picture_url, parent_id,"
        " iif(google_sub IS NULL, NULL, 'https://accounts.google.com'), google_sub, created FROM dsg_user"
    )
    p = m.Principal
    rows = target.tuples(
        p.select(
            p.id,
            p.email,
            p.name,
            p.display_name,
            p.admin,
            p.active,
            p.read_only,
            p.pi,
            p.notes,
            p.picture_url,
            p.parent,
            p.issuer,
            p.subject,
            p.created,
        )
        .where(p.kind == "user")
        .order_by(p.id)
    )
    assert list(rows) == [(*row[:-1], moment(row[-1])) for row in expected]


def test_affiliations_and_groups_are_taken_over(target: Database) -> None:
    affiliations = m.Affiliation.select(m.Affiliation.principal, m.Affiliation.name)
    assert sorted(target.tuples(affiliations)) == sorted(query_original("SELECT user_id, name FROM affiliation"))
    members = m.Membership.select(m.Membership.principal, m.Group.name, m.Membership.leads).join(m.Group)
    assert sorted(target.tuples(members)) == sorted(
        query_original("SELECT user_id, name, is_admin FROM user_group JOIN dsg_group ON dsg_group.id = group_id")
    )


def test_service_accounts_are_taken_over(target: Database) -> None:
    accounts = {
        row["name"]: service_accounts.show(target, row["name"])
        for row in service_accounts.list_service_accounts(target)
    }
    expected = query_original(
        "SELECT a.name, description, a.is_active, a.created, 'user:' || email,"
        " (SELECT count(*) FROM service_account_token t WHERE t.service_account_id = a.id),"
        " (SELECT count(*) FROM service_account_grant g WHERE g.service_account_id = a.id)"
        " FROM service_account a JOIN dsg_user u ON u.id = created_by_id"
    )
    assert {
        (
            name,
            account["description"],
            account["active"],
            account["created"],
            account["created_by"],
            len(account["tokens"]),
            len(account["grants"]),
        )
        for name, account in accounts.items()
    } == {(*row[:3], moment(row[3]), *row[4:]) for row in expected}


def test_tokens_keep_working_and_are_not_kept_in_clear(target: Database) -> None:
    expected = query_original(
        "SELECT key, u.email, description, k.created, expires_at, k.last_used FROM api_key k"
        " JOIN dsg_user u ON u.id = user_id UNION ALL"
        " SELECT key, a.name, t.description, t.created, NULL, last_used FROM service_account_token t"
        " JOIN service_account a ON a.id = service_account_id"
    )
    for key, owner, description, created, expires, last_used in expected:
        token = token_checks.check(target, PresentedToken(key), ANSWERED)
        assert token.token is not None
        assert token.principal is not None
        assert token.principal.label == owner
        assert token.token.kind == ("login" if description == "OAuth login token" else "api")
        assert token.token.description == description
        assert [token.token.created, token.token.expires, token.token.last_used] == [
            moment(created),
            moment(expires),
            moment(last_used),
        ]
    content = b"".join(Path(target.path + end).read_bytes() for end in ("", "-wal"))
    assert not [key for key, *_ in expected if key.encode() in content]


class TestIds:
    def test_an_id_that_the_source_has_used_is_not_reused(self, run: Run, source: Path) -> None:
        """CAVE keeps these ids beside annotations, also those of people who were deleted since."""
        spoil(
            source,
            "UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'dsg_user'",
            "DELETE FROM service_account_token",
            "DELETE FROM service_account_grant",
            "DELETE FROM service_account",
        )
        run(datasetgateway.Importer().run, source)
        user, _ = run(users.add, "next@example.org")
        assert user.id > 5000

    def test_service_accounts_are_numbered_after_everybody(self, run: Run, source: Path) -> None:
        spoil(source, "UPDATE sqlite_sequence SET seq = 5000 WHERE name = 'dsg_user'")
        run(datasetgateway.Importer().run, source)
        assert min(row["id"] for row in service_accounts.list_service_accounts(run.database)) > 5000


def test_of_two_emails_that_differ_in_case_the_first_is_kept_and_the_children_of_the_other_go_with_it(
    run: Run, source: Path
) -> None:
    spoil(
        source,
        "UPDATE dsg_user SET email = 'USER2@example.org' WHERE id = 4",
        "UPDATE dsg_user SET parent_id = 4 WHERE id = 5",
    )
    with refused(Conflict, "dsg_user row 4", "dsg_user row 3", "--skip-conflicts"):
        run(datasetgateway.Importer().run, source)
    report = run(datasetgateway.Importer().run, source, skip_conflicts=True)
    assert [run.principal(number) is None for number in (3, 4, 5)] == [False, True, True]
    left_out = "\n".join(report.left_out)
    assert "dsg_user row 4: 'USER2@example.org'" in left_out
    assert "dsg_user row 5: " in left_out
    assert "api_key: " in left_out


def test_space_around_what_people_read(run: Run, source: Path) -> None:
    spoil(
        source,
        "UPDATE dsg_user SET name = ' Ada ' WHERE id = 3",
        "UPDATE service_account SET description = 'two' || char(13, 10) || ' lines' WHERE id = 1",
        "INSERT INTO affiliation (name, user_id) VALUES ('MRC LMB ', 3)",
    )
    run(datasetgateway.Importer().run, source)
    assert users.find(run.database, "user2@example.org").name == "Ada"
    assert user_queries.show(run.database, "user2@example.org")["affiliations"] == ["Cambridge", "MRC LMB"]
    assert service_accounts.find(run.database, "ci-bot-0").description == "two lines"
    assert not run(datasetgateway.Importer().run, source).changed


def test_children_before_and_below_their_parents(run: Run, source: Path) -> None:
    spoil(source, "UPDATE dsg_user SET parent_id = 43 WHERE id = 2", "UPDATE dsg_user SET parent_id = 2 WHERE id = 1")
    run(datasetgateway.Importer().run, source)
    assert [run.principal(number).parent_id for number in (1, 2, 43)] == [2, 43, 37]  # type: ignore[union-attr]


@pytest.mark.parametrize(("column", "expected"), [("name", "a b"), ("display_name", "a b"), ("pi", "a b")])
def test_a_control_character_in_what_people_read_is_a_space_here(
    run: Run, source: Path, column: str, expected: str
) -> None:
    spoil(source, f"UPDATE dsg_user SET {column} = ' a' || char(10) || 'b ' WHERE id = 3")
    report = run(datasetgateway.Importer().run, source)
    assert getattr(run.principal(3), column) == expected
    assert report.remarks == [f"dsg_user row 3: {column} is kept as 'a b'"]
    assert not run(datasetgateway.Importer().run, source).changed


def test_a_picture_that_is_no_address_does_not_keep_a_person_out(run: Run, source: Path) -> None:
    spoil(source, "UPDATE dsg_user SET picture_url = 'javascript:alert(1)' WHERE id = 3")
    report = run(datasetgateway.Importer().run, source)
    user = run.principal(3)
    assert user is not None and user.picture_url == ""
    assert "dsg_user row 3: picture_url: 'javascript:alert(1)' is not a web address" in report.noted
