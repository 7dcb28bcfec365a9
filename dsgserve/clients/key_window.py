"""A window that asks for a delegated key: which clients it can be of, and who is in front of it.

``/login?origin=O&token=api`` is opened by a page of the client O. ``/login?viewer=O`` is where ``/api/v1/authorize``
sends the window of a viewer; ``viewer=*`` if the browser did not say which page opened it. contract.md, "Delegated
keys".
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from bottle import BaseRequest

from dsgctl.core import clients, web_origins
from dsgctl.core.errors import Invalid
from dsgctl.store.models import Client
from dsgserve.gateway import Gateway
from dsgserve.http.requests import form, query_values
from dsgserve.http.responses import Refusal, redirect
from dsgserve.http.route import Answer, Request
from dsgserve.login import authentication, form_proofs
from dsgserve.login.authentication import Login

ANY_VIEWER = "*"
MAX_CANDIDATES = 10  # clients that an unnamed window can be of: each of them gets a key

Read = Callable[[str], Sequence[str]]  # returns the values of a parameter


@dataclass(frozen=True, slots=True)
class KeyWindow:
    """A window that a person may answer.

    Attributes:
        clients: that the window can be of; one, unless the browser did not say which page opened it.
        for_viewer: whether a viewer opened it at ``/api/v1/authorize``.
        fields: the parameters that name the window.
        login: of the person.
    """

    clients: tuple[Client, ...]
    for_viewer: bool
    fields: dict[str, str]
    login: Login

    @property
    def here(self) -> str:
        """The address of the window."""
        return _address(self.fields)

    def sign(self, gateway: Gateway) -> str:
        """The proof in the form of its page."""
        return form_proofs.sign(gateway, self.login, key_of=_digest(self.clients, self.for_viewer))


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person answered, on the page of a window."""

    window: KeyWindow
    allows: bool
    remember: bool


@dataclass(frozen=True, slots=True)
class NotRegistered:
    """A valid origin that no enabled client has."""

    origin: str
    for_viewer: bool


def is_key_window(gateway: Gateway, http: BaseRequest) -> bool:
    """Whether a request of ``/login`` asks for a delegated key. While no client is registered, none does."""
    asks = any(query_values(http, name) for name in ("token", "viewer"))
    return asks and clients.have_any(gateway.reader)


def admit(gateway: Gateway, request: Request[None]) -> KeyWindow | NotRegistered | Answer:
    """The window of a registered client, after a sign-in.

    Raises:
        Invalid: the parameters name no window.
    """
    named = _read_fields(lambda name: query_values(request.http, name))
    candidates = _find_clients(gateway, named)
    if isinstance(candidates, NotRegistered):
        return candidates
    # A person's own sign-in: a token that a program was given must not become one that lives longer.
    logins = authentication.authenticate_all_cookies(gateway, request.http)
    login = next((login for login in logins if login.token.kind == "login"), None)
    if login is None:
        return redirect("/auth/login?" + urlencode({"next": _address(named)}))
    return KeyWindow(candidates, "viewer" in named, named, login)


def require_form(gateway: Gateway, request: Request[None]) -> Decision | Refusal:
    """The answer of a person to whom our page showed these clients.

    Raises:
        Invalid: the form names no window of a registered client, or no answer.
    """
    fields = form(request.http)
    named = _read_fields(lambda name: [fields[name]] if name in fields else [])
    candidates = _find_clients(gateway, named)
    if isinstance(candidates, NotRegistered):
        raise Invalid("this application is not registered here")
    if fields.get("decision") not in ("allow", "cancel") or fields.get("remember", "1") != "1":
        raise Invalid("send decision=allow or decision=cancel, and remember=1 or nothing")
    digest = _digest(candidates, "viewer" in named)
    login = form_proofs.require_login(
        gateway,
        request.http,
        lambda login: form_proofs.verify(gateway, login, fields.get("form", ""), key_of=digest),
        page="the window",
        again=_address(named),
    )
    if isinstance(login, Refusal):
        return login
    window = KeyWindow(candidates, "viewer" in named, named, login)
    return Decision(window, fields["decision"] == "allow", "remember" in fields and len(candidates) == 1)


def _read_fields(read: Read) -> dict[str, str]:
    """The parameters that name a window: ``origin`` and ``token``, or ``viewer``.

    Raises:
        Invalid: they name none.
    """
    values = {name: list(read(name)) for name in ("origin", "token", "viewer")}
    if values["viewer"]:
        if len(values["viewer"]) == 1 and not values["origin"] and not values["token"]:
            (viewer,) = values["viewer"]
            if viewer == ANY_VIEWER or web_origins.parse(viewer) is not None:
                return {"viewer": viewer}
    elif values["token"] != ["api"]:
        raise Invalid("'token' names a kind of key that this page does not issue: send token=api")
    elif len(values["origin"]) == 1 and web_origins.parse(values["origin"][0]) is not None:
        return {"origin": values["origin"][0], "token": "api"}
    raise Invalid("this address is for applications: it must name the one that opened it, as origin=https://HOST")


def _find_clients(gateway: Gateway, fields: dict[str, str]) -> tuple[Client, ...] | NotRegistered:
    if fields.get("viewer") == ANY_VIEWER:
        candidates = clients.list_active(gateway.reader)
        return tuple(candidates) if 0 < len(candidates) <= MAX_CANDIDATES else NotRegistered("", for_viewer=True)
    origin = fields.get("viewer") or fields["origin"]
    client = clients.find_active(gateway.reader, origin)
    return (client,) if client is not None else NotRegistered(origin, for_viewer="viewer" in fields)


def _address(fields: dict[str, str]) -> str:
    return f"/login?{urlencode(fields)}"


def _digest(candidates: Sequence[Client], for_viewer: bool) -> str:
    """What the page of a window showed: a client that got another origin or owner since then is asked about again."""
    text = f"{for_viewer} " + " ".join(f"{client.id} {client.origin} {client.owner_id}" for client in candidates)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
