"""The recorded answers of a DatasetGateway, replayed: status and JSON are equal, but for a table of exceptions."""

import json
import re
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import dsgserve
from dsgserve.apis.native import ROUTES
from dsgserve.http.route import Route
from tests.dsgctl.core.rules.test_reference_access import is_well_formed
from tests.dsgserve.apis.native.conftest import ORIGIN
from tests.dsgserve.conftest import Client, Reply
from tests.level_table import leave_out_unrecorded_roles
from tests.native_answers import (
    AUTHORIZE,
    SERVICE_ACCOUNT_IDS,
    Recording,
    build_principal,
    names,
    recordings,
    rows,
)

_PATHS = ("/api/dsg/v1/", "/api/v1/groups/", "/api/v1/create_token", "/api/v1/long_lived_token")
NATIVE = [recording for recording in recordings() if recording.path.startswith(_PATHS)]

# Why an answer of ours differs, and how often it does.
EXCEPTIONS = {
    "an error has the shape of contract.md": 72,
    "service accounts and users share an id space": 1,
    "service accounts view what is public": 19,
    "an ordinal is the version that has it, with its terms": 44,
    "terms are accepted at /activate": 169,
    "only members, admins and service accounts see who is in a group": 6,
    "a body that is no object is 400": 4,
    "a superscript is no digit": 1,
    "a name twice in one object means two things": 1,
    "the scheme Bearer has no case": 1,
    "a byte order mark is not JSON's, and harmless": 1,
    "a method is refused before a token is read": 2,
    "a token is made for each request": 4,
}


def send(client: Client, recording: Recording) -> Reply:
    headers = {name.lower(): value for name, value in recording.headers.items()}
    content_type = headers.pop("content-type", "")
    if "cookie" in headers:
        headers["cookie"] = headers["cookie"].removeprefix("dsg_token=")
    query = f"?{recording.query}" if recording.query else ""
    return client.request(
        recording.method,
        unquote(recording.path, "latin-1") + query,
        body=(recording.body or "").encode(),
        content_type=content_type,
        **headers,
    )


def as_set(value: Any) -> Any:
    """A list of JSON values without its order."""
    return sorted(value, key=json.dumps) if isinstance(value, list) else value


def is_member(recording: Recording) -> bool:
    """Whether the caller may see the members of the group of the path."""
    owner = build_principal(recording.token or "")
    name = unquote(recording.path).split("/")[-2]
    groups = {row["group_id"] for row in rows("UserGroup") if row["user_id"] == owner.id}
    return owner.admin or owner.service_account or name in {names("Group")[number] for number in groups}


def explain_status(recording: Recording, reply: Reply) -> str:
    """Why the status differs."""
    if recording.path.endswith("/members") and (recording.status, reply.status) == (200, 404):
        assert not is_member(recording)
        return "only members, admins and service accounts see who is in a group"
    if recording.path == AUTHORIZE and recording.status == 500:
        if "²" in (recording.body or ""):
            assert (reply.status, reply.json()["entries"][0]["decision"]) == (200, "deny")
            return "a superscript is no digit"
        assert reply.status == 400
        return "a body that is no object is 400"
    if (recording.body or "").count('"name"') > 1 and len(json.loads(recording.body or "")["entries"]) == 1:
        assert reply.status == 400
        return "a name twice in one object means two things"
    if (recording.body or "").startswith("\ufeff"):
        assert (reply.status, reply.json()) == (200, {"entries": []})
        return "a byte order mark is not JSON's, and harmless"
    if recording.headers.get("Authorization", "").startswith("bearer "):
        assert (reply.status, reply.json()["email"]) == (200, "ada@example.org")
        return "the scheme Bearer has no case"
    assert (recording.method, recording.path, reply.status) == ("GET", "/api/v1/create_token", 405), recording
    return "a method is refused before a token is read"


def compare_entries(recording: Recording, reply: Reply) -> list[str]:
    """Why the entries of authorize differ."""
    reasons = []
    entries = json.loads(recording.body or "")["entries"]
    assert len(reply.json()["entries"]) == len(entries)
    for place, (row, answer) in enumerate(zip(recording.json["entries"], reply.json()["entries"], strict=True)):
        recorded, ours = dict(row), leave_out_unrecorded_roles(answer)
        url, recorded_url = ours.pop("tos_url", None), recorded.pop("tos_url", None)
        if url is not None:
            assert url.startswith(f"{ORIGIN}/activate?dataset=")
            reasons += ["terms are accepted at /activate"] if recorded_url else []
        if ours != recorded:
            assert is_well_formed(entries[place])
            echo = {key: value for key, value in recorded.items() if key not in ("roles", "decision")}
            if place in recording.superseded:
                reasons.append("service accounts view what is public")
                assert ours == {**echo, "roles": ["view"], "decision": "allow"}
            else:
                reasons.append("an ordinal is the version that has it, with its terms")
                assert entries[place]["version"].isdecimal()
                assert ours == {**recorded, "decision": "tos_required"}
                assert url is not None
        else:
            assert (url is None) == (recorded_url is None)
    return reasons


def compare(recording: Recording, reply: Reply) -> list[str]:
    """Why an answer differs from the recorded one; empty if it does not."""
    if reply.status != recording.status:
        return [explain_status(recording, reply)]
    if recording.status >= 400:
        assert set(reply.json()) == {"error", "message"}
        assert (reply.headers.get("www-authenticate", "").startswith("Bearer")) == (recording.status == 401)
        return ["an error has the shape of contract.md"]
    if recording.method == "HEAD":
        assert reply.body == b""
        return []
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    if recording.path == AUTHORIZE:
        return compare_entries(recording, reply)
    if "token" in recording.path:
        assert type(reply.json()) is type(recording.json)
        return ["a token is made for each request"]
    ours, recorded = reply.json(), recording.json
    if isinstance(recorded, dict) and recorded["service_account"]:
        assert {**ours, "id": ours["id"] - SERVICE_ACCOUNT_IDS} == recorded
        return ["service accounts and users share an id space"]
    if recording.path.endswith("/members"):
        ours, recorded = as_set(ours), as_set(recorded)
    elif isinstance(recorded, dict):
        ours, recorded = ({**it, "groups": as_set(it["groups"])} for it in (ours, recorded))
    assert ours == recorded  # lists of datasets and versions in their order
    return []


def test_the_recorded_answers_are_ours_but_for_the_named_exceptions(client: Client) -> None:
    reasons: Counter[str] = Counter()
    for recording in NATIVE:
        try:
            reasons.update(compare(recording, send(client, recording)))
        except AssertionError as error:
            raise AssertionError(str(recording)) from error
    assert reasons == EXCEPTIONS
    assert len(NATIVE) > 300


CONTRACT = Path(dsgserve.__file__).parent / "contract-services.md"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_contract_has_each_route(route: Route) -> None:
    (endpoint,) = route.endpoints
    path = re.sub("<[a-z]+>", "NAME", route.path)
    assert f"`{endpoint.method} {path}`" in CONTRACT.read_text(encoding="utf-8")


SENT = [(b"", ""), (b"{", "application/json"), (b'{"entries": []}', "application/json")]
CALLERS = [
    {},
    {"cookie": "tok-ada"},
    *({"authorization": f"Bearer {token}"} for token in ("x", "tok-ada", "tok-pipe-bot")),
]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_no_answer_is_stored_whatever_was_sent(client: Client, route: Route) -> None:
    path = re.sub("<[a-z]+>", "lab", route.path)
    for headers, (body, content_type), method in product(CALLERS, SENT, ("GET", "POST")):
        reply = client.request(method, path, body=body, content_type=content_type, **headers)
        assert reply.headers["cache-control"] == "no-store", (method, headers, body, reply.status)
