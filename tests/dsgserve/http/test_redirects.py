"""Where a browser may be sent on to: attack strings, and what must still work."""

from urllib.parse import quote, unquote, urljoin, urlsplit

import pytest

from dsgserve.http import redirects

LOCAL = (
    "/",
    "/login",
    "/activate",
    "/api/v1/tos/3/accept",
    "/login?origin=https://viewer.example",
    "/login?origin=https%3A%2F%2Fviewer.example%3A8080",
    "/login?origin=https%3A%2F%2Fviewer.example&terms=later",
    "/activate?service=clio&redirect=https%3A%2F%2Fcave.example%2Fx%3Fa%3D1%26b%3D2",
    "/auth/login?next=%2Flogin%3Forigin%3Dhttps%253A%252F%252Fviewer.example",
    "/x?a=b@c",
    "/x?",
    "/a.b/c~d",
    "/x?y=%20",
)

LEAVING = (
    "",
    " ",
    "x",
    "login",
    ".",
    "..",
    "../x",
    "./x",
    "?x",
    "#x",
    "/#x",
    "/x#y",
    "//attacker.example",
    "///attacker.example",
    "////attacker.example",
    "//attacker.example/%2f..",
    "//",
    "/\\attacker.example",
    "\\/attacker.example",
    "\\\\attacker.example",
    "/\\/attacker.example",
    "/\\\\attacker.example",
    "/x\\y",
    "/x?a\\b",
    "\\x",
    "\\",
    "/\t/attacker.example",
    "/\n/attacker.example",
    "/\r/attacker.example",
    "\t//attacker.example",
    "/\x00/attacker.example",
    " //attacker.example",
    "/ /attacker.example",
    "/x\r\nSet-Cookie: a=b",
    "/x\x7f",
    "/\x0b/attacker.example",
    "/\xa0/attacker.example",
    "/\x85/attacker.example",
    "/\u2028/attacker.example",
    "/\u3000/attacker.example",
    "/%09/attacker.example",
    "/%0a/attacker.example",
    "/%0d%0aSet-Cookie:%20a=b",
    "/%00/attacker.example",
    "/%20/x",
    "/%2f/attacker.example",
    "/%2fattacker.example",
    "%2f%2fattacker.example",
    "/%2F%2Fattacker.example",
    "/%5cattacker.example",
    "/%5C/attacker.example",
    "/%5c%5cattacker.example",
    "/%252fattacker.example",
    "/%255cattacker.example",
    "/%25252fattacker.example",
    "/%2525252525252fattacker.example",
    "/x//y",
    "/x/%2f/y",
    "/.",
    "/..",
    "/./x",
    "/../x",
    "/x/..",
    "/x/../..//attacker.example",
    "/..//attacker.example",
    "/.//attacker.example",
    "/%2e%2e//attacker.example",
    "/%2e/x",
    "/%2e%2e/x",
    "/x/%2e%2e/y",
    "/.%2e/x",
    "/%252e%252e/x",
    "/@attacker.example",
    "/%40attacker.example",
    "@attacker.example",
    "/x@y",
    "http://attacker.example",
    "https://attacker.example",
    "HTTPS://attacker.example",
    "https:attacker.example",
    "https:/attacker.example",
    "https:///attacker.example",
    "https:\\\\attacker.example",
    "http:/\\attacker.example",
    "javascript:alert(1)",
    "JavaScript:alert(1)",
    "java\tscript:alert(1)",
    "/javascript:alert(1)//",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "mailto:a@b.example",
    "about:blank",
    "blob:https://x",
    "x:y",
    "attacker.example",
    "attacker.example/x",
    ".attacker.example",
    "/%",
    "/%2",
    "/%zz",
    "/%u002f",
    "/x?%",
    "/x?%g0",
    "/〱attacker.example",
    "/ß",
    "/\u2215attacker.example",
    "/\uff0fattacker.example",
    "/%c0%af",
    "/%ef%bc%8f%2f",
    '/"><script>',
    "/<x>",
    "/'\"",
    "/x?<script>",
    "/{x}",
    "/x|y",
    "/x^y",
    "/x`y",
    "/x?a b",
    "/x?a=%00",
    "/x?a=%0d%0ab",
    "/x?a=%250d%250ab",
    "/[::1]",
    "/;//attacker.example",
    "/x;/../y",
    "/" + "a" * 5000,
)


@pytest.mark.parametrize("value", LOCAL)
def test_a_path_on_this_server_is_let_through_unchanged(value: str) -> None:
    assert redirects.local_path(value) == value


@pytest.mark.parametrize("value", [*LEAVING, None])
def test_a_path_that_could_lead_to_another_host_is_refused(value: str | None) -> None:
    assert redirects.local_path(value) is None


@pytest.mark.parametrize("before", ["", "/", "//", "/x/", "https:", "/%2f", "/."])
@pytest.mark.parametrize("between", ["/", "\\", "%2f", "%5c", "\t", "\n", "@", ":", "//", "..", "%2e", "%00", " "])
@pytest.mark.parametrize("again", [0, 1, 2, 3])
def test_every_accepted_path_stays_on_this_server(before: str, between: str, again: int) -> None:
    value = before + between + "attacker.example/x"
    for _ in range(again):
        value = quote(value, safe="/")
    let_through = redirects.local_path(value)
    while let_through is not None:
        resolved = urlsplit(urljoin("https://auth.example.org/login", let_through.replace("\\", "/")))
        assert resolved.netloc == "auth.example.org"
        decoded = unquote(let_through)
        let_through = decoded if decoded != let_through else None


ALLOWED = ("https://cave.example", "http://localhost:5000")

ELSEWHERE = (
    "https://cave.example",
    "https://cave.example/",
    "https://cave.example/x?y=z&a=https://other.example#frag",
    "https://cave.example//x",
    "http://localhost:5000/x",
    "https://a.example.org/x",
    "https://example.org",
    "https://a.b.example.org:8443/x?y",
    "https://cave.example/x?y=%0a",
    "https://cave.example/#!%7B%7D",
)

NOT_ELSEWHERE = (
    "",
    "/",
    "/x",
    "//cave.example",
    "cave.example",
    "https:cave.example",
    "https:/cave.example",
    "https:///cave.example",
    "HTTPS://cave.example",
    "https://CAVE.example",
    "http://cave.example",
    "https://cave.example:444",
    "https://cave.example:0",
    "https://cave.example:99999",
    "https://cave.example:443",
    "https://cave.example.",
    "https://cave.example.attacker.example",
    "https://attacker.example/https://cave.example",
    "https://xcave.example",
    "https://cave.example@attacker.example",
    "https://user@cave.example",
    "https://user:x@cave.example/",
    "https://cave.example\\@attacker.example",
    "https://cave.example\\.attacker.example",
    "https://attacker.example\\.example.org",
    "https://cave.example%2f@attacker.example",
    "https://cave.example%00.attacker.example",
    "https://cave.example;x",
    "https://attacker.example?.example.org",
    "https://attacker.example#.example.org",
    "https://attacker.example/.example.org",
    "https://attackerexample.org",
    "https://example.org.attacker.example",
    "https://attacker-example.org",
    "https://.example.org",
    "https://a..example.org",
    "https://a.example.org.",
    "http://a.example.org",
    "https://example.orga",
    " https://cave.example",
    "https://cave.example ",
    "https://cave.example\n",
    "https://cave.example/\r\nX: y",
    "https://cave.example/x y",
    "https://cave.example/\t",
    "https://cave.example/x\\y",
    "https://cave.example/é\\y",
    "https://cäve.example",
    "https://cäve.example/x",
    "https://cave。example",
    "https://cave.example／x",
    "https://cave.example/\ud800",
    "https://cave.example<x>",
    'https://cave.example"',
    "https://cave.example[/x",
    "https://attacker.example/é.example.org",
    "https://attacker.example{.example.org",
    "https://attacker.example/[",
    "https://é@cave.example/",
    "https://cave.example/" + "é" * 1000,
    "javascript:alert(1)//https://cave.example",
    "data:text/html,https://cave.example",
    "ftp://cave.example",
    "https://[::1]/",
    "https://cave.example/%",
    "https://cave.example/%zz",
    "https://cave.example/" + "a" * 5000,
)


@pytest.mark.parametrize("value", ELSEWHERE)
def test_an_allowed_address_is_let_through_unchanged(value: str) -> None:
    assert redirects.absolute_url(value, allowed=ALLOWED, cookie_domain=".example.org") == value


# As Flask writes out the address that it was asked for, and as that was.
WRITTEN_OUT = (
    ('https://cave.example/x?filter={"a":[1]}', "https://cave.example/x?filter=%7B%22a%22:%5B1%5D%7D"),
    ("https://cave.example/é/x?name=Zoë", "https://cave.example/%C3%A9/x?name=Zo%C3%AB"),
    ("https://a.example.org/?a=<b>|^`%20%7B", "https://a.example.org/?a=%3Cb%3E%7C%5E%60%20%7B"),
    ("https://cave.example/?a=\u202e／\x85\U0001f41f", "https://cave.example/?a=%E2%80%AE%EF%BC%8F%C2%85%F0%9F%90%9F"),
)


@pytest.mark.parametrize(("written", "meant"), WRITTEN_OUT)
def test_an_allowed_address_that_flask_has_written_out_is_let_through_as_it_was(written: str, meant: str) -> None:
    assert redirects.absolute_url(written, allowed=ALLOWED, cookie_domain=".example.org") == meant
    assert redirects.absolute_url(written, allowed=()) is None


@pytest.mark.parametrize("value", [*NOT_ELSEWHERE, None])
def test_any_other_address_is_refused(value: str | None) -> None:
    assert redirects.absolute_url(value, allowed=ALLOWED, cookie_domain=".example.org") is None


@pytest.mark.parametrize("value", ELSEWHERE)
def test_without_settings_no_address_is_allowed(value: str) -> None:
    assert redirects.absolute_url(value, allowed=()) is None


def test_plain_http_under_the_cookie_domain_is_for_gateways_on_plain_http() -> None:
    def ask(own: str) -> str | None:
        return redirects.absolute_url("http://a.example.org/", allowed=(), cookie_domain="example.org", own_origin=own)

    assert ask("http://auth.example.org") == "http://a.example.org/"
    assert ask("https://auth.example.org") is None


def test_the_origin_of_a_target_is_normalized() -> None:
    assert redirects.origin_of("https://cave.example:8443/x?y") == "https://cave.example:8443"
    assert redirects.origin_of("/x") is None
