"""Accepting terms: what a form records, and which forms are refused."""

import html
from datetime import timedelta

import pytest

from dsgctl.core import (
    grants,
    token_checks,
    tokens,
    users,
)
from dsgctl.core.clock import now
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.token_checks import PresentedToken
from dsgserve.http import signing
from dsgserve.http.signing import Purpose
from tests.dsgserve.conftest import KEY, Client, Form, Lab
from tests.dsgserve.terms.reader import CAVE, list_acceptances, open_page, path, send

# Accepting


def test_accepting_is_recorded_with_who_when_and_from_where(client: Client, lab: Lab) -> None:
    (form,) = open_page(client, lab.bo, path(lab.fly_terms)).forms()
    reply = client.post(
        form.action, form=form.fields, cookie=lab.bo, address="198.51.100.9", x_forwarded_for="203.0.113.1"
    )
    assert (reply.status, reply.headers["location"]) == (303, "/success")
    bo = users.find(lab.database, "bo@example.org").id
    assert list_acceptances(lab) == [(bo, lab.fly_terms, "198.51.100.9", "user:bo@example.org")]
    assert lab.scalar("SELECT actor FROM audit WHERE action = 'terms.accept'") == "user:bo@example.org"
    assert open_page(client, lab.bo, "/success").status == 200


def test_for_a_public_dataset_accepting_gives_view(client: Client, lab: Lab) -> None:
    (form,) = open_page(client, lab.cy, path(lab.fly_terms)).forms()
    assert send(client, lab.cy, form).status == 303
    cache = client.get("/api/v1/user/cache", cookie=lab.cy).json()
    assert cache["permissions_v2"] == {"fly": ["view"]}
    assert lab.scalar("SELECT source FROM grants WHERE granted_by = 'user:cy@example.org'") == "self-service"


def test_accepting_twice_records_one_acceptance(client: Client, lab: Lab) -> None:
    (form,) = open_page(client, lab.bo, path(lab.fly_terms)).forms()
    assert send(client, lab.bo, form).status == 303
    assert send(client, lab.bo, form).status == 303
    assert len(list_acceptances(lab)) == 1
    again = open_page(client, lab.bo, path(lab.fly_terms, redirect=CAVE))
    assert (again.status, again.forms()) == (200, [])  # a page, not a redirect: no loop with the service
    assert html.escape(CAVE) in again.text


def test_a_post_to_activate_accepts_terms_too(client: Client, lab: Lab) -> None:
    (form,) = open_page(client, lab.bo, path(lab.fly_terms)).forms()
    reply = client.post("/activate", form=form.fields | {"terms": str(lab.fly_terms)}, cookie=lab.bo)
    assert reply.status == 303
    assert len(list_acceptances(lab)) == 1


@pytest.mark.parametrize("document_id", ["", "x", "-1", "1.5", "٣", "1" * 30])
def test_a_post_to_activate_without_valid_terms_is_refused(client: Client, lab: Lab, document_id: str) -> None:
    assert client.post("/activate", form={"terms": document_id}, cookie=lab.bo).status == 400


def build_forged_forms(client: Client, lab: Lab) -> dict[str, tuple[str, Form]]:
    (good,) = open_page(client, lab.bo, path(lab.fly_terms)).forms()
    (other,) = open_page(client, lab.ada, path(lab.fish_v2_terms)).forms()
    (cys,) = open_page(client, lab.cy, path(lab.fly_terms)).forms()
    bo = token_checks.check(lab.database, PresentedToken(lab.bo), now()).token
    assert bo
    values = {"token": bo.id, "terms": lab.fly_terms}

    def sign_form(keys: tuple[str, ...], purpose: Purpose, hours: int) -> Form:
        return Form(good.action, {"form": signing.sign(keys, purpose, values, now() + timedelta(hours=hours))})

    return {
        "no token": (lab.bo, Form(good.action)),
        "empty": (lab.bo, Form(good.action, {"form": ""})),
        "cut": (lab.bo, Form(good.action, {"form": good.fields["form"][:-1]})),
        "somebody else's": (lab.bo, Form(good.action, cys.fields)),
        "for other terms": (lab.ada, Form(good.action, other.fields)),
        "another login of the same person": (_second_login(lab), good),
        "of another key": (lab.bo, sign_form(("x" * 32,), Purpose.FORM, 1)),
        "of another kind": (lab.bo, sign_form((KEY,), Purpose.USER_TOKEN, 1)),
        "too old": (lab.bo, sign_form((KEY,), Purpose.FORM, -1)),
    }


def _second_login(lab: Lab) -> str:
    with lab.change() as change:
        return tokens.mint(change, users.find(lab.database, "bo@example.org"), kind="login")[1]


def test_a_forged_form_is_refused_with_403(client: Client, lab: Lab) -> None:
    for name, (cookie, form) in build_forged_forms(client, lab).items():
        assert (name, send(client, cookie, form).status) == (name, 403)
    assert list_acceptances(lab) == []


def test_a_form_is_accepted_only_with_the_cookie(client: Client, lab: Lab) -> None:
    (form,) = open_page(client, lab.bo, path(lab.fly_terms)).forms()
    for cookie in (None, lab.gone, "nobody's"):
        reply = send(client, cookie, form)
        assert reply.status == 401
        assert "/auth/login?next=" in reply.text
    assert client.post(form.action, form=form.fields, authorization=f"Bearer {lab.bo}").status == 401
    assert client.post(f"{form.action}?dsg_token={lab.bo}", form=form.fields).status == 401
    assert list_acceptances(lab) == []


def test_a_refused_form_keeps_the_requested_page(client: Client, lab: Lab) -> None:
    reply = send(client, lab.bo, Form(path(lab.fly_terms), {"redirect": CAVE}))
    assert f'href="{html.escape(path(lab.fly_terms, redirect=CAVE))}"' in reply.text


def test_a_form_of_hidden_terms_is_answered_with_404(client: Client, lab: Lab) -> None:
    (form,) = open_page(client, lab.ada, path(lab.fish_v2_terms)).forms()
    with lab.change() as change:
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        grants.revoke(change, ada, Target("fish", "view"))
    assert send(client, lab.ada, form).status == 404
    assert list_acceptances(lab) == []
