"""Taking requests apart: cookies, parameters, bodies, and who means what they ask for."""

import io
import json
from typing import Any

import pytest
from bottle import BaseRequest

from dsgctl.core.errors import Invalid
from dsgserve.http import requests
from dsgserve.http.requests import MAX_BODY, MAX_COOKIES, MAX_FIELDS

HOST_LOGIN = "__Host-dsg_login"


def build_request(
    method: str = "GET", query: str = "", body: bytes = b"", kind: str = "", **headers: str
) -> BaseRequest:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "QUERY_STRING": query,
        "CONTENT_LENGTH": str(len(body)),
        "CONTENT_TYPE": kind,
        "wsgi.input": io.BytesIO(body),
        **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
    }
    return BaseRequest(environ)


COOKIES: list[tuple[str, list[str]]] = [
    ("__Host-dsg_login=x", ["x"]),
    ("a=b; __Host-dsg_login=x; c=d", ["x"]),
    ("a=b;__Host-dsg_login=x;c=d", ["x"]),
    ("__Host-dsg_login=x; __Host-dsg_login=y", ["x", "y"]),
    ("__Host-dsg_login=x;__Host-dsg_login=x", ["x"]),
    (" \t__Host-dsg_login \t=\t x\t ", ["x"]),
    ('__Host-dsg_login="x"', ["x"]),
    ('__Host-dsg_login="', ['"']),
    ('__Host-dsg_login="x', ['"x']),
    ('__Host-dsg_login=""', []),
    ("__Host-dsg_login=", []),
    ("__Host-dsg_login", []),
    ("__Host-dsg_login= ; __Host-dsg_login=y", ["y"]),
    ("__Host-dsg_login=a=b=c", ["a=b=c"]),
    ("__Host-dsg_login=a b", ["a b"]),
    ("__Host-dsg_login=\xa0x\x85", ["\xa0x\x85"]),
    ("x__Host-dsg_login=x", []),
    ("__Host-dsg_loginx=x", []),
    ("__host-dsg_login=x", []),
    ("a=__Host-dsg_login=x", []),
    ("a b __Host-dsg_login=x", []),
    ("a,__Host-dsg_login=x", []),
    ("=__Host-dsg_login=x", []),
    ("$Version=1", []),
    ("", []),
    (";;;", []),
    ("=", []),
    ('a="; __Host-dsg_login=x; b="', ["x"]),
    ("<=(; __Host-dsg_login=x", ["x"]),
    *((f"{odd}__Host-dsg_login=x", []) for odd in "\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\xad\x00\r\n\xff"),
    *((f"a=b;{odd}__Host-dsg_login=x", []) for odd in ("\x85", "\xa0", "\xc2\xa0", " \x85", "\x0c ", "\xe2\x80\x8b")),
    *((f"__Host-dsg_login{odd}=x", []) for odd in "\x0b\x0c\x1c\x85\xa0\x00\xff"),
]


@pytest.mark.parametrize(("header", "values"), COOKIES)
def test_a_cookie_is_matched_by_its_complete_name(header: str, values: list[str]) -> None:
    """A browser takes a name with an odd character before it for another name, which any host may set."""
    assert requests.cookie_values(build_request(cookie=header), HOST_LOGIN) == values


def test_the_number_of_cookies_tried_is_bounded() -> None:
    many = "; ".join(f"t={number}" for number in range(500))
    assert requests.cookie_values(build_request(cookie=many), "t") == [str(number) for number in range(MAX_COOKIES)]
    both = "; ".join(f"{name}={number}" for number in range(500) for name in ("t", "u"))
    assert len(requests.cookie_tokens(build_request(cookie=both), ("t", "u"))) == MAX_COOKIES
    assert requests.cookie_tokens(build_request(cookie="u=1; t=2; u=3; t=2"), ("t", "u")) == ["2", "1", "3"]


PLACES: list[tuple[dict[str, str], list[str]]] = [
    ({}, []),
    ({"cookie": "t=a", "authorization": "Bearer b", "query": "t=c"}, ["a"]),
    ({"cookie": "t=", "authorization": "Bearer b", "query": "t=c"}, ["b"]),
    ({"cookie": "x=y", "query": "t=c"}, ["c"]),
    ({"authorization": "bEaReR b"}, ["b"]),
    ({"authorization": "Bearer \t b\t "}, ["b"]),
    ({"authorization": "Bearer"}, []),
    ({"authorization": "Bearer "}, []),
    ({"authorization": "Basic b"}, []),
    ({"authorization": "Bearer\tb"}, []),
    ({"authorization": "Bearer\xa0b"}, []),
    ({"authorization": "\xa0Bearer b"}, []),
    ({"authorization": "Bearer b\xa0"}, ["b\xa0"]),
    ({"authorization": "B\u0130arer b"}, []),
    ({"authorization": "Basic b", "query": "t=c"}, ["c"]),
    ({"query": "u=d"}, ["d"]),
    ({"query": "t=&u=d"}, ["d"]),
    ({"query": "t=a%2Bb+c%20d"}, ["a+b c d"]),
    ({"query": "xt=a"}, []),
    ({"query": "t=a&t=b"}, ["b"]),
]


@pytest.mark.parametrize(("sent", "tokens"), PLACES)
def test_the_first_source_that_has_a_token_is_used(sent: dict[str, str], tokens: list[str]) -> None:
    assert list(requests.presented_tokens(build_request(**sent), ("t", "u")).tokens) == tokens


QUERIES: list[tuple[str, list[str]]] = [
    ("n=v", ["v"]),
    ("n", [""]),
    ("n=", [""]),
    ("a&n&b", [""]),
    ("n=1&n=2", ["1", "2"]),
    ("n&n=2", ["", "2"]),
    ("nn=1", []),
    ("an=1", []),
    ("a=n", []),
    ("a=n=1", []),
    ("a?n=1", []),
    ("a;n=1", []),
    ("N=1", []),
    ("n=a=b", ["a=b"]),
    ("&&n=1&&", ["1"]),
    ("n=%E9", ["\ufffd"]),
    ("n=%C3%A9", ["é"]),
    ("n=+%2B", [" +"]),
    ("n=%", ["%"]),
    ("n%3D1", []),
    ("", []),
    ("n=\n", ["\n"]),
]


@pytest.mark.parametrize(("query", "values"), QUERIES)
def test_a_parameter_is_matched_by_its_complete_name(query: str, values: list[str]) -> None:
    assert requests.query_values(build_request(query=query), "n") == values
    assert requests.query_value(build_request(query=query), "n") == (values[-1] if values else None)


def test_a_query_of_too_many_parameters_is_refused_before_it_is_taken_apart() -> None:
    assert requests.query_value(build_request(query="&".join(["a"] * (MAX_FIELDS - 1) + ["n=1"])), "n") == "1"
    with pytest.raises(Invalid, match="more than 100 parameters"):
        requests.query_value(build_request(query="&".join(["a"] * MAX_FIELDS + ["n=1"])), "n")


FORM = "application/x-www-form-urlencoded"
PARAMETERS: list[tuple[dict[str, Any], str | None]] = [
    ({"query": "n=q"}, "q"),
    ({"method": "POST", "query": "n=q"}, "q"),
    ({"method": "POST", "kind": FORM, "body": b"n=f", "query": "n=q"}, "f"),
    ({"method": "POST", "kind": f"{FORM.upper()} ; charset=utf-8", "body": b"n=f"}, "f"),
    ({"method": "POST", "kind": f"\xa0{FORM}", "body": b"n=f"}, None),
    ({"method": "POST", "kind": FORM, "body": b"x=f", "query": "n=q"}, "q"),
    ({"method": "GET", "kind": FORM, "body": b"n=f"}, None),
    ({"method": "PUT", "kind": FORM, "body": b"n=f"}, None),
    ({"method": "POST", "kind": "application/json", "body": b'{"n": "j"}'}, "j"),
    ({"method": "POST", "kind": "Application/JSON;charset=utf-8", "body": b'{"n": "j"}', "query": "n=q"}, "j"),
    ({"method": "POST", "kind": "application/json", "body": b'{"n": null}', "query": "n=q"}, "q"),
    ({"method": "POST", "kind": "application/json", "body": b"{}"}, None),
    ({"method": "POST", "kind": "text/plain", "body": b'{"n": "j"}'}, None),
]


@pytest.mark.parametrize(("sent", "value"), PARAMETERS)
def test_a_parameter_of_a_form_a_json_object_or_the_query(sent: dict[str, Any], value: str | None) -> None:
    assert requests.parameter(build_request(**sent), "n") == value


BAD_JSON = [
    b"",
    b"null",
    b"[]",
    b'"x"',
    b"1",
    b"{",
    b'{"n": 1}',
    b'{"n": []}',
    b'{"n": true}',
    b"\xff",
    b'{"n": "\xff"}',
    b"[" * 9000,
    b'{"a":' * 3000,
    b'{"x": ' + b"9" * 5000 + b"}",
    b'{"n": "x"} y',
    b"{'n': 'x'}",
    b'{"n": "\\ud800"}',  # half a character: nothing of ours can be made of it
    b'{"n": "a\\udfffb"}',
    b'{"n": "x", "m": ["\\ud800"]}',
    b'{"n": "x", "\\ud800": 1}',
    b'{"n": "x", "n": "y"}',  # another reader takes the first
    b'{"n": "x", "m": NaN}',
    b" " * (MAX_BODY + 1),
    b'{"n": "' + b"x" * MAX_BODY + b'"}',
]


@pytest.mark.parametrize("body", BAD_JSON)
def test_json_that_cannot_be_parsed_is_refused_with_a_message(body: bytes) -> None:
    with pytest.raises(Invalid):
        requests.parameter(build_request("POST", body=body, kind="application/json"), "n")


@pytest.mark.parametrize("body", [b"&" * MAX_FIELDS, b"n=1&" * 5000, b"x" * (MAX_BODY + 1)])
def test_an_oversized_form_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid):
        requests.form(build_request("POST", body=body, kind=FORM))


@pytest.mark.parametrize("length", ["-1", "x", "\u0663", "1_0", "9" * 5000, "+1", " 1", str(MAX_BODY + 1)])
def test_an_invalid_content_length_is_refused(length: str) -> None:
    request = build_request("POST", kind="application/json")
    request.environ["CONTENT_LENGTH"] = length
    with pytest.raises(Invalid):
        requests.body(request)


def test_a_body_is_read_once() -> None:
    request = build_request("POST", body=json.dumps({"n": "j", "m": "k"}).encode(), kind="application/json")
    assert [requests.parameter(request, name) for name in ("n", "m", "n")] == ["j", "k", "j"]


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("localhost:8200", True),
        ("LocalHost:80", True),
        ("127.0.0.1:8200", True),
        ("[::1]:1", True),
        ("", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("localhost.", False),
        ("127.0.0.2", False),
        ("127.0.0.1.evil.example", False),
        ("localhost:", False),
        ("localhost:x", False),
        ("localhost@evil.example", False),
        ("evil.example:localhost", False),
        ("evil.localhost", False),
        ("[::1", False),
        ("::1", False),
        ("0", False),
        ("localhost, evil.example", False),
        ("localhost:8200\xa0", False),
        ("\u212aocalhost", False),
        ("2130706433", False),
    ],
)
def test_which_host_is_this_machine(host: str, ours: bool) -> None:
    assert requests.is_for_this_machine(build_request(host=host)) is ours
