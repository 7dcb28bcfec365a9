"""Which text is a web origin, and which origin may ask."""

import re

import pytest

from dsgctl.settings import load
from dsgserve.http import origins

GOOD = (
    "https://neuroglancer-demo.appspot.com",
    "http://localhost:8080",
    "http://127.0.0.1:9000",
    "https://a",
    "https://viewer.example:1",
    "https://viewer.example:65535",
    "https://xn--bcher-kva.example",
    "http://my_host:80",
    "http://[::1]:8080",
    # Origins of another host than one may think. They are well-formed, and the pattern decides.
    "https://neuroglancer-demo.appspot.com.attacker.example",
    "https://neuroglancer-demo.appspot.com.",
    "https://Neuroglancer-Demo.appspot.com",
)

BAD = (
    "",
    " ",
    "null",
    "*",
    "https",
    "https:",
    "https:/",
    "https://",
    "//viewer.example",
    "viewer.example",
    "https:viewer.example",
    "https:/viewer.example",
    "https:///viewer.example",
    "https:\\\\viewer.example",
    "ftp://viewer.example",
    "javascript://viewer.example",
    "chrome-extension://abcdef",
    "file://",
    "ws://viewer.example",
    "HTTPS://viewer.example",
    "Https://viewer.example",
    "https://viewer.example/",
    "https://viewer.example/x",
    "https://viewer.example?x",
    "https://viewer.example#x",
    "https://viewer.example\\",
    "https://viewer.example;",
    "https://viewer.example,https://other.example",
    "https://viewer.example, https://other.example",
    "https://viewer.example https://other.example",
    "https://user@viewer.example",
    "https://user:pw@viewer.example",
    "https://@viewer.example",
    "https://viewer.example@attacker.example",
    "https://viewer.example:",
    "https://viewer.example:0",
    "https://viewer.example:00",
    "https://viewer.example:080",
    "https://viewer.example:65536",
    "https://viewer.example:99999",
    "https://viewer.example:-1",
    "https://viewer.example:+1",
    "https://viewer.example:8o",
    "https://viewer.example:٨",
    "https://viewer.example:80:80",
    " https://viewer.example",
    "https://viewer.example ",
    "https://viewer.example\n",
    "\thttps://viewer.example",
    "https://viewer.example\r\nX: y",
    "https://viewer\x00.example",
    "https://viewer\t.example",
    "https://bücher.example",
    "https://viewer。example",
    "https://viewer․example",
    "https://ｖiewer.example",
    "https://.viewer.example",
    "https://viewer..example",
    "https://viewer.example..",
    "https://.",
    "https://-a.example",
    "https://%76iewer.example",
    "https://viewer.example%00",
    "https://*.example",
    "https://<script>",
    "https://a'b",
    'https://a"b',
    "https://[::1",
    "https://::1",
    "https://[::1]x",
    "https://[g::1]",
    "https://" + "a" * 300,
)


@pytest.mark.parametrize("value", GOOD)
def test_a_valid_origin_is_accepted(value: str) -> None:
    assert origins.parse(value) == value


@pytest.mark.parametrize("value", [*BAD, None])
def test_an_invalid_origin_is_refused(value: str | None) -> None:
    assert origins.parse(value) is None


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
