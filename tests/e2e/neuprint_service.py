"""Stands in for neuPrintHTTP 1.9: asks the API `native` as that does, and remembers as long.

Run as a program: neuprint_service.py PORT. GATEWAY is whom it asks. What it serves is in `SERVED`; a query is answered
with the name of its dataset. POST /clock moves its clock, and GET /questions returns how often it has asked.
"""

import os
import sys
import time
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import requests
from flask import Flask, g, jsonify, request
from waitress import serve
from werkzeug.exceptions import HTTPException

from tests.patience import PATIENCE

SERVED = ("hemibrain:v1.1", "hemibrain:v1.2.1", "manc:v1.0", "optic", "fw:783", "secret")
KEPT = 300.0  # seconds, of identities and of decisions that wait for no terms


class Level(IntEnum):
    """What neuPrint makes of a decision."""

    NONE = 0
    READ = 1
    WRITE = 2
    ADMIN = 3


LEVELS = {"view": Level.READ, "edit": Level.WRITE, "manage": Level.WRITE, "admin": Level.ADMIN}


class Stop(HTTPException):
    """An answer that ends a request."""

    def __init__(self, status: int, **body: Any) -> None:
        super().__init__(response=_reply(body, status))


def _reply(body: Any, status: int = 200) -> Any:
    response = jsonify(body)
    response.status_code = status
    return response


@dataclass
class Gateway:
    """Asks the gateway, and remembers what it answered.

    Attributes:
        moved: by how many seconds the clock is ahead.
        questions: how many requests were sent.
    """

    address: str
    session: requests.Session = field(default_factory=requests.Session)
    answers: dict[tuple[str | None, ...], tuple[float, Any]] = field(default_factory=dict)
    moved: float = 0.0
    questions: int = 0

    def _read(self, key: tuple[str | None, ...]) -> Any:
        at, value = self.answers.get(key, (0.0, None))
        return value if value is not None and self._now() - at < KEPT else None

    def _now(self) -> float:
        return time.monotonic() + self.moved

    def find_identity(self, token: str, *, fresh: bool = False) -> Any:
        """Who a token is of; 401 for one that is not valid, 502 if the gateway answers anything else."""
        key = ("identity", token)
        if not fresh and (identity := self._read(key)) is not None:
            return identity
        self.answers.pop(key, None)
        self.questions += 1
        reply = self.session.get(f"{self.address}/api/dsg/v1/user", headers=_bearer(token), timeout=PATIENCE)
        if reply.status_code in (401, 403, 404):
            raise Stop(401, message="invalid or expired token")
        if reply.status_code != 200:
            raise Stop(502, message="auth service unavailable")
        self.answers[key] = (self._now(), reply.json())
        return reply.json()

    def decide(self, token: str | None, names: list[str], *, fresh: bool = False) -> list[dict[str, Any]]:
        """The decision about each dataset, in order; only those that are not remembered are asked for, at once."""
        keys = {name: ("decision", token, name) for name in names}
        decisions = {name: None if fresh else self._read(key) for name, key in keys.items()}
        missing = [name for name, decision in decisions.items() if decision is None]
        if missing:
            for name, decision in zip(missing, self._ask(token, missing), strict=True):
                decisions[name] = decision
                self.answers.pop(keys[name], None)
                if decision["decision"] != "tos_required":
                    self.answers[keys[name]] = (self._now(), decision)
        return [decisions[name] or {} for name in names]

    def _ask(self, token: str | None, names: list[str]) -> Any:
        body = {"service": "neuprint", "return_url": request.url, "entries": [_entry(name) for name in names]}
        self.questions += 1
        reply = self.session.post(
            f"{self.address}/api/dsg/v1/authorize", json=body, headers=_bearer(token) if token else {}, timeout=PATIENCE
        )
        if reply.status_code != 200 or len(reply.json()["entries"]) != len(names):
            raise Stop(502, message="auth service unavailable")
        return reply.json()["entries"]


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _entry(dataset: str) -> dict[str, str]:
    name, colon, version = dataset.partition(":")
    return {"name": name, "permission": "view", **({"version": version} if colon else {})}


def _level(decision: dict[str, Any]) -> Level:
    """What a decision allows. It leaves service_eval to services with branches, and neuPrint is none."""
    if decision["decision"] != "allow":
        return Level.NONE
    return max((LEVELS.get(role, Level.NONE) for role in decision["roles"]), default=Level.READ)


app = Flask(__name__)
gateway = Gateway(os.environ.get("GATEWAY", ""))


@app.before_request
def find_caller() -> None:
    """Take the token from header, cookie or query; one that is presented and not valid is never anonymous."""
    header = request.headers.get("Authorization")
    token = request.cookies.get("dsg_token", request.args.get("dsg_token"))
    if header is not None:
        words = header.split()
        token = words[1] if len(words) == 2 and words[0].lower() == "bearer" else ""
    if token == "":
        raise Stop(401, message="invalid or expired token")
    g.token = token
    g.identity = gateway.find_identity(token, fresh=request.path == "/profile") if token is not None else None


def require(dataset: str, level: Level) -> None:
    """Stop unless the caller has the level on a dataset."""
    if g.identity is not None and g.identity["admin"]:
        return
    (decision,) = gateway.decide(g.token, [dataset])
    if _level(decision) >= level:
        return
    if decision["decision"] == "tos_required":
        raise Stop(403, message="Terms of Service acceptance required", tos_required=True, tos_url=decision["tos_url"])
    if g.identity is None:
        raise Stop(401, message="authentication required")
    raise Stop(403, message=f"You do not have access to {dataset} dataset")


@app.get("/api/version")
def version() -> Any:
    return {"Version": "1.9.0"}


@app.get("/api/dbmeta/datasets")
def datasets() -> Any:
    """Those that the caller may read now or after accepting terms; all, for an admin and without a token."""
    if g.identity is None or g.identity["admin"]:
        return {name: {} for name in SERVED}
    decisions = gateway.decide(g.token, list(SERVED))
    return {
        name: {}
        for name, decision in zip(SERVED, decisions, strict=True)
        if decision["decision"] in ("allow", "tos_required")
    }


@app.post("/api/custom/custom")
def query() -> Any:
    require(request.json["dataset"], Level.READ)
    return {"columns": ["name"], "data": [[request.json["dataset"]]]}


@app.post("/api/raw/cypher/cypher")
def write() -> Any:
    require(request.json["dataset"], Level.ADMIN)
    return {}


@app.get("/dataset-access")
def look_again() -> Any:
    """After somebody accepted terms: ask again, whatever is remembered."""
    (decision,) = gateway.decide(g.token, [request.args["dataset"]], fresh=True)
    return {"level": _level(decision).name}


@app.get("/profile")
def profile() -> Any:
    if g.identity is None:
        raise Stop(401, message="authentication required")
    return {"Email": g.identity["email"], "AuthLevel": "noauth"}


@app.get("/token")
def token() -> Any:
    return _pass_on("GET", "/api/v1/long_lived_token")


@app.post("/token/rotate")
def rotate_token() -> Any:
    """The new token; the old one is forgotten here too."""
    reply = _pass_on("POST", "/api/v1/long_lived_token/rotate")
    if reply.status_code == 200:
        gateway.answers = {key: value for key, value in gateway.answers.items() if key[1] != g.token}
    return reply


def _pass_on(method: str, path: str) -> Any:
    if g.token is None:
        raise Stop(401, message="authentication required")
    gateway.questions += 1
    reply = gateway.session.request(method, gateway.address + path, headers=_bearer(g.token), timeout=PATIENCE)
    return _reply(reply.json(), reply.status_code)


@app.post("/clock")
def move_clock() -> Any:
    gateway.moved += request.json["seconds"]
    return {}


@app.get("/questions")
def count_questions() -> Any:
    return {"count": gateway.questions}


if __name__ == "__main__":
    serve(app, listen=f"127.0.0.1:{sys.argv[1]}", ident=None, url_scheme="https")  # behind nginx
