"""POST /api/dsg/v1/authorize: whatever is sent, and where terms are accepted."""

import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from dsgctl.core.clock import now
from dsgctl.store import Database
from dsgctl.store.models import Grant, Withdrawal
from dsgserve.apis.native.authorize import MAX_BODY, MAX_ENTRIES
from tests.dsgserve.apis.native.conftest import ORIGIN, Ask
from tests.dsgserve.conftest import PAGE, Client
from tests.level_table import included_in_order

EDIT = list(included_in_order("edit"))

FISH = {"name": "fish"}
BACK = "https://neuprint.example.org/?dataset=x&a=1"


def nest(depth: int) -> bytes:
    return b'{"entries": ' + b"[" * depth + b"]" * depth + b"}"


# A body, and the status.
BODIES: dict[str, tuple[Any, int]] = {
    "nothing": (b"", 400),
    "no JSON": (b"{", 400),
    "a list": ([], 400),
    "null": (b"null", 400),
    "a number": (5, 400),
    "text": ("x", 400),
    "no entries": ({}, 400),
    "entries that are text": ({"entries": "fish"}, 400),
    "entries that are an object": ({"entries": FISH}, 400),
    "entries twice": (b'{"entries": [], "entries": []}', 400),
    "not UTF-8": (b'{"entries": [{"name": "\xff"}]}', 400),
    "half a character": (b'{"entries": [{"name": "\\ud800"}]}', 400),
    "a number beyond 64 bits": (b'{"entries": [{"name": "fish", "version": 9223372036854775808}]}', 400),
    "NaN": (b'{"entries": [NaN]}', 400),
    "nested a little": (nest(100), 200),
    "nested too deep": (nest(100_000), 400),
    "as many entries as there may be": ({"entries": [FISH] * MAX_ENTRIES}, 200),
    "one more": ({"entries": [FISH] * (MAX_ENTRIES + 1)}, 400),
    "one byte too long": (b'{"entries": []}'.ljust(MAX_BODY + 1), 400),
    "as long as it may be": (b'{"entries": []}'.ljust(MAX_BODY), 200),
    "10 MB": (b'{"entries": []}'.ljust(10_000_000), 400),
    "no entry": ({"entries": []}, 200),
    "a service that is no text": ({"entries": [FISH], "service": {}}, 200),
    "a service beyond any name": ({"entries": [FISH], "service": "x" * 100_000}, 200),
    "an address that is no text": ({"entries": [FISH], "return_url": [1]}, 200),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("token", [None, "tok-ada"])
def test_any_body_has_its_status(ask: Ask, name: str, token: str | None) -> None:
    body, status = BODIES[name]
    reply = ask(token, body)
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    if status == 400:
        assert set(reply.json()) == {"error", "message"}


CONTENT_TYPES = {
    "application/json": 200,
    "application/json; charset=utf-8": 200,
    "APPLICATION/JSON": 200,
    "": 415,
    "text/plain": 415,
    "application/x-www-form-urlencoded": 415,
    "application/json-patch": 415,
}


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_a_body_is_sent_as_json(ask: Ask, content_type: str) -> None:
    assert ask("tok-ada", {"entries": [FISH]}, content_type=content_type).status == CONTENT_TYPES[content_type]


# An entry, and what is decided for ada, who may edit fish.
DENY, ALLOW = "deny", "allow"
ENTRIES: dict[str, tuple[Any, str]] = {
    "null": (None, DENY),
    "a number": (1, DENY),
    "text": ("fish", DENY),
    "a list": ([FISH], DENY),
    "an empty object": ({}, DENY),
    "no name": ({"version": "v1"}, DENY),
    "a name that is null": ({"name": None}, DENY),
    "a name that is nested": ({"name": {"name": "fish"}}, DENY),
    "an empty name": ({"name": ""}, DENY),
    "a name with a slash": ({"name": "fish/"}, DENY),
    "a name with an encoded slash": ({"name": "fish%2F"}, DENY),
    "a name with quotes": ({"name": "fish' OR '1'='1"}, DENY),
    "a name with a zero character": ({"name": "fish\x00"}, DENY),
    "a name with white space": ({"name": " fish"}, DENY),
    "a name of another script": ({"name": "魚"}, DENY),
    "a name in another case": ({"name": "FISH"}, DENY),
    "a name of 10,000 letters": ({"name": "f" * 10_000}, DENY),
    "a name like a pattern": ({"name": "fis_"}, DENY),
    "a version that is null": ({"name": "fish", "version": None}, ALLOW),
    "a version that is a number": ({"name": "fish", "version": 1}, DENY),
    "an empty version": ({"name": "fish", "version": ""}, DENY),
    "a superscript": ({"name": "fish", "version": "²"}, DENY),
    "digits of another script": ({"name": "fish", "version": "٢"}, ALLOW),
    "an ordinal beyond 2^63": ({"name": "fish", "version": str(2**63)}, ALLOW),
    "an ordinal of thousands of digits": ({"name": "fish", "version": "1" * 5000}, DENY),
    "a negative ordinal": ({"name": "fish", "version": "-1"}, DENY),
    "a branch that is null": ({"name": "fish", "branch": None}, ALLOW),
    "a branch that is a number": ({"name": "fish", "branch": 1}, DENY),
    "an empty branch": ({"name": "fish", "version": "1", "branch": ""}, ALLOW),
    "a permission that is null": ({"name": "fish", "permission": None}, DENY),
    "an empty permission": ({"name": "fish", "permission": ""}, DENY),
    "a permission in another case": ({"name": "fish", "permission": "View"}, DENY),
    "a permission that she lacks": ({"name": "fish", "permission": "admin"}, DENY),
    "more keys": ({"name": "fish", "roles": ["admin"], "decision": "allow", "tos_url": "x"}, ALLOW),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_any_entry_is_decided(ask: Ask, name: str) -> None:
    entry, decision = ENTRIES[name]
    reply = ask("tok-ada", {"entries": [FISH, entry, FISH]})
    fish = {"name": "fish", "roles": EDIT, "decision": "allow"}
    roles = EDIT if decision == ALLOW else []
    echo = {key: entry[key] for key in ("name", "version", "branch") if key in entry} if isinstance(entry, dict) else {}
    assert reply.json()["entries"] == [fish, {**echo, "roles": roles, "decision": decision}, fish]


def test_what_is_sent_ten_thousand_times_is_not_answered(ask: Ask) -> None:
    assert ask("tok-ada", {"entries": [{}] * 10_000}).status == 400


def test_the_same_reference_is_answered_at_each_place(ask: Ask) -> None:
    rows = ask("tok-ada", {"entries": [FISH] * MAX_ENTRIES}).json()["entries"]
    assert len(rows) == MAX_ENTRIES
    assert len({json.dumps(row) for row in rows}) == 1


# Tokens: nobody who tries to identify themselves and fails counts as nobody.
ATTEMPTS: dict[str, tuple[dict[str, Any], int, str]] = {
    "no token": ({}, 200, ""),
    "an empty header": ({"authorization": ""}, 200, ""),
    "an unknown token": ({"authorization": "Bearer nonsense"}, 401, "invalid_token"),
    "an unknown cookie": ({"cookie": "nonsense"}, 401, "invalid_token"),
    "an expired token": ({"authorization": "Bearer tok-expired"}, 401, "expired_token"),
    "a disabled account": ({"authorization": "Bearer tok-off"}, 401, "account_disabled"),
    "a disabled service account": ({"authorization": "Bearer tok-dead-bot"}, 401, "account_disabled"),
    "another scheme": ({"authorization": "Token tok-ada"}, 401, "invalid_token"),
    "a password": ({"authorization": "Basic dTpw"}, 401, "invalid_token"),
    "no token in the header": ({"authorization": "Bearer"}, 401, "invalid_token"),
    "the scheme in another case": ({"authorization": "bearer tok-ada"}, 200, ""),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_a_token_that_is_not_valid_never_counts_as_none(ask: Ask, name: str) -> None:
    headers, status, error = ATTEMPTS[name]
    reply = ask(None, {"entries": [{"name": "worm"}]}, **headers)
    assert reply.status == status
    if error:
        assert reply.json()["error"] == error
        assert reply.headers["www-authenticate"].startswith("Bearer")
    else:
        row = {"name": "worm", "roles": ["view"], "decision": "allow"}
        assert reply.json() == {"entries": [row]}


def test_a_token_in_the_query_counts(ask: Ask, client: Any) -> None:
    body = json.dumps({"entries": [FISH]}).encode()
    reply = client.post("/api/dsg/v1/authorize?dsg_token=tok-ada", body=body, content_type="application/json")
    assert reply.json()["entries"][0]["decision"] == "allow"


# Where terms are accepted.


def url_of(ask: Ask, entry: dict[str, Any], **body: Any) -> dict[str, list[str]]:
    """The parameters of the address."""
    row = ask("tok-ada", {"entries": [entry], **body}).json()["entries"][0]
    assert row["decision"] == "tos_required"
    url = urlsplit(row["tos_url"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{ORIGIN}/activate"
    return parse_qs(url.query)


def test_the_address_leads_back_to_the_service(ask: Ask) -> None:
    parameters = url_of(ask, {"name": "pisces"}, service="neuprint", return_url=BACK)
    assert parameters == {"dataset": ["fish"], "service": ["neuprint"], "redirect": [BACK]}


def test_terms_of_a_version_name_it(ask: Ask) -> None:
    assert url_of(ask, {"name": "fish", "version": "3"}) == {"dataset": ["fish:v3"]}


@pytest.mark.parametrize(
    "address",
    [
        "",
        None,
        5,
        ["a"],
        "javascript:alert(1)",
        "https://evil.example/",
        "//evil.example",
        "https://u:p@x.example.org/",
    ],
)
def test_an_address_that_is_not_allowed_is_left_out(ask: Ask, address: object) -> None:
    assert url_of(ask, {"name": "moss"}, return_url=address) == {"dataset": ["moss"]}


@pytest.mark.parametrize("service", ["nowhere", "", 5, "x" * 5000, "neuprint "])
def test_a_service_that_does_not_exist_is_left_out(ask: Ask, service: object) -> None:
    assert url_of(ask, {"name": "moss"}, service=service) == {"dataset": ["moss"]}


def test_the_next_request_sees_every_change(ask: Ask, database: Database) -> None:
    def decision() -> str:
        row = ask("tok-ada", {"entries": [FISH]}).json()["entries"][0]
        return str(row["decision"])

    assert decision() == "allow"
    database.run(Grant.delete().where(Grant.principal == 2))
    assert decision() == "deny"


def test_a_withdrawn_view_does_not_send_people_round_in_circles(ask: Ask, client: Client, database: Database) -> None:
    database.run(Withdrawal.insert(principal=5, dataset=5, withdrawn=now(), withdrawn_by="os:test"))
    body = {"entries": [{"name": "moss"}], "return_url": BACK}
    address = ask("tok-dee", body).json()["entries"][0]["tos_url"].removeprefix(ORIGIN)
    form = client.get(address, cookie="tok-dee", accept=PAGE).forms()[0]
    assert client.post(form.action, form=form.fields, cookie="tok-dee").status == 303
    assert client.get(address, cookie="tok-dee", accept=PAGE).headers["location"] == BACK
    assert ask("tok-dee", body).json()["entries"][0]["decision"] == "allow"


def test_terms_of_what_somebody_does_not_see_are_not_shown(client: Client) -> None:
    for name in ("tree", "tree:b", "fish:v3", "nowhere", "nowhere:v1", ":" * 1000):
        query = urlencode({"dataset": name, "service": "neuprint"})
        page = client.get(f"/activate?{query}", cookie="tok-dee", accept=PAGE)
        assert (page.status, "All done" in page.text) == (200, True), name
