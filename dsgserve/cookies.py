"""The login cookie: every attribute of it from here."""

from bottle import HTTPResponse

from dsgctl.config import Config

LOGIN_SECONDS = 7 * 24 * 3600  # how long a login lasts (contract.md, Login)


def set_login(reply: HTTPResponse, config: Config, token: str) -> None:
    """Give the browser a login token. On https the viewer is another site, hence SameSite=None."""
    reply.set_cookie(config.token_names[0], token, maxage=LOGIN_SECONDS, **_attributes(config))


def clear_login(reply: HTTPResponse, config: Config) -> None:
    for name in config.token_names:
        reply.set_cookie(name, "", maxage=0, **_attributes(config))


def _attributes(config: Config) -> dict[str, object]:
    secure = config.origin.startswith("https:")
    attributes: dict[str, object] = {
        "path": "/", "httponly": True, "secure": secure, "samesite": "None" if secure else "Lax",
    }  # fmt: skip
    if config.cookie_domain:
        attributes["domain"] = config.cookie_domain
    return attributes
