"""Pending terms at POST /token and in the popup: when they come first, and for how long they stay postponed."""

import html
import re
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from dsgctl.core import terms, tokens
from dsgctl.core.service_accounts import find_principal
from dsgctl.store.models import Principal
from dsgctl.store.sqlite.database import SqliteDatabase
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from tests.dsgserve.conftest import PAGE, VIEWER, Client, Lab
from tests.dsgserve.ngauth.viewer import (
    STRANGER,
    assert_readable_by,
    exchange_user_token,
    open_popup,
    read_message,
    request_user_token,
    skip_terms,
)


def ask_for_token(client: Client, cookie: str) -> tuple[int, str | None]:
    """What a viewer gets: the status, and the word for programs."""
    reply = client.post("/token", cookie=cookie, origin=VIEWER)
    assert_readable_by(reply, VIEWER)
    return reply.status, reply.json()["error"] if reply.status != 200 else None


WAITS = (401, "tos_required")


@pytest.mark.parametrize(
    ("who", "answer"),
    [
        ("ada", WAITS),  # terms of a version that her grant reaches
        ("bo", WAITS),
        ("cy", (200, None)),  # terms of a public dataset on which they hold nothing
        ("script", WAITS),  # an API token in the cookie
        ("robot", (200, None)),  # a service account has no terms
    ],
)
def test_token_answers_401_while_terms_are_pending(
    client: Client, lab: Lab, who: str, answer: tuple[int, str | None]
) -> None:
    assert ask_for_token(client, getattr(lab, who)) == answer
    assert client.post("/token", cookie=getattr(lab, who)).status == 200  # a program has no button to show
    assert client.post("/token", cookie=getattr(lab, who), origin=STRANGER).status == 403


def test_the_401_has_the_address_of_the_terms(client: Client, lab: Lab) -> None:
    reply = client.post("/token", cookie=lab.bo, origin=VIEWER)
    assert reply.json()["url"] == "https://auth.example.org/activate"
    assert reply.headers["www-authenticate"] == 'Bearer realm="DatasetGateway"'


def test_terms_are_not_asked_for_again_once_accepted_or_postponed(client: Client, lab: Lab) -> None:
    (form,) = open_popup(client, cookie=lab.bo).forms()
    client.post(form.action, form=form.fields, cookie=lab.bo)
    assert ask_for_token(client, lab.bo) == (200, None)
    assert read_message(skip_terms(client, lab.ada))[0] == VIEWER
    assert ask_for_token(client, lab.ada) == (200, None)
    assert read_message(open_popup(client, cookie=lab.ada))[0] == VIEWER
    # Postponed is not accepted.
    assert (
        exchange_user_token(client, request_user_token(client, lab.ada), "fly-bucket").json()["error"] == "tos_required"
    )


def test_a_postponement_is_valid_for_this_login_alone_and_in_every_process(
    client: Client, lab: Lab, gateway: Gateway, path: Path
) -> None:
    with lab.change() as change:
        second = tokens.mint(change, find_principal(lab.database, "bo@example.org"), kind="login")[1]
    revision, records = lab.database.revision(), lab.scalar("SELECT count(*) FROM audit")
    skip_terms(client, lab.bo)
    assert (lab.database.revision(), lab.scalar("SELECT count(*) FROM audit")) == (revision, records)
    assert ask_for_token(client, second) == WAITS
    assert ask_for_token(client, lab.ada) == WAITS
    anew = Gateway.open(gateway.config)
    try:
        assert ask_for_token(Client(make_app(anew)), lab.bo) == (200, None)
        assert ask_for_token(Client(make_app(anew)), second) == WAITS
    finally:
        anew.close()


def test_new_terms_are_asked_for_after_a_postponement(client: Client, lab: Lab) -> None:
    skip_terms(client, lab.bo)
    with lab.change() as change:
        terms.add(change, "fly terms", "Cite us twice.", dataset="fly")
    assert ask_for_token(client, lab.bo) == WAITS
    assert "Cite us twice." in open_popup(client, cookie=lab.bo).text
    skip_terms(client, lab.bo)
    assert ask_for_token(client, lab.bo) == (200, None)


def test_terms_added_meanwhile_are_shown_first(client: Client, lab: Lab) -> None:
    later = re.search(r'href="([^"]*)">Continue without', open_popup(client, cookie=lab.bo).text)
    assert later
    with lab.change() as change:
        terms.add(change, "fly terms", "Cite us twice.", dataset="fly")
    assert "Cite us twice." in client.get(html.unescape(later[1]), cookie=lab.bo, accept=PAGE).text
    assert ask_for_token(client, lab.bo) == WAITS


def test_only_our_page_can_postpone_terms(client: Client, lab: Lab) -> None:
    """Another site may open this address in a window; without what our page gave, nothing is remembered."""
    theirs = re.search(r"&amp;form=([^&\"]*)", open_popup(client, cookie=lab.ada).text)
    assert theirs
    assert read_message(open_popup(client, more="&terms=later", cookie=lab.bo))[0] == VIEWER  # this once
    for form in ("x", theirs[1], theirs[1][:-1]):
        assert "fly terms" in open_popup(client, more=f"&terms=later&form={form}", cookie=lab.bo).text
    assert ask_for_token(client, lab.bo) == WAITS


def test_terms_can_be_postponed_when_nothing_can_be_written(
    client: Client, lab: Lab, gateway: Gateway, path: Path
) -> None:
    writer = apsw.Connection(str(path))
    writer.execute("BEGIN IMMEDIATE")  # as a disk that is full does, this stands against every change
    try:
        reply = skip_terms(Client(make_app(replace(gateway, writer=SqliteDatabase(path, busy_timeout=0.1)))), lab.bo)
        assert read_message(reply)[0] == VIEWER
    finally:
        writer.close()
    assert ask_for_token(client, lab.bo) == WAITS


def test_a_child_whose_parent_accepts_can_only_go_on_without(client: Client, lab: Lab) -> None:
    parent = find_principal(lab.database, "ada@example.org").id
    lab.database.run(Principal.update(parent=parent).where(Principal.email == "bo@example.org"))
    assert ask_for_token(client, lab.bo) == WAITS
    assert open_popup(client, cookie=lab.bo).forms() == []
    skip_terms(client, lab.bo)
    assert ask_for_token(client, lab.bo) == (200, None)
