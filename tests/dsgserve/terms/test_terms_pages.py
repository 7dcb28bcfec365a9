"""Terms of service as pages: /activate and /api/v1/tos/<id>/accept, read and accepted."""

import html
import json
import re
import sys
import tracemalloc
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import apsw
import pytest

from dsgctl.core import (
    acceptances,
    datasets,
    grants,
    markdown,
    service_accounts,
    services,
    terms,
    token_checks,
    tokens,
    users,
)
from dsgctl.core.clock import now
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.token_checks import PresentedToken
from dsgctl.store.models import Principal
from dsgserve.gateway import Gateway
from dsgserve.http import signing
from dsgserve.http.signing import Purpose
from dsgserve.terms import page_content
from dsgserve.terms.rendered_documents import Documents
from tests.dsgserve.conftest import KEY, PAGE, Client, Form, Lab, Reply

CAVE = "https://cave.example/x?y=1"


def path(terms_id: int, **query: str) -> str:
    asked = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
    return f"/api/v1/tos/{terms_id}/accept" + (f"?{asked}" if asked else "")


def read(client: Client, cookie: str | None, where: str) -> Reply:
    return client.get(where, cookie=cookie, accept=PAGE)


def send(client: Client, cookie: str | None, form: Form, **fields: str) -> Reply:
    return client.post(form.action, form=form.fields | fields, cookie=cookie, accept=PAGE)


def accepted(lab: Lab) -> list[tuple[Any, ...]]:
    rows = lab.database._db.connection().execute("SELECT principal_id, terms_id, address, recorded_by FROM acceptances")
    return list(rows)


# Reading


def test_terms_are_shown_with_their_accept(client: Client, lab: Lab) -> None:
    reply = read(client, lab.bo, path(lab.fly_terms))
    assert reply.status == 200
    assert "<h2>Rules</h2>" in reply.text  # below the page's own heading
    assert "Cite us." in reply.text
    assert 'For <bdi dir="auto">fly</bdi>' in reply.text
    (form,) = reply.forms()
    assert form.action == path(lab.fly_terms)
    assert reply.headers["cross-origin-opener-policy"] == "unsafe-none"
    assert reply.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("where", ["/activate", "/api/v1/tos/1/accept", "/api/v1/tos/999/accept"])
@pytest.mark.parametrize("who", [None, "gone", "nobody's"])
def test_who_is_not_signed_in_is_sent_to_sign_in_and_back(
    client: Client, lab: Lab, where: str, who: str | None
) -> None:
    asked = f"{where}?redirect={quote(CAVE, safe='')}&service=clio&junk=1"
    reply = read(client, lab.gone if who == "gone" else who, asked)
    assert reply.status == 303
    target = urlsplit(reply.headers["location"])
    assert (target.netloc, target.path) == ("", "/auth/login")
    back = urlsplit(parse_qs(target.query)["next"][0])
    assert back.path == where
    assert parse_qs(back.query) == {"redirect": [CAVE], "service": ["clio"]}


def test_terms_of_a_closed_dataset_are_not_there_for_others(client: Client, lab: Lab) -> None:
    assert read(client, lab.ada, path(lab.fish_v2_terms)).status == 200
    hidden, missing = (read(client, lab.cy, path(number)) for number in (lab.fish_v2_terms, 999))
    assert (hidden.status, missing.status) == (404, 404)
    assert _without_nonce(hidden) == _without_nonce(missing)
    assert "fish" not in hidden.text


def _without_nonce(reply: Reply) -> str:
    """The page without the parts that differ in each response: the nonce and the request number."""
    return re.sub(r'nonce="[^"]*"|number: [0-9a-f]+', "", reply.text)


def test_nor_for_whose_grant_has_ended(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        cy = principal_subject(users.find(lab.database, "cy@example.org"))
        grants.add(opened, cy, Target("fish", "view"), expires=now() - timedelta(seconds=1))
    assert read(client, lab.cy, path(lab.fish_v2_terms)).status == 404


def test_an_invitation_opens_terms_of_a_public_dataset_only(client: Client, lab: Lab) -> None:
    invites = {number: terms.find(lab.database, number).invite_token for number in (lab.fly_terms, lab.fish_v2_terms)}
    for word in ("invite", "token"):
        assert "Cite us." in read(client, lab.cy, f"/activate?{word}={invites[lab.fly_terms]}").text
        hidden = read(client, lab.cy, f"/activate?{word}={invites[lab.fish_v2_terms]}")
        unknown = read(client, lab.cy, f"/activate?{word}=nonsense")
        assert (hidden.status, unknown.status) == (404, 404)
        assert _without_nonce(hidden) == _without_nonce(unknown)
    hidden = read(client, lab.cy, path(lab.fish_v2_terms, invite=invites[lab.fish_v2_terms]))
    assert hidden.status == 404


def test_a_service_account_needs_no_terms(client: Client, lab: Lab) -> None:
    assert read(client, lab.robot, path(lab.fly_terms)).status == 403
    assert "There are no more terms to accept" in read(client, lab.robot, "/activate").text


def test_a_child_sees_that_its_parent_accepts(client: Client, lab: Lab) -> None:
    parent = users.find(lab.database, "ada@example.org").id
    lab.database.run(Principal.update(parent=parent).where(Principal.email == "bo@example.org"))
    reply = read(client, lab.bo, path(lab.fly_terms))
    assert (reply.status, reply.forms()) == (200, [])


# Accepting


def test_accepting_is_recorded_with_who_when_and_from_where(client: Client, lab: Lab) -> None:
    (form,) = read(client, lab.bo, path(lab.fly_terms)).forms()
    reply = client.post(
        form.action, form=form.fields, cookie=lab.bo, address="198.51.100.9", x_forwarded_for="203.0.113.1"
    )
    assert (reply.status, reply.headers["location"]) == (303, "/success")
    bo = users.find(lab.database, "bo@example.org").id
    assert accepted(lab) == [(bo, lab.fly_terms, "198.51.100.9", "user:bo@example.org")]
    assert lab.scalar("SELECT actor FROM audit WHERE action = 'terms.accept'") == "user:bo@example.org"
    assert read(client, lab.bo, "/success").status == 200


def test_for_a_public_dataset_accepting_gives_view(client: Client, lab: Lab) -> None:
    (form,) = read(client, lab.cy, path(lab.fly_terms)).forms()
    assert send(client, lab.cy, form).status == 303
    cache = client.get("/api/v1/user/cache", cookie=lab.cy).json()
    assert cache["permissions_v2"] == {"fly": ["view"]}
    assert lab.scalar("SELECT source FROM grants WHERE granted_by = 'user:cy@example.org'") == "self-service"


def test_twice_is_once(client: Client, lab: Lab) -> None:
    (form,) = read(client, lab.bo, path(lab.fly_terms)).forms()
    assert send(client, lab.bo, form).status == 303
    assert send(client, lab.bo, form).status == 303
    assert len(accepted(lab)) == 1
    again = read(client, lab.bo, path(lab.fly_terms, redirect=CAVE))
    assert (again.status, again.forms()) == (200, [])  # a page, not a redirect: no loop with the service
    assert html.escape(CAVE) in again.text


def test_post_to_activate_is_the_same(client: Client, lab: Lab) -> None:
    (form,) = read(client, lab.bo, path(lab.fly_terms)).forms()
    reply = client.post("/activate", form=form.fields | {"terms": str(lab.fly_terms)}, cookie=lab.bo)
    assert reply.status == 303
    assert len(accepted(lab)) == 1


@pytest.mark.parametrize("given", ["", "x", "-1", "1.5", "٣", "1" * 30])
def test_post_to_activate_names_its_terms(client: Client, lab: Lab, given: str) -> None:
    assert client.post("/activate", form={"terms": given}, cookie=lab.bo).status == 400


def forged(client: Client, lab: Lab) -> dict[str, tuple[str, Form]]:
    (good,) = read(client, lab.bo, path(lab.fly_terms)).forms()
    (other,) = read(client, lab.ada, path(lab.fish_v2_terms)).forms()
    (cys,) = read(client, lab.cy, path(lab.fly_terms)).forms()
    bo = token_checks.check(lab.database, PresentedToken(lab.bo), now()).token
    assert bo
    values = {"token": bo.id, "terms": lab.fly_terms}

    def signed(keys: tuple[str, ...], purpose: Purpose, hours: int) -> Form:
        return Form(good.action, {"form": signing.sign(keys, purpose, values, now() + timedelta(hours=hours))})

    return {
        "no token": (lab.bo, Form(good.action)),
        "empty": (lab.bo, Form(good.action, {"form": ""})),
        "cut": (lab.bo, Form(good.action, {"form": good.fields["form"][:-1]})),
        "somebody else's": (lab.bo, Form(good.action, cys.fields)),
        "for other terms": (lab.ada, Form(good.action, other.fields)),
        "another login of the same person": (_second_login(lab), good),
        "of another key": (lab.bo, signed(("x" * 32,), Purpose.FORM, 1)),
        "of another kind": (lab.bo, signed((KEY,), Purpose.USER_TOKEN, 1)),
        "too old": (lab.bo, signed((KEY,), Purpose.FORM, -1)),
    }


def _second_login(lab: Lab) -> str:
    with lab.change() as opened:
        return tokens.mint(opened, users.find(lab.database, "bo@example.org"), kind="login")[1]


def test_a_forged_form_403(client: Client, lab: Lab) -> None:
    for name, (cookie, form) in forged(client, lab).items():
        assert (name, send(client, cookie, form).status) == (name, 403)
    assert accepted(lab) == []


def test_a_form_counts_with_the_cookie_only(client: Client, lab: Lab) -> None:
    (form,) = read(client, lab.bo, path(lab.fly_terms)).forms()
    for cookie in (None, lab.gone, "nobody's"):
        reply = send(client, cookie, form)
        assert reply.status == 401
        assert "/auth/login?next=" in reply.text
    assert client.post(form.action, form=form.fields, authorization=f"Bearer {lab.bo}").status == 401
    assert client.post(f"{form.action}?dsg_token={lab.bo}", form=form.fields).status == 401
    assert accepted(lab) == []


def test_a_refused_form_leads_back_with_where_one_was_going(client: Client, lab: Lab) -> None:
    reply = send(client, lab.bo, Form(path(lab.fly_terms), {"redirect": CAVE}))
    assert f'href="{html.escape(path(lab.fly_terms, redirect=CAVE))}"' in reply.text


def test_a_form_of_terms_that_one_may_no_longer_see_404(client: Client, lab: Lab) -> None:
    (form,) = read(client, lab.ada, path(lab.fish_v2_terms)).forms()
    with lab.change() as opened:
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        grants.revoke(opened, ada, Target("fish", "view"))
    assert send(client, lab.ada, form).status == 404
    assert accepted(lab) == []


# Going on


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("next", "/login?origin=https%3A%2F%2Fviewer.example"),
        ("redirect", CAVE),
        ("redirect", "https://a.example.org/"),
        ("redirect", "/activate"),
    ],
)
def test_then_on_to_where_one_was_going(client: Client, lab: Lab, word: str, target: str) -> None:
    reply = read(client, lab.bo, path(lab.fly_terms, **{word: target}))
    (form,) = reply.forms()
    assert send(client, lab.bo, form).headers["location"] == target


@pytest.mark.parametrize(
    ("word", "target"),
    [
        ("next", CAVE),
        ("next", "//attacker.example"),
        ("next", "/\\attacker.example"),
        ("next", "x"),
        ("redirect", "https://attacker.example"),
        ("redirect", "//attacker.example"),
        ("redirect", "javascript:alert(1)"),
        ("redirect", "https://cave.example.attacker.example"),
        ("redirect", "http://cave.example"),
    ],
)
def test_and_nowhere_else_400(client: Client, lab: Lab, word: str, target: str) -> None:
    (form,) = read(client, lab.bo, path(lab.fly_terms)).forms()
    for reply in (
        read(client, lab.bo, path(lab.fly_terms, **{word: target})),
        read(client, lab.bo, f"/activate?{word}={quote(target, safe='')}"),
        send(client, lab.bo, form, **{word: target}),
    ):
        assert reply.status == 400
        assert "attacker" not in reply.text
    assert accepted(lab) == []


# Where a target leads, as it is said on the button -> the site; None if it is not one to which anybody may go on.
PLACES: dict[str, str | None] = {
    "https://cave.example/x?y=1": "cave.example",
    "/activate?redirect=https%3A%2F%2Fcave.example%2Fx": "cave.example",
    "/login?origin=https%3A%2F%2Fviewer.example": "viewer.example",
    "/login?x=1&origin=https%3A%2F%2Fviewer.example": "viewer.example",
    "/activate?redirect=https%3A%2F%2Fevil.example%2Fx": None,
    "/activate?redirect=https%3A%2F%2Fcave.example@evil.example": None,
    "/activate?redirect=%2F%2Fevil.example": None,
    "/login?origin=https%3A%2F%2Fevil.example": None,
    "/login?origin=https%3A%2F%2Fviewer.example@evil.example": None,
    "/login?origin=http%3A%2F%2F%5Bx": None,
    "/login?origin=http%3A%2F%2F%5B%3A%3A1": None,
    "/login?origin=http%3A%2F%2Fa%E2%84%80b": None,
    "/login?origin=https%3A%2F%2F%EF%BC%83x": None,
    "/login?origin=https%3A%2F%2Fx%3A99999999": None,
    "/login?origin=%5B": None,
    "/login?origin=": None,
    "/login?origin": None,
    "/login": None,
}


@pytest.mark.parametrize("target", PLACES)
def test_the_button_names_the_site_to_which_one_may_go_on_and_no_other(target: str, client: Client, lab: Lab) -> None:
    word = "next" if target.startswith("/") else "redirect"
    (form,) = read(client, lab.bo, path(lab.fly_terms)).forms()
    send(client, lab.bo, form)
    reply = read(client, lab.bo, path(lab.fly_terms, **{word: target}))
    assert reply.status == 200
    words = re.findall(r">(Continue[^<]*)</a>", reply.text)
    assert words == ([f"Continue to {PLACES[target]}"] if PLACES[target] else ["Continue"])


def test_the_page_lets_its_form_lead_to_the_service(client: Client, lab: Lab) -> None:
    for where in (path(lab.fly_terms, redirect=CAVE), f"/activate?redirect={quote(CAVE, safe='')}"):
        policy = read(client, lab.bo, where).headers["content-security-policy"]
        assert "form-action 'self' https://cave.example;" in policy
    assert "form-action 'self';" in read(client, lab.bo, path(lab.fly_terms)).headers["content-security-policy"]


# /activate


def test_activate_shows_all_that_waits_and_then_goes_on(client: Client, lab: Lab) -> None:
    where = f"/activate?redirect={quote(CAVE, safe='')}"
    seen = []
    for _ in range(5):
        reply = read(client, lab.ada, where)
        if reply.status == 303:
            break
        form = reply.forms()[0]
        seen.append(form.action)
        where = send(client, lab.ada, form).headers["location"]
        assert where.startswith("/activate?")
    assert reply.headers["location"] == CAVE
    assert sorted(seen) == sorted([path(lab.fly_terms), path(lab.fish_v2_terms)])


def test_activate_of_one_dataset_and_service(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        services.add(opened, "clio")
        of_clio = terms.add(opened, "clio terms", "Text", dataset="fish", service="clio")[0].id

    def shown(query: str) -> list[str]:
        forms = read(client, lab.ada, f"/activate?{query}").forms()
        return [form.action for form in forms if form.action != "/activate"]

    assert shown("dataset=fly") == [path(lab.fly_terms)]
    assert shown("dataset=fish") == [path(lab.fish_v2_terms)]
    assert shown("dataset=fish&service=clio") == [path(of_clio), path(lab.fish_v2_terms)]
    assert shown("dataset=nothing") == []
    assert shown("dataset=fish&service=nothing") == [path(lab.fish_v2_terms)]


def test_nothing_waits(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        acceptances.accept(opened, lab.fly_terms, "cy@example.org")
    reply = read(client, lab.cy, "/activate")
    assert (reply.status, "There are no more terms to accept" in reply.text) == (200, True)
    assert read(client, lab.cy, "/activate?next=/success").headers["location"] == "/success"


def test_terms_that_have_ended_need_not_be_accepted(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        terms.retire(opened, lab.fish_v2_terms)
    reply = read(client, lab.ada, path(lab.fish_v2_terms))
    assert (reply.status, reply.forms()) == (200, [])


# What is read again, printed and saved


def test_what_is_accepted_can_be_read_and_saved_with_its_date(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        acceptances.accept(opened, lab.fish_v2_terms, "ada@example.org")
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        grants.revoke(opened, ada, Target("fish", "view"))
    reply = read(client, lab.ada, path(lab.fish_v2_terms))
    when = f"{now():%Y-%m-%d}"
    assert (reply.status, f"You accepted these terms on {when}" in reply.text) == (200, True)
    assert "Be careful." in reply.text
    assert "Request number" not in reply.text
    assert "For" not in reply.text.partition("<main>")[2].partition("<footer>")[0]  # the dataset is closed to her now
    saved = read(client, lab.ada, path(lab.fish_v2_terms, save="1"))
    assert saved.headers["content-disposition"] == f'attachment; filename="terms-{lab.fish_v2_terms}.txt"'
    assert saved.headers["content-type"] == "text/plain; charset=utf-8"
    assert saved.text.startswith(f"fish v2 terms\nAccepted by ada@example.org on {when}")
    assert saved.text.endswith("\n\nBe careful.\n")
    for stranger in (lab.bo, lab.cy):
        assert read(client, stranger, path(lab.fish_v2_terms)).status == 404
        assert read(client, stranger, path(lab.fish_v2_terms, save="1")).status == 404
    assert read(client, None, path(lab.fish_v2_terms, save="1")).status == 303


def test_whether_terms_may_be_read_costs_the_same_as_for_terms_that_are_not_there(
    client: Client, lab: Lab, gateway: Gateway
) -> None:
    """Counted in statements, SQLite's own steps and calls of Python, none of which depends on the machine."""
    with lab.change() as opened:
        long = terms.add(opened, "long", "word " * 19_000, dataset="fish")[0].id
        invites = {number: terms.find(lab.database, number).invite_token for number in (long, lab.fish_v2_terms)}
    connection = gateway.reader._db.connection()

    def cost(where: str) -> tuple[list[str], int, int]:
        statements: list[str] = []
        steps, calls = 0, 0

        def profile(event: Any) -> None:
            nonlocal steps
            statements.append(event["sql"])
            steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

        def count(frame: Any, event: str, argument: Any) -> None:
            nonlocal calls
            calls += event in ("call", "c_call")

        connection.trace_v2(apsw.SQLITE_TRACE_PROFILE, profile)
        sys.setprofile(count)
        try:
            reply = read(client, lab.cy, where)
        finally:
            sys.setprofile(None)
            connection.trace_v2(0, None)
        assert reply.status == 404
        return statements, steps, calls

    pairs = [(path(number), path(999)) for number in (long, lab.fish_v2_terms)]
    pairs += [(f"/activate?invite={invite}", f"/activate?invite={'x' * len(invite)}") for invite in invites.values()]
    for closed, missing in pairs:
        read(client, lab.cy, closed)  # what is made once is made
        there, not_there = cost(closed), cost(missing)
        assert there[0] == not_there[0]
        assert len(there[0]) > 3
        assert abs(there[1] - not_there[1]) <= 50  # of some hundreds: the row is looked at, and its text is not
        assert abs(there[2] - not_there[2]) <= 25  # of some thousands


# Several at once


@pytest.fixture
def more(lab: Lab) -> list[int]:
    """Terms of ten more datasets of ada's. With those of the lab twelve wait for her."""
    with lab.change() as opened:
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        for number in range(10):
            datasets.add(opened, f"set-{number}")
            grants.add(opened, ada, Target(f"set-{number}", "view"))
        return [terms.add(opened, f"terms {n}", f"Be kind {n}.", dataset=f"set-{n}")[0].id for n in range(10)]


def ticks(reply: Reply) -> dict[str, str]:
    """The boxes of a page: name -> value."""
    boxes = re.findall(r'<input type="checkbox" form="several" name="([^"]*)" value="([^"]*)"', reply.text)
    return dict(boxes)


def test_several_that_are_ticked_are_accepted_at_once(client: Client, lab: Lab, more: list[int]) -> None:
    reply = read(client, lab.ada, "/activate?next=/success")
    boxes = ticks(reply)
    assert len(boxes) == page_content.MAX_DOCUMENTS
    assert " checked" not in reply.text
    (several,) = [form for form in reply.forms() if form.action == "/activate"]
    chosen = dict(list(boxes.items())[1:4])
    done = client.post("/activate", form=several.fields | chosen, cookie=lab.ada, address="198.51.100.9")
    assert (done.status, done.headers["location"]) == (303, "/activate?next=%2Fsuccess")
    assert [f"accept-{row[1]}" for row in accepted(lab)] == sorted(chosen, key=lambda name: int(name[7:]))
    assert {row[2] for row in accepted(lab)} == {"198.51.100.9"}


def test_one_of_several_that_is_not_ours_and_none_is_accepted(client: Client, lab: Lab, more: list[int]) -> None:
    boxes = ticks(read(client, lab.ada, "/activate"))
    names = list(boxes)
    for spoiled in (
        boxes | {names[0]: "x"},
        boxes | {names[0]: boxes[names[1]]},
        boxes | {"accept-999": boxes[names[0]]},
    ):
        assert client.post("/activate", form=spoiled, cookie=lab.ada, accept=PAGE).status == 403
    for nothing in ({}, {"next": "/"}, {"accept-": "x"}, {"accept-x": "y"}, {"accept-1.5": "y"}, {"accept-٣": "y"}):
        assert client.post("/activate", form=nothing, cookie=lab.ada, accept=PAGE).status == 400
    assert accepted(lab) == []


def test_after_one_of_several_one_comes_back_to_the_place_where_one_was(
    client: Client, lab: Lab, more: list[int]
) -> None:
    reply = read(client, lab.ada, "/activate?next=/success")
    forms = [form for form in reply.forms() if form.action != "/activate"]
    places = re.findall(r'<section id="(terms-[0-9]+)"', reply.text)
    wheres = [send(client, lab.ada, form).headers["location"] for form in forms]
    assert wheres == [f"/activate?next=%2Fsuccess#{place}" for place in places[1:]] + ["/activate?next=%2Fsuccess"]
    (alone,) = read(client, lab.ada, path(more[8], redirect=CAVE)).forms()
    assert send(client, lab.ada, alone, then="3").headers["location"] == CAVE


def test_those_that_hold_back_what_was_granted_come_first_and_others_are_folded(
    client: Client, lab: Lab, more: list[int]
) -> None:
    text = read(client, lab.ada, "/activate").text
    shown, _, folded = text.partition("<details>")
    assert 'aria-label="Text of fly terms"' not in text
    assert "fly terms" not in shown
    assert f'href="{path(lab.fly_terms, next="/activate")}"' in folded
    assert shown.count('class="document boxed"') == page_content.MAX_DOCUMENTS
    assert shown.count("<li><a href=") == 11 - page_content.MAX_DOCUMENTS
    # Who was granted nothing that waits is shown the public ones.
    assert 'aria-label="Text of fly terms"' in read(client, lab.cy, "/activate").text


def test_however_many_wait_a_page_renders_few_and_each_only_once(client: Client, lab: Lab, gateway: Gateway) -> None:
    length = 45_000
    with lab.change() as opened:
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        for number in range(70):
            datasets.add(opened, f"set-{number}")
            grants.add(opened, ada, Target(f"set-{number}", "view"))
            terms.add(opened, f"terms {number}", f"{number} " + "word " * (length // 5), dataset=f"set-{number}")
    for number in range(5):
        reply = read(client, lab.ada, "/activate")
        assert gateway.documents.rendered == 2  # as many as fit, and never again
        assert len(reply.body) < 3 * page_content.MAX_TEXT
        assert reply.text.count("<li><a href=") <= 2 * page_content.MAX_LINKS
        assert "19 more will be shown" in reply.text, number
    assert read(client, lab.ada, "/").status == 200
    assert gateway.documents.rendered == 2


def test_rendered_documents_are_kept_by_their_bytes() -> None:
    documents = Documents(capacity=100_000)
    texts = [f"{number} " + "word " * 4_000 for number in range(10)]
    for text in texts:
        documents.html(text, 2)
    assert documents.rendered == 10
    documents.html(texts[-1], 2)
    assert documents.rendered == 10
    documents.html(texts[0], 2)  # gone
    documents.html(texts[-1], 3)  # another page
    assert documents.rendered == 12
    assert documents.html("x" * 90_000, 2) == documents.html("x" * 90_000, 2)
    assert documents.rendered == 13


@pytest.mark.parametrize("text", ["{}", "{} " + "word " * 50, "{} \u6c34", "{} \U0001f42c" + "x" * 100])
def test_what_is_kept_of_documents_is_bounded_however_short_they_are(text: str) -> None:
    """With all that Python needs around them, which is more than a short one has itself."""
    capacity = 200_000
    documents = Documents(capacity)
    documents.html("what is made once, of a library", 2)
    tracemalloc.start()
    try:
        for number in range(1500):
            documents.html(text.format(number), 2)
        assert tracemalloc.get_traced_memory()[0] < 1.5 * capacity
    finally:
        tracemalloc.stop()


# Accounts


@pytest.mark.parametrize(
    "where", ["/activate?next=%2Fsuccess", "/api/v1/tos/2/accept", "/login?origin=https%3A%2F%2Fviewer.example", "/"]
)
def test_every_page_names_the_account_and_offers_another(client: Client, lab: Lab, where: str) -> None:
    text = read(client, lab.bo, where).text
    assert "<strong>bo@example.org</strong>" in text
    (another,) = re.findall(r'href="(/auth/login\?again=1[^"]*)">Use another account', text)
    assert parse_qs(urlsplit(html.unescape(another)).query) == {"again": ["1"], "next": [where]}


def test_only_errors_have_a_number_and_all_errors_do(client: Client, lab: Lab) -> None:
    seen = {}
    for cookie in (None, lab.ada, lab.gone, lab.robot):
        for where in (
            "/",
            "/nowhere",
            "/api/v1/tos/999/accept",
            "/api/v1/tos/2/accept",
            "/activate",
            "/activate?dataset=x",
            "/login",
            "/login?origin=x",
            "/success",
            "/auth/login?next=//x",
            "/auth/login",
            "/api/v1/authorize?redirect=x",
            "/accounts/google/login/callback/",
            "/token",
            "/activate?next=%00",
            "/?" + "a&" * 200,
        ):
            reply = read(client, cookie, where)
            if "text/html" in reply.headers["content-type"]:
                number = re.findall(r"Request number: ([0-9a-f]{16})", reply.text)
                assert number == ([reply.headers["x-request-id"]] if reply.status >= 400 else []), where
                seen[reply.status] = True
    assert {200, 400, 403, 404, 405, 503} <= seen.keys()


# Markdown

HARMFUL = {
    "script": "<script>alert(1)</script>",
    "handler": '<img src=x onerror="alert(1)">',
    "inline HTML": "a <b onclick=alert(1)>b</b>",
    "comment": "<!-- x -->",
    "javascript link": "[x](javascript:alert(1))",
    "javascript link, hidden": "[x](java&#x73;cript:alert(1))",
    "data link": "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "data image": "![x](data:image/png;base64,AAAA)",
    "image": "![x](https://attacker.example/x.png)",
    "autolink": "<javascript:alert(1)>",
    "reference": "[x][y]\n\n[y]: javascript:alert(1)",
    "local link": "[x](/logout)",
    "protocol-relative link": "[x](//attacker.example)",
    "file link": "[x](file:///etc/passwd)",
    "attribute": '[x](https://a.example "\\" onclick=alert(1) \\"")',
    "template": "{{!base}} % import os",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_markdown_is_harmless(name: str) -> None:
    made = markdown.render(HARMFUL[name])
    tags = re.findall(r"<(/?[a-z0-9]+)([^>]*)>", made)
    assert {tag for tag, _ in tags} <= {"p", "/p", "a", "/a"}
    for _, attributes in tags:
        assert not attributes or re.fullmatch(r'( (href|title|target|rel)="[^"]*")+', attributes)
    assert all(url.startswith(("https://", "http://", "mailto:")) for url in re.findall(r'href="([^"]*)"', made))


def test_markdown_says_what_terms_need_to_say() -> None:
    made = markdown.render(
        "# One\n\n## Two\n\n- *a*\n- **b**\n\n[x](https://a.example) <b@a.example>\n\n|a|b|\n|-|-|\n|1|2|"
    )
    for part in (
        "<h2>One</h2>",
        "<h3>Two</h3>",
        "<li><em>a</em></li>",
        "<strong>b</strong>",
        "<td>1</td>",
        'href="https://a.example"',
        'href="mailto:b@a.example"',
        'rel="noopener noreferrer"',
    ):
        assert part in made


def test_a_name_is_text_and_nothing_else(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        evil = terms.add(opened, '"><script>alert(1)</script>', "Text", dataset="fly")[0].id
    for where in (path(evil), "/activate", "/"):
        reply = read(client, lab.bo, where)
        assert reply.status == 200
        assert "<script>" not in reply.text


def test_pages_are_for_people_and_errors_for_whoever_asks(client: Client, lab: Lab) -> None:
    reply = client.get(path(999), cookie=lab.bo, accept="application/json")
    assert (reply.status, json.loads(reply.body)["error"]) == (404, "not_found")
    with lab.change() as opened:
        service_accounts.set_active(opened, "robot", False)
    assert client.get(path(999), cookie=lab.robot).status == 303
