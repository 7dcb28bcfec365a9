"""Sign-in: the OAuth client and the provider."""

from collections.abc import Generator
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import requests

from dsgctl.config import Config
from dsgctl.core.errors import Invalid
from dsgctl.json_text import NotJson, parse, read_member
from dsgctl.oauth_client import CALLBACK_PATH, read_oauth_client
from dsgctl.operations.doctor import network
from dsgctl.operations.doctor.check import Case, Check, Checks, failure, ok, warning
from dsgctl.operations.doctor.database import SKEW
from dsgctl.operations.doctor.files import check_secret_file
from dsgctl.operations.doctor.settings import is_placeholder

GOOGLE = "https://accounts.google.com"

Request = Generator[Check, None, requests.Response | None]  # yields checks, and returns the response


def check_client(case: Case) -> Checks:
    """The OAuth client: an id and its secret, or the file of a web application with our redirect URI."""
    config = case.config
    if config.dev_login:
        return
    path, both = config.client_credentials, bool(config.google_client_id and config.google_client_secret)
    if not both and (config.google_client_id or config.google_client_secret):
        present, missing = ("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET")[:: 1 if config.google_client_id else -1]
        use = f"so {path} counts" if path else "so nobody can sign in"
        yield (warning if path else failure)(
            "oauth client", f"{present} is set and {missing} is not, {use}", f"set {missing}"
        )
    if both and config.oidc_issuer == GOOGLE and not config.google_client_id.endswith(".apps.googleusercontent.com"):
        yield warning(
            "oauth client",
            "GOOGLE_CLIENT_ID is not one of Google's, which end with .apps.googleusercontent.com",
            "copy it from the provider's console, or set DSG_OIDC_ISSUER",
        )
    if both and is_placeholder(config.google_client_secret):
        yield failure(
            "oauth client",
            "GOOGLE_CLIENT_SECRET is a placeholder: nobody can sign in",
            "copy it from the provider's console",
        )
    if path is not None:
        yield from check_secret_file("oauth client", case.account, path, case.host)
        yield from check_client_file(config, path)
    if both and path is not None and _id_in(path) not in (None, config.google_client_id):
        yield warning(
            "oauth client",
            f"GOOGLE_CLIENT_ID is another client than that of {path}, which is not used",
            "remove one of them",
        )


def check_client_file(config: Config, path: Path) -> Checks:
    """The content of the file that Google offers for download."""
    if problem := find_client_problem(path):
        yield failure("oauth client", *problem)
        return
    redirect_uri = config.origin + CALLBACK_PATH
    uris = parse(path.read_bytes())["web"].get("redirect_uris")
    if isinstance(uris, list) and redirect_uri not in uris:
        yield failure(
            "oauth client",
            f"the redirect URIs in {path} lack {redirect_uri}: Google answers redirect_uri_mismatch",
            "add it at Google, Credentials, and download the file again",
        )
    else:
        yield ok("oauth client", f"{path} is of a web application")


def find_client_problem(path: Path) -> tuple[str, str] | None:
    """Why nobody can sign in with the client in a file, and what to do; None if people can."""
    again = "at Google, Credentials: create an OAuth client ID for a web application, and download its JSON"
    try:
        content = parse(path.read_bytes())
    except OSError as error:
        return f"cannot read {path}: {error.strerror}", "run it as root, or correct the path"
    except NotJson as error:
        return f"{path} is not an OAuth client file: {error}", again
    if isinstance(content, dict) and content.get("type") == "service_account":
        return (
            f"{path} is the key of a service account, which reads buckets and signs nobody in",
            f"it belongs into GOOGLE_APPLICATION_CREDENTIALS; {again}",
        )
    if isinstance(content, dict) and "installed" in content:
        return f"{path} is of a desktop app: Google sends nobody back to a web site for it", again
    try:
        read_oauth_client(path)
    except Invalid as error:
        return error.message, error.hint
    return None


def _id_in(path: Path) -> str | None:
    try:
        return read_oauth_client(path).id
    except Invalid:
        return None


def check_provider(config: Config, at: datetime | None) -> Checks:
    """Whether the provider answers, and is the issuer in the settings.

    Args:
        at: the time of this host, to compare with the provider's clock; None for no comparison.
    """
    if config.dev_login:
        yield warning(
            "provider",
            "DSG_DEV_LOGIN: anybody on this machine can sign in as anybody",
            "unset it, except to try things out",
        )
        return
    if not (config.google_client_id and config.google_client_secret) and config.client_credentials is None:
        yield failure(
            "provider", "no OAuth client: nobody can sign in", "dsgctl setup reads the file that Google offers"
        )
        return
    url = f"{config.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
    reply = yield from _ask(url)
    if reply is None:
        return
    try:
        issuer = read_member(parse(reply.content), "issuer", str)
    except NotJson:
        issuer = None
    if issuer is None:
        yield failure("provider", f"{url} is not the metadata of an OpenID provider", "correct DSG_OIDC_ISSUER")
    elif issuer != config.oidc_issuer:
        yield failure("provider", f"{url} names another issuer: {issuer!r}", f"set DSG_OIDC_ISSUER={issuer}")
    else:
        yield ok("provider", f"{config.oidc_issuer} answers")
    if at is not None:
        yield from _check_clock(reply, at)


def _ask(url: str) -> Request:
    """The provider's answer with status 200; None after a line with the reason."""
    try:
        reply = network.get(url)
    except (requests.RequestException, OSError) as error:
        cause, advice = network.explain(url, error)
        yield failure("provider", f"{url} does not answer: {cause}", advice)
        return None
    if 300 <= reply.status_code < 400:
        yield failure(
            "provider", f"{url} redirects to {reply.headers.get('Location')}", "set DSG_OIDC_ISSUER as it says"
        )
        return None
    if reply.status_code != 200:
        yield failure("provider", f"{url} answers {reply.status_code}", "check the network, or correct DSG_OIDC_ISSUER")
        return None
    return reply


def _check_clock(reply: requests.Response, at: datetime) -> Checks:
    date = reply.headers.get("Date")
    if date is None:
        return
    try:
        away = abs(parsedate_to_datetime(date) - at)
    except (ValueError, TypeError):
        return
    if away > SKEW:
        yield failure(
            "clock",
            f"this host's clock is {away.total_seconds():.0f} s away from the provider's",
            "timedatectl set-ntp true",
        )
    else:
        yield ok("clock", "agrees with the provider's")
