"""The pages of terms over WSGI: who may read which document, and what /activate shows."""

import html
import json
import re
import sys
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import apsw
import pytest

from dsgctl.core import (
    acceptances,
    grants,
    service_accounts,
    services,
    terms,
    users,
)
from dsgctl.core.clock import now
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.store.models import Principal
from dsgserve.gateway import Gateway
from tests.dsgserve.conftest import Client, Lab, Reply
from tests.dsgserve.terms.reader import CAVE, open_page, path, send

# Reading


def test_terms_are_shown_with_their_accept(client: Client, lab: Lab) -> None:
    reply = open_page(client, lab.bo, path(lab.fly_terms))
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
def test_a_visitor_without_a_login_is_sent_to_sign_in_and_back(
    client: Client, lab: Lab, where: str, who: str | None
) -> None:
    address = f"{where}?redirect={quote(CAVE, safe='')}&service=clio&junk=1"
    reply = open_page(client, lab.gone if who == "gone" else who, address)
    assert reply.status == 303
    target = urlsplit(reply.headers["location"])
    assert (target.netloc, target.path) == ("", "/auth/login")
    back = urlsplit(parse_qs(target.query)["next"][0])
    assert back.path == where
    assert parse_qs(back.query) == {"redirect": [CAVE], "service": ["clio"]}


def test_terms_of_a_closed_dataset_are_hidden_from_others(client: Client, lab: Lab) -> None:
    assert open_page(client, lab.ada, path(lab.fish_v2_terms)).status == 200
    hidden, missing = (open_page(client, lab.cy, path(number)) for number in (lab.fish_v2_terms, 999))
    assert (hidden.status, missing.status) == (404, 404)
    assert _without_nonce(hidden) == _without_nonce(missing)
    assert "fish" not in hidden.text


def _without_nonce(reply: Reply) -> str:
    """The page without the parts that differ in each response: the nonce and the request number."""
    return re.sub(r'nonce="[^"]*"|number: [0-9a-f]+', "", reply.text)


def test_terms_of_a_closed_dataset_are_hidden_after_the_grant_expires(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        cy = principal_subject(users.find(lab.database, "cy@example.org"))
        grants.add(change, cy, Target("fish", "view"), expires=now() - timedelta(seconds=1))
    assert open_page(client, lab.cy, path(lab.fish_v2_terms)).status == 404


def test_an_invitation_opens_terms_of_a_public_dataset_only(client: Client, lab: Lab) -> None:
    invites = {number: terms.find(lab.database, number).invite_token for number in (lab.fly_terms, lab.fish_v2_terms)}
    for word in ("invite", "token"):
        assert "Cite us." in open_page(client, lab.cy, f"/activate?{word}={invites[lab.fly_terms]}").text
        hidden = open_page(client, lab.cy, f"/activate?{word}={invites[lab.fish_v2_terms]}")
        unknown = open_page(client, lab.cy, f"/activate?{word}=nonsense")
        assert (hidden.status, unknown.status) == (404, 404)
        assert _without_nonce(hidden) == _without_nonce(unknown)
    hidden = open_page(client, lab.cy, path(lab.fish_v2_terms, invite=invites[lab.fish_v2_terms]))
    assert hidden.status == 404


def test_a_service_account_needs_no_terms(client: Client, lab: Lab) -> None:
    assert open_page(client, lab.robot, path(lab.fly_terms)).status == 403
    assert "There are no more terms to accept" in open_page(client, lab.robot, "/activate").text


def test_a_child_sees_that_its_parent_accepts(client: Client, lab: Lab) -> None:
    parent = users.find(lab.database, "ada@example.org").id
    lab.database.run(Principal.update(parent=parent).where(Principal.email == "bo@example.org"))
    reply = open_page(client, lab.bo, path(lab.fly_terms))
    assert (reply.status, reply.forms()) == (200, [])


# /activate


def test_activate_shows_all_pending_terms_and_then_redirects(client: Client, lab: Lab) -> None:
    where = f"/activate?redirect={quote(CAVE, safe='')}"
    actions = []
    for _ in range(5):
        reply = open_page(client, lab.ada, where)
        if reply.status == 303:
            break
        form = reply.forms()[0]
        actions.append(form.action)
        where = send(client, lab.ada, form).headers["location"]
        assert where.startswith("/activate?")
    assert reply.headers["location"] == CAVE
    assert sorted(actions) == sorted([path(lab.fly_terms), path(lab.fish_v2_terms)])


def test_activate_shows_the_terms_of_one_dataset_and_service(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        services.add(change, "clio")
        of_clio = terms.add(change, "clio terms", "Text", dataset="fish", service="clio")[0].id

    def form_actions(query: str) -> list[str]:
        forms = open_page(client, lab.ada, f"/activate?{query}").forms()
        return [form.action for form in forms if form.action != "/activate"]

    assert form_actions("dataset=fly") == [path(lab.fly_terms)]
    assert form_actions("dataset=fish") == [path(lab.fish_v2_terms)]
    assert form_actions("dataset=fish&service=clio") == [path(of_clio), path(lab.fish_v2_terms)]
    assert form_actions("dataset=nothing") == []
    assert form_actions("dataset=fish&service=nothing") == [path(lab.fish_v2_terms)]


def test_activate_redirects_when_no_terms_are_pending(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        acceptances.accept(change, lab.fly_terms, "cy@example.org")
    reply = open_page(client, lab.cy, "/activate")
    assert (reply.status, "There are no more terms to accept" in reply.text) == (200, True)
    assert open_page(client, lab.cy, "/activate?next=/success").headers["location"] == "/success"


def test_terms_that_have_ended_need_not_be_accepted(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        terms.retire(change, lab.fish_v2_terms)
    reply = open_page(client, lab.ada, path(lab.fish_v2_terms))
    assert (reply.status, reply.forms()) == (200, [])


# What is read again, printed and saved


def test_accepted_terms_can_be_read_and_saved_with_their_date(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        acceptances.accept(change, lab.fish_v2_terms, "ada@example.org")
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        grants.revoke(change, ada, Target("fish", "view"))
    reply = open_page(client, lab.ada, path(lab.fish_v2_terms))
    when = f"{now():%Y-%m-%d}"
    assert (reply.status, f"You accepted these terms on {when}" in reply.text) == (200, True)
    assert "Be careful." in reply.text
    assert "Request number" not in reply.text
    assert "For" not in reply.text.partition("<main>")[2].partition("<footer>")[0]  # the dataset is closed to her now
    saved = open_page(client, lab.ada, path(lab.fish_v2_terms, save="1"))
    assert saved.headers["content-disposition"] == f'attachment; filename="terms-{lab.fish_v2_terms}.txt"'
    assert saved.headers["content-type"] == "text/plain; charset=utf-8"
    assert saved.text.startswith(f"fish v2 terms\nAccepted by ada@example.org on {when}")
    assert saved.text.endswith("\n\nBe careful.\n")
    for stranger in (lab.bo, lab.cy):
        assert open_page(client, stranger, path(lab.fish_v2_terms)).status == 404
        assert open_page(client, stranger, path(lab.fish_v2_terms, save="1")).status == 404
    assert open_page(client, None, path(lab.fish_v2_terms, save="1")).status == 303


def test_hidden_terms_cost_as_much_as_terms_that_do_not_exist(client: Client, lab: Lab, gateway: Gateway) -> None:
    """Counted in statements, SQLite's own steps and calls of Python, none of which depends on the machine."""
    with lab.change() as change:
        long = terms.add(change, "long", "word " * 19_000, dataset="fish")[0].id
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
            reply = open_page(client, lab.cy, where)
        finally:
            sys.setprofile(None)
            connection.trace_v2(0, None)
        assert reply.status == 404
        return statements, steps, calls

    pairs = [(path(number), path(999)) for number in (long, lab.fish_v2_terms)]
    pairs += [(f"/activate?invite={invite}", f"/activate?invite={'x' * len(invite)}") for invite in invites.values()]
    for closed, missing in pairs:
        open_page(client, lab.cy, closed)  # what is made once is made
        there, not_there = cost(closed), cost(missing)
        assert there[0] == not_there[0]
        assert len(there[0]) > 3
        assert abs(there[1] - not_there[1]) <= 50  # of some hundreds: the row is looked at, and its text is not
        assert abs(there[2] - not_there[2]) <= 25  # of some thousands


# Accounts


@pytest.mark.parametrize(
    "where", ["/activate?next=%2Fsuccess", "/api/v1/tos/2/accept", "/login?origin=https%3A%2F%2Fviewer.example", "/"]
)
def test_every_page_names_the_account_and_offers_another(client: Client, lab: Lab, where: str) -> None:
    text = open_page(client, lab.bo, where).text
    assert "<strong>bo@example.org</strong>" in text
    (another,) = re.findall(r'href="(/auth/login\?again=1[^"]*)">Use another account', text)
    assert parse_qs(urlsplit(html.unescape(another)).query) == {"again": ["1"], "next": [where]}


def test_every_error_page_has_a_request_number_and_no_other_page_does(client: Client, lab: Lab) -> None:
    statuses = {}
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
            reply = open_page(client, cookie, where)
            if "text/html" in reply.headers["content-type"]:
                number = re.findall(r"Request number: ([0-9a-f]{16})", reply.text)
                assert number == ([reply.headers["x-request-id"]] if reply.status >= 400 else []), where
                statuses[reply.status] = True
    assert {200, 400, 403, 404, 405, 503} <= statuses.keys()


def test_a_name_is_escaped(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        evil = terms.add(change, '"><script>alert(1)</script>', "Text", dataset="fly")[0].id
    for where in (path(evil), "/activate", "/"):
        reply = open_page(client, lab.bo, where)
        assert reply.status == 200
        assert "<script>" not in reply.text


def test_people_get_pages_and_programs_get_json_errors(client: Client, lab: Lab) -> None:
    reply = client.get(path(999), cookie=lab.bo, accept="application/json")
    assert (reply.status, json.loads(reply.body)["error"]) == (404, "not_found")
    with lab.change() as change:
        service_accounts.set_active(change, "robot", False)
    assert client.get(path(999), cookie=lab.robot).status == 303
