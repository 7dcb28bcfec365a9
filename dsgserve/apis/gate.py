"""The API gate: whether a request that a reverse proxy holds may go on, by the dataset that it is about.

contract-services.md, "The gate". A proxy asks with the token of its client and a query of its own configuration.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import ClassVar
from urllib.parse import quote, unquote_to_bytes

from dsgctl.core import reference_decisions
from dsgctl.core.errors import Invalid
from dsgctl.core.rules import levels
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.reference_access import ReferenceDecision, Verdict
from dsgctl.core.rules.references import Reference
from dsgctl.store import Database
from dsgctl.store.models import Principal
from dsgctl.wire_contract import public_email
from dsgserve.gateway import Gateway
from dsgserve.http.requests import MAX_VALUE, HasEnviron
from dsgserve.http.responses import Refusal, encode_json
from dsgserve.http.route import Endpoint, Guard, Request, Route
from dsgserve.terms.missing_terms import describe_missing
from dsgserve.user_cache import hot_path
from dsgserve.user_cache.question import Content, Headers, Question

PATH = "/api/v1/gate"

_NO_STORE = ("Cache-Control", "no-store")
_PARAMETERS = ("dataset", "version", "permission", "service")
_CLIENTS_OWN = "&uri="  # what follows is the client's; Envoy appends its path to the query
# In a header, a name must not end the value, or look like two names of a list.
_PLAIN = "!\"#$&'()*+-./:;<=>?@[\\]^_`{|}~"


@dataclass(frozen=True)
class GateQuestion(Question):
    """Whether somebody has a permission on a dataset, or on one version.

    Attributes:
        origin: of this server, for links to terms.
    """

    public: ClassVar[bool] = True
    dataset: str = ""
    version: str | None = None
    permission: str = levels.VIEW
    origin: str = ""

    def build_content(self, database: Database, principal: Principal | None, at: datetime) -> Content | None:
        reference = Reference(self.dataset, self.version)
        answer = reference_decisions.decide_all(
            database, principal, ((reference, self.permission),), at, service=self.service
        )
        (decision,) = answer.decisions
        if principal is None and not decision.allowed:
            return None
        status, headers, body = self._describe(decision, answer.principal)
        return Content(body, answer.until, status, headers, self._is_cacheable(decision))

    def _describe(self, decision: ReferenceDecision, snapshot: PrincipalSnapshot | None) -> tuple[int, Headers, bytes]:
        if decision.allowed:
            return 200, (*identity_headers(snapshot), _NO_STORE, ("Content-Type", "text/plain")), b""
        headers: Headers = (_NO_STORE, ("Content-Type", "application/json"))
        body: dict[str, object] = {"error": "no_permission", "message": "you have no permission for this"}
        if decision.verdict is Verdict.TOS_REQUIRED:
            terms = describe_missing(self.origin, decision.missing)
            body = {"error": "tos_required", "message": "accept the terms first", **terms}
            headers = (*headers, ("Link", f'<{terms["url"]}>; rel="terms-of-service"'))  # RFC 6903, section 5
        return 403, headers, encode_json(body)

    def _is_cacheable(self, decision: ReferenceDecision) -> bool:
        """Whether there are only so many such questions, however many a client asks."""
        is_of_a_version = self.version is None or (decision.place is not None and decision.place.version is not None)
        has_permission = self.permission in levels.NAMES or self.permission in decision.roles
        return bool(decision.dataset) and is_of_a_version and has_permission


def identity_headers(snapshot: PrincipalSnapshot | None) -> Headers:
    """Who asks, for the server behind the proxy. All headers are always there, so that a client can add none."""
    user = email = groups = username = ""
    if snapshot is not None:
        user = str(snapshot.id)
        email, username = _encode(public_email(snapshot)), _encode(snapshot.public_name)
        groups = ",".join(_encode(group) for group in sorted(snapshot.groups))
    return (
        ("X-Auth-Request-User", user),
        ("X-Auth-Request-Email", email),
        ("X-Auth-Request-Groups", groups),
        ("X-Auth-Request-Preferred-Username", username),
    )


def _encode(text: str) -> str:
    return quote(text, safe=_PLAIN)


def read_question(gateway: Gateway, http: HasEnviron) -> GateQuestion:
    """The question of a request, from its query alone.

    Raises:
        Invalid: the query names no dataset, or has anything but the parameters of the gate, each once.
    """
    query, _, _ = http.environ["QUERY_STRING"].partition(_CLIENTS_OWN)
    return parse_query(query, gateway.config.origin)


@lru_cache(maxsize=256)
def parse_query(query: str, origin: str) -> GateQuestion:
    """The question of the proxy's part of a query, as sent, one character per byte.

    Raises:
        Invalid: as of `read_question`. What is misspelt in a proxy's configuration must not open anything.
    """
    values: dict[str, str] = {}
    for part in query.split("&", len(_PARAMETERS)):
        name, _, value = part.partition("=")
        if name not in _PARAMETERS:
            raise Invalid(f"the gate takes {', '.join(_PARAMETERS)}, and no other parameter")
        if name in values:
            raise Invalid(f"'{name}' is there twice")
        if not value:
            raise Invalid(f"'{name}' is empty")
        if len(value) > MAX_VALUE:
            raise Invalid(f"'{name}' is too long")
        values[name] = _decode(name, value)
    if "dataset" not in values:
        raise Invalid("the gate needs ?dataset=")
    return GateQuestion(**values, origin=origin)


def _decode(name: str, value: str) -> str:
    try:
        return unquote_to_bytes(value.replace("+", " ").encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise Invalid(f"'{name}' is not UTF-8") from None


def admit(gateway: Gateway, request: Request[None]) -> Content | Refusal:
    """Anybody with a valid token or none, as what answers them: 200 or 403; 401 if the token is bad or missing."""
    return hot_path.admit(gateway, request, read_question)


ROUTES = (
    Route(
        PATH,
        (Endpoint("GET", hot_path.show, admit, Guard.HARMLESS),),
        often=True,
        any_method=True,
        question=read_question,
    ),
)
