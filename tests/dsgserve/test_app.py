"""What every route declares is enforced: generated from the table of routes, so that a new route is covered too."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from dsgctl.core.clock import now
from dsgserve.apis import gate
from dsgserve.apis.cave import admission as cave_admission
from dsgserve.apis.cave import tables as cave_tables
from dsgserve.apis.cave import tokens as cave_tokens
from dsgserve.apis.native import long_lived_tokens as native_tokens
from dsgserve.apis.native import user as native_user
from dsgserve.app import make_app
from dsgserve.clients import key_window
from dsgserve.gateway import Gateway
from dsgserve.http import signing
from dsgserve.http.route import Endpoint, Guard, Route
from dsgserve.http.signing import Purpose
from dsgserve.login import admission, sign_in
from dsgserve.login.dev_login import DevProvider
from dsgserve.ngauth import endpoints, popup
from dsgserve.terms import terms_pages
from dsgserve.user_cache import endpoint as user_cache
from tests.dsgserve.bodies import BODIES, FORM, ReadFields, read_key_form, read_terms_form, read_token_form
from tests.dsgserve.clients.windows import register, take_key
from tests.dsgserve.conftest import KEY, PAGE, VIEWER, Client, Lab, Reply
from tests.dsgserve.routes import EVERY_ROUTE, fill_path

METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE")
ENDPOINTS = [(route, endpoint) for route in EVERY_ROUTE for endpoint in route.endpoints]
each_endpoint = pytest.mark.parametrize(
    ("route", "endpoint"), ENDPOINTS, ids=[f"{endpoint.method} {route.path}" for route, endpoint in ENDPOINTS]
)


@pytest.fixture
def client(gateway: Gateway) -> Client:
    """With a provider, so that sign-in is possible."""
    return Client(make_app(replace(gateway, provider=DevProvider(gateway.reader))))


def fill(route: Route, lab: Lab) -> str:
    return fill_path(route, lab.fly_terms)


def body_of(endpoint: Endpoint[Any], client: Client, lab: Lab) -> dict[str, Any]:
    """The options of a request that sends what the endpoint is for: bo's form, or what a program sends."""
    if read_fields := ADMISSIONS[endpoint.admits].read_fields:
        return {"body": urlencode(read_fields(client, lab, lab.bo)).encode(), "content_type": FORM}
    body = BODIES.get(endpoint.handler)
    return {"body": body.build(client, lab), "content_type": body.content_type} if body else {}


def state(lab: Lab) -> object:
    changed_tokens = lab.scalar("SELECT group_concat(quote(revoked) || quote(postponed)) FROM tokens")
    return lab.database.table_sizes(), changed_tokens


# Methods


@pytest.mark.parametrize("route", EVERY_ROUTE, ids=lambda route: route.path)
def test_only_declared_methods_are_answered(route: Route, client: Client, lab: Lab) -> None:
    for method in METHODS:
        reply = client.request(method, fill(route, lab), cookie=lab.cy)
        assert (reply.status == 405) == (not route.allows(method)), method
        if reply.status == 405:
            assert reply.headers["allow"] == ", ".join(route.allowed_methods())
            assert reply.headers["cross-origin-opener-policy"] == ("unsafe-none" if route.popup else "same-origin")
    assert ("OPTIONS" in route.allowed_methods()) == route.cors
    assert ("HEAD" in route.allowed_methods()) == any(
        endpoint.method == "GET" and endpoint.guard is not Guard.DELIBERATE for endpoint in route.endpoints
    )


# Guards

CROSS_SITE = [
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    {"sec_fetch_site": "same-site", "sec_fetch_mode": "cors", "sec_fetch_dest": "empty"},
    {"sec_purpose": "prefetch"},
]


def of(guard: Guard) -> pytest.MarkDecorator:
    guarded = [(route, endpoint) for route, endpoint in ENDPOINTS if endpoint.guard is guard]
    return pytest.mark.parametrize(
        ("route", "endpoint"), guarded, ids=[f"{endpoint.method} {route.path}" for route, endpoint in guarded]
    )


@of(Guard.DELIBERATE)
@pytest.mark.parametrize("headers", CROSS_SITE, ids=range(len(CROSS_SITE)))
def test_a_route_that_acts_at_once_refuses_requests_that_are_not_deliberate(
    route: Route, endpoint: Endpoint[Any], headers: dict[str, Any], client: Client, lab: Lab
) -> None:
    before = state(lab)
    reply = client.request(endpoint.method, fill(route, lab), cookie=lab.ada, **headers)
    assert (reply.status, reply.json()["error"]) == (403, "not_deliberate")
    assert state(lab) == before


@of(Guard.HARMLESS)
@pytest.mark.parametrize("headers", [{}, *CROSS_SITE], ids=range(len(CROSS_SITE) + 1))
def test_a_route_declared_harmless_writes_nothing(
    route: Route, endpoint: Endpoint[Any], headers: dict[str, Any], client: Client, lab: Lab
) -> None:
    before = state(lab)
    for cookie in (None, lab.ada, lab.bo, lab.gone):
        for query in ("", "?origin=https://viewer.example", "?terms=later&form=x&origin=https://viewer.example"):
            client.request(endpoint.method, fill(route, lab) + query, cookie=cookie, accept=PAGE, **headers)
    assert state(lab) == before


@of(Guard.FORM)
def test_a_form_needs_the_proof_of_our_page_for_this_login_and_its_content(
    route: Route, endpoint: Endpoint[Any], client: Client, lab: Lab
) -> None:
    path = fill(route, lab)
    read_fields = ADMISSIONS[endpoint.admits].read_fields
    assert read_fields, "the row of its admission has no form"
    valid = read_fields(client, lab, lab.bo)
    forged = {
        "none": {name: value for name, value in valid.items() if name != "form"},
        "no text": {**valid, "form": ""},
        "another text": {**valid, "form": "x.y"},
        "another login": read_fields(client, lab, lab.cy),
        "another purpose": {**valid, "form": client.post("/token", cookie=lab.ada).text},
        "cut": {**valid, "form": valid["form"][:-1]},
        "another key": {**valid, "form": _sign_form(valid["form"], "another key of another server")},
    }
    before = state(lab)
    for name, fields in forged.items():
        reply = client.post(path, form=fields, cookie=lab.bo)
        assert reply.status == 403, name
    assert client.post(path, form=valid).status == 401
    assert client.post(path, form=valid, cookie=lab.cy).status == 403
    assert client.post(path, form=valid, authorization=f"Bearer {lab.bo}").status == 401
    assert state(lab) == before
    assert client.post(path, form=valid, cookie=lab.bo).status in (200, 303)
    assert state(lab) != before


@of(Guard.LINK)
def test_a_link_changes_something_only_if_it_is_deliberate_and_has_the_proof_of_our_page(
    route: Route, endpoint: Endpoint[Any], client: Client, lab: Lab
) -> None:
    page = client.get(f"{route.path}?origin={VIEWER}", cookie=lab.ada, accept=PAGE).text
    links = re.findall(r'href="([^"]*terms=later[^"]*)"', page)
    link = links[0].replace("&amp;", "&")
    forged = [link[:-1], link + "x", re.sub(r"form=[^&]*", "form=", link), re.sub(r"&form=[^&]*", "", link)]
    before = state(lab)
    for each in forged:
        client.get(each, cookie=lab.ada, accept=PAGE)
    client.get(link, cookie=lab.bo, accept=PAGE)
    client.request("HEAD", link, cookie=lab.ada)
    for headers in CROSS_SITE:
        client.request("GET", link, cookie=lab.ada, accept=PAGE, **headers)  # type: ignore[arg-type]
    assert state(lab) == before
    client.get(link, cookie=lab.ada, accept=PAGE)
    assert state(lab) != before


def _sign_form(form_token: str, key: str) -> str:
    values = signing.verify((KEY,), Purpose.FORM, form_token, now())
    return signing.sign((key,), Purpose.FORM, values, now() + timedelta(hours=1))


ORIGINS = {  # Origin -> status and error for a page of it; None for whoever passes
    VIEWER: None,
    "https://evil.example": (403, "origin_not_allowed"),
    "https://viewer.example.evil.example": (403, "origin_not_allowed"),
    "http://viewer.example": (403, "origin_not_allowed"),
    "https://viewer.example:8443": (403, "origin_not_allowed"),
    "null": (400, "invalid_origin"),
    "": (400, "invalid_origin"),
    "https://viewer.example/": (400, "invalid_origin"),
    "https://viewer.example,https://viewer.example": (400, "invalid_origin"),
    "viewer.example": (400, "invalid_origin"),
}


@of(Guard.ORIGIN)
@pytest.mark.parametrize("origin", ORIGINS)
def test_a_page_needs_an_allowed_origin_and_may_read_why_it_is_refused(
    route: Route, endpoint: Endpoint[Any], origin: str, client: Client, lab: Lab
) -> None:
    options = {"cookie": lab.robot, **body_of(endpoint, client, lab)}
    assert client.post(route.path, **options).status == 200, "a program"
    reply = client.post(route.path, origin=origin, **options)
    preflight = client.request("OPTIONS", route.path, origin=origin)
    expected = ORIGINS[origin]
    if expected is None:
        assert reply.status == 200
    else:
        assert (reply.status, reply.json()["error"]) == expected
    readable = expected is None or expected[0] == 403
    assert reply.headers.get("access-control-allow-origin") == (origin if readable else None)
    assert reply.headers.get("access-control-allow-credentials") == ("true" if readable else None)
    assert preflight.status == 204
    assert preflight.headers.get("access-control-allow-methods") == (None if expected else "POST")
    assert preflight.headers.get("access-control-allow-origin") == (None if expected else origin)
    for each in (reply, preflight):
        assert (each.headers["vary"], each.headers["cache-control"]) == ("Origin", "no-store")


def test_a_route_without_cors_never_lets_a_page_of_another_site_read(client: Client, lab: Lab) -> None:
    for route, endpoint in ENDPOINTS:
        if not route.cors:
            reply = client.request(endpoint.method, fill(route, lab), cookie=lab.ada, origin=VIEWER)
            assert not [name for name in reply.headers if name.startswith("access-control-")], route.path


# Admissions


@dataclass(frozen=True)
class Admits:
    """The status of a request with a token of this kind: a refusal, or ``PASS`` for whatever the handler says.

    Attributes:
        read_fields: of an admission of `Guard.FORM`: the form that our page shows to a login.
    """

    nothing: int
    cookie: int
    header: int
    query: int
    unknown: int
    disabled: int
    read_fields: ReadFields | None = None


PASS = 0
SIGN_IN = 303
_ALL = Admits(PASS, PASS, PASS, PASS, PASS, PASS)
_TOKEN = Admits(401, PASS, PASS, PASS, 401, 401)
_SOME_ADMIN = Admits(401, 403, 403, 403, 401, 401)


def _admit_form(read_fields: ReadFields) -> Admits:
    return Admits(401, PASS, 401, 401, 401, 401, read_fields)


ADMISSIONS: dict[Callable[..., object], Admits] = {
    admission.anybody: _ALL,
    admission.optional_token: _ALL,
    admission.every_token: _ALL,
    admission.require_token: Admits(401, PASS, PASS, PASS, 401, 401),
    admission.valid_or_no_token: Admits(PASS, PASS, PASS, PASS, 401, 401),
    admission.require_own_token: Admits(401, 403, PASS, 403, 401, 401),
    native_tokens.require_itself: Admits(401, 403, 403, 403, 401, 401),
    native_user.admit: Admits(401, PASS, PASS, PASS, 401, 401),
    admission.require_cookie: Admits(401, PASS, 401, 401, 401, 401),
    admission.sign_in_first: Admits(SIGN_IN, PASS, SIGN_IN, SIGN_IN, SIGN_IN, SIGN_IN),
    sign_in.require_provider: _ALL,
    sign_in.require_login_state: Admits(403, 403, 403, 403, 403, 403),  # nobody's browser began this sign-in
    popup.admit: _ALL,  # without ?origin=
    endpoints.require_user_token: _ALL,  # it is in the body
    terms_pages.require_form: _admit_form(read_terms_form),
    key_window.require_form: _admit_form(read_key_form),
    gate.admit: Admits(400, 400, 400, 400, 400, 400),  # without ?dataset=
    user_cache.admit: _TOKEN,
    cave_tables.require_dataset: _TOKEN,
    cave_tables.require_any_root: _TOKEN,
    cave_tables.require_root: _TOKEN,
    cave_admission.require_token: _TOKEN,
    cave_admission.require_some_admin: _SOME_ADMIN,
    cave_tokens.require_reader: Admits(401, PASS, 405, 401, 401, 401),
    cave_tokens.require_lister: _TOKEN,
    cave_tokens.require_form: _admit_form(read_token_form),
}


def each_token(lab: Lab) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each kind of presented token: the column of `Admits`, the options of a request, and its query."""
    yield "nothing", {}, ""
    yield "cookie", {"cookie": lab.bo}, ""
    yield "header", {"authorization": f"Bearer {lab.bo}"}, ""
    yield "query", {}, f"?dsg_token={lab.bo}"
    yield "unknown", {"cookie": "dsgt" + "a" * 39}, ""
    yield "disabled", {"cookie": lab.gone}, ""


@each_endpoint
def test_each_route_admits_the_tokens_that_it_declares(
    route: Route, endpoint: Endpoint[Any], client: Client, lab: Lab
) -> None:
    expected = ADMISSIONS[endpoint.admits]  # a new admission needs a row there
    options = body_of(endpoint, client, lab)
    for kind, token, query in each_token(lab):
        reply = client.request(endpoint.method, fill(route, lab) + query, accept="*/*", **token, **options)
        status = getattr(expected, kind)
        if status == PASS:
            # Of what a name in a path names, there may be none.
            passes = (200, 404) if re.search("<[a-z_]+>", route.path) else (200, 302, 303)
            assert reply.status in passes, (kind, reply.status, reply.text)
            assert not reply.headers.get("location", "").startswith("/auth/login"), kind
        else:
            assert reply.status == status, kind
        if status == SIGN_IN:
            assert reply.headers["location"].startswith("/auth/login?next=%2F"), kind


@each_endpoint
def test_a_delegated_key_changes_nothing_wherever_it_is_sent(
    route: Route, endpoint: Endpoint[Any], client: Client, lab: Lab
) -> None:
    """It makes, replaces and ends no token, and accepts no terms, also where a form would be valid."""
    register(lab, VIEWER)
    key = take_key(client, lab.bo, VIEWER)
    options = body_of(endpoint, client, lab)
    before = state(lab)
    for token, query in (
        ({"authorization": f"Bearer {key}"}, ""),
        ({"cookie": key}, ""),
        ({"cookie": key, "authorization": f"Bearer {key}"}, ""),
        ({}, f"?dsg_token={key}"),
    ):
        reply = client.request(endpoint.method, fill(route, lab) + query, accept="*/*", **token, **options)
        assert reply.status < 500
        assert state(lab) == before


@each_endpoint
def test_a_sign_in_on_the_way_keeps_the_declared_parameters_and_no_others(
    route: Route, endpoint: Endpoint[Any], client: Client, lab: Lab
) -> None:
    values = {name: "/success" if name == "next" else f"x{name}" for name in endpoint.carries}
    values |= {"redirect": "https://cave.example/"} if "redirect" in values else {}
    values |= {"origin": VIEWER} if "origin" in values else {}
    others = {"terms": "later", "form": "x", "save": "1", "dsg_token": lab.bo}
    if endpoint.carries and ADMISSIONS[endpoint.admits] in (_TOKEN, _SOME_ADMIN):
        others["dsg_token"] = "unknown"  # a good one would do, and nobody would have to sign in
    query = urlencode({**values, **others})
    reply = client.request(endpoint.method, f"{fill(route, lab)}?{query}", accept=PAGE if endpoint.carries else "*/*")
    signs_in = bool(endpoint.carries) or ADMISSIONS[endpoint.admits].nothing == SIGN_IN
    assert reply.headers.get("location", "").startswith("/auth/login") == signs_in
    if not signs_in:
        return
    here = parse_qs(urlsplit(reply.headers["location"]).query)["next"][0]
    path, _, query = here.partition("?")
    assert path == fill(route, lab)
    assert {name: text for name, (text,) in parse_qs(query).items()} == values


# Where to go on to, and bodies

EVIL = ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/x\r\nSet-Cookie: a=b"]


@each_endpoint
@pytest.mark.parametrize("target", EVIL)
def test_no_declared_target_redirects_to_another_site(
    route: Route, endpoint: Endpoint[Any], target: str, client: Client, lab: Lab
) -> None:
    for name in endpoint.targets:
        for cookie in (None, lab.bo):
            for in_body in (False, True) if endpoint.reads_body else (False,):
                options = {"body": urlencode({name: target}).encode(), "content_type": FORM} if in_body else {}
                where = fill(route, lab) + ("" if in_body else f"?{urlencode({name: target})}")
                reply = client.request(endpoint.method, where, cookie=cookie, **options)
                assert (reply.status, reply.json()["error"]) == (400, "invalid_redirect"), (name, in_body)
                assert "location" not in reply.headers


@each_endpoint
def test_a_body_that_is_too_long_is_refused_only_by_routes_that_read_it(
    route: Route, endpoint: Endpoint[Any], client: Client, lab: Lab
) -> None:
    before = state(lab)
    body = b"x" * (endpoint.max_body + 1)
    parsed = BODIES[endpoint.handler].content_type if endpoint.handler in BODIES else FORM
    needs_token = endpoint.admits in (admission.require_own_token, cave_admission.require_token)
    headers = {"authorization": f"Bearer {lab.ada}"} if endpoint.reads_body and needs_token else {}
    reply = client.request(endpoint.method, fill(route, lab), body=body, content_type=parsed, **headers)
    plain = client.request(endpoint.method, fill(route, lab), body=body, content_type="application/octet-stream")
    if not endpoint.reads_body or endpoint.handler is sign_in.logout:  # a logout must not fail
        assert "the body is longer" not in reply.text + plain.text
    elif route.cors:
        for answer in (reply, plain):
            assert (answer.status, answer.json()["error"]) == (400, "invalid_request")
    else:
        assert (reply.status, reply.json()["error"]) == (400, "invalid")
        assert "longer than" not in plain.text
    assert state(lab) == before


# Isolation and headers


def answers(route: Route, client: Client, lab: Lab) -> Iterator[Reply]:
    for method in METHODS:
        for accept in ("*/*", PAGE):
            for cookie in (None, lab.bo):
                yield client.request(method, fill(route, lab), cookie=cookie, accept=accept)
                yield client.request(method, fill(route, lab), cookie=cookie, accept=accept, origin="null")


@pytest.mark.parametrize("route", EVERY_ROUTE, ids=lambda route: route.path)
def test_the_window_is_isolated_unless_the_route_is_on_the_way_of_the_popup(
    route: Route, client: Client, lab: Lab
) -> None:
    policy = "unsafe-none" if route.popup else "same-origin"
    for reply in answers(route, client, lab):
        assert reply.headers["cross-origin-opener-policy"] == policy


def test_a_fault_in_a_handler_has_the_headers_and_the_isolation_of_its_route(
    client: Client, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsgserve.terms.terms_pages.pending_terms.list_pending", lambda *_, **__: 1 / 0)
    reply = client.get("/activate", cookie=lab.bo, accept=PAGE)
    assert (reply.status, reply.headers["cross-origin-opener-policy"]) == (500, "unsafe-none")
    assert reply.headers["x-frame-options"] == "DENY"
    assert re.search("default-src 'none'", reply.headers["content-security-policy"])
