"""The client's address: nginx reports it, and nobody else can."""

from pathlib import Path

import pytest

from dsgctl.store.models import Acceptance
from dsgserve.gateway import Gateway
from dsgserve.http.environ import PREFIX
from dsgserve.http.proxy import trust_proxy
from tests.dsgserve.conftest import Lab
from tests.dsgserve.wire import HEAD, Wire, assert_secure, listening

IGNORED = [
    b"X-Forwarded-For: ",
    b'X-Forwarded-For: "',
    b'X-Forwarded-For: "1.2.3.4',
    b"X-Forwarded-For: ,",
    b"X-Forwarded-For: , ,,",
    b"X-Forwarded-For: nonsense",
    b"X-Forwarded-For: 1.2.3.4:99:",
    b"X-Forwarded-For: [::1",
    b"X-Forwarded-For: \xff\x85",
    b"X-Forwarded-For: unix:",
    b"X-Forwarded-For: 999.1.1.1",
    b"X-Forwarded-For: 1.2.3.4, unknown",
    b'X-Forwarded-For: a"b',
    b"X-Forwarded-For: " + b"1" * 9000,
    b"X-Forwarded-For: 1.2.3.4, " * 500,
    b"X-Forwarded-For: " + b" " * 16_000 + b"\x80",
    b"X-Forwarded-Proto: gopher",
    b"X-Forwarded-Proto: http, https",
    b'X-Forwarded-Host: "',
    b"X-Forwarded-Port: x",
    b"X-Forwarded-By: \x80",
    b'X-Real-IP: "',
    b"Forwarded: for",
    b'Forwarded: for="',
    b"Forwarded: ;=;",
    b"Forwarded: proto=gopher",
    b"Forwarded: by=x;y=z, ,",
    b'TE: "',
    b"Upgrade: x y",
    b'Keep-Alive: "',
    b'Proxy-Authorization: "',
    b"Trailer: ,",
    b"Expect: nonsense",
    b'Via: "',
    b'Cookie: ;;;="',
    b'Origin: "',
    b'Referer: "',
    b'Accept: "',
    b'Authorization: "',
]


@pytest.mark.parametrize("line", IGNORED)
def test_a_malformed_forwarding_header_refuses_no_request(line: bytes, wire: Wire) -> None:
    status, headers, _ = wire.ask(b"GET /health" + HEAD + line + b"\r\n\r\n")
    assert status == 200
    assert_secure(headers, popup=False, where=line)


# What stands in X-Forwarded-For -> the address from which terms are accepted; None for the peer's own.
BELIEVED = {
    "203.0.113.9": "203.0.113.9",
    "198.51.100.1, 203.0.113.9": "203.0.113.9",
    "198.51.100.1,203.0.113.9": "203.0.113.9",
    "nonsense, 203.0.113.9": "203.0.113.9",
    '", 203.0.113.9': "203.0.113.9",
    "2001:db8::1": "2001:db8::1",
    " 203.0.113.9\t": "203.0.113.9",
    "203.0.113.9, nonsense": None,
    "203.0.113.9,": None,
    "203.0.113.9:8080": None,
    '"203.0.113.9"': None,
    "[2001:db8::1]": None,
    "": None,
    "unix:": None,
    "203.0.113.9;x": None,
    "203.0.113.09": None,
    "\u0661.2.3.4": None,
    "for=203.0.113.9": None,
    "fe80::1%x": None,
    "fe80::1%<b>": None,
    "203.0.113.9 203.0.113.10": None,
    "203.0.113.9\x85": None,
}


@pytest.mark.parametrize("unix", [False, True])
def test_the_address_that_nginx_sets_is_the_one_that_accepts(
    unix: bool, gateway: Gateway, lab: Lab, tmp_path: Path
) -> None:
    with listening(gateway, str(tmp_path / "s") if unix else None) as wire:
        for written, expected in BELIEVED.items():
            lines = f"Cookie: dsg_token={lab.bo}\r\nX-Forwarded-For: {written}\r\nX-Real-IP: 6.6.6.6\r\n"
            lines += "Forwarded: for=6.6.6.6\r\n"
            path = f"/api/v1/tos/{lab.fly_terms}/accept".encode()
            _, _, page = wire.ask(b"GET " + path + HEAD + lines.encode() + b"\r\n")
            form = b"form=" + page.partition(b'name="form" value="')[2].partition(b'"')[0]
            more = f"{lines}Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(form)}\r\n\r\n"
            status, _, _ = wire.ask(b"POST " + path + HEAD + more.encode() + form)
            assert status == 303, written
            recorded = lab.scalar("SELECT address FROM acceptances")
            assert recorded == (expected or ("localhost" if unix else "127.0.0.1")), written
            with lab.change() as change:
                change.database.run(Acceptance.delete())


@pytest.mark.parametrize("peer", ["192.0.2.7", "::2", "::ffff:192.0.2.7", "localhost.example", "", "127.0.0.1.example"])
def test_only_the_proxy_can_set_the_client_address(peer: str) -> None:
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": "203.0.113.9", "HTTP_FORWARDED": "for=203.0.113.9"}
    trust_proxy(environ)
    assert environ == {"REMOTE_ADDR": peer}


@pytest.mark.parametrize("peer", ["localhost", "127.0.0.1", "::1"])
@pytest.mark.parametrize(
    "prefix", ["/auth", "/sticky_auth", "", "/", "/auth/", "/Auth", "//evil.example", "/auth, /auth"]
)
def test_only_the_two_prefixes_of_cave_are_noted(peer: str, prefix: str) -> None:
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_PREFIX": prefix}
    trust_proxy(environ)
    assert environ == {"REMOTE_ADDR": peer} | ({PREFIX: prefix} if prefix in ("/auth", "/sticky_auth") else {})


def test_only_the_proxy_can_set_the_prefix() -> None:
    environ = {"REMOTE_ADDR": "192.0.2.7", "HTTP_X_FORWARDED_PREFIX": "/auth"}
    trust_proxy(environ)
    assert environ == {"REMOTE_ADDR": "192.0.2.7"}
