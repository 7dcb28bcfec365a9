"""Google's error messages: no token reaches a screen or a log, and a code is found wherever Google puts it."""

import json

import pytest

from dsgctl.gcs.messages import error_code, redact

TOKEN = "ya29." + "a0AfH6SMBx7" * 5


@pytest.mark.parametrize(
    "text", ["Invalid argument.", "user bo@example.org does not exist", "", "no storage.objects.get"]
)
def test_a_message_without_a_secret_is_unchanged(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        TOKEN,
        f"bad token {TOKEN}.",
        f"Authorization: Bearer {TOKEN}",
        f"https://storage.googleapis.com/?access_token={TOKEN}&alt=json",
        "x" * 64,
        f"first line\n{TOKEN}\nthird",
    ],
)
def test_a_secret_is_left_out(text: str) -> None:
    line = redact(text)
    assert TOKEN not in line and "x" * 64 not in line and "…" in line and "\n" not in line


def test_a_message_is_one_line_of_at_most_200_characters() -> None:
    line = redact("word \n" * 1000)
    assert len(line) == 200 and "\n" not in line and line.endswith("…")


NESTED = {"status": "PERMISSION_DENIED", "errors": [{"reason": "forbidden"}]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error": "invalid_grant"}, "invalid_grant"),
        ('{"error": "invalid_grant"}', "invalid_grant"),
        ({"error": NESTED}, "PERMISSION_DENIED"),
        (json.dumps({"error": {"errors": [{"reason": "forbidden"}]}}), "forbidden"),
        ({"error": {"errors": ["forbidden", {"reason": 7}]}}, ""),
        ({"error": f"invalid token {TOKEN}"}, ""),
        ({"error": ["invalid_grant"]}, ""),
        ({}, ""),
        ("<html>", ""),
        (None, ""),
    ],
)
def test_an_error_has_its_code(body: object, code: str) -> None:
    assert error_code(Exception("refused", body)) == code


def test_an_error_without_a_body_has_no_code() -> None:
    assert error_code(Exception("refused")) == ""
