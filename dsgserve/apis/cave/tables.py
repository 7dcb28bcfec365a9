"""Which dataset a table is of, and which roots are public: what CAVE's services ask at every request of their own."""

import json
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from dsgctl.core import table_lookups
from dsgctl.core.service_tables import MAX_ROOT
from dsgctl.json_text import NotJson, parse
from dsgctl.store import Database
from dsgctl.store.models import Principal
from dsgserve.apis.cave.admission import require_answer, require_token
from dsgserve.gateway import Gateway
from dsgserve.http.ascii_text import is_number, number
from dsgserve.http.environ import TARGET
from dsgserve.http.requests import MAX_BODY, HasEnviron, body, content_type, is_navigation
from dsgserve.http.responses import NO_STORE, Refusal, json_reply
from dsgserve.http.route import Answer, Endpoint, Guard, Request, Route
from dsgserve.login.authentication import Login
from dsgserve.user_cache import hot_path
from dsgserve.user_cache.hot_path import ReadQuestion
from dsgserve.user_cache.question import Content, Question

_HEADERS = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_VALID = Content(b"", None)
_TRUE, _FALSE = Content(b"true", None, headers=_HEADERS), Content(b"false", None, headers=_HEADERS)
MAX_ROOTS_BODY = 16 * MAX_BODY  # bytes; some 12,000 roots


def _not_found(text: str) -> Content:
    message = {"error": "not_found", "message": text}
    return Content(json.dumps(message).encode(), None, 404, _HEADERS)


_NO_TABLE = _not_found("no dataset has this table of this service: dsgctl service table add")
_NO_ROOT = _not_found("the id of a root is a number")


@dataclass(frozen=True)
class TableQuestion(Question):
    """A question about a table, whose answer is the same for every valid token."""

    table: str = field(default="", compare=False)

    def build_content(self, database: Database, principal: Principal | None, at: datetime) -> Content | None:
        return _VALID if principal is not None else None


@dataclass(frozen=True)
class DatasetQuestion(TableQuestion):
    """Which dataset a table of a service is of."""

    table_service: str = field(default="", compare=False)

    def shared_key(self) -> Hashable:
        return self.table_service, self.table

    def complete(self, database: Database, content: Content) -> Content:
        dataset = table_lookups.find_dataset(database, self.table_service, self.table)
        if dataset is None:
            return _NO_TABLE
        return Content(json.dumps(dataset, ensure_ascii=False).encode(), None, headers=_HEADERS)


@dataclass(frozen=True)
class AnyRootQuestion(TableQuestion):
    """Whether a table has public roots."""

    def shared_key(self) -> Hashable:
        return self.table

    def complete(self, database: Database, content: Content) -> Content:
        return _TRUE if table_lookups.has_public_root(database, self.table) else _FALSE


@dataclass(frozen=True)
class RootQuestion(TableQuestion):
    """Whether a root of a table is public."""

    root: str = field(default="", compare=False)

    def shared_key(self) -> Hashable:
        return "root", self.table, self.root

    def complete(self, database: Database, content: Content) -> Content:
        if not is_number(self.root):
            return _NO_ROOT
        root_id = number(self.root.lstrip("0") or "0", most=MAX_ROOT)
        if root_id is None:  # beyond what a root can be
            return _FALSE
        return _TRUE if table_lookups.is_public_root(database, self.table, root_id) else _FALSE


def read_dataset_question(gateway: Gateway, http: HasEnviron) -> DatasetQuestion:
    names = http.environ[TARGET].names
    return DatasetQuestion(table=names["table"], table_service=names["service"])


def read_any_root_question(gateway: Gateway, http: HasEnviron) -> AnyRootQuestion:
    return AnyRootQuestion(table=http.environ[TARGET].names["table"])


def read_root_question(gateway: Gateway, http: HasEnviron) -> RootQuestion:
    names = http.environ[TARGET].names
    return RootQuestion(table=names["table"], root=names["root"])


def require_dataset(gateway: Gateway, request: Request[None]) -> Content | Answer:
    return require_answer(gateway, request, read_dataset_question)


def require_any_root(gateway: Gateway, request: Request[None]) -> Content | Answer:
    return require_answer(gateway, request, read_any_root_question)


def require_root(gateway: Gateway, request: Request[None]) -> Content | Answer:
    return require_answer(gateway, request, read_root_question)


def _leave_navigations(read: ReadQuestion, gateway: Gateway, http: HasEnviron) -> Question:
    """The question of a program. The pipeline answers a browser, because it may have to sign in first.

    Raises:
        ValueError: it is a navigation.
    """
    if is_navigation(http):
        raise ValueError("a navigation")
    return read(gateway, http)


def show_all_public(gateway: Gateway, request: Request[Login]) -> Answer:
    """POST root_all_public: one boolean, whether all roots in the list of the body are public.

    A list would be true to CAVE's clients, whatever is in it.
    """
    if content_type(request.http) != "application/json":
        return Refusal(415, "not_json", "the body must be JSON, with Content-Type: application/json")
    try:
        root_ids = parse(body(request.http), large_numbers=True)
    except NotJson:
        return Refusal(400, "invalid", "the body is not JSON")
    if not isinstance(root_ids, list) or not root_ids:
        return json_reply({"error": "missing_root_ids"}, 400)
    numbers = [_read_root_id(root_id) for root_id in root_ids]
    if None in numbers:
        return Refusal(400, "invalid", "the ids of roots are whole numbers, or texts of decimal digits")
    root_numbers = (root_id for root_id in numbers if root_id is not None)
    are_public = table_lookups.are_public_roots(gateway.reader, request.names["table"], root_numbers)
    return json_reply(are_public, headers=NO_STORE)


def _read_root_id(value: object) -> int | None:
    """The id of a root in a list; beyond what a root can be, -1. None for what is no whole number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and is_number(value):
        root_id = number(value.lstrip("0") or "0", most=MAX_ROOT)
        return -1 if root_id is None else root_id
    return None


def _make_route(path: str, admits: Callable[..., Content | Answer], read: ReadQuestion) -> Route:
    endpoint = Endpoint("GET", hot_path.show, admits, Guard.HARMLESS)
    return Route(path, (endpoint,), often=True, question=partial(_leave_navigations, read))


ROUTES = (
    _make_route("/api/v1/service/<service>/table/<table>/dataset", require_dataset, read_dataset_question),
    _make_route("/api/v1/table/<table>/has_public", require_any_root, read_any_root_question),
    _make_route("/api/v1/table/<table>/root/<root>/is_public", require_root, read_root_question),
    Route(
        "/api/v1/table/<table>/root_all_public",
        (Endpoint("POST", show_all_public, require_token, Guard.HARMLESS, reads_body=True, max_body=MAX_ROOTS_BODY),),
        often=True,
    ),
)
