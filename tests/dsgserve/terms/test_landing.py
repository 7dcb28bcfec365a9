"""GET /: who one is, what one may see, which terms wait."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest

from dsgctl.core import acceptances, datasets, grants, groups, locations, terms, tokens, users, versions
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgserve.app import make_app
from dsgserve.gateway import Gateway
from dsgserve.http.site import MAX_LOGO, Site
from tests.dsgserve.conftest import PAGE, Client, Lab

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def permissions(text: str) -> dict[str, str]:
    """The datasets with a permission, and which."""
    names = re.findall(
        r'<h2><bdi dir="auto">([^<]*)</bdi></h2>(?:(?!<h[23]).)*?Your permission: <strong>([^<]*)<', text, re.DOTALL
    )
    return dict(names)


def dataset_names(text: str) -> list[str]:
    """All datasets on the page, in their order."""
    return re.findall(r'<h[23]><bdi dir="auto">([^<]*)</bdi></h[23]>', text)


@pytest.fixture
def client_of(gateway: Gateway) -> Callable[[Site], Client]:
    """A client of a gateway whose site has other settings."""
    return lambda site: Client(make_app(replace(gateway, site=site)))


def test_a_visitor_without_a_login_is_offered_a_sign_in(client: Client, lab: Lab) -> None:
    reply = client.get("/")
    assert reply.status == 200
    assert "You are not signed in" in reply.text
    assert '<a class="button" href="/auth/login?next=/">' in reply.text


def test_an_expired_login_is_explained_and_is_no_error(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        ada = users.find(lab.database, "ada@example.org")
        old = tokens.mint(change, ada, kind="login", expires=now() - timedelta(seconds=1))[1]
        ended, revoked = tokens.mint(change, ada, kind="login")
        tokens.revoke(change, ended.id)
    for cookie, why in (
        (old, "ends after seven days"),
        (revoked, "You were signed out"),
        ("dsg_nobody's", "You were signed out"),
        (lab.gone, "Your account is disabled"),
    ):
        reply = client.get("/", cookie=cookie)
        assert (reply.status, why in reply.text) == (200, True), why
        assert "@example.org" not in reply.text
        assert "/auth/login?" in reply.text


def test_the_page_shows_the_account_and_its_permissions(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        groups.add(change, "lab-1")
        groups.add_member(change, "lab-1", "ada@example.org")
        grants.add(change, group_subject(change.database, "lab-1"), Target("fish", "manage"))
    text = client.get("/", cookie=lab.ada).text
    assert "Ada Example" in text
    assert "ada@example.org" in text
    assert permissions(text) == {"fish": "manage"}
    assert "lab-1" in text
    assert 'action="/logout"' in text


def test_the_page_lists_datasets_that_need_terms(client: Client, lab: Lab) -> None:
    text = client.get("/", cookie=lab.bo).text
    assert permissions(text) == {"fly": "view"}
    assert ", once you <a" in text
    assert f'href="/api/v1/tos/{lab.fly_terms}/accept?next=/"' in text
    assert "fish" not in text


def test_the_page_of_an_account_without_permissions_says_so(client: Client, lab: Lab) -> None:
    text = client.get("/", cookie=lab.cy).text
    assert "You do not have access to any dataset yet" in text
    assert "cy@example.org" in text  # what to tell whoever gives access
    assert "Open to everyone who accepts the terms" in text
    assert f'href="/api/v1/tos/{lab.fly_terms}/accept?next=/"' in text  # accepting gives view
    assert "fish" not in text


def test_a_service_account(client: Client, lab: Lab) -> None:
    text = client.get("/", authorization=f"Bearer {lab.robot}").text
    assert "robot" in text
    assert permissions(text) == {"fish": "view"}
    assert "erms" not in text.partition("<main>")[2]


def test_names_are_escaped(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        users.set_attributes(change, "ada@example.org", display_name="<script>alert(1)</script>")
    text = client.get("/", cookie=lab.ada).text
    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text


def test_the_page_is_not_cached_and_loads_no_resources(client: Client, lab: Lab) -> None:
    reply = client.get("/", cookie=lab.ada)
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["cross-origin-opener-policy"] == "same-origin"
    assert reply.headers["content-security-policy"].startswith("default-src 'none'")
    for loading in ("src=", "<link", "@import", "url("):
        assert loading not in reply.text
    assert set(re.findall(r"https?://[^/<]*", reply.text)) == {"https://auth.example.org"}  # addresses to copy


# Each dataset


def test_each_dataset_has_its_description_versions_and_addresses(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        datasets.set_attributes(change, "fish", description="A zebrafish <brain>")
    text = client.get("/", cookie=lab.ada).text
    assert "A zebrafish &lt;brain&gt;" in text
    assert 'Versions: <bdi dir="auto">v2</bdi>' in text
    sources = re.findall(r"<code[^>]*>([^<]*)</code>", text)
    assert sources == [
        "precomputed://gs+ngauth+https://auth.example.org/fish-bucket",
        "precomputed://gs+ngauth+https://auth.example.org/shared-bucket/fish/v2",
    ]
    assert "Neuroglancer</a>" not in text  # no viewer is set


def test_a_very_long_description_is_cut_short(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        datasets.set_attributes(change, "fish", description="x" * 90_000)
    assert len(client.get("/", cookie=lab.ada).body) < 20_000
    assert len(client.get("/?q=x", cookie=lab.ada).body) < 20_000


def test_a_user_with_one_version_sees_only_that_version_and_its_address(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        versions.add(change, "fish", "v3")
        locations.add(change, "fish", "gs://shared-bucket/fish/v3", version="v3")
        cy = principal_subject(users.find(lab.database, "cy@example.org"))
        grants.add(change, cy, Target("fish", "view", version="v3"))
    text = client.get("/", cookie=lab.cy).text
    assert re.findall(r"<code[^>]*>([^<]*)</code>", text) == [
        "precomputed://gs+ngauth+https://auth.example.org/shared-bucket/fish/v3"
    ]
    assert "v2" not in text


def test_a_link_opens_it_in_the_viewer_that_is_set(client_of: Callable[[Site], Client], lab: Lab) -> None:
    text = client_of(Site(viewer="https://viewer.example/v/")).get("/", cookie=lab.ada).text
    links = [html.unescape(link) for link in re.findall(r'href="(https://viewer[^"]*)"', text)]
    states = [json.loads(unquote(link.removeprefix("https://viewer.example/v/#!"))) for link in links]
    assert [state["layers"][0]["source"] for state in states] == re.findall(r"<code[^>]*>([^<]*)</code>", text)
    assert [state["layers"][0]["name"] for state in states] == ["fish", "fish v2"]
    assert all(state["layers"][0]["type"] == "auto" for state in states)


def test_many_versions_and_places_are_cut_short_and_counted(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        for number in range(30):
            versions.add(change, "fish", f"w{number}")
            locations.add(change, "fish", f"gs://fish-bucket/{number}/")
    text = client.get("/", cookie=lab.ada).text
    assert "and 11 more" in text
    assert "And 12 more sources" in text
    assert text.count("<code") == 20


def test_a_public_dataset_without_terms_is_not_offered(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        datasets.add(change, "moth", public=True)
    assert dataset_names(client.get("/", cookie=lab.cy).text) == ["fly"]


def test_a_public_dataset_with_revoked_view_is_not_offered(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        bo = principal_subject(users.find(lab.database, "bo@example.org"))
        grants.revoke(change, bo, Target("fly", "view"))
    text = client.get("/", cookie=lab.bo).text
    assert "fly" not in text.partition("<main>")[2]
    assert "fly" in client.get("/", cookie=lab.cy).text


# Many datasets


@pytest.fixture
def many(lab: Lab) -> Lab:
    """Ada has 200 more."""
    with lab.change() as change:
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        for number in range(200):
            datasets.add(change, f"set-{number:03}", description="Larva" if number % 100 == 7 else "Adult")
            grants.add(change, ada, Target(f"set-{number:03}", "view"))
    return lab


def test_a_page_of_15_datasets_or_more_has_a_filter(client: Client, lab: Lab) -> None:
    with lab.change() as change:
        ada = principal_subject(users.find(lab.database, "ada@example.org"))
        for number in range(12):
            datasets.add(change, f"set-{number}")
            grants.add(change, ada, Target(f"set-{number}", "view"))
    assert 'name="q"' not in client.get("/", cookie=lab.ada).text  # fish, fly and twelve
    with lab.change() as change:
        datasets.add(change, "set-12")
        grants.add(change, ada, Target("set-12", "view"))
    assert 'name="q"' in client.get("/", cookie=lab.ada).text


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("set-00", [f"set-{number:03}" for number in range(10)]),
        ("SET-007", ["set-007"]),
        ("larva", ["set-007", "set-107"]),
        ("larva+set-1", ["set-107"]),
        ("%25", []),
        ("_", []),
        ("%C3%A9", []),
        ("%3Cscript%3E", []),
        ("x" * 900, []),
    ],
)
def test_it_finds_words_in_names_and_descriptions(client: Client, many: Lab, words: str, shown: list[str]) -> None:
    text = client.get(f"/?q={words}", cookie=many.ada).text
    assert dataset_names(text) == shown
    assert "<script" not in text
    assert 'name="q"' in text and 'href="/">Show all' in text


def test_a_page_has_fifty_datasets_and_a_link_to_the_next(client: Client, many: Lab) -> None:
    names: list[str] = []
    where = "/?q=set"
    while where:
        text = client.get(where, cookie=many.ada).text
        assert len(dataset_names(text)) <= 50
        names += dataset_names(text)
        following = re.search(r'href="([^"]*)" rel="next"', text)
        where = html.unescape(following[1]) if following else ""
    assert names == [f"set-{number:03}" for number in range(200)]


@pytest.mark.parametrize("start", ["-1", "x", "9999999", "", "1e3", "\u0663", "201", "199"])
def test_any_start_in_the_query_gives_a_page(client: Client, many: Lab, start: str) -> None:
    assert client.get(f"/?from={start.encode().decode('latin-1')}", cookie=many.ada).status == 200


# Terms that were accepted


def test_accepted_terms_are_listed_with_their_day(client: Client, lab: Lab) -> None:
    assert "you have accepted</h2>" not in client.get("/", cookie=lab.bo).text
    with lab.change() as change:
        acceptances.accept(change, lab.fly_terms, "bo@example.org")
        terms.add(change, "newer fly terms", "Cite us twice.", dataset="fly")
    text = client.get("/", cookie=lab.bo).text
    listed = text.partition("Terms that you have accepted")[2]
    assert f'href="/api/v1/tos/{lab.fly_terms}/accept"><bdi dir="auto">fly terms</bdi></a>' in listed
    assert f"{now():%Y-%m-%d}" in listed


# The site's own


@pytest.mark.parametrize("where", ["/", "/nowhere", "/activate", "/success", "/login?origin=x"])
def test_every_page_has_the_name_and_the_contact_of_the_site(
    client_of: Callable[[Site], Client], lab: Lab, where: str
) -> None:
    for contact, link in (
        ("help@example.org", "mailto:help@example.org"),
        ("https://help.example/x?a=1&b", "https://help.example/x?a=1&amp;b"),
    ):
        client = client_of(Site(name="Données <b>", contact=contact))
        for cookie in (None, lab.ada):
            reply = client.get(where, cookie=cookie, accept=PAGE)
            if reply.status != 303:
                assert '<bdi dir="auto">Données &lt;b&gt;</bdi>' in reply.text
                assert f'href="{link}"' in reply.text
                assert "img-src" not in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml"),
    ],
)
def test_the_logo_is_embedded_in_the_page(
    client_of: Callable[[Site], Client], gateway: Gateway, tmp_path: Path, content: bytes, kind: str
) -> None:
    (tmp_path / "logo").write_bytes(content)
    reply = client_of(Site.open(replace(gateway.config, site_logo=tmp_path / "logo"))).get("/")
    assert f'<img src="data:{kind};base64,' in reply.text
    assert "img-src data:;" in reply.headers["content-security-policy"]


@pytest.mark.parametrize("content", [None, b"", b"GIF89a", b"<html>", PNG + bytes(MAX_LOGO)])
def test_a_file_that_is_no_image_is_refused_as_a_logo(gateway: Gateway, tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "logo").write_bytes(content)
    with pytest.raises(Invalid, match="DSG_SITE_LOGO"):
        Site.open(replace(gateway.config, site_logo=tmp_path / "logo"))
