"""What nginx, on this host, reports in headers: the client's address, and the prefix that it took from the path."""

from ipaddress import IPv6Address, ip_address
from wsgiref.types import WSGIEnvironment

from dsgserve.http.ascii_text import trim
from dsgserve.http.environ import PREFIX

_FORWARDED = (
    "HTTP_FORWARDED",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_BY",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_X_REAL_IP",
)
# CAVE's clients ask under these, and nginx takes them away (contract-services.md, "CAVE").
_PREFIXES = ("/auth", "/sticky_auth")


def trust_proxy(environ: WSGIEnvironment) -> None:
    """Replace the address of nginx by that of the client, note the prefix, and remove every forwarded header."""
    address = find_client_address(environ)
    prefix = environ.get("HTTP_X_FORWARDED_PREFIX", "")
    if prefix in _PREFIXES and _is_this_host(str(environ["REMOTE_ADDR"])):
        environ[PREFIX] = prefix
    for name in _FORWARDED:
        environ.pop(name, None)
    if address != environ["REMOTE_ADDR"]:
        environ["REMOTE_ADDR"] = environ["REMOTE_HOST"] = address


def find_client_address(environ: WSGIEnvironment) -> str:
    """The address of the client: the one that nginx reports, else that of the connection.

    nginx runs on this host, and appends the address of its client to ``X-Forwarded-For``. So the last address there
    counts if the request came over loopback or a unix socket. Anything else in its place is ignored.
    """
    peer = str(environ["REMOTE_ADDR"])
    reported = _parse_address(trim(environ.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2]))
    return reported if reported and _is_this_host(peer) else peer


def _is_this_host(peer: str) -> bool:
    """Whether a peer, as waitress writes it, is on this host; "localhost" stands for a unix socket."""
    if peer == "localhost":
        return True
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _parse_address(text: str) -> str:
    """The canonical form of an address; empty if the text is none."""
    try:
        return str(ip_address(text)) if len(text) <= 45 and "%" not in text else ""  # "%": a zone, with any name
    except ValueError:
        return ""
