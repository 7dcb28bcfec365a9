"""Which origin may ask for tokens."""

import re

import pytest

from dsgctl.settings import load
from dsgserve.http import origins
from tests.dsgctl.core.test_web_origins import GOOD


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://viewer.example", True),
        ("https://viewer.example:443", False),
        ("https://viewer.example.attacker.example", False),
        ("https://viewer.example.", False),
        ("https://Viewer.example", False),
        ("https://xviewer.example", False),
        ("http://viewer.example", False),
        ("http://localhost:8080", True),
    ],
)
def test_the_pattern_must_match_the_whole_origin(origin: str, allowed: bool) -> None:
    pattern = re.compile(r"https://viewer\.example|http://localhost:[0-9]+")
    assert origins.is_allowed(origin, pattern) is allowed


def test_no_origin_makes_the_pattern_slow() -> None:
    """A pattern on which Python's own engine takes twice as long for each further letter."""
    pattern = load({"NGAUTH_ALLOWED_ORIGINS": r"https://(([a-z]+)*\.?)*-lab\.example"}).ngauth_origins
    assert type(pattern).__module__.startswith("re2")  # linear in the length of the text, by its construction
    for length in range(1, 250):
        assert not origins.is_allowed("https://" + "a" * length, pattern)


def test_no_origin_is_allowed_without_a_pattern() -> None:
    assert not any(origins.is_allowed(origin, re.compile("")) for origin in GOOD)
