"""Which text is a web origin, and which is as browsers write it."""

import pytest

from dsgctl.core import web_origins
from dsgctl.core.errors import Invalid
from tests.dsgctl.core.builders import refused

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
    assert web_origins.parse(value) == value


@pytest.mark.parametrize("value", [*BAD, None])
def test_an_invalid_origin_is_refused(value: str | None) -> None:
    assert web_origins.parse(value) is None


# Well-formed, but no browser writes an origin like this, so none would ever equal it.
NOT_CANONICAL = (
    "http://my_host:80",
    "https://viewer.example:443",
    "https://Neuroglancer-Demo.appspot.com",
    "https://VIEWER.example:8443",
    "http://[::0001]:8080",
    "http://[0:0:0:0:0:0:0:1]",
    "http://[::FFFF]",
)


@pytest.mark.parametrize("value", [value for value in GOOD if value not in NOT_CANONICAL])
def test_an_origin_as_browsers_write_it_is_canonical(value: str) -> None:
    assert web_origins.require_canonical(value) == value


@pytest.mark.parametrize("value", [*BAD, *NOT_CANONICAL])
def test_an_origin_that_no_browser_writes_is_refused_with_what_to_write(value: str) -> None:
    with refused(Invalid, "is not an origin", "in lower case"):
        web_origins.require_canonical(value)


@pytest.mark.parametrize("value", NOT_CANONICAL)
def test_an_origin_that_is_not_canonical_is_valid_in_a_request(value: str) -> None:
    assert web_origins.parse(value) == value
