"""Look-ups of tables and public roots: bad input, changes at once, and the work of one request."""

import json
from collections.abc import Iterator

import pytest

from dsgctl.core import service_tables, token_queries, tokens
from dsgctl.core.change import Change
from dsgctl.store import Database
from dsgserve.apis.cave.tables import MAX_ROOTS_BODY
from dsgserve.gateway import Gateway
from tests.dsgserve.conftest import PAGE, Client, Lab, Reply
from tests.dsgserve.routes import NAMES
from tests.dsgserve.wire import HEAD, Wire, listening

SERVICE, TABLE, ROOT = NAMES["service"], NAMES["table"], int(NAMES["root"])
HUGE = 2**63


@pytest.fixture
def ask(client: Client, lab: Lab) -> "Ask":
    return Ask(client, lab)


class Ask:
    def __init__(self, client: Client, lab: Lab) -> None:
        self.client, self.bearer = client, f"Bearer {lab.robot}"

    def get(self, path: str) -> Reply:
        return self.client.get(path, authorization=self.bearer)

    def all_public(self, body: bytes, table: str = TABLE, kind: str = "application/json") -> Reply:
        return self.client.post(
            f"/api/v1/table/{table}/root_all_public", body=body, content_type=kind, authorization=self.bearer
        )


# Path -> status, and the answer.
LOOK_UPS: list[tuple[str, int, object]] = [
    (f"/api/v1/service/{SERVICE}/table/{TABLE}/dataset", 200, "fish"),
    (f"/api/v1/service/{SERVICE}/table/{TABLE.upper()}/dataset", 404, None),
    (f"/api/v1/service/{SERVICE.title()}/table/{TABLE}/dataset", 404, None),
    (f"/api/v1/service/{TABLE}/table/{SERVICE}/dataset", 404, None),
    (f"/api/v1/service/{SERVICE}/table/{TABLE} /dataset", 404, None),
    (f"/api/v1/service/{SERVICE}/table/'/dataset", 404, None),
    (f"/api/v1/service/{SERVICE}/table/\0/dataset", 404, None),
    (f"/api/v1/service/{SERVICE}/table//dataset", 404, None),
    (f"/api/v1/service/{SERVICE}/table/{TABLE}/dataset/", 404, None),
    (f"/api/v1/table/{TABLE}/has_public", 200, True),
    ("/api/v1/table/nowhere/has_public", 200, False),
    ("/api/v1/table/%/has_public", 200, False),
    (f"/api/v1/table/{TABLE}/root/{ROOT}/is_public", 200, True),
    (f"/api/v1/table/{TABLE}/root/00{ROOT}/is_public", 200, True),
    (f"/api/v1/table/nowhere/root/{ROOT}/is_public", 200, False),
    (f"/api/v1/table/{TABLE}/root/0/is_public", 200, False),
    (f"/api/v1/table/{TABLE}/root/{HUGE}/is_public", 200, False),
    (f"/api/v1/table/{TABLE}/root/{'9' * 400}/is_public", 200, False),
    (f"/api/v1/table/{TABLE}/root/-1/is_public", 404, None),
    (f"/api/v1/table/{TABLE}/root/\xb2/is_public", 404, None),
    (f"/api/v1/table/{TABLE}/root/1.0/is_public", 404, None),
    (f"/api/v1/table/{TABLE}/root/None/is_public", 404, None),
]


@pytest.mark.parametrize(("target", "status", "answer"), LOOK_UPS, ids=range(len(LOOK_UPS)))
def test_a_look_up(target: str, status: int, answer: object, ask: Ask) -> None:
    reply = ask.get(target)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    if answer is not None:
        assert reply.json() == answer


# Body -> status, and the answer.
BODIES: list[tuple[object, int, object]] = [
    ([ROOT], 200, True),
    ([str(ROOT)], 200, True),
    ([f"0{ROOT}"], 200, True),
    ([ROOT, ROOT, str(ROOT)], 200, True),
    ([ROOT, 1], 200, False),
    ([-1], 200, False),
    ([HUGE], 200, False),
    ([str(HUGE)], 200, False),
    ([10**40], 200, False),
    ([str(10**400)], 200, False),
    ([ROOT, *range(9_999)], 200, False),
    ([ROOT] * 9_999, 200, True),
    ([], 400, {"error": "missing_root_ids"}),
    ({}, 400, {"error": "missing_root_ids"}),
    (None, 400, {"error": "missing_root_ids"}),
    (str(ROOT), 400, {"error": "missing_root_ids"}),
    ({"root_ids": [ROOT]}, 400, {"error": "missing_root_ids"}),
    ([float(ROOT)], 400, None),
    ([1.5], 400, None),
    ([True], 400, None),
    ([None], 400, None),
    ([[ROOT]], 400, None),
    ([{}], 400, None),
    (["abc"], 400, None),
    (["\u00b2"], 400, None),
    ([""], 400, None),
    ([ROOT, "x"], 400, None),
]


@pytest.mark.parametrize(("body", "status", "answer"), BODIES, ids=range(len(BODIES)))
def test_root_all_public_is_one_boolean(body: object, status: int, answer: object, ask: Ask) -> None:
    reply = ask.all_public(json.dumps(body).encode())
    assert reply.status == status
    if answer is not None:
        assert reply.json() == answer


@pytest.mark.parametrize("body", [b"", b"[", b"[1,]", b"\xff", b"[" * 5000, b"[NaN]", b"[1" + b"0" * 2000 + b"]"])
def test_a_body_that_is_no_json_is_refused(body: bytes, ask: Ask) -> None:
    assert ask.all_public(body).status == 400


def test_other_content_types_and_longer_bodies_are_refused(ask: Ask) -> None:
    body = json.dumps([ROOT]).encode()
    assert ask.all_public(body, kind="text/plain").status == 415
    assert ask.all_public(body, kind="application/json; charset=utf-8").json() is True
    padded = b" " * (MAX_ROOTS_BODY - len(body)) + body
    assert ask.all_public(padded).json() is True
    assert ask.all_public(b" " + padded).status == 400


def test_twelve_thousand_roots_fit_on_the_wire_and_ten_megabytes_do_not(gateway: Gateway, lab: Lab) -> None:
    roots = json.dumps([ROOT] * 12_000).encode()
    with listening(gateway) as wire:
        for body, status in ((roots, 200), (b"[" + b"1," * 5_000_000 + b"1]", 413)):
            assert _post(wire, lab, body) == status


def _post(wire: Wire, lab: Lab, body: bytes) -> int:
    head = f"Authorization: Bearer {lab.robot}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    sent = f"POST /api/v1/table/{TABLE}/root_all_public".encode() + HEAD + head.encode() + b"\r\n" + body
    return wire.ask(sent)[0]


def test_the_next_request_sees_a_change_of_tables_and_roots(ask: Ask, lab: Lab) -> None:
    dataset, has = f"/api/v1/service/{SERVICE}/table/new/dataset", "/api/v1/table/new/has_public"
    assert (ask.get(dataset).status, ask.get(has).json()) == (404, False)
    change: Change
    with lab.change() as change:
        service_tables.add_table(change, SERVICE, "new", "fly")
        service_tables.add_root(change, SERVICE, "new", 7)
    assert (ask.get(dataset).json(), ask.get(has).json()) == ("fly", True)
    assert ask.get("/api/v1/table/new/root/7/is_public").json() is True
    with lab.change() as change:
        service_tables.remove_root(change, SERVICE, "new", 7)
    assert ask.get(has).json() is False
    with lab.change() as change:
        service_tables.remove_table(change, SERVICE, "new")
    assert ask.get(dataset).status == 404


def test_a_revoked_token_is_refused_by_the_next_look_up(ask: Ask, lab: Lab) -> None:
    assert ask.get(LOOK_UPS[0][0]).status == 200
    with lab.change() as change:
        (row,) = (
            row for row in token_queries.list_tokens(lab.database, at=change.at) if row["service_account"] == "robot"
        )
        tokens.revoke(change, row["id"])
    assert ask.get(LOOK_UPS[0][0]).status == 401


def test_only_a_navigation_without_a_token_is_sent_to_the_sign_in(client: Client, lab: Lab) -> None:
    for path, *_ in (LOOK_UPS[0], LOOK_UPS[9], LOOK_UPS[12]):
        reply = client.get(path, accept=PAGE)
        assert reply.status == 302 and reply.headers["location"].startswith("/auth/login?next=%2Fapi%2Fv1%2F")
        assert client.get(path, accept=PAGE, cookie=lab.ada).status == 200
        for headers in ({}, {"x_requested_with": "x"}, {"origin": "https://x.example"}, {"authorization": "Bearer x"}):
            assert client.get(path, accept=PAGE if headers else "*/*", **headers).status == 401


def test_a_link_to_the_sign_in_keeps_the_prefix_that_nginx_took_away(client: Client) -> None:
    for prefix, expected in (("/sticky_auth", "/sticky_auth"), ("/auth", "/auth"), ("//evil.example", ""), ("", "")):
        reply = client.get(LOOK_UPS[0][0], accept=PAGE, address="127.0.0.1", x_forwarded_prefix=prefix)
        next_ = f"{expected}{LOOK_UPS[0][0]}".replace("/", "%2F")
        assert reply.headers["location"] == f"/auth/login?next={next_}"
    reply = client.get(LOOK_UPS[0][0], accept=PAGE, address="192.0.2.7", x_forwarded_prefix="/auth")
    assert "auth%2Fapi" not in reply.headers["location"], "only a proxy on this host is believed"


# Work


@pytest.fixture
def large(database: Database, lab: Lab) -> Iterator[Database]:
    """Many tables of one name, and of others, and many roots."""
    with lab.change() as change:
        for number in range(2000):
            service_tables.add_table(change, SERVICE, f"t{number}", "fish")
        service_tables.add_roots(change, SERVICE, "t7", range(5000))
    yield database


def test_no_look_up_reads_a_list(large: Database, ask: Ask) -> None:
    for sql in (
        "SELECT 1 FROM service_tables WHERE name = 'x'",
        "SELECT 1 FROM service_tables WHERE service = 'x' AND name = 'x'",
        "SELECT 1 FROM public_roots p JOIN service_tables t ON t.id = p.service_table_id WHERE t.name = 'x' LIMIT 1",
        "SELECT 1 FROM public_roots p JOIN service_tables t ON t.id = p.service_table_id "
        "WHERE t.name = 'x' AND p.root_id = 1 LIMIT 1",
    ):
        plan = " ".join(str(row[-1]) for row in large.read(f"EXPLAIN QUERY PLAN {sql}"))
        assert "SCAN" not in plan, plan
    assert ask.get("/api/v1/table/t7/root/4999/is_public").json() is True
    assert ask.all_public(json.dumps(list(range(5000))).encode(), "t7").json() is True
    assert ask.all_public(json.dumps(list(range(5001))).encode(), "t7").json() is False
