"""Cookies that we set: every attribute of them from here."""

from datetime import timedelta
from typing import TypedDict

from bottle import HTTPResponse

from dsgctl.config import Config
from dsgctl.core.logins import LOGIN_LIFE


class _Attributes(TypedDict):
    secure: bool
    same_site: str


def set_login(reply: HTTPResponse, config: Config, token: str) -> None:
    """Give the browser a login token, and take away one of the same name that it keeps for this host alone."""
    if config.cookie_domain:
        set_cookie(reply, config.token_names[0], "", 0, **_login_attributes(config))
    seconds = LOGIN_LIFE // timedelta(seconds=1)
    set_cookie(reply, config.token_names[0], token, seconds, **_login_attributes(config), domain=config.cookie_domain)


def clear_login(reply: HTTPResponse, config: Config) -> None:
    """Take the login away, whatever name it has, for the domain and for this host alone."""
    for name in config.token_names:
        for domain in dict.fromkeys(("", config.cookie_domain)):
            set_cookie(reply, name, "", 0, **_login_attributes(config), domain=domain)


def _login_attributes(config: Config) -> _Attributes:
    """On https the viewer is another site, hence SameSite=None."""
    secure = config.origin.startswith("https:")
    return {"secure": secure, "same_site": "None" if secure else "Lax"}


def set_cookie(
    reply: HTTPResponse, name: str, value: str, seconds: int, *, secure: bool, same_site: str, domain: str = ""
) -> None:
    """Add a ``Set-Cookie`` (RFC 6265, section 4.1); Bottle's own way has room for one of a name.

    Args:
        value: text that needs no quotes.
        seconds: that the browser keeps it; 0 takes it away.
        domain: whose hosts get it; empty for this host alone.
    """
    attributes = [f"{name}={value}", f"Max-Age={seconds}", "Path=/", "HttpOnly", f"SameSite={same_site}"]
    if secure:
        attributes.append("Secure")
    if domain:
        attributes.append(f"Domain={domain}")
    reply.add_header("Set-Cookie", "; ".join(attributes))
