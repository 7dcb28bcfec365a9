"""Which route a request target names: one function says so, to the dispatcher, the application and the log."""

from urllib.parse import quote

import pytest

from dsgserve.http.routing import ROUTES, resolve

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


def test_every_route_is_named_by_its_own_path_and_gets_its_numbers_and_the_query_as_it_was_sent() -> None:
    for route in ROUTES:
        target = resolve(route.path.replace("<terms_id:int>", "17") + "?a=%2F&b")
        assert target.route is route
        assert target.query == "a=%2F&b"
        assert target.arguments == ({"terms_id": 17} if "<" in route.path else {})


@pytest.mark.parametrize("again", [1, 2, 3])
def test_an_encoded_slash_never_makes_another_path(again: int) -> None:
    for route in ROUTES:
        path = route.path
        for _ in range(again):
            path = quote(path, safe="")
        assert resolve(path).route is None
        assert resolve("/" + path).route is None
