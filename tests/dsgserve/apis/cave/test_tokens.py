"""The page and the routes with which people make tokens: no GET makes one, and each is shown once."""

import json
import re
from typing import Any

import pytest

from dsgserve.apis.cave.tokens import PAGE
from dsgserve.apis.own_tokens import DESCRIPTION, MAX_DESCRIPTION
from tests.dsgserve.clients.windows import register, take_key
from tests.dsgserve.conftest import PAGE as ACCEPT
from tests.dsgserve.conftest import Client, Lab, Reply

SPELLINGS = (PAGE, "/api/v1/create_token", "/api/v1/refresh_token", "/api/v1/user/token")
TOKEN = re.compile(r"dsgt[0-9A-Za-z]{39}")


def browse(client: Client, target: str, cookie: str | None, **headers: str) -> Reply:
    return client.get(target, cookie=cookie, accept=ACCEPT, **headers)


def post(client: Client, target: str, token: str, body: object = None) -> Reply:
    sent = json.dumps({} if body is None else body).encode()
    return client.post(target, authorization=f"Bearer {token}", body=sent, content_type="application/json")


def count(lab: Lab) -> Any:
    return lab.scalar("SELECT count(*) FROM tokens WHERE kind = 'api' AND revoked IS NULL")


@pytest.mark.parametrize("target", SPELLINGS)
@pytest.mark.parametrize("prefix", ["", "/auth", "/sticky_auth"])
def test_a_person_gets_a_token_on_the_page_of_every_spelling(
    target: str, prefix: str, client: Client, lab: Lab
) -> None:
    proxied = {"address": "127.0.0.1", "x_forwarded_prefix": prefix}
    away = browse(client, target, None, **proxied)
    assert away.status == 302
    assert away.headers["location"] == "/auth/login?next=" + f"{prefix}{target}".replace("/", "%2F")
    before = count(lab)
    page = browse(client, target, lab.cy, **proxied)
    assert page.status == 200 and count(lab) == before, "a GET makes no token"
    form = page.forms()[-1]
    assert form.action == f"{prefix}{PAGE}"
    answer = client.post(PAGE, form={**form.fields, "description": "my laptop"}, cookie=lab.cy)
    (secret,) = set(TOKEN.findall(answer.text))
    assert answer.status == 200 and count(lab) == before + 1
    assert answer.headers["cache-control"] == "no-store"
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {secret}").json()["email"] == "cy@example.org"
    again = browse(client, target, lab.cy, **proxied)
    assert not TOKEN.search(again.text) and f"{secret[:8]}\u2026" in again.text and "my laptop" in again.text


def test_the_form_takes_no_other_login_no_other_proof_and_no_long_description(client: Client, lab: Lab) -> None:
    fields = browse(client, PAGE, lab.cy).forms()[-1].fields
    before = count(lab)
    assert client.post(PAGE, form=fields, cookie=lab.bo).status == 403
    assert client.post(PAGE, form=fields).status == 401
    assert client.post(PAGE, form={"description": "x"}, cookie=lab.cy).status == 403
    assert client.post(PAGE, form=fields, authorization=f"Bearer {lab.cy}").status == 401
    for description in ("x" * (MAX_DESCRIPTION + 1), "a\nb", "\x1b[2J"):
        assert client.post(PAGE, form={**fields, "description": description}, cookie=lab.cy).status == 400
    assert count(lab) == before
    assert client.post(PAGE, form={**fields, "description": "x" * MAX_DESCRIPTION}, cookie=lab.cy).status == 200


def test_a_description_is_text_on_the_page(client: Client, lab: Lab) -> None:
    fields = browse(client, PAGE, lab.cy).forms()[-1].fields
    assert client.post(PAGE, form={**fields, "description": "<script>x</script>"}, cookie=lab.cy).status == 200
    assert "<script" not in browse(client, PAGE, lab.cy).text


@pytest.mark.parametrize("target", SPELLINGS)
def test_the_page_is_for_a_sign_in_and_not_for_tokens(target: str, client: Client, lab: Lab) -> None:
    for token in (lab.script, lab.robot, lab.gone):
        assert browse(client, target, token).status == 302, "only a login's cookie shows the page"
    if target != "/api/v1/user/token":
        for accept in ("*/*", ACCEPT):
            reply = client.get(target, authorization=f"Bearer {lab.script}", accept=accept)
            assert (reply.status, reply.headers["allow"]) == (405, "POST")
        assert client.get(target, authorization="Bearer unknown").status == 401
        assert client.get(f"{target}?dsg_token={lab.ada}").status == 401


def test_the_list_of_own_tokens_shows_their_beginnings_newest_first(client: Client, lab: Lab) -> None:
    for number in (1, 2):
        assert post(client, "/api/v1/user/token", lab.script, {"description": f"d{number}"}).status == 200
    rows = client.get("/api/v1/user/token", authorization=f"Bearer {lab.script}").json()
    assert [row["description"] for row in rows] == ["d2", "d1", None]
    assert all(set(row) == set(FIELDS) for row in rows)
    assert all(len(row["token"]) == 8 and row["token"].startswith("dsgt") for row in rows)
    assert rows[0]["created"].endswith(" GMT") and rows[0]["last_used"] is None
    assert client.get("/api/v1/user/token", authorization=f"Bearer {lab.robot}").status == 200
    assert not TOKEN.search(json.dumps(rows))


FIELDS = ("id", "user_id", "token", "description", "created", "updated", "last_used")

# Body of a POST, and its content type -> status, and the description of the new token.
BODIES: list[tuple[bytes, str, int, str | None]] = [
    (b"{}", "application/json", 200, DESCRIPTION),
    (b'{"description": "laptop"}', "application/json", 200, "laptop"),
    (b'{"description": " laptop "}', "application/json", 200, "laptop"),
    (b'{"description": ""}', "application/json", 200, DESCRIPTION),
    (b'{"description": " "}', "application/json", 200, DESCRIPTION),
    (b'{"description": null}', "application/json", 200, DESCRIPTION),
    (b'{"description": "' + b"D" * MAX_DESCRIPTION + b'"}', "application/json", 200, "D" * MAX_DESCRIPTION),
    (b'{"description": "' + b"D" * (MAX_DESCRIPTION + 1) + b'"}', "application/json", 400, None),
    (b'{"description": 5}', "application/json", 400, None),
    (b'{"description": ["x"]}', "application/json", 400, None),
    (b"[", "application/json", 400, None),
    (b"[]", "application/json", 400, None),
    (b'"x"', "application/json", 400, None),
    (b'["description"]', "application/json", 400, None),
    (b'{"description": "no type"}', "text/plain", 200, DESCRIPTION),
    (b"", "", 200, DESCRIPTION),
    (b"[" * 5000, "application/json", 400, None),
]


@pytest.mark.parametrize("target", ["/api/v1/user/token", "/api/v1/create_token"])
@pytest.mark.parametrize(("body", "kind", "status", "description"), BODIES, ids=range(len(BODIES)))
def test_a_program_makes_a_token_with_a_post(
    target: str, body: bytes, kind: str, status: int, description: str | None, client: Client, lab: Lab
) -> None:
    before = count(lab)
    reply = client.post(target, authorization=f"Bearer {lab.script}", body=body, content_type=kind)
    assert (reply.status, count(lab) - before) == (status, 1 if status == 200 else 0)
    if status == 200:
        assert TOKEN.fullmatch(reply.json())
        assert lab.scalar("SELECT description FROM tokens ORDER BY id DESC LIMIT 1") == description


@pytest.mark.parametrize("target", SPELLINGS[1:])
def test_only_a_person_with_a_token_in_the_header_makes_tokens(target: str, client: Client, lab: Lab) -> None:
    before = count(lab)
    assert post(client, target, lab.robot).status == 403
    assert client.post(target, cookie=lab.ada).status == 403
    assert client.post(f"{target}?dsg_token={lab.ada}").status == 403
    assert client.post(target).status == 401
    assert post(client, target, "unknown").status == 401
    assert post(client, target, lab.gone).status == 401
    assert count(lab) == before


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", SPELLINGS)
def test_a_key_of_an_application_is_refused_and_learns_nothing_of_other_tokens(
    target: str, method: str, client: Client, lab: Lab
) -> None:
    register(lab)
    key = take_key(client, lab.ada)
    reply = client.request(method, target, authorization=f"Bearer {key}")
    if (target, method) == (PAGE, "POST"):
        assert reply.status == 401, "the form takes no header at all"
    else:
        assert (reply.status, reply.json()["error"]) == (403, "not_a_person")
    if method == "GET":
        assert client.get(f"{target}?dsg_token={key}").status in (401, 403)


def test_a_service_account_of_cave_is_no_person_here_either(client: Client, lab: Lab) -> None:
    """CAVE's service accounts are users with a parent, and user/cache says of them that they are service accounts."""
    with lab.change() as change:
        change.database.script("UPDATE principals SET parent_id = 2 WHERE email = 'cy@example.org'")
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {lab.cy}").json()["service_account"] is True
    before = count(lab)
    for target in SPELLINGS[1:]:
        assert post(client, target, lab.cy).status == 403
    assert count(lab) == before


def test_refresh_replaces_the_only_token_and_refuses_to_choose(client: Client, lab: Lab) -> None:
    first = post(client, "/api/v1/refresh_token", lab.script)
    assert first.status == 200
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {lab.script}").status == 401
    renewed = first.json()
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {renewed}").status == 200
    assert post(client, "/api/v1/user/token", renewed).status == 200
    assert post(client, "/api/v1/refresh_token", renewed).status == 400
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {renewed}").status == 200
