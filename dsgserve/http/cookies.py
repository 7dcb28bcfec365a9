"""Sets cookies, with all their attributes."""

from datetime import timedelta
from typing import TypedDict

from bottle import HTTPResponse

from dsgctl.config import Config
from dsgctl.core.logins import LOGIN_LIFE


class _Attributes(TypedDict):
    secure: bool
    same_site: str


def set_login(reply: HTTPResponse, config: Config, token: str) -> None:
    """Set the login cookie, and delete one of the same name that the browser stores for this host alone."""
    if config.cookie_domain:
        set_cookie(reply, config.token_names[0], "", 0, **_login_attributes(config))
    seconds = LOGIN_LIFE // timedelta(seconds=1)
    set_cookie(reply, config.token_names[0], token, seconds, **_login_attributes(config), domain=config.cookie_domain)


def clear_login(reply: HTTPResponse, config: Config) -> None:
    """Delete the login cookie under every accepted name, for the domain and for this host alone."""
    for name in config.token_names:
        for domain in dict.fromkeys(("", config.cookie_domain)):
            set_cookie(reply, name, "", 0, **_login_attributes(config), domain=domain)


def _login_attributes(config: Config) -> _Attributes:
    """SameSite=None over https, because the viewer is another site."""
    secure = config.origin.startswith("https:")
    return {"secure": secure, "same_site": "None" if secure else "Lax"}


def set_cookie(
    reply: HTTPResponse, name: str, value: str, seconds: int, *, secure: bool, same_site: str, domain: str = ""
) -> None:
    """Add a ``Set-Cookie`` header (RFC 6265, section 4.1). Bottle itself can set one cookie of a name only.

    Args:
        value: text that needs no quotes.
        seconds: for which the browser stores it; 0 deletes it.
        domain: of the hosts that get it; empty for this host alone.
    """
    attributes = [f"{name}={value}", f"Max-Age={seconds}", "Path=/", "HttpOnly", f"SameSite={same_site}"]
    if secure:
        attributes.append("Secure")
    if domain:
        attributes.append(f"Domain={domain}")
    reply.add_header("Set-Cookie", "; ".join(attributes))
