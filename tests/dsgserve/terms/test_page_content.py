"""What a page of terms leads to, and how much it shows when many terms are pending."""

import re
from urllib.parse import quote

import pytest

from dsgctl.core import (
    datasets,
    grants,
    terms,
    users,
)
from dsgctl.core.grant_targets import Target, principal_subject
from dsgserve.gateway import Gateway
from dsgserve.terms import page_content
from tests.dsgserve.conftest import PAGE, Client, Lab
from tests.dsgserve.terms.reader import CAVE, list_acceptances, open_page, path, read_checkboxes, send

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
def test_an_accept_redirects_to_the_requested_page(client: Client, lab: Lab, word: str, target: str) -> None:
    reply = open_page(client, lab.bo, path(lab.fly_terms, **{word: target}))
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
def test_an_accept_with_another_target_is_refused(client: Client, lab: Lab, word: str, target: str) -> None:
    (form,) = open_page(client, lab.bo, path(lab.fly_terms)).forms()
    for reply in (
        open_page(client, lab.bo, path(lab.fly_terms, **{word: target})),
        open_page(client, lab.bo, f"/activate?{word}={quote(target, safe='')}"),
        send(client, lab.bo, form, **{word: target}),
    ):
        assert reply.status == 400
        assert "attacker" not in reply.text
    assert list_acceptances(lab) == []


@pytest.mark.parametrize(
    "query", ["next=/activate", "redirect=https://cave.example/", "next=//evil.example", "next=" + "x" * 5000]
)
def test_the_query_of_a_form_address_is_ignored(client: Client, lab: Lab, query: str) -> None:
    (form,) = open_page(client, lab.bo, path(lab.fly_terms)).forms()
    for fields, location in (({}, "/success"), ({"redirect": "https://cave.example/x"}, "https://cave.example/x")):
        reply = client.post(f"{form.action}?{query}", form=form.fields | fields, cookie=lab.bo, accept=PAGE)
        assert (reply.status, reply.headers.get("location")) == (303, location)


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
def test_the_button_names_only_an_allowed_site(target: str, client: Client, lab: Lab) -> None:
    word = "next" if target.startswith("/") else "redirect"
    (form,) = open_page(client, lab.bo, path(lab.fly_terms)).forms()
    send(client, lab.bo, form)
    reply = open_page(client, lab.bo, path(lab.fly_terms, **{word: target}))
    assert reply.status == 200
    words = re.findall(r">(Continue[^<]*)</a>", reply.text)
    assert words == ([f"Continue to {PLACES[target]}"] if PLACES[target] else ["Continue"])


def test_the_page_lets_its_form_lead_to_the_service(client: Client, lab: Lab) -> None:
    for where in (path(lab.fly_terms, redirect=CAVE), f"/activate?redirect={quote(CAVE, safe='')}"):
        policy = open_page(client, lab.bo, where).headers["content-security-policy"]
        assert "form-action 'self' https://cave.example;" in policy
    assert "form-action 'self';" in open_page(client, lab.bo, path(lab.fly_terms)).headers["content-security-policy"]


# Several at once


@pytest.fixture
def more(lab: Lab) -> list[int]:
    """Terms of ten more datasets of ada's. With those of the lab twelve wait for her."""
    with lab.change() as change:
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        for number in range(10):
            datasets.add(change, f"set-{number}")
            grants.add(change, ada, Target(f"set-{number}", "view"))
        return [terms.add(change, f"terms {n}", f"Be kind {n}.", dataset=f"set-{n}")[0].id for n in range(10)]


def test_several_selected_terms_are_accepted_at_once(client: Client, lab: Lab, more: list[int]) -> None:
    reply = open_page(client, lab.ada, "/activate?next=/success")
    boxes = read_checkboxes(reply)
    assert len(boxes) == page_content.MAX_DOCUMENTS
    assert " checked" not in reply.text
    (several,) = [form for form in reply.forms() if form.action == "/activate"]
    chosen = dict(list(boxes.items())[1:4])
    accepted = client.post("/activate", form=several.fields | chosen, cookie=lab.ada, address="198.51.100.9")
    assert (accepted.status, accepted.headers["location"]) == (303, "/activate?next=%2Fsuccess")
    assert [f"accept-{row[1]}" for row in list_acceptances(lab)] == sorted(chosen, key=lambda name: int(name[7:]))
    assert {row[2] for row in list_acceptances(lab)} == {"198.51.100.9"}


def test_none_of_several_is_accepted_if_one_is_forged(client: Client, lab: Lab, more: list[int]) -> None:
    boxes = read_checkboxes(open_page(client, lab.ada, "/activate"))
    names = list(boxes)
    for spoiled in (
        boxes | {names[0]: "x"},
        boxes | {names[0]: boxes[names[1]]},
        boxes | {"accept-999": boxes[names[0]]},
    ):
        assert client.post("/activate", form=spoiled, cookie=lab.ada, accept=PAGE).status == 403
    for nothing in ({}, {"next": "/"}, {"accept-": "x"}, {"accept-x": "y"}, {"accept-1.5": "y"}, {"accept-٣": "y"}):
        assert client.post("/activate", form=nothing, cookie=lab.ada, accept=PAGE).status == 400
    assert list_acceptances(lab) == []


def test_accepting_one_of_several_returns_to_the_same_place(client: Client, lab: Lab, more: list[int]) -> None:
    reply = open_page(client, lab.ada, "/activate?next=/success")
    forms = [form for form in reply.forms() if form.action != "/activate"]
    places = re.findall(r'<section id="(terms-[0-9]+)"', reply.text)
    wheres = [send(client, lab.ada, form).headers["location"] for form in forms]
    assert wheres == [f"/activate?next=%2Fsuccess#{place}" for place in places[1:]] + ["/activate?next=%2Fsuccess"]
    (alone,) = open_page(client, lab.ada, path(more[8], redirect=CAVE)).forms()
    assert send(client, lab.ada, alone, then="3").headers["location"] == CAVE


def test_terms_that_block_a_grant_come_first_and_others_are_folded(client: Client, lab: Lab, more: list[int]) -> None:
    text = open_page(client, lab.ada, "/activate").text
    shown, _, folded = text.partition("<details>")
    assert 'aria-label="Text of fly terms"' not in text
    assert "fly terms" not in shown
    assert f'href="{path(lab.fly_terms, next="/activate")}"' in folded
    assert shown.count('class="document boxed"') == page_content.MAX_DOCUMENTS
    assert shown.count("<li><a href=") == 11 - page_content.MAX_DOCUMENTS
    # Who was granted nothing that waits is shown the public ones.
    assert 'aria-label="Text of fly terms"' in open_page(client, lab.cy, "/activate").text


def test_a_page_renders_a_bounded_number_of_documents_and_each_once(client: Client, lab: Lab, gateway: Gateway) -> None:
    length = 45_000
    with lab.change() as change:
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        for number in range(70):
            datasets.add(change, f"set-{number}")
            grants.add(change, ada, Target(f"set-{number}", "view"))
            terms.add(change, f"terms {number}", f"{number} " + "word " * (length // 5), dataset=f"set-{number}")
    for number in range(5):
        reply = open_page(client, lab.ada, "/activate")
        assert gateway.documents.rendered == 2  # as many as fit, and never again
        assert len(reply.body) < 3 * page_content.MAX_TEXT
        assert reply.text.count("<li><a href=") <= 2 * page_content.MAX_LINKS
        assert "19 more will be shown" in reply.text, number
    assert open_page(client, lab.ada, "/").status == 200
    assert gateway.documents.rendered == 2
