"""The sites with data to which registered clients send their keys: whether a viewer learns there where to sign in."""

import requests

from dsgctl.config import Config
from dsgctl.core import clients
from dsgctl.core.validation import quote
from dsgctl.json_text import NotJson, parse_object
from dsgctl.operations.doctor import network
from dsgctl.operations.doctor.check import Case, Check, Checks, ok, warning
from dsgctl.store.migrations import open_current

NAME = "data sites"
_PREFIXES = ("", "/auth", "/sticky_auth")  # nginx/dsg.conf takes them off /api/v1/authorize
_AS_SHIPPED = "serve /auth_info as nginx/gate.conf does"


def check_data_sites(case: Case) -> Checks:
    """One line for each ``--app-url`` of an enabled client."""
    database = open_current(case.config.database, read_only=True)
    try:
        enabled = clients.list_active(database)
        sites = {site for client in enabled for site in clients.list_app_urls(database, client)}
    finally:
        database.close()
    for site in sorted(sites):
        yield _check_site(case.config, site)


def _check_site(config: Config, site: str) -> Check:
    """Ask as Neuroglancer does, without a token and as a page of another site."""
    url = f"{site}/auth_info"
    try:
        reply = network.get(url, {"Origin": "https://viewer.example"})
    except requests.RequestException as error:
        cause, advice = network.explain(url, error)
        return warning(NAME, f"{url} does not answer: {cause}", advice)
    try:
        login_url = parse_object(reply.content).get("login_url")
    except NotJson:
        login_url = None
    if reply.status_code != 200 or not isinstance(login_url, str):
        return warning(NAME, f"{url} does not say where to sign in ({reply.status_code})", _AS_SHIPPED)
    if login_url not in {config.origin + prefix for prefix in _PREFIXES}:
        return warning(
            NAME, f"{url} sends viewers to {quote(login_url)}, not to {config.origin}", "correct its login_url"
        )
    if reply.headers.get("Access-Control-Allow-Origin") not in ("*", "https://viewer.example"):
        return warning(NAME, f"pages of other sites may not read {url}", _AS_SHIPPED)
    return ok(NAME, f"{site} sends viewers here to sign in")
