"""Answers of user/cache that are kept: never other than what would be built now, and not built anew for nothing."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import clock, groups, token_checks, tokens, users
from dsgctl.core.clock import now
from dsgctl.core.token_checks import Evidence, TokenCheck, TokenError
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.database import CHANGES_KEPT
from dsgctl.store.migrations import open_current
from dsgserve.user_cache import response_cache
from dsgserve.user_cache.endpoint import UserCacheQuestion
from dsgserve.user_cache.response_cache import CachedResponse, ResponseCache

T = "2026-01-01T00:00:00.000000Z"
LATER = "2999-01-01T00:00:00.000000Z"
SECRETS = ("ana", "bea", "child", "bot", "root")
SPARE = "spare"  # a token that nobody has at first

# Ana has her own grants, bea those of a group; root is parent of child; bot is a service account.
WORLD = f"""
    INSERT INTO principals (id, kind, email, slug, admin, parent_id, created, created_by) VALUES
      (1, 'user', 'ana@x.org', NULL, 0, NULL, '{T}', 'x'), (2, 'user', 'bea@x.org', NULL, 0, NULL, '{T}', 'x'),
      (4, 'service_account', NULL, 'bot', 0, NULL, '{T}', 'x'), (5, 'user', 'root@x.org', NULL, 1, NULL, '{T}', 'x'),
      (3, 'user', 'child@x.org', NULL, 0, 5, '{T}', 'x');
    INSERT INTO affiliations VALUES (1, 'MRC');
    INSERT INTO groups (id, name, created) VALUES (1, 'lab', '{T}'), (2, 'other', '{T}');
    INSERT INTO memberships VALUES (2, 1, 1), (3, 1, 0), (5, 2, 0);
    INSERT INTO services (id, name) VALUES (1, 'atlas'), (2, 'clio');
    INSERT INTO datasets (id, name, access, created) VALUES
      (1, 'fish', 'closed', '{T}'), (2, 'fly', 'closed', '{T}'), (3, 'worm', 'public', '{T}');
    INSERT INTO terms (id, name, text, dataset_id, service_id, invite_token, effective) VALUES
      (1, 'fish', 'x', 1, NULL, 'a', '{T}'), (2, 'atlas', 'x', 1, 1, 'b', '{T}'), (3, 'worm', 'x', 3, NULL, 'c', '{T}');
    UPDATE datasets SET own_terms_id = 1 WHERE id = 1;
    INSERT INTO versions (id, dataset_id, name) VALUES (1, 1, 'v1');
    INSERT INTO buckets (name) VALUES ('bucket');
    INSERT INTO grants (id, principal_id, group_id, dataset_id, permission, source, granted_by, created) VALUES
      (1, 1, NULL, 1, 'edit', 'manual', 'x', '{T}'), (2, NULL, 1, 1, 'view', 'manual', 'x', '{T}'),
      (3, 4, NULL, 2, 'view', 'manual', 'x', '{T}'), (4, NULL, 2, 2, 'admin', 'manual', 'x', '{T}');
    INSERT INTO acceptances (principal_id, terms_id, accepted, recorded_by) VALUES
      (1, 1, '{T}', 'x'), (5, 1, '{T}', 'x');
""" + "".join(
    f"INSERT INTO tokens (id, principal_id, kind, hash, prefix, created) VALUES "
    f"({number}, {number}, 'api', x'{sha256(name.encode()).hexdigest()}', '', '{T}');"
    for number, name in enumerate(SECRETS, 1)
)

STATEMENTS = [
    *(
        f"UPDATE principals SET {assignment} WHERE id = {principal}"
        for principal in (1, 2, 3, 4, 5)
        for assignment in ("active = 1 - active", "name = name || 'x'", "pi = pi || 'x'")
    ),
    *(f"UPDATE principals SET read_only = 1 - read_only WHERE id = {principal}" for principal in (1, 2, 3)),
    "UPDATE principals SET parent_id = iif(parent_id = 5, 1, 5) WHERE id = 3",
    "UPDATE principals SET email = 'x' || email WHERE id = 2",
    "INSERT OR IGNORE INTO affiliations VALUES (2, 'HHMI')",
    "DELETE FROM affiliations WHERE principal_id = 2",
    "UPDATE affiliations SET principal_id = 3 - principal_id WHERE principal_id IN (1, 2) AND name = 'MRC'",
    "UPDATE groups SET name = name || 'x' WHERE id = 1",
    *(
        f"INSERT OR IGNORE INTO memberships VALUES ({principal}, {group}, 0)"
        for principal in (1, 2, 3)
        for group in (1, 2)
    ),
    *(
        f"DELETE FROM memberships WHERE principal_id = {principal} AND group_id = {group}"
        for principal in (1, 2)
        for group in (1, 2)
    ),
    "UPDATE memberships SET leads = 1 - leads WHERE principal_id = 2",
    "UPDATE OR IGNORE memberships SET principal_id = 1 WHERE principal_id = 2 AND group_id = 1",
    *(
        f"UPDATE datasets SET {assignment}"
        for assignment in (
            "access = 'public' WHERE id = 2",
            "access = 'closed' WHERE id = 2",
            "own_terms_id = NULL WHERE id = 1",
            "own_terms_id = 1 WHERE id = 1",
            "name = name || 'x' WHERE id = 1",
            "own_terms_id = 3 WHERE id = 3",
        )
    ),
    *(
        f"INSERT OR IGNORE INTO grants (principal_id, group_id, dataset_id, permission, source, granted_by, created) "
        f"VALUES ({principal}, {group}, {dataset}, '{permission}', 'manual', 'x', '{T}')"
        for principal, group in ((1, "NULL"), (2, "NULL"), (3, "NULL"), (4, "NULL"), ("NULL", 1), ("NULL", 2))
        for dataset, permission in ((1, "manage"), (2, "edit"), (3, "view"))
    ),
    *(f"DELETE FROM grants WHERE {which}" for which in ("principal_id = 1", "group_id = 1", "dataset_id = 2")),
    f"UPDATE grants SET expires = '{T}' WHERE principal_id = 2",
    "UPDATE grants SET expires = NULL",
    "UPDATE OR IGNORE grants SET principal_id = NULL, group_id = 1 WHERE principal_id = 1",
    "UPDATE OR IGNORE grants SET principal_id = 2, group_id = NULL WHERE group_id = 1",
    "UPDATE OR IGNORE grants SET service_id = 1 WHERE id % 2 = 0",
    "UPDATE OR IGNORE grants SET service_id = NULL",
    "UPDATE services SET name = 'atlas' WHERE id = 2 AND NOT EXISTS (SELECT 1 FROM services WHERE name = 'atlas')",
    "UPDATE services SET name = name || 'x' WHERE id = 1",
    "UPDATE services SET name = 'atlas' WHERE id = 1 AND NOT EXISTS (SELECT 1 FROM services WHERE name = 'atlas')",
    f"UPDATE terms SET retired = '{T}' WHERE id = 2",
    "UPDATE terms SET retired = NULL WHERE id = 2",
    "UPDATE terms SET name = name || 'x' WHERE id = 1",
    *(
        f"INSERT OR IGNORE INTO acceptances (principal_id, terms_id, accepted, recorded_by) "
        f"VALUES ({principal}, {which}, '{T}', 'x')"
        for principal in (1, 2, 3, 5)
        for which in (1, 2, 3)
    ),
    *(f"DELETE FROM acceptances WHERE principal_id = {principal}" for principal in (1, 2, 5)),
    "UPDATE OR IGNORE acceptances SET principal_id = 5 WHERE principal_id = 1",
    f"UPDATE tokens SET revoked = '{T}' WHERE id = 1",
    "UPDATE tokens SET revoked = NULL WHERE id = 1",
    f"UPDATE tokens SET expires = '{T}' WHERE id = 2",
    f"UPDATE tokens SET expires = '{LATER}' WHERE id = 2",
    "UPDATE tokens SET principal_id = 3 - principal_id WHERE id = 1",
    f"UPDATE tokens SET last_used = '{T}'",
    f"UPDATE OR IGNORE tokens SET hash = x'{sha256(b'spare').hexdigest()}' WHERE id = 3",
    f"UPDATE tokens SET hash = x'{sha256(b'child').hexdigest()}' WHERE id = 3",
    f"INSERT OR IGNORE INTO tokens (id, principal_id, kind, hash, prefix, created) "
    f"VALUES (9, 2, 'login', x'{sha256(b'spare').hexdigest()}', '', '{T}')",
    "DELETE FROM tokens WHERE id = 9",
    # REPLACE deletes rows without telling their triggers.
    "REPLACE INTO tokens (id, principal_id, kind, hash, prefix, created) "
    "SELECT id, 3 - principal_id, kind, hash, prefix, created FROM tokens "
    "WHERE id IN (1, 2) AND principal_id IN (1, 2)",
    f"REPLACE INTO tokens (id, principal_id, kind, hash, prefix, created) "
    f"VALUES (11, 4, 'api', x'{sha256(b'bea').hexdigest()}', '', '{T}')",
    f"REPLACE INTO grants (id, principal_id, dataset_id, permission, source, granted_by, created) "
    f"VALUES (1, 3, 1, 'manage', 'manual', 'x', '{T}')",
    f"REPLACE INTO grants (id, group_id, dataset_id, permission, source, granted_by, created) "
    f"VALUES (2, 2, 1, 'admin', 'manual', 'x', '{T}')",
]


# What user/cache does not know: neuprint-and-clio.md, "Say what a service needs beyond datasets".
UNKNOWN_TO_USER_CACHE = [
    *(
        f"INSERT INTO grants (principal_id, group_id, dataset_id, version_id, permission, source, granted_by, created, "
        f"service_id) VALUES ({subject}, {dataset}, {version}, '{permission}', 'manual', 'x', '{T}', {service})"
        for subject in ("1, NULL", "2, NULL", "3, NULL", "4, NULL", "NULL, 1", "NULL, 2")
        for dataset, version in ((1, "NULL"), (1, 1), (2, "NULL"))
        for permission, service in (("admin", 1), ("view", 2))
    ),
    "UPDATE versions SET branch = 'side', ordinal = 3",
    "UPDATE services SET mode = 'dag'",
    "INSERT INTO translations (service_id, client_name, dataset_id) VALUES (1, 'fly', 1), (2, 'fish', 2)",
    "INSERT INTO translations (service_id, client_name, client_version, dataset_id, version_id) "
    "VALUES (1, 'fish', 'v1', 1, 1)",
]


def test_facts_for_single_services_leave_every_answer_byte_for_byte(database: Database, path: Path) -> None:
    elsewhere = open_current(path)
    elsewhere.script(WORLD)
    cache = ResponseCache(database)
    before = ask_all(cache)
    assert any(body for _, body in before.values())
    for statement in UNKNOWN_TO_USER_CACHE:
        elsewhere.script(statement)
        assert ask_all(cache) == before, statement
    elsewhere.close()


# The row that goes is that of somebody else than the one that is named.
DISPLACED = {
    "principals": "UPDATE OR REPLACE principals SET email = 'ANA@x.org' WHERE email = 'bea@x.org'",
    "principals, by id": "UPDATE OR REPLACE principals SET id = (SELECT id FROM principals WHERE email = 'ana@x.org') "
    "WHERE email = 'bea@x.org'",
    "groups": "UPDATE OR REPLACE groups SET name = 'lab' WHERE name <> 'lab'",
    "grants": "UPDATE OR REPLACE grants SET rowid = 1 WHERE id = (SELECT max(id) FROM grants)",
    "tokens": f"UPDATE OR REPLACE tokens SET hash = x'{sha256(b'ana').hexdigest()}' "
    f"WHERE hash = x'{sha256(b'bea').hexdigest()}'",
    "tokens, by rowid": f"UPDATE OR REPLACE tokens SET rowid = (SELECT id FROM tokens WHERE hash = "
    f"x'{sha256(b'ana').hexdigest()}') WHERE hash = x'{sha256(b'bea').hexdigest()}'",
}


@pytest.mark.parametrize("assignment", DISPLACED)
def test_a_principal_displaced_by_an_update_is_invalidated(database: Database, path: Path, assignment: str) -> None:
    cache = ResponseCache(database)
    elsewhere = open_current(path)
    elsewhere.script(WORLD)
    ask_all(cache)
    elsewhere.script("PRAGMA foreign_keys = 0; PRAGMA recursive_triggers = 0;" + DISPLACED[assignment])
    assert ask_all(cache) == ask_all(ResponseCache(database))
    elsewhere.close()


def test_a_replaced_principal_is_invalidated(database: Database, path: Path) -> None:
    """As the sqlite3 shell does it, which looks after no references: the row of an address gets another id."""
    cache = ResponseCache(database)
    elsewhere = open_current(path)
    elsewhere.script(WORLD)
    assert {cache.get(name, UserCacheQuestion()).problem for name in ("ana", "bea")} == {None}
    elsewhere.script(
        "PRAGMA foreign_keys = 0;"
        f"REPLACE INTO principals (id, kind, email, created, created_by) VALUES (77, 'user', 'ANA@x.org', '{T}', 'x');"
        f"REPLACE INTO groups (id, name, created) VALUES (8, 'lab', '{T}')"
    )
    assert ask_all(cache) == ask_all(ResponseCache(database))
    assert cache.get("ana", UserCacheQuestion()).problem is TokenError.UNKNOWN
    assert b'"groups":[]' in cache.get("bea", UserCacheQuestion()).body
    elsewhere.close()


@pytest.fixture
def world(database: Database, path: Path) -> Any:
    """Runs statements as another program does: through a connection that the caches do not share."""
    elsewhere = open_current(path)
    elsewhere.script(WORLD)
    yield elsewhere.script
    elsewhere.close()


@pytest.fixture
def cache(database: Database) -> ResponseCache:
    return ResponseCache(database)


def ask_all(cache: ResponseCache) -> dict[tuple[str, str | None], tuple[TokenError | None, bytes]]:
    """What each token gets from each service."""
    responses = {}
    for name in (*SECRETS, SPARE):
        for service in (None, "atlas", "clio", "unknown"):
            response = cache.get(name, UserCacheQuestion(service))
            responses[name, service] = (response.problem, response.body)
    return responses


@pytest.mark.parametrize("seed", range(6))
def test_no_sequence_of_changes_leaves_a_stale_answer(
    world: Callable[[str], None], cache: ResponseCache, database: Database, seed: int
) -> None:
    chosen = random.Random(seed).sample(STATEMENTS, len(STATEMENTS))
    ask_all(cache)
    for statement in chosen:
        world(statement)
        if seed % 2:  # several changes between two questions, too
            world(random.Random(statement).choice(chosen))
        assert ask_all(cache) == ask_all(ResponseCache(database)), statement


def test_the_statements_of_this_test_change_the_answers(world: Callable[[str], None], database: Database) -> None:
    """Or the test above could not fail: half of them and more change an answer, in some order."""
    moved = set()
    for seed in range(3):
        for statement in random.Random(seed).sample(STATEMENTS, len(STATEMENTS)):
            before = ask_all(ResponseCache(database))
            world(statement)
            if ask_all(ResponseCache(database)) != before:
                moved.add(statement)
    assert len(moved) > len(STATEMENTS) / 2


def test_a_change_that_concerns_others_keeps_the_answer(cache: ResponseCache, database: Database, path: Path) -> None:
    writer = open_current(path)
    with begin_change(writer, "os:test") as change:
        ana, _ = users.add(change, "ana@x.org")
        groups.add(change, "lab")
        groups.add_member(change, "lab", "ana@x.org")
        _, secret = tokens.mint(change, ana)
    first = cache.get(secret, UserCacheQuestion())
    with begin_change(writer, "os:test") as change:
        bea, _ = users.add(change, "bea@x.org")
        groups.add(change, "other")
        groups.add_member(change, "other", "bea@x.org")
        tokens.mint(change, bea)
    assert cache.get(secret, UserCacheQuestion()) is first
    with begin_change(writer, "os:test") as change:
        groups.add_member(change, "lab", "bea@x.org")
    assert cache.get(secret, UserCacheQuestion()) is first  # who else is in the group does not concern ana
    with begin_change(writer, "os:test") as change:
        groups.add_member(change, "lab", "ana@x.org", leads=True)
    assert b'"groups_admin":["lab"]' in cache.get(secret, UserCacheQuestion()).body
    writer.close()


def test_a_server_that_missed_too_many_changes_empties_its_cache(
    world: Callable[[str], None], cache: ResponseCache, database: Database, path: Path
) -> None:
    before = ask_all(cache)
    world("UPDATE principals SET name = 'Ana' WHERE id = 1")
    writer = open_current(path)
    with begin_change(writer, "os:test"):  # what no audit record tells of is a change all the same
        writer.script("UPDATE groups SET created = created WHERE id = 2;" * (CHANGES_KEPT + 10))
        writer.script(f"UPDATE tokens SET hash = x'{sha256(b'spare').hexdigest()}' WHERE id = 1")
    assert database.changes_since(0) is None
    assert len(database.changes_since(database.revision() - CHANGES_KEPT) or []) == CHANGES_KEPT
    after = ask_all(cache)
    assert after == ask_all(ResponseCache(database)) != before
    writer.close()


def test_the_recorded_changes_are_bounded(
    world: Callable[[str], None], cache: ResponseCache, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_cache, "MAX_CONCERNED", 3)
    ask_all(cache)
    for number in range(10):
        world(f"INSERT INTO groups (name, created) VALUES ('g{number}', '{T}')")
        world("UPDATE principals SET name = name || 'y' WHERE id = 2")
        assert ask_all(cache) == ask_all(ResponseCache(database))
        assert len(cache._concerned) <= 3 + 2


def test_the_oldest_answers_are_evicted_and_refusals_are_not_cached(
    world: Callable[[str], None], database: Database
) -> None:
    cache = ResponseCache(database, capacity=2)
    first: dict[str, CachedResponse] = {name: cache.get(name, UserCacheQuestion()) for name in ("ana", "bea")}
    for number in range(100):
        assert cache.get(f"nobody's {number}", UserCacheQuestion()).problem is TokenError.UNKNOWN
    assert {name: cache.get(name, UserCacheQuestion()) for name in first} == first
    cache.get("bot", UserCacheQuestion())
    assert len(cache._responses) == 2
    assert cache.get("bea", UserCacheQuestion()) is first["bea"]
    assert cache.get("ana", UserCacheQuestion()) is not first["ana"]


def test_a_cached_answer_expires(cache: ResponseCache, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = open_current(path)
    end: datetime = now() + timedelta(hours=1)
    with begin_change(writer, "os:test") as change:
        ana, _ = users.add(change, "ana@x.org")
        _, secret = tokens.mint(change, ana)
        _, ending = tokens.mint(change, ana, expires=end)
    assert cache.get(secret, UserCacheQuestion()).until is None
    assert cache.get(ending, UserCacheQuestion()).until == pytest.approx(end.timestamp(), abs=1e-3)
    monkeypatch.setattr(clock, "seconds", lambda: end.timestamp() - 1)
    assert cache.get(ending, UserCacheQuestion()).problem is None
    monkeypatch.setattr(clock, "seconds", lambda: end.timestamp() + 1)
    monkeypatch.setattr("dsgctl.core.clock.now", lambda: end + timedelta(seconds=1))
    assert cache.get(ending, UserCacheQuestion()).problem is TokenError.EXPIRED
    writer.close()


class OnlyFromHome(TokenCheck):
    error = TokenError.DISABLED
    reason = "it is presented from another address"

    def fails(self, evidence: Evidence) -> bool:
        return evidence.token.id == 1 and evidence.presented.address != "192.0.2.7"

    def is_cacheable(self, evidence: Evidence) -> bool:
        return bool(evidence.token.id != 1)


@pytest.mark.usefixtures("world")
def test_a_result_that_depends_on_the_address_is_not_cached(
    cache: ResponseCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_checks, "CHECKS", (OnlyFromHome(),))
    for _ in range(2):
        assert cache.get("ana", UserCacheQuestion(), lambda: "192.0.2.7").problem is None
        assert cache.get("ana", UserCacheQuestion(), lambda: "192.0.2.8").problem is TokenError.DISABLED
    assert len(cache._responses) == 0
    assert cache.get("bea", UserCacheQuestion(), lambda: "192.0.2.8").problem is None
    assert len(cache._responses) == 1


@pytest.mark.usefixtures("world")
def test_the_address_is_not_looked_for_if_the_answer_is_cached(cache: ResponseCache) -> None:
    first = cache.get("ana", UserCacheQuestion(), lambda: "192.0.2.7")
    assert cache.get("ana", UserCacheQuestion(), lambda: pytest.fail("looked for")) is first
