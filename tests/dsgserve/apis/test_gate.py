"""A question of a proxy has an exact status, and the identity is whole. contract-services.md, "The gate"."""

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import (
    acceptances,
    clients,
    clock,
    datasets,
    delegated_keys,
    grants,
    groups,
    reference_decisions,
    service_accounts,
    token_checks,
    users,
)
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.rules.reference_access import Verdict
from dsgctl.core.rules.references import Reference
from dsgctl.core.token_checks import PresentedToken
from dsgctl.store import Database
from dsgctl.store.migrations import open_current
from dsgserve.apis.gate import PATH, GateQuestion
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.user_cache.response_cache import ResponseCache
from tests.dsgserve.conftest import PAGE, Client, Lab
from tests.native_answers import fill, rows

IDENTITY = (
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
)


def ask(client: Client, query: str, token: str | None = None, method: str = "GET", **headers: Any) -> Any:
    bearer = {"authorization": f"Bearer {token}"} if token is not None else {}
    return client.request(method, f"{PATH}?{query}", **bearer, **headers)


# Ada may view fish, whose version v2 has terms that she has not accepted.
QUERIES: dict[str, tuple[int, str | None]] = {
    "dataset=fish": (200, None),
    "dataset=%66ish": (200, None),
    "permission=view&dataset=fish": (200, None),
    "dataset=fish&permission=edit": (403, "no_permission"),
    "dataset=fish&permission=²": (403, "no_permission"),
    "dataset=fish&permission=View": (403, "no_permission"),
    "dataset=fish&version=v2": (403, "tos_required"),
    "dataset=fish&version=v3": (403, "no_permission"),
    "dataset=fish&version=%C2%B2": (403, "no_permission"),
    "dataset=fish&version=99999999999999999999": (
        200,
        None,
    ),  # an ordinal that no version has, but of a dataset of hers
    "dataset=fish&service=nobody": (200, None),
    "dataset=nowhere": (403, "no_permission"),
    "dataset=Fish": (403, "no_permission"),
    "dataset=fish+": (403, "no_permission"),
    "dataset=fish%00": (403, "no_permission"),
    "dataset=fish%26permission=view": (403, "no_permission"),
    "dataset=fish;permission=view": (403, "no_permission"),
    "dataset=fly/../fish": (403, "no_permission"),
    "dataset=fish?dataset=fly": (403, "no_permission"),
    f"dataset={'x' * 4096}": (403, "no_permission"),
    "dataset=fish&uri=/a?b=c&permission=admin&dataset=fly&x": (200, None),
    "dataset=fish&permission=edit&uri=/a&permission=view": (403, "no_permission"),
    "": (400, "invalid"),
    "dataset": (400, "invalid"),
    "dataset=": (400, "invalid"),
    "permission=view": (400, "invalid"),
    "dataset=fish&dataset=fish": (400, "invalid"),
    "dataset=fish&permission=edit&permission=view": (400, "invalid"),
    "dataset=fish&version=": (400, "invalid"),
    "dataset=fish&version": (400, "invalid"),
    "dataset=fish&permision=edit": (400, "invalid"),
    "dataset=fish&branch=main": (400, "invalid"),
    "dataset=fish&dsg_token=x": (400, "invalid"),
    "Dataset=fish": (400, "invalid"),
    "data%73et=fish": (400, "invalid"),
    " dataset=fish": (400, "invalid"),
    "dataset=fish&": (400, "invalid"),
    "&dataset=fish": (400, "invalid"),
    "uri=/a&dataset=fish": (400, "invalid"),
    "dataset=%ff": (400, "invalid"),
    "dataset=%C3%28": (400, "invalid"),
    "dataset=fish&version=%ED%A0%80": (400, "invalid"),
    f"dataset={'x' * 4097}": (400, "invalid"),
    "dataset=fish" + "&x=" * 10_000: (400, "invalid"),
}


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_each_query_has_its_status(query: str, method: str, client: Client, lab: Lab) -> None:
    status, error = QUERIES[query]
    reply = ask(client, query.encode().decode("latin-1"), lab.ada, method, accept=PAGE)
    assert reply.status == status, reply.text
    if error is None:
        assert reply.body == b""
    else:
        assert reply.headers["content-type"] == "application/json"
        assert (reply.json()["error"], bool(reply.json()["message"])) == (error, True)
    assert "location" not in reply.headers
    assert reply.headers["cache-control"] == "no-store"


CALLERS = {  # who asks -> the status for fish, which is closed, and for fly, which is public with terms
    "nobody": (401, 401),
    "ada": (200, 403),
    "bo": (403, 403),
    "cy": (403, 403),
    "script": (200, 403),
    "robot": (200, 200),  # service accounts accept no terms
    "gone": (401, 401),
    "unknown": (401, 401),
}


@pytest.mark.parametrize("who", CALLERS)
def test_each_caller_gets_what_they_may_do(who: str, client: Client, lab: Lab) -> None:
    token = {"nobody": None, "unknown": "dsgt" + "a" * 39}.get(who, getattr(lab, who, None))
    replies = [ask(client, f"dataset={dataset}", token) for dataset in ("fish", "fly")]
    assert tuple(reply.status for reply in replies) == CALLERS[who]
    for reply in replies:
        assert (reply.headers.get("www-authenticate") is not None) == (reply.status == 401)
        assert reply.headers["cache-control"] == "no-store"
        assert "set-cookie" not in reply.headers
        assert sum(name in reply.headers for name in IDENTITY) == (4 if reply.status == 200 else 0)


def test_what_is_public_without_terms_is_for_everybody_but_bad_tokens(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        datasets.add(change, "open", public=True)
    reply = ask(client, "dataset=open")
    assert (reply.status, [reply.headers[name] for name in IDENTITY]) == (200, [""] * 4)
    assert ask(client, "dataset=open&permission=edit").status == 401
    assert ask(client, "dataset=open", lab.cy).headers["x-auth-request-email"] == "cy@example.org"
    assert ask(client, "dataset=open", lab.gone).status == 401
    assert ask(client, "dataset=open", "x").status == 401
    lab.database.script("UPDATE datasets SET access = 'closed' WHERE name = 'open'")
    assert ask(client, "dataset=open").status == 401


def test_the_token_can_be_in_the_cookie_or_the_header_but_not_in_the_query(client: Client, lab: Lab) -> None:
    assert ask(client, "dataset=fish", cookie=lab.ada).status == 200
    assert ask(client, "dataset=fish", lab.ada).status == 200
    assert ask(client, f"dataset=fish&dsg_token={lab.ada}").status == 400
    assert ask(client, "dataset=fish", lab.ada, cookie=lab.cy).status == 403, "the cookie decides"


def test_terms_that_wait_are_named_with_the_address_to_accept_them(client: Client, lab: Lab) -> None:
    reply = ask(client, "dataset=fly", lab.bo)
    url = f"https://auth.example.org/api/v1/tos/{lab.fly_terms}/accept"
    assert reply.json()["url"] == url
    assert reply.json()["missing_tos"] == [{"tos_id": lab.fly_terms, "tos_name": "fly terms", "url": url}]
    assert reply.headers["link"] == f'<{url}>; rel="terms-of-service"'
    with lab.change() as change:
        acceptances.accept(change, lab.fly_terms, "bo@example.org")
    assert ask(client, "dataset=fly", lab.bo).status == 200


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@pytest.mark.parametrize("query", ["dataset=fish", "dataset=fish&permission=edit", "dataset=fish&version=v2", ""])
def test_every_method_gets_the_same_answer(query: str, client: Client, lab: Lab) -> None:
    """Envoy asks with the method of its client."""
    replies = {method: ask(client, query, lab.ada, method, body=b"x" * 100_000) for method in METHODS}
    first = replies["GET"]
    for method, reply in replies.items():
        headers = {name: value for name, value in reply.headers.items() if name != "x-request-id"}
        assert headers == {name: value for name, value in first.headers.items() if name != "x-request-id"}, method
        assert (reply.status, reply.body) == (first.status, b"" if method == "HEAD" else first.body), method


def test_no_header_of_a_client_changes_the_answer(client: Client, lab: Lab) -> None:
    forged = {
        "x_original_uri": "/fly",
        "x_original_url": "/fly",
        "x_original_method": "GET",
        "x_forwarded_uri": "/?dataset=fly",
        "x_forwarded_method": "OPTIONS",
        "x_forwarded_host": "evil.example",
        "x_forwarded_user": "root",
        "x_auth_request_user": "1",
        "x_auth_request_groups": "admins",
        "remote_user": "root",
        "origin": "https://evil.example",
    }
    plain, other = ask(client, "dataset=fish", lab.ada), ask(client, "dataset=fish", lab.ada, **forged)
    assert other.headers | {"x-request-id": ""} == plain.headers | {"x-request-id": ""}
    assert ask(client, "dataset=fish", lab.cy, **forged).status == 403
    assert ask(client, "dataset=fish", **forged).status == 401


ODD_NAMES = {
    "lab-1": "lab-1",
    "a,admins": "a%2Cadmins",
    "a b": "a%20b",
    "100%": "100%25",
    "für": "f%C3%BCr",
    '"x"; y': '"x";%20y',
    "~{x}|<y>@z": "~{x}|<y>@z",
}


def test_names_in_identity_headers_can_be_told_apart(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        for name in ODD_NAMES:
            groups.add(change, name)
            groups.add_member(change, name, "ada@example.org")
        users.set_attributes(change, "ada@example.org", display_name="Ada, Countess of Łódź")
    headers = ask(client, "dataset=fish", lab.ada).headers
    assert headers["x-auth-request-groups"].split(",") == [ODD_NAMES[name] for name in sorted(ODD_NAMES)]
    assert headers["x-auth-request-preferred-username"] == "Ada%2C%20Countess%20of%20%C5%81%C3%B3d%C5%BA"
    assert headers["x-auth-request-email"] == "ada@example.org"
    assert headers["x-auth-request-user"] == str(users.find(lab.database, "ada@example.org").id)
    headers = ask(client, "dataset=fish", lab.robot).headers
    robot = service_accounts.find(lab.database, "robot")
    assert [headers[name] for name in IDENTITY] == [
        str(robot.id),
        "robot@service-account.dsg.local",
        "",
        "robot",
    ]


# The decision is that of dsgctl/core/reference_decisions.py, of no other rule and at no other time.

REFERENCES = [
    *(Reference(name) for name in ("fish", "fly", "yeast", "tree", "manc", "pisces", "abcd", "nowhere")),
    *(Reference("fish", version) for version in ("v1", "v2", "v3", "alt1", "loose", "3", "99", "v9")),
    *(Reference("abcd", version) for version in ("uuid-1", "uuid-alt", "v3")),
    *(Reference("tree", version) for version in ("a", "b")),
]
PERMISSIONS = ("view", "edit", "admin", "annotate")
OWNERS = [None, *(row["key"] for table in ("APIKey", "ServiceAccountToken") for row in rows(table))]
SERVICES = (None, "nowhere", *(row["name"] for row in rows("Service")))


def questions() -> Iterator[GateQuestion]:
    for reference, permission, service in itertools.product(REFERENCES, PERMISSIONS, SERVICES):
        yield GateQuestion(service, reference.name, reference.version, permission, "https://auth.example.org")


def expected_status(database: Database, token: str | None, question: GateQuestion) -> int:
    at, principal = clock.now(), None
    with database.snapshot():
        if token is not None:
            status = token_checks.check(database, PresentedToken(token), at)
            if status.problem is not None:
                return 401
            principal = status.principal
        decision, _ = reference_decisions.decide(
            database,
            principal,
            Reference(question.dataset, question.version),
            question.permission,
            at,
            service=question.service,
        )
    return 200 if decision.verdict is Verdict.ALLOW else 403 if principal is not None else 401


def status_of(cache: ResponseCache, token: str | None, question: GateQuestion) -> int:
    response = cache.get(token, question)
    return 401 if response.content is None else response.content.status


@pytest.mark.parametrize("token", OWNERS, ids=str)
def test_a_status_is_the_decision_of_the_core(database: Database, path: Path, token: str | None) -> None:
    writer = open_current(path)
    fill(writer)
    cache = ResponseCache(database)
    statuses = {question: status_of(cache, token, question) for question in questions()}
    assert statuses == {question: expected_status(writer, token, question) for question in statuses}
    assert {question: status_of(cache, token, question) for question in statuses} == statuses, "from the cache"
    writer.close()


CHANGES = (
    "UPDATE datasets SET access = 'public' WHERE name = 'fish'",
    "UPDATE datasets SET access = 'closed' WHERE access = 'public'",
    "UPDATE versions SET public = 1 - public WHERE name = 'v1'",
    "UPDATE versions SET ordinal = ordinal + 10 WHERE name = 'v2'",
    "UPDATE versions SET branch = 'other' WHERE name = 'v3'",
    "UPDATE services SET mode = 'dag'",
    "UPDATE services SET mode = 'linear'",
    "UPDATE principals SET admin = 1 WHERE kind = 'user'",
    "UPDATE principals SET admin = 0, read_only = 1 WHERE kind = 'user'",
    "UPDATE terms SET retired = '2020-01-01T00:00:00.000000Z'",
    "DELETE FROM acceptances",
    "UPDATE terms SET retired = NULL",
    "UPDATE OR REPLACE grants SET service_id = NULL",
    "UPDATE OR REPLACE grants SET permission = 'edit' WHERE permission = 'view'",
    "DELETE FROM translations",
    "UPDATE datasets SET name = 'x' || name WHERE name = 'fly'",
    "DELETE FROM memberships",
    "DELETE FROM grants WHERE group_id IS NOT NULL",
    "UPDATE principals SET active = 0 WHERE id % 2",
    "UPDATE tokens SET revoked = '2020-01-01T00:00:00.000000Z' WHERE id % 2",
    "DELETE FROM grants",
)


def test_the_next_question_sees_a_change(database: Database, path: Path) -> None:
    writer = open_current(path)
    fill(writer)
    cache, fresh, moved = ResponseCache(database), list(questions())[::7], 0
    for statement in ("SELECT 1", *CHANGES):
        writer.script(statement)
        statuses = {(token, question): status_of(cache, token, question) for token in OWNERS for question in fresh}
        anew = ResponseCache(database)
        assert statuses == {key: status_of(anew, *key) for key in statuses}, statement
        moved += len(set(statuses.values()))
    assert moved > len(CHANGES), "every answer was the same, so that nothing was shown"
    writer.close()


def test_questions_that_a_client_can_vary_at_will_are_not_cached(gateway: Gateway, lab: Lab) -> None:
    client = Client(make_app(gateway))
    for number in range(50):
        for token in (None, lab.ada, lab.robot):
            ask(client, f"dataset=nowhere{number}", token)
            ask(client, f"dataset=fish&permission=p{number}", token)
            ask(client, f"dataset=fish&version={number}", token)
            ask(client, f"dataset=fish&service=s{number}", token)
    assert len(gateway.response_cache._responses) <= 3


def test_a_doubt_is_503(gateway: Gateway, lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    """The schema of another release."""
    client = Client(make_app(gateway))
    assert ask(client, "dataset=fish", lab.ada).status == 200
    lab.database.script("UPDATE migrations SET number = 9999 WHERE number = (SELECT max(number) FROM migrations)")
    with caplog.at_level(logging.CRITICAL):
        for method in ("GET", "POST"):
            for token in (None, lab.ada):
                assert ask(client, "dataset=fish", token, method).status == 503


def test_a_use_of_a_token_is_recorded(gateway: Gateway, lab: Lab) -> None:
    ask(Client(make_app(gateway)), "dataset=fish", lab.script)
    gateway.last_used.write()
    assert lab.scalar("SELECT count(*) FROM tokens WHERE last_used IS NOT NULL AND kind = 'api'") == 1


def test_a_key_that_a_client_was_handed_is_no_admin(client: Client, lab: Lab) -> None:
    """An admin is allowed everything; the key of an admin, what its owner was given."""
    with lab.change() as change:
        users.set_attributes(change, "cy@example.org", admin=True)
        viewer, _ = clients.add(change, "viewer", origin="https://viewer.example", owner="cy@example.org")
        key = delegated_keys.mint(change, users.find(change.database, "cy@example.org"), viewer)
    assert ask(client, "dataset=fish", lab.cy).status == 200
    assert ask(client, "dataset=fish", key).status == 403
    assert ask(client, "dataset=fish", cookie=key).status == 401, "a cookie is a login"
    with lab.change() as change:
        grants.add(change, principal_subject(users.find(change.database, "cy@example.org")), Target("fish", "view"))
    assert ask(client, "dataset=fish", key).status == 200
    assert ask(client, "dataset=fish&permission=edit", key).status == 403
