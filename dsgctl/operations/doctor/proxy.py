"""The proxy in front of the servers, checked with the requests of a browser, a script and an attacker.

The requests change nothing: they carry a random token, and the error code of its refusal shows whether it arrived.
"""

import secrets
import socket
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import requests

from dsgctl import __version__, probe
from dsgctl.config import Config
from dsgctl.operations.doctor import network
from dsgctl.operations.doctor.answer import parse_answer
from dsgctl.operations.doctor.check import ORIGIN, Case, Check, Checks, failure, ok, warning

LOGS = "/var/log/nginx/dsg.access.log"  # each line ends with the reason: nginx/dsg.conf
ENDS_SOON = 21  # days; certbot renews a certificate 30 days before its end
FORGED = "192.0.2.66"  # an address for documentation (RFC 5737)
LONG = 8192  # bytes of a header
USER_CACHE = "/api/v1/user/cache"


def check_front(case: Case) -> Checks:
    """Check the origin, its certificate, caching, headers and the client's address, until one answer is missing."""
    config = case.config
    reply = yield from _ask(ORIGIN, f"{config.origin}/health")
    if reply is None:
        return
    if problem := _explain_answer(config, reply):
        yield problem
        return
    yield _check_release(config, reply)
    if config.origin.startswith("https:"):
        yield from _check_certificate(config, case.at)
    problem = yield from _find_caching(config, reply)
    yield problem or ok("cache", "nothing in front caches answers")
    if problem is None:  # a cached answer would show nothing about the request
        yield from _check_headers(config)
        yield from _check_long_header(config)
    yield from _check_address(config, case.at)


def _ask(name: str, url: str, **headers: str) -> Generator[Check, None, requests.Response | None]:
    """The response to a GET; None after a line with the reason."""
    try:
        return network.get(url, headers)
    except requests.RequestException as error:
        cause, do = network.explain(url, error)
        yield failure(name, f"{url.partition('?')[0]} does not answer: {cause}", _advise(do))
    except OSError as error:  # the file of certificates does not exist
        yield failure(name, str(error), "correct REQUESTS_CA_BUNDLE")
    return None


def _advise(do: str) -> str:
    """What to do if the proxy refuses connections."""
    if "start the program that should listen" in do:
        return "look at nginx: nginx -t; systemctl status nginx; journalctl -u nginx -n 20"
    return do


def _explain_answer(config: Config, reply: requests.Response) -> Check | None:
    """The problem of an answer to ``GET /health``; None if it is dsgserve's own."""
    url, status = f"{config.origin}/health", reply.status_code
    answer = parse_answer(reply.content)
    if 300 <= status < 400:
        target = reply.headers.get("Location", "")
        parts = urlsplit(target)
        do = "let nothing in front redirect: look at nginx's configuration"
        if parts.netloc and f"{parts.scheme}://{parts.netloc}" != config.origin:
            do = f"set DSG_ORIGIN={parts.scheme}://{parts.netloc}, if that is the gateway"
        return failure(ORIGIN, f"{url} redirects to {target or 'nowhere'}", do)
    if status == 503 and answer.error == "unavailable":
        return failure(ORIGIN, f"{url} answers 503: the server cannot use its database", "dsgctl db check")
    if status in (502, 503, 504):
        return failure(
            ORIGIN,
            f"{url} answers {status}: what is in front reaches no server{_socket_of_nginx()}",
            f"tail {LOGS}: nginx says why there; systemctl status dsgserve.socket dsgserve",
        )
    if status in (401, 403, 407) and answer.error is None:
        return failure(
            ORIGIN,
            f"{url} answers {status}: something in front asks for a login of its own",
            "let it pass on all requests for this host",
        )
    if status == 429:
        return failure(ORIGIN, f"{url} answers 429: something in front limits it", "do not limit /health")
    if status != 200 or answer.version is None:
        return failure(
            ORIGIN,
            f"{url} is answered by something else ({status}, {_server(reply)})",
            "look at nginx's server_name and at the DNS entry: nginx -T | grep server_name",
        )
    return None


def _socket_of_nginx() -> str:
    """A socket that nginx's configuration names and that does not exist; empty if none is found."""
    for path in (Path("/etc/nginx/conf.d/dsg.conf"), Path("/etc/nginx/sites-enabled/dsg.conf")):
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
        except OSError:
            continue
        sockets = [line.removeprefix("server ").rstrip(";") for line in lines if line.startswith("server unix:")]
        absent = [name for name in sockets if not Path(name.removeprefix("unix:")).exists()]
        if absent:
            return f"; {path} names {absent[0]}, which is not there"
    return ""


def _server(reply: requests.Response) -> str:
    return reply.headers.get("Server", "no name")[:60]


def _check_release(config: Config, reply: requests.Response) -> Check:
    version = parse_answer(reply.content).version
    if version != __version__:
        return failure(
            ORIGIN,
            f"the server runs release {version}, this is {__version__}",
            "systemctl restart 'dsgserve*.service'",
        )
    if config.origin.startswith("https:") and "Strict-Transport-Security" not in reply.headers:
        return warning(ORIGIN, "no Strict-Transport-Security header", "use nginx/dsg.conf as it is shipped")
    return ok(ORIGIN, f"{config.origin} answers, release {version}")


def _check_certificate(config: Config, at: datetime) -> Checks:
    parts = urlsplit(config.origin)
    try:
        certificate = network.peer_certificate(parts.hostname or "", parts.port or 443)
    except (OSError, ValueError):
        return  # behind a proxy of this network; the requests above have verified it
    days, end = network.days_left(certificate, at), f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if days < ENDS_SOON:
        yield warning(
            "certificate",
            f"that of {parts.hostname} ends in {days} days, on {end}",
            "certbot renew; systemctl status certbot.timer; nginx -s reload",
        )
    else:
        yield ok("certificate", f"that of {parts.hostname} is good until {end}")


def _check_headers(config: Config) -> Checks:
    """Whether a token arrives in the cookie, the header and the query."""
    token, name = _random_token(), config.token_names[0]
    ways: tuple[tuple[str, str, str, dict[str, str], str], ...] = (
        ("cookie", f"the cookie {name}", "", {"Cookie": f"{name}={token}"}, "proxy_set_header Cookie"),
        (
            "authorization",
            "the header Authorization",
            "",
            {"Authorization": f"Bearer {token}"},
            "proxy_set_header Authorization, or auth_basic",
        ),
        ("query", "the query", f"?{name}={token}", {}, "a proxy_pass with a path, or a rewrite"),
    )
    arrived = True
    for check, part, query, headers, directive in ways:
        reply = yield from _ask(check, config.origin + USER_CACHE + query, **headers)
        if reply is None:
            return
        code = parse_answer(reply.content).error
        if code == "missing_token":
            arrived = False
            yield failure(
                check,
                f"{part} does not arrive at the server: something in front removes it",
                f"look at nginx for {directive}; use nginx/dsg.conf as it is shipped",
            )
        elif code != "invalid_token":
            arrived = False
            yield failure(
                check,
                f"a request with {part} is answered by something else ({reply.status_code}, {_server(reply)})",
                f"tail {LOGS}; use nginx/dsg.conf as it is shipped",
            )
    if arrived:
        yield ok("headers", "cookie, Authorization and query arrive")


def _check_long_header(config: Config) -> Checks:
    """The cookies of a domain, and the URL with which a provider sends a browser back, can be long."""
    cookie = f"{config.token_names[0]}={_random_token()}; filler={'x' * LONG}"
    reply = yield from _ask("long headers", config.origin + USER_CACHE, Cookie=cookie)
    if reply is not None and parse_answer(reply.content).error != "invalid_token":
        yield failure(
            "long headers",
            f"a header of {LONG} bytes is refused with {reply.status_code} before the server sees it",
            "large_client_header_buffers 4 32k; as in nginx/dsg.conf",
        )
    elif reply is not None:
        yield ok("long headers", f"{LONG} bytes pass")


def _find_caching(config: Config, health: requests.Response) -> Generator[Check, None, Check | None]:
    """Whether the proxy caches answers: a cached one may be another person's, or out of date."""
    do = "no proxy_cache for this host, and no CDN that caches answers"
    bare = yield from _ask("cache", config.origin + USER_CACHE)
    again = yield from _ask("cache", f"{config.origin}/health")
    if bare is None or again is None:
        return failure("cache", "it is unknown whether something in front caches answers", do)
    request_id = "X-Request-Id"
    marks = [
        name
        for name in ("Age", "X-Cache", "X-Cache-Status", "CF-Cache-Status", "X-Proxy-Cache")
        if _shows_a_hit(name, bare.headers.get(name))
    ]
    if bare.status_code == 200:
        return failure(
            "cache",
            f"{USER_CACHE} answers 200 without a token: what is in front caches answers, and shows one person's to all",
            do,
        )
    if parse_answer(bare.content).error == "invalid_token" or marks:
        sign = f" ({marks[0]}: {bare.headers[marks[0]]})" if marks else ""
        return failure(
            "cache", f"{USER_CACHE} answers with the response to another request: it is cached in front{sign}", do
        )
    if request_id in health.headers and health.headers[request_id] == again.headers.get(request_id):
        return failure(
            "cache", "/health is cached in front, and user/cache may be too: revoked access would continue", do
        )
    if "no-store" not in bare.headers.get("Cache-Control", ""):
        return failure(
            "cache",
            f"something in front removes Cache-Control: no-store from {USER_CACHE}",
            "no proxy_hide_header, expires or add_header Cache-Control for this host",
        )
    return None


def _shows_a_hit(name: str, value: str | None) -> bool:
    return value is not None and (name == "Age" or "HIT" in value.upper())


def _check_address(config: Config, at: datetime) -> Checks:
    """Whether a client can forge the address that is recorded when it accepts terms."""
    if not config.secret_keys:
        return
    forged = {"X-Forwarded-For": FORGED, "X-Real-IP": FORGED, "Forwarded": f"for={FORGED}"}
    reply = yield from _ask(
        "address", f"{config.origin}/health", **forged, **{probe.HEADER: probe.sign(config.secret_keys, at)}
    )
    if reply is None:
        return
    address = parse_answer(reply.content).client
    if address is None:
        yield warning(
            "address",
            "the server does not say which address it sees: another DSG_SECRET_KEY, or another clock",
            "systemctl restart dsgserve, if the key was changed; timedatectl",
        )
    elif address == FORGED:
        yield failure(
            "address",
            "an X-Forwarded-For that a client forges is believed, and recorded as the address that accepts terms",
            "proxy_set_header X-Forwarded-For $remote_addr; as in nginx/dsg.conf",
        )
    elif not _is_address(address):
        yield warning(
            "address",
            f"the server does not learn the clients' addresses ({address or 'none'})",
            "proxy_set_header X-Forwarded-For $remote_addr; as in nginx/dsg.conf",
        )
    else:
        yield ok("address", f"a forged X-Forwarded-For is ignored: the server sees {address}")


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def _random_token() -> str:
    """A token that does not exist."""
    return f"doctor-{secrets.token_hex(8)}"
