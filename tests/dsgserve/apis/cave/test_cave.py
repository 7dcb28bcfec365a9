"""What a middle_auth server answered, asked again: the same, but for what is listed here with its reason."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from dsgserve.apis.cave import ROUTES
from tests.dsgctl.importers import cave_dumps
from tests.dsgctl.importers.datasetgateway.original import as_sets
from tests.dsgserve.conftest import Client, Reply
from tests.level_table import leave_out_unrecorded

Entry = dict[str, Any]
ENTRIES: list[Entry] = json.loads((cave_dumps.DUMPS / "routes.json").read_text(encoding="utf-8"))
_PREFIX = re.compile(r"/(auth|sticky_auth)(?=/(api/v1|settings)/)")
_PATHS = re.compile("|".join(re.sub("<[^>]*>", "[^/]*", route.path) for route in ROUTES))
_TOKEN_ROUTES = re.compile(r".*/(create_token|refresh_token|user/token|settings/tokens)")


def _is_ours(entry: Entry) -> bool:
    """Whether the path is one of this API's; those that make or list tokens are in test_tokens.py."""
    path = _PREFIX.sub("", entry["path"])
    return bool(_PATHS.fullmatch(path)) and not _TOKEN_ROUTES.fullmatch(path) and "user/cache" not in path


OURS = [entry for entry in ENTRIES if _is_ours(entry)]


def ask(client: Client, entry: Entry) -> Reply:
    """Ask as nginx does: it has taken the prefix away."""
    headers = {name.replace("-", "_"): value for name, value in entry["headers"].items() if name != "Content-Type"}
    return client.request(
        entry["method"],
        unquote(_PREFIX.sub("", entry["path"]), "latin-1") + (f"?{entry['query']}" if entry["query"] else ""),
        body=(entry["body"] or "").encode(),
        content_type=entry["headers"].get("Content-Type", ""),
        address="127.0.0.1",
        x_forwarded_prefix=(_PREFIX.match(entry["path"]) or [""])[0],
        **headers,
    )


@dataclass(frozen=True)
class Difference:
    """What we do otherwise, and where.

    Attributes:
        applies: whether it concerns an answer of the original.
        status: ours; None if it is the same.
        body: makes the JSON that we answer of the original entry; None for any.
    """

    reason: str
    applies: Callable[[Entry], bool]
    status: int | None = None
    body: Callable[[Entry], Any] | None = None


def _route(entry: Entry) -> str:
    return _PREFIX.sub("", entry["path"]).rpartition("/")[2]


MAPPED = {row["table_name"] for row in cave_dumps.rows("service_table")}


def _table(entry: Entry) -> str:
    """The table in a path without a service."""
    match = re.search("/api/v1/table/([^/]*)/", entry["path"])
    return unquote(match[1]) if match else ""


def _is_people_list(entry: Entry) -> bool:
    return entry["path"].endswith("/api/v1/user")


def _person(user: Any) -> Any:
    """An account as we know it: no dates of affiliations, no consent, and names in one line and never empty."""
    user = {**user, "affiliations": [[{"name": name} for name in _institutes(user)]]}
    if "gdpr_consent" in user:
        user["gdpr_consent"] = False
    if "email" in user:
        user["email"] = _email_here(user["email"])
    if user.get("parent"):
        user["parent"] = _person(user["parent"])
    return _named(user)


def _institutes(user: Any) -> list[str]:
    return sorted({row["name"] for row in user["affiliations"][0]})


def _named(row: Any) -> Any:
    owner = cave_dumps.by_id("user")[str(row["id"])]
    return {**row, "name": " ".join(row["name"].split()) or owner["email"].partition("@")[0]}


def _people(entry: Entry) -> Any:
    return [_person(user) for user in entry["body_json"]]


def _people_of_address(entry: Entry) -> Any:
    """Those whose whole address it is."""
    users = cave_dumps.by_id("user")
    return [
        user
        for user in _people(entry)
        if _email_here(users[str(user["id"])]["email"]).lower() == _value(entry, "email").lower()
    ]


def _email_here(email: str) -> str:
    """One of two addresses that differ in case is another one here (cave_dumps.py)."""
    return email.replace("case.twin", "other.twin")


def _permissions(entry: Entry) -> Any:
    """As user/cache differs (tests/dsgctl/importers/middle_auth)."""
    answer = entry["body_json"]
    expected = {**answer, "affiliations": _institutes(answer), **cave_dumps.expected_here(str(answer["id"]))}
    return _named({**expected, "email": _email_here(answer["email"]), "picture_url": ""})


def _has_token(entry: Entry) -> bool:
    return entry["token_kind"] not in ("none", "bad", "bad_upper")


def _value(entry: Entry, name: str) -> str:
    match = re.search(rf"(?:^|&){name}=([^&]*)", entry["query"])
    return unquote(match[1]) if match else ""


_NOT_ASCII = re.compile(r"\d*[^\x00-\x7f]\d*|1_0")
_BODIES_400 = {"[1.0]", "[1.5]", "[null]", "[true]", "[false]", "[[720575947201242323]]", "[{}]", '["abc"]', "[1e3]"}
_BODIES_400 |= {"[9007199254740993.0]"}

# In this order: the first that applies counts.
DIFFERENCES = (
    Difference("no CORS: it reflects every origin, with credentials", lambda e: e["method"] == "OPTIONS", 405),
    Difference("a name with a null has no place in its database", lambda e: "%00" in e["path"], None),
    Difference(
        "the token is taken as contract.md says: cookie, then header, then query, which need no redirect",
        lambda e: "middle_auth_token" in e["query"] or ("Cookie" in e["headers"] and "Authorization" in e["headers"]),
    ),
    Difference(
        "the scheme in any case, and one token after it",
        lambda e: "note" in e and "Authorization written as in headers" in e["note"],
    ),
    Difference("401 is contract.md's", lambda e: e["status"] in (400, 401) and not _has_token(e), 401),
    Difference("only a navigation is redirected", lambda e: e["status"] == 302, 401),
    Difference("a GET replaces no token, so the old one still works", lambda e: e["token_kind"] == "single", 200),
    Difference("digits are 0 to 9", lambda e: "/user/%D9%A1/" in e["path"], 404),
    Difference(
        "digits are 0 to 9, and what is no number is 400, not 500",
        lambda e: _route(e) == "username" and (e["status"] == 500 or bool(_NOT_ASCII.fullmatch(_value(e, "id")))),
        400,
    ),
    Difference("routes that no client calls", lambda e: _route(e) in ("me", "missing"), 404),
    Difference(
        "leads and admins of datasets see their own people",
        lambda e: e["token_kind"] in ("group_admin", "dataset_admin") and _route(e) in ("user", "permissions"),
    ),
    Difference(
        "digits are 0 to 9, and an address is compared whole: no text fails",
        lambda e: _is_people_list(e) and (e["status"] == 500 or bool(_NOT_ASCII.search(_value(e, "id")))),
        200,
        lambda _: [],
    ),
    Difference(
        "a page of everybody, which no client reads, and other searches",
        lambda e: _is_people_list(e) and not _value(e, "id") and not _value(e, "email") and e["status"] != 403,
        200,
        lambda _: [],
    ),
    Difference(
        "an address is compared whole",
        lambda e: _is_people_list(e) and e["status"] == 200 and not _value(e, "id"),
        200,
        _people_of_address,
    ),
    Difference("an account has what we know of it", lambda e: _is_people_list(e) and e["status"] == 200, 200, _people),
    Difference(
        "the same",
        lambda e: bool(re.search(r"/user/[0-9]+$", e["path"])) and e["status"] == 200,
        200,
        lambda e: _person(e["body_json"]),
    ),
    Difference("as user/cache", lambda e: _route(e) == "permissions" and e["status"] == 200, 200, _permissions),
    Difference(
        "names are one line, and not empty",
        lambda e: _route(e) == "username" and e["status"] == 200,
        200,
        lambda e: [_named(row) for row in e["body_json"]],
    ),
    Difference(
        "stored names are one line",
        lambda e: "/group/" in e["path"] and e["status"] == 200,
        200,
        lambda e: [{**row, "name": " ".join(row["name"].split())} for row in e["body_json"]],
    ),
    Difference(
        "roots of a table that no service has are not imported",
        lambda e: _table(e) not in MAPPED and e.get("body_json") is True,
        200,
        lambda _: False,
    ),
    Difference("a repeated root is the same root", lambda e: e["body"] == REPEATED, 200, lambda _: True),
    Difference("an id is a whole number", lambda e: e["body"] in _BODIES_400, 400),
)
REPEATED = "[720575947201242323, 720575947201242323]"


def find_difference(entry: Entry) -> Difference | None:
    return next((difference for difference in DIFFERENCES if difference.applies(entry)), None)


def test_every_recorded_answer_is_the_same_but_for_the_listed_differences(cave: Client) -> None:
    for entry in OURS:
        reply, difference = ask(cave, entry), find_difference(entry)
        where = (entry["method"], entry["path"], entry["query"], entry["body"], entry["headers"], reply.text)
        assert reply.status < 500, where
        if difference is None:
            assert reply.status == entry["status"], where
            if "body_json" in entry and entry["method"] != "HEAD":
                assert as_sets(reply.json()) == as_sets(entry["body_json"]), where
            continue
        if difference.status is not None:
            assert reply.status == difference.status, (difference.reason, *where)
        if difference.body is not None and entry["method"] != "HEAD":
            answer = reply.json()
            if isinstance(answer, dict) and "permissions_v2" in answer:
                answer = leave_out_unrecorded(answer)
            assert as_sets(answer) == as_sets(difference.body(entry)), (difference.reason, *where)


def test_each_difference_is_one_and_most_answers_are_the_same() -> None:
    counts = Counter(difference.reason if (difference := find_difference(entry)) else "" for entry in OURS)
    assert set(counts) - {""} == {difference.reason for difference in DIFFERENCES}
    assert counts[""] > 200
