"""GET /api/dsg/v1/user: who the owner of a token is. It is as fast as user/cache."""

from dataclasses import dataclass
from datetime import datetime

from dsgctl.core import snapshots
from dsgctl.store import Database
from dsgctl.store.models import Principal
from dsgctl.wire_contract import build_native_user
from dsgserve.gateway import Gateway
from dsgserve.http.requests import HasEnviron
from dsgserve.http.responses import Refusal, encode_json
from dsgserve.http.route import Request
from dsgserve.user_cache import hot_path
from dsgserve.user_cache.question import Content, Question

PATH = "/api/dsg/v1/user"
_HEADERS = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))


@dataclass(frozen=True)
class UserQuestion(Question):
    """Who somebody is."""

    def build_content(self, database: Database, principal: Principal | None, at: datetime) -> Content | None:
        if principal is None:
            return None
        answer = build_native_user(snapshots.read_identity(database, principal))
        return Content(encode_json(answer), None, headers=_HEADERS)


_QUESTION = UserQuestion()


def read_question(gateway: Gateway, http: HasEnviron) -> UserQuestion:
    """The question of a request, which is always the same."""
    return _QUESTION


def admit(gateway: Gateway, request: Request[None]) -> Content | Refusal:
    """A valid token anywhere on the request, as what answers it; else 401."""
    return hot_path.admit(gateway, request, read_question)
