"""What stands in front of the servers: asked as a browser, a script and a cheat ask, by routes that there are.

No fact is changed: a token that nobody has tells, by the words of its refusal, whether it arrived.
"""

import secrets
import socket
from collections.abc import Generator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from dsgctl import __version__, probe
from dsgctl.config import Config
from dsgctl.json_text import NotJson, parse_object
from dsgctl.operations.doctor import network
from dsgctl.operations.doctor.check import Case, Check, Checks, failed, ok, warning

LOGS = "/var/log/nginx/dsg.access.log"  # nginx/dsg.conf: the reason is at the end of each line
ENDS_SOON = 21  # days; certbot renews 30 before the end
FORGED = "192.0.2.66"  # of a network that is nobody's (RFC 5737)
LONG = 8192  # bytes of a header
USER_CACHE = "/api/v1/user/cache"


def check_front(case: Case) -> Checks:
    """All of it; what does not answer at all is said once."""
    config = case.config
    reply = yield from _ask("origin", f"{config.origin}/health")
    if reply is None:
        return
    if problem := _explain_answer(config, reply):
        yield problem
        return
    yield _check_release(config, reply)
    if config.origin.startswith("https:"):
        yield from _check_certificate(config, case.at)
    problem = yield from _find_caching(config, reply)
    yield problem or ok("cache", "nothing in front keeps answers")
    if problem is None:  # else an answer tells nothing of what was asked
        yield from _check_headers(config)
        yield from _check_long_header(config)
    yield from _check_address(config, case.at)


def _ask(name: str, url: str, **headers: str) -> Generator[Check, None, requests.Response | None]:
    """The answer to a GET; None after a line that says why there is none."""
    try:
        return network.get(url, headers)
    except requests.RequestException as error:
        found, do = network.explain(url, error)
        yield failed(name, f"{url.partition('?')[0]} does not answer: {found}", _next(url, do))
    except OSError as error:  # a list of certificates that is not there
        yield failed(name, str(error), "correct REQUESTS_CA_BUNDLE")
    return None


def _next(url: str, do: str) -> str:
    if "start what is to listen" in do:
        return "look at nginx: nginx -t; systemctl status nginx; journalctl -u nginx -n 20"
    return do


def _explain_answer(config: Config, reply: requests.Response) -> Check | None:
    """What is wrong with an answer about health; None for one of dsgserve's."""
    url, status = f"{config.origin}/health", reply.status_code
    body = _json(reply)
    if 300 <= status < 400:
        target = reply.headers.get("Location", "")
        parts = urlsplit(target)
        do = "let nothing in front redirect: look at nginx's configuration"
        if parts.netloc and f"{parts.scheme}://{parts.netloc}" != config.origin:
            do = f"set DSG_ORIGIN={parts.scheme}://{parts.netloc}, if that is the gateway"
        return failed("origin", f"{url} redirects to {target or 'nowhere'}", do)
    if status == 503 and body.get("error") == "unavailable":
        return failed("origin", f"{url} answers 503: the server cannot use its database", "dsgctl db check")
    if status in (502, 503, 504):
        return failed(
            "origin",
            f"{url} answers {status}: what is in front reaches no server{_socket_of_nginx()}",
            f"tail {LOGS}: nginx says why there; systemctl status dsgserve.socket dsgserve",
        )
    if status in (401, 403, 407) and "error" not in body:
        return failed(
            "origin",
            f"{url} answers {status}: something in front asks for a login of its own",
            "let it pass all requests of this host on",
        )
    if status == 429:
        return failed("origin", f"{url} answers 429: something in front limits it", "do not limit /health")
    if status != 200 or "version" not in body:
        return failed(
            "origin",
            f"{url} is answered by something else ({status}, {_server(reply)})",
            "look at nginx's server_name and at the DNS entry: nginx -T | grep server_name",
        )
    return None


def _socket_of_nginx() -> str:
    """Where nginx looks for servers, if its configuration is here to be read."""
    for path in (Path("/etc/nginx/conf.d/dsg.conf"), Path("/etc/nginx/sites-enabled/dsg.conf")):
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
        except OSError:
            continue
        named = [line.removeprefix("server ").rstrip(";") for line in lines if line.startswith("server unix:")]
        absent = [one for one in named if not Path(one.removeprefix("unix:")).exists()]
        if absent:
            return f"; {path} names {absent[0]}, which is not there"
    return ""


def _server(reply: requests.Response) -> str:
    return reply.headers.get("Server", "no name")[:60]


def _json(reply: requests.Response) -> dict[str, Any]:
    try:
        return parse_object(reply.content)
    except NotJson:
        return {}


def _check_release(config: Config, reply: requests.Response) -> Check:
    version = _json(reply)["version"]
    if version != __version__:
        return failed(
            "origin",
            f"the server runs release {version}, this is {__version__}",
            "systemctl restart 'dsgserve*.service'",
        )
    if config.origin.startswith("https:") and "Strict-Transport-Security" not in reply.headers:
        return warning("origin", "no Strict-Transport-Security header", "use nginx/dsg.conf as it is shipped")
    return ok("origin", f"{config.origin} answers, release {version}")


def _check_certificate(config: Config, at: datetime) -> Checks:
    parts = urlsplit(config.origin)
    try:
        certificate = network.peer_certificate(parts.hostname or "", parts.port or 443)
    except (OSError, ValueError):
        return  # it is behind a proxy of this network; requests have seen that it is good
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
    """Whether what a client shows arrives: in the cookie, the header, and the query."""
    token, name = _nobodys_token(), config.token_names[0]
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
    lost = False
    for check, what, query, headers, culprit in ways:
        reply = yield from _ask(check, config.origin + USER_CACHE + query, **headers)
        if reply is None:
            return
        code = _json(reply).get("error")
        if code == "missing_token":
            lost = True
            yield failed(
                check,
                f"{what} does not arrive at the server: something in front takes it out",
                f"look at nginx for {culprit}; use nginx/dsg.conf as it is shipped",
            )
        elif code != "invalid_token":
            lost = True
            yield failed(
                check,
                f"a request with {what} is answered by something else ({reply.status_code}, {_server(reply)})",
                f"tail {LOGS}; use nginx/dsg.conf as it is shipped",
            )
    if not lost:
        yield ok("headers", "cookie, Authorization and query arrive")


def _check_long_header(config: Config) -> Checks:
    """A browser's cookies below one domain, and the address that a provider sends back, are long."""
    cookie = f"{config.token_names[0]}={_nobodys_token()}; filler={'x' * LONG}"
    reply = yield from _ask("long headers", config.origin + USER_CACHE, Cookie=cookie)
    if reply is not None and _json(reply).get("error") != "invalid_token":
        yield failed(
            "long headers",
            f"a header of {LONG} bytes is refused with {reply.status_code} before the server sees it",
            "large_client_header_buffers 4 32k; as in nginx/dsg.conf",
        )
    elif reply is not None:
        yield ok("long headers", f"{LONG} bytes pass")


def _find_caching(config: Config, health: requests.Response) -> Generator[Check, None, Check | None]:
    """An answer that is kept in front is another person's, or of yesterday."""
    do = "no proxy_cache for this host, and no CDN that keeps answers"
    bare = yield from _ask("cache", config.origin + USER_CACHE)
    again = yield from _ask("cache", f"{config.origin}/health")
    if bare is None or again is None:
        return failed("cache", "it was not found out whether answers are kept in front", do)
    number = "X-Request-Id"
    marks = [
        name
        for name in ("Age", "X-Cache", "X-Cache-Status", "CF-Cache-Status", "X-Proxy-Cache")
        if _tells_of_a_hit(name, bare.headers.get(name))
    ]
    if bare.status_code == 200:
        return failed(
            "cache",
            f"{USER_CACHE} answers 200 without a token: what is in front keeps answers, and shows one person's to all",
            do,
        )
    if _json(bare).get("error") == "invalid_token" or marks:
        sign = f" ({marks[0]}: {bare.headers[marks[0]]})" if marks else ""
        return failed("cache", f"{USER_CACHE} answers with what another request got: it is kept in front{sign}", do)
    if number in health.headers and health.headers[number] == again.headers.get(number):
        return failed("cache", "/health is kept in front, and so may be user/cache: revoked people would go on", do)
    if "no-store" not in bare.headers.get("Cache-Control", ""):
        return failed(
            "cache",
            f"something in front takes Cache-Control: no-store out of {USER_CACHE}",
            "no proxy_hide_header, expires or add_header Cache-Control for this host",
        )
    return None


def _tells_of_a_hit(name: str, value: str | None) -> bool:
    return value is not None and (name == "Age" or "HIT" in value.upper())


def _check_address(config: Config, at: datetime) -> Checks:
    """The address that a client makes up must not be the one that is recorded when terms are accepted."""
    if not config.secret_keys:
        return
    forged = {"X-Forwarded-For": FORGED, "X-Real-IP": FORGED, "Forwarded": f"for={FORGED}"}
    reply = yield from _ask(
        "address", f"{config.origin}/health", **forged, **{probe.HEADER: probe.sign(config.secret_keys, at)}
    )
    if reply is None:
        return
    seen = _json(reply).get("client")
    if seen is None:
        yield warning(
            "address",
            "the server does not say which address it sees: another DSG_SECRET_KEY, or another clock",
            "systemctl restart dsgserve, if the key was changed; timedatectl",
        )
    elif seen == FORGED:
        yield failed(
            "address",
            "an X-Forwarded-For that a client makes up is believed: it is recorded as the address that accepts terms",
            "proxy_set_header X-Forwarded-For $remote_addr; as in nginx/dsg.conf",
        )
    elif not _is_address(str(seen)):
        yield warning(
            "address",
            f"the server does not learn the clients' addresses ({seen or 'none'})",
            "proxy_set_header X-Forwarded-For $remote_addr; as in nginx/dsg.conf",
        )
    else:
        yield ok("address", f"a forged X-Forwarded-For stays out: the server sees {seen}")


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def _nobodys_token() -> str:
    return f"doctor-{secrets.token_hex(8)}"
