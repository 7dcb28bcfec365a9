"""A route that does not say who may ask, or how forged requests are kept out, does not exist."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bottle import HTTPResponse

from dsgserve.gateway import Gateway
from dsgserve.http.route import Endpoint, Guard, Request, Route
from dsgserve.login.admission import anybody, require_cookie
from dsgserve.login.authentication import Login

REPOSITORY = Path(__file__).parents[3]


def answer_anybody(gateway: Gateway, request: Request[None]) -> HTTPResponse:
    return HTTPResponse(b"", 200)


def answer_login(gateway: Gateway, request: Request[Login]) -> HTTPResponse:
    return HTTPResponse(b"", 200)


@pytest.mark.parametrize("declared", [(), (anybody,)], ids=["nothing", "no guard"])
def test_fail_an_endpoint_without_an_admission_and_a_guard(declared: tuple[Any, ...]) -> None:
    with pytest.raises(TypeError, match="missing"):
        Endpoint("GET", answer_anybody, *declared)


@pytest.mark.parametrize(
    ("guard", "cors"),
    [(Guard.ORIGIN, False), (Guard.HARMLESS, True), (Guard.DELIBERATE, True), (Guard.FORM, True)],
    ids=str,
)
def test_fail_cors_and_guard_contradict_each_other(guard: Guard, cors: bool) -> None:
    with pytest.raises(ValueError, match="CORS"):
        Route("/x", (Endpoint("POST", answer_login, require_cookie, guard),), cors=cors)


def test_fail_two_endpoints_for_one_method() -> None:
    endpoint = Endpoint("GET", answer_anybody, anybody, Guard.HARMLESS)
    with pytest.raises(ValueError, match="same method"):
        Route("/x", (endpoint, endpoint))


ROWS = {
    "ok/the admission returns what the handler takes": ("Endpoint('GET', answer_login, require_cookie, _GUARD)", ""),
    "fail/a handler that needs a login, open to anybody": ("Endpoint('GET', answer_login, anybody, _GUARD)", "misc"),
    "fail/a handler that needs a login, behind a token that may be missing": (
        "Endpoint('GET', answer_login, optional_token, _GUARD)",
        "misc",
    ),
    "fail/no guard": ("Endpoint('GET', answer_login, require_cookie)", "call-arg"),
    "fail/no admission": ("Endpoint('GET', answer_login, guard=_GUARD)", "call-arg"),
    "fail/a parser of Bottle's, whose work has no bound": ("BaseRequest().forms", "attr-defined"),
}


def test_the_type_checker_refuses_a_route_whose_handler_gets_less_than_it_needs(tmp_path: Path) -> None:
    """One run of mypy over a row a line."""
    head = (
        "from bottle import BaseRequest\n"
        "from dsgserve.http.route import Endpoint, Guard\n"
        "from dsgserve.login.admission import anybody, optional_token, require_cookie\n"
        "from tests.dsgserve.http.test_route import answer_login\n"
        "_GUARD = Guard.HARMLESS\n"
    )
    module = tmp_path / "rows.py"
    module.write_text(head + "".join(f"{row}\n" for row, _ in ROWS.values()))
    process = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary", str(module)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    for number, (name, (_, error)) in enumerate(ROWS.items(), head.count("\n") + 1):
        lines = [line for line in process.stdout.splitlines() if f"rows.py:{number}: error" in line]
        assert [line for line in lines if f"[{error}]" in line] if error else not lines, (name, process.stdout)
