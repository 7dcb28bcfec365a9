"""GET /: who one is, what one may see, which terms wait."""

import pytest

from dsgctl.core import grants, groups, users
from tests.serve.conftest import Client, Lab


def test_without_a_sign_in_it_says_so_and_offers_one(client: Client, lab: Lab) -> None:
    reply = client.get("/")
    assert reply.status == 200
    assert "You are not signed in" in reply.text
    assert '<a class="button" href="/auth/login?next=/">' in reply.text


@pytest.mark.parametrize("cookie", ["gone", "dsg_nobody's"])
def test_a_sign_in_that_has_ended_is_no_error(client: Client, lab: Lab, cookie: str) -> None:
    reply = client.get("/", cookie=getattr(lab, cookie, cookie))
    assert (reply.status, "has ended" in reply.text) == (200, True)
    assert "gone@example.org" not in reply.text


def test_who_one_is_and_what_one_may(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        groups.add(opened, "lab-1")
        groups.add_member(opened, "lab-1", "ada@example.org")
        grants.add(opened, grants.group_subject(opened.database, "lab-1"), grants.Target("fish", "manage"))
    text = client.get("/", cookie=lab.ada).text
    assert "Ada Example" in text
    assert "ada@example.org" in text
    assert "<tr><td>fish</td><td>manage</td></tr>" in text
    assert "lab-1" in text
    assert 'action="/logout"' in text


def test_what_only_terms_hold_back(client: Client, lab: Lab) -> None:
    text = client.get("/", cookie=lab.bo).text
    assert "view, once you have accepted its terms" in text
    assert f'href="/api/v1/tos/{lab.fly_terms}/accept?next=/"' in text
    assert "fish" not in text


def test_somebody_without_anything(client: Client, lab: Lab) -> None:
    text = client.get("/", cookie=lab.cy).text
    assert "None yet" in text
    assert "fly terms" in text  # of a public dataset: accepting gives view
    assert "fish" not in text


def test_a_service_account(client: Client, lab: Lab) -> None:
    text = client.get("/", authorization=f"Bearer {lab.robot}").text
    assert "robot" in text
    assert "<tr><td>fish</td><td>view</td></tr>" in text
    assert "Terms" not in text


def test_names_are_text_and_nothing_else(client: Client, lab: Lab) -> None:
    with lab.change() as opened:
        users.set_attributes(opened, "ada@example.org", display_name="<script>alert(1)</script>")
    text = client.get("/", cookie=lab.ada).text
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_it_is_never_kept_and_loads_nothing(client: Client, lab: Lab) -> None:
    reply = client.get("/", cookie=lab.ada)
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["cross-origin-opener-policy"] == "same-origin"
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    for loading in ("src=", "<link", "@import", "url(", "http:", "https:"):
        assert loading not in reply.text
