"""Which route a request target names: one function says so, to the dispatcher, the application and the log."""

import re
from dataclasses import replace
from urllib.parse import quote

import pytest

from dsgctl.setting_values import APIS
from dsgserve.http.route import Endpoint, Guard, Route
from dsgserve.http.routing import RoutingTable, Target, make_table
from dsgserve.login.admission import anybody
from dsgserve.process import health
from tests.dsgserve.routes import EVERY_ROUTE

resolve = make_table(()).resolve

# Request target, as it is on the wire -> the route that it names; None for none.
TARGETS: dict[str, str | None] = {
    "/": "/",
    "/?": "/",
    "/?x": "/",
    "": None,
    "*": None,
    "?": None,
    "x": None,
    "/auth/login": "/auth/login",
    "/auth/login?": "/auth/login",
    "/auth/login?next=/x": "/auth/login",
    "/auth/login??": "/auth/login",
    "/auth/login?#": "/auth/login",
    "//auth/login": None,
    "///gcs_token": None,
    "//": None,
    "///": None,
    "/auth//login": None,
    "/%2fauth/login": None,
    "/%2Fauth/login": None,
    "/auth%2Flogin": None,
    "%2Fauth/login": None,
    "/%5Cauth/login": None,
    "/./auth/login": None,
    "/auth/./login": None,
    "/x/../auth/login": None,
    "/auth/login/..": None,
    "/%2e/auth/login": None,
    "/x/%2e%2e/auth/login": None,
    "/auth/login/.": None,
    "/..;/auth/login": None,
    "/auth/login/": None,
    "/gcs_token/": None,
    "/auth/login//": None,
    "/api/v1/user/cache/": None,
    "/accounts/google/login/callback": None,
    "/accounts/google/login/callback/": "/accounts/google/login/callback/",
    "/auth/login;x": None,
    "/auth;x/login": None,
    "/auth/login;": None,
    "/auth/login%3Fx": None,
    "/auth/login%00": None,
    "/%61uth/login": "/auth/login",
    "/auth/logi%6E": "/auth/login",
    "/%67%63s%5ftoken": "/gcs_token",
    "/%2561uth/login": None,
    "/auth/logi%6": None,
    "/auth/logi%zz": None,
    "/auth/login%": None,
    "/AUTH/login": None,
    "/Auth/Login": None,
    "/GCS_TOKEN": None,
    "/%41uth/login": None,
    "/auth/login\xff": None,
    "/\xffauth/login": None,
    "/auth/login%ff": None,
    "/auth/login%C2%85": None,
    "/auth/login\xa0": None,
    "/auth/login%20": None,
    "/auth/login+": None,
    "/auth/lo\tgin": None,
    "\t/auth/login": None,
    "/auth/login#": None,
    "/auth/login#?x": None,
    "/\\auth/login": None,
    "http://h/auth/login": "/auth/login",
    "https://u:p@h:1/auth/login?x": "/auth/login",
    "HTTP://h/auth/login": "/auth/login",
    "http://h": "/",
    "http://h?x": "/",
    "http://": "/",
    "http:///auth/login": "/auth/login",
    "http://h//auth/login": None,
    "http://h/%2fauth/login": None,
    "http://h#/auth/login": None,
    "ftp://h/auth/login": None,
    "h:443": None,
    "http:/auth/login": None,
    "http:auth/login": None,
    "//h/auth/login": None,
    "http://http://h/auth/login": None,
    "/api/v1/tos/3/accept": "/api/v1/tos/<terms_id:int>/accept",
    "/api/v1/tos/0/accept?x": "/api/v1/tos/<terms_id:int>/accept",
    "/api/v1/tos/%33/accept": "/api/v1/tos/<terms_id:int>/accept",
    "/api/v1/tos/999999999/accept": "/api/v1/tos/<terms_id:int>/accept",
    "/api/v1/tos/03/accept": None,
    "/api/v1/tos/-3/accept": None,
    "/api/v1/tos/+3/accept": None,
    "/api/v1/tos/3%20/accept": None,
    "/api/v1/tos/\u0663/accept": None,
    "/api/v1/tos/%D9%A3/accept": None,
    "/api/v1/tos/\xb3/accept": None,
    "/api/v1/tos/1_0/accept": None,
    "/api/v1/tos/3\n/accept": None,
    "/api/v1/tos//accept": None,
    "/api/v1/tos/accept": None,
    "/api/v1/tos/<terms_id:int>/accept": None,
    "/api/v1/tos/1000000000/accept": None,
    "/api/v1/tos/" + "9" * 5000 + "/accept": None,
    "/" + "%41" * 10_000: None,
    "/" * 30_000: None,
}


@pytest.mark.parametrize("target", TARGETS)
def test_which_route_a_target_names(target: str) -> None:
    route = resolve(target).route
    assert (route and route.path) == TARGETS[target]


def test_every_route_is_named_by_its_own_path_and_gets_its_parameters_and_the_query_as_it_was_sent() -> None:
    table = make_table(APIS)
    for route in table.routes:
        path = re.sub("<[^>]*:int>", "17", route.path)
        target = table.resolve(re.sub("<[^>]*>", "%C3%A4%20b", path) + "?a=%2F&b")
        assert target.route is route
        assert target.query == "a=%2F&b"
        parameters = re.findall("<([a-z_]+)(:int)?>", route.path)
        assert target.numbers == {name: 17 for name, is_number in parameters if is_number}
        assert target.names == {name: "\u00e4 b" for name, is_number in parameters if not is_number}
        assert table.resolve(target.path) == Target(route, target.numbers, target.names, "")


NAMED = Route("/of/<name>/at/<number:int>/<other>", ())
# A segment as it is on the wire -> the name that it is; None for none.
SEGMENTS: dict[str, str | None] = {
    "a": "a",
    "a%20b": "a b",
    "a+b": "a+b",
    "%2B": "+",
    "%C3%84": "\u00c4",
    "%E9%AD%9A": "\u9b5a",
    "%F0%9F%90%9F": "\U0001f41f",
    "%25": "%",
    "%2525": "%25",
    "%": "%",
    "%zz": "%zz",
    ".": ".",
    "%2E%2E": "..",
    "%22%27%3C": "\"'<",
    "%00": "\0",
    "a;b": "a;b",
    "<name>": "<name>",
    "": None,
    "%2F": None,
    "a%2Fb": None,
    "%ff": None,
    "%C3": None,
    "%ED%A0%80": None,
    "%C0%AF": None,
}


@pytest.mark.parametrize("segment", SEGMENTS)
def test_a_name_in_a_path_is_one_segment_decoded_once(segment: str) -> None:
    table = RoutingTable((NAMED,))
    for path in (f"/of/{segment}/at/3/x", f"/of/x/at/3/{segment}", f"/%6ff/{segment}/at/3/x"):
        target = table.resolve(path)
        assert (target.route and set(target.names.values()) - {"x"}) == (
            None if SEGMENTS[segment] is None else {SEGMENTS[segment]} - {"x"}
        ), path
        if target.route:
            assert table.resolve(target.path) == target


def test_one_path_can_be_declared_twice_but_not_differently() -> None:
    page = Endpoint("GET", health.show, anybody, Guard.HARMLESS)
    form, other = replace(page, method="POST"), replace(page, method="POST", reads_body=True)
    table = RoutingTable((Route("/x", (page,)), Route("/x", (page, form)), Route("/y", (page,))))
    assert table.routes == (Route("/x", (page, form)), Route("/y", (page,)))
    for route in (Route("/x", (other,)), Route("/x", (form,), limited=True), Route("/x", (form,), popup=True)):
        with pytest.raises(ValueError, match="/x"):
            RoutingTable((Route("/x", (page, form)), route))


@pytest.mark.parametrize("again", [1, 2, 3])
def test_an_encoded_slash_never_makes_another_path(again: int) -> None:
    for route in EVERY_ROUTE:
        path = route.path
        for _ in range(again):
            path = quote(path, safe="")
        assert resolve(path).route is None
        assert resolve("/" + path).route is None
