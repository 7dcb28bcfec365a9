"""GET /api/v1/user/cache: identity and permissions. The hot path."""

from dataclasses import dataclass
from datetime import datetime

from dsgctl.core import snapshots
from dsgctl.core.rules import access
from dsgctl.store import Database
from dsgctl.store.models import Principal
from dsgctl.wire_contract import build_user_cache
from dsgserve.gateway import Gateway
from dsgserve.http.requests import HasEnviron, query_value
from dsgserve.http.responses import Refusal, encode_json
from dsgserve.http.route import Request
from dsgserve.user_cache import hot_path
from dsgserve.user_cache.question import Content, Question

PATH = "/api/v1/user/cache"
_HEADERS = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


@dataclass(frozen=True)
class UserCacheQuestion(Question):
    """Who somebody is, and what they may do."""

    def build_content(self, database: Database, principal: Principal | None, at: datetime) -> Content | None:
        if principal is None:
            return None
        snapshot = snapshots.read_principal(database, principal, service=self.service)
        return Content(encode_json(build_user_cache(snapshot, at)), access.next_change(snapshot, at), headers=_HEADERS)


def read_question(gateway: Gateway, http: HasEnviron) -> UserCacheQuestion:
    """The question of a request.

    Raises:
        Invalid: the query has too many parameters.
    """
    return UserCacheQuestion(query_value(http, "service"))


def admit(gateway: Gateway, request: Request[None]) -> Content | Refusal:
    """A valid token anywhere on the request, as what answers it; else 401."""
    return hot_path.admit(gateway, request, read_question)
