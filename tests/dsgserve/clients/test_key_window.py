"""Which requests open the window of a registered client, and who may answer it."""

from urllib.parse import parse_qs, quote, urlsplit

import pytest

from dsgctl.core import clients
from tests.dsgctl.core.test_web_origins import BAD
from tests.dsgserve.clients.windows import ATLAS, answer, open_window, read_messages, register, take_key
from tests.dsgserve.conftest import PAGE, VIEWER, Client, Lab

STRANGERS = (
    "https://lab.github.io.evil.example",
    "http://lab.github.io",
    "https://lab.github.io:443",
    "https://LAB.github.io",
    "https://lab.github.io.",
    VIEWER,  # which NGAUTH_ALLOWED_ORIGINS admits
)


@pytest.fixture(autouse=True)
def registered(lab: Lab) -> None:
    register(lab)


def count_keys(lab: Lab) -> int:
    return int(lab.scalar("SELECT count(*) FROM tokens WHERE kind = 'delegated'"))


@pytest.mark.parametrize("origin", BAD)
def test_a_window_without_a_valid_origin_is_refused_with_400(client: Client, lab: Lab, origin: str) -> None:
    for path in (f"/login?origin={quote(origin, safe='')}&token=api", f"/login?viewer={quote(origin, safe='')}"):
        if path.endswith("=%2A"):
            continue  # any viewer
        reply = client.get(path, cookie=lab.ada, accept=PAGE)
        assert reply.status == 400
        assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert count_keys(lab) == 0


@pytest.mark.parametrize(
    "query",
    [
        "token=api",
        f"origin={ATLAS}&origin={ATLAS}&token=api",
        f"origin={ATLAS}&token=api&token=api",
        f"viewer={ATLAS}&viewer={ATLAS}",
        f"viewer={ATLAS}&origin={ATLAS}",
        f"viewer={ATLAS}&token=api",
        *(f"origin={ATLAS}&token={token}" for token in ("", "API", "user", "delegated", "api%00", "%C2%B2", "a" * 999)),
    ],
)
def test_a_window_of_another_form_is_refused_with_400(client: Client, lab: Lab, query: str) -> None:
    assert client.get(f"/login?{query}", cookie=lab.ada, accept=PAGE).status == 400
    assert count_keys(lab) == 0


@pytest.mark.parametrize("origin", STRANGERS)
def test_an_origin_that_is_not_registered_gets_badorigin_and_no_key(client: Client, lab: Lab, origin: str) -> None:
    for cookie in (lab.ada, None):
        assert read_messages(open_window(client, origin, cookie=cookie)) == [(origin, "badorigin")]
    assert count_keys(lab) == 0


def test_a_disabled_client_is_not_registered(client: Client, lab: Lab) -> None:
    key = take_key(client, lab.ada)
    page = open_window(client, cookie=lab.ada)
    with lab.change() as change:
        clients.set_active(change, "atlas", False)
    assert read_messages(open_window(client, cookie=lab.ada)) == [(ATLAS, "badorigin")]
    assert answer(client, page, lab.ada).status == 400
    assert client.get("/api/v1/user/cache", authorization=f"Bearer {key}").status == 200, "no key ends"


@pytest.mark.parametrize("who", ["nobody", "unknown", "disabled", "script", "robot", "key"])
def test_only_a_persons_own_login_opens_the_window(client: Client, lab: Lab, who: str) -> None:
    """An API token, or a key, must not become a key that lives longer."""
    cookies = {"nobody": None, "unknown": "x", "disabled": lab.gone, "script": lab.script, "robot": lab.robot}
    cookie = take_key(client, lab.ada) if who == "key" else cookies[who]
    before = count_keys(lab)
    reply = open_window(client, cookie=cookie)
    assert reply.status == 303
    target = urlsplit(reply.headers["location"])
    assert (target.netloc, target.path) == ("", "/auth/login")
    back = urlsplit(parse_qs(target.query)["next"][0])
    assert (back.path, parse_qs(back.query)) == ("/login", {"origin": [ATLAS], "token": ["api"]})
    assert count_keys(lab) == before


def test_a_token_in_a_header_or_an_address_opens_no_window(client: Client, lab: Lab) -> None:
    assert open_window(client, authorization=f"Bearer {lab.ada}").status == 303
    assert client.get(f"/login?origin={ATLAS}&token=api&dsg_token={lab.ada}", accept=PAGE).status == 303


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"decision": ""}, 400),
        ({"decision": "Allow"}, 400),
        ({"decision": "x"}, 400),
        ({"remember": ""}, 400),
        ({"remember": "yes"}, 400),
        ({"token": ""}, 400),
        ({"token": "user"}, 400),
        ({"origin": ""}, 400),
        ({"origin": f"{ATLAS}/"}, 400),
        ({"origin": "https://evil.example"}, 400),
        ({"origin": "https://other.example"}, 403),  # registered, but not what the page showed
        ({"viewer": ATLAS}, 400),
        ({"form": ""}, 403),
        ({"form": "x.y"}, 403),
    ],
    ids=repr,
)
def test_a_form_that_our_page_did_not_show_makes_no_key(
    client: Client, lab: Lab, changed: dict[str, str], status: int
) -> None:
    register(lab, "https://other.example", "other")
    page = open_window(client, cookie=lab.ada)
    assert answer(client, page, lab.ada, **changed).status == status
    assert count_keys(lab) == 0
    assert answer(client, page, lab.ada).status == 200
    assert count_keys(lab) == 1


def test_a_form_counts_for_the_login_that_saw_it(client: Client, lab: Lab) -> None:
    page = open_window(client, cookie=lab.ada)
    assert answer(client, page, lab.bo).status == 403
    assert answer(client, page, lab.gone).status == 401
    assert answer(client, page, "").status == 401
    (form,) = page.forms()
    fields = {**form.fields, "decision": "allow"}
    assert client.post("/login", form=fields, authorization=f"Bearer {lab.ada}").status == 401
    assert count_keys(lab) == 0


@pytest.mark.parametrize("change_of", [{"origin": "https://other.example"}, {"owner": "bo@example.org"}], ids=str)
def test_a_form_counts_for_the_origin_and_the_owner_that_it_showed(
    client: Client, lab: Lab, change_of: dict[str, str]
) -> None:
    """Also if an operator gives the client to somebody else meanwhile."""
    page = client.get("/login?viewer=*", cookie=lab.ada, accept=PAGE)
    with lab.change() as change:
        clients.set_attributes(change, "atlas", **change_of)  # type: ignore[arg-type]
    assert answer(client, page, lab.ada).status == 403
    assert count_keys(lab) == 0


def test_the_form_of_one_window_is_not_that_of_another_kind(client: Client, lab: Lab) -> None:
    (form,) = open_window(client, cookie=lab.ada).forms()
    fields = {"viewer": ATLAS, "form": form.fields["form"], "decision": "allow"}
    assert client.post("/login", form=fields, cookie=lab.ada).status == 403


def test_without_a_registered_client_the_route_answers_as_before(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        clients.remove(change, "atlas")
    reply = open_window(client, VIEWER, cookie=lab.ada)
    assert (reply.status, "one kind of token only" in reply.text) == (400, True)
    status = client.get("/login?viewer=x&token=x", cookie=lab.ada)
    assert (status.status, status.json()["logged_in"]) == (200, True)
    assert client.post("/login", form={"origin": VIEWER, "token": "api"}, cookie=lab.ada).status == 400


def test_a_window_that_names_no_viewer_is_refused_if_there_are_too_many(client: Client, lab: Lab) -> None:
    for number in range(9):
        register(lab, f"https://viewer-{number}.example", f"viewer {number}")
    assert client.get("/login?viewer=*", cookie=lab.ada, accept=PAGE).status == 200
    register(lab, "https://more.example", "more")
    reply = client.get("/login?viewer=*", cookie=lab.ada, accept=PAGE)
    assert (reply.status, "data-messages" in reply.text) == (403, False)
