"""The proxy in front of the server, with one fault at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import open_current
from tests.dsgctl.operations.doctor.installation import Installation, make_dated_certificate
from tests.dsgctl.operations.doctor.listener import listening_server
from tests.dsgctl.operations.doctor.planting import (
    Examine,
    Fault,
    each_fault,
    find_row,
    require_reported,
    write_settings,
)
from tests.e2e.local import free_port
from tests.e2e.proxy import run_nginx
from tests.patience import PATIENCE

FAULTS: list[Fault] = [
    (
        "origin without a server",
        lambda here: here.write(DSG_ORIGIN=f"https://localhost:{free_port()}"),
        "origin",
        "failed",
        ("connection refused by localhost", "nginx -t"),
    ),
    (
        "origin without a name",
        write_settings(DSG_ORIGIN="https://nowhere.invalid"),
        "origin",
        "failed",
        ("the name nowhere.invalid is not found",),
    ),
    (
        "unknown authority",
        write_settings(REQUESTS_CA_BUNDLE=""),
        "origin",
        "failed",
        ("signed by an unknown authority, itself", "fullchain.pem", "REQUESTS_CA_BUNDLE"),
    ),
    (
        "no list of authorities",
        write_settings(REQUESTS_CA_BUNDLE="/nowhere.pem"),
        "origin",
        "failed",
        ("REQUESTS_CA_BUNDLE",),
    ),
]


@each_fault(FAULTS)
def test_a_planted_fault_is_reported(fault: Fault, here: Installation, examine: Examine) -> None:
    require_reported(fault, here, examine)


def _in_location(*lines: str) -> Callable[[str], str]:
    """The site with further directives beside proxy_pass."""
    passes = "proxy_pass http://dsgserve$dsg_target;"
    return lambda text: text.replace(passes, "\n".join([passes, *lines]))


def _without(line: str, instead: str = "") -> Callable[[str], str]:
    def alter(text: str) -> str:
        assert line in text
        return text.replace(line, instead)

    return alter


def _add_cache(text: str) -> str:
    zone = "proxy_cache_path CACHE keys_zone=k:1m;\n"
    return zone + _in_location(
        "proxy_cache k; proxy_cache_valid any 1m; proxy_cache_key $uri;",
        "proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;",
    )(text)


FRONTS: list[tuple[str, Callable[[str], str], str, str, tuple[str, ...]]] = [
    ("as it is shipped", str, "address", "ok", ("the server sees 127.0.0.1",)),
    ("no cookie", _in_location('proxy_set_header Cookie "";'), "cookie", "failed", ("the cookie dsg_token does not",)),
    (
        "no Authorization",
        _in_location('proxy_set_header Authorization "";'),
        "authorization",
        "failed",
        ("the header Authorization does not arrive",),
    ),
    (
        "no query",
        lambda text: text.replace("proxy_pass http://dsgserve$dsg_target;", "proxy_pass http://dsgserve$uri;"),
        "query",
        "failed",
        ("the query does not arrive",),
    ),
    (
        "forged address",
        _without("X-Forwarded-For $remote_addr", "X-Forwarded-For $http_x_forwarded_for"),
        "address",
        "failed",
        ("that a client forges is believed", "X-Forwarded-For $remote_addr"),
    ),
    (
        "no address",
        _without("proxy_set_header X-Forwarded-For $remote_addr;", 'proxy_set_header X-Forwarded-For "";'),
        "address",
        "warning",
        ("does not learn the clients' addresses",),
    ),
    (
        "address is added",
        _without("X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for"),
        "address",
        "ok",
        ("127.0.0.1",),
    ),
    ("cached", _add_cache, "cache", "failed", ("cached in front",)),
    (
        "no Cache-Control",
        _in_location("proxy_hide_header Cache-Control;"),
        "cache",
        "failed",
        ("removes Cache-Control: no-store",),
    ),
    (
        "short headers",
        _without("large_client_header_buffers 4 32k;"),
        "long headers",
        "failed",
        ("8192 bytes is refused with 400", "large_client_header_buffers"),
    ),
    (
        "no HSTS",
        _without('add_header Strict-Transport-Security "max-age=63072000" always;'),
        "origin",
        "warning",
        ("no Strict-Transport-Security",),
    ),
    (
        "no server behind",
        _without("dsgserve.sock", "absent.sock"),
        "origin",
        "failed",
        ("answers 502", "reaches no server", "tail /var/log/nginx/dsg.access.log"),
    ),
    (
        "redirects",
        lambda text: text.replace("location / {", "location = /health { return 301 https://x.org/; }\nlocation / {", 1),
        "origin",
        "failed",
        ("redirects to https://x.org/", "set DSG_ORIGIN=https://x.org"),
    ),
    (
        "another site",
        lambda text: text.replace("location / {", "location = /health { return 200 hello; }\nlocation / {", 1),
        "origin",
        "failed",
        ("answered by something else", "server_name"),
    ),
    (
        "not found",
        lambda text: text.replace("location / {", "location = /health { return 404; }\nlocation / {", 1),
        "origin",
        "failed",
        ("answered by something else (404",),
    ),
    (
        "its own login",
        lambda text: text.replace("location / {", "location = /health { return 401; }\nlocation / {", 1),
        "origin",
        "failed",
        ("asks for a login of its own",),
    ),
    (
        "limited",
        lambda text: text.replace("location / {", "location = /health { return 429; }\nlocation / {", 1),
        "origin",
        "failed",
        ("answers 429",),
    ),
]


@contextmanager
def front(
    here: Installation, tmp_path: Path, alter: Callable[[str], str] = str, certificate: Path | None = None
) -> Iterator[str]:
    """Another nginx before the same server; its origin is in the settings."""
    with run_nginx(
        tmp_path,
        certificate or here.site.certificate,
        here.site.upstream,
        alter=lambda text: alter(text).replace("CACHE", str(tmp_path / "cache")),
    ) as port:
        origin = f"https://localhost:{port}"
        here.write(DSG_ORIGIN=origin)
        yield origin


@pytest.mark.parametrize(
    ("alter", "check", "state", "parts"), [row[1:] for row in FRONTS], ids=[row[0] for row in FRONTS]
)
def test_doctor_reports_what_the_proxy_in_front_changes(
    here: Installation,
    examine: Examine,
    tmp_path: Path,
    alter: Callable[[str], str],
    check: str,
    state: str,
    parts: tuple[str, ...],
) -> None:
    with front(here, tmp_path, alter):
        find_row(examine()[1], check, state, *parts)


@pytest.mark.parametrize(
    ("names", "days", "check", "state", "parts"),
    [
        (["localhost"], (-30, -2), "origin", "failed", ("expired on 20", "certbot renew")),
        (["localhost"], (2, 30), "origin", "failed", ("is not good before 20", "timedatectl")),
        (["other.example.org", "b.org"], (-1, 90), "origin", "failed", ("is for other.example.org, b.org, not",)),
        (["localhost"], (-1, 20), "certificate", "warning", ("ends in 19 days", "certbot renew")),
        (["localhost"], (-1, 22), "certificate", "ok", ("is good until",)),
    ],
)
def test_doctor_checks_the_certificate(
    here: Installation,
    examine: Examine,
    tmp_path: Path,
    names: list[str],
    days: tuple[int, int],
    check: str,
    state: str,
    parts: tuple[str, ...],
) -> None:
    certificate = make_dated_certificate(tmp_path / "certificates", *names, days=days)
    with front(here, tmp_path, certificate=certificate) as origin:
        here.write(DSG_ORIGIN=origin, REQUESTS_CA_BUNDLE=str(certificate))
        find_row(examine()[1], check, state, *parts)


def test_doctor_does_not_take_a_cached_response_for_a_login(
    here: Installation, examine: Examine, tmp_path: Path
) -> None:
    """Somebody's 200 is kept there, with a key that has no token in it: then anybody gets it."""
    database = open_current(here.site.database)
    with begin_change(database, "os:test") as change:
        ada, _ = users.add(change, "ada@example.org")
        _, token = tokens.mint(change, ada)
    database.close()
    with front(
        here, tmp_path, lambda text: _add_cache(text).replace("proxy_cache_valid any", "proxy_cache_valid 200")
    ) as url:
        reply = requests.get(
            f"{url}/api/v1/user/cache",
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE,
            verify=str(here.site.certificate),
        )
        assert reply.json()["email"] == "ada@example.org"
        _, rows = examine()
    find_row(rows, "cache", "failed", "answers 200 without a token")
    assert not {row["check"] for row in rows} & {"cookie", "authorization", "query", "headers"}


def test_plain_http_where_tls_is_expected(here: Installation, examine: Examine) -> None:
    with listening_server(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        here.write(DSG_ORIGIN=f"https://localhost:{port}")
        find_row(examine()[1], "origin", "failed", "does not speak TLS")
