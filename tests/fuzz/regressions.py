"""Inputs that a search once found, each with the fault that it showed: a target of targets.py and its bytes."""

from tests.fuzz.targets import HEADERS


def _request(route: bytes, *, method: bytes = b"\0", query: bytes = b"", body: bytes = b"", **headers: bytes) -> bytes:
    """The input of the target ``whole``: a route of the table by its number, or a path."""
    lines = [method, route, query, *(headers.get(name, b"") for name in HEADERS), body]
    return b"\n".join(lines)


_HEALTH, _ACCEPT, _USER_CACHE = b"\1", b"\x0c", b"\x0e"

# What was wrong -> the target, and the bytes that showed it.
REGRESSIONS: dict[str, tuple[str, bytes]] = {
    "a header that is not UTF-8 was answered 500": ("whole", _request(b"\0", HTTP_ACCEPT=b"text/html;\xff\xfe")),
    "a token that is not UTF-8 was answered 500": (
        "whole",
        _request(_USER_CACHE, HTTP_AUTHORIZATION=b"Bearer \xe9\x80"),
    ),
    "an odd multipart body was answered 500": (
        "whole",
        _request(_ACCEPT, method=b"\1", body=b"--x\r\n\r\n--x--", CONTENT_TYPE=b"multipart/form-data; boundary=x"),
    ),
    "a multipart body without a boundary was answered 500": (
        "whole",
        _request(_ACCEPT, method=b"\1", body=b"x", CONTENT_TYPE=b"multipart/form-data; boundary="),
    ),
    "a form that is not UTF-8 was answered 500": (
        "whole",
        _request(_ACCEPT, method=b"\1", body=b"form=%ff&terms=1", CONTENT_TYPE=b"application/x-www-form-urlencoded"),
    ),
    "a path that is not UTF-8 was taken for a route": ("whole", _request(b"/gcs_token\xff", method=b"\1")),
    "slashes before a path were left out by the router": ("whole", _request(b"//gcs_token", method=b"\1")),
    "one odd cookie took all others away": ("request", b"@=1; dsg_token=abc\n\n"),
    "a cookie of quotes was parsed in quadratic time": ("request", b'dsg_token="' + b"\\" * 4000 + b"\n\n"),
    "a body nested without end was answered 500": ("gcs_body", b"[" * 100_000),
    "a lone surrogate in a body was answered 500": ("gcs_body", b'{"token":"\\ud800","bucket":"\\udfff"}'),
    "a document nested without end was a fault of dsgctl": ("document", b"\0" + b"[" * 50_000),
    "a number of thousands of digits was a fault of dsgctl": (
        "document",
        b'\1{"a@example.org":' + b"9" * 5000 + b"}",
    ),
    "a CSV with an open quote and NUL was a fault of dsgctl": ("people", b'email,name\n"\0\n'),
    "a number of 5,000 digits was a fault of dsgctl": ("document", b'\1{"a@example.org": ' + b"1" * 5000 + b"}"),
    "a role on a dataset that is null hid the cause": (
        "document",
        b'\0{"users": {"a@example.org": {"datasets": {"vnc": ["clio_write"]}}}, "datasets": {"vnc": null}}',
    ),
    "a long line after a CR was split in quadratic time": ("people", b"email\r" + b"x" * 2**19),
    "a name with a Kelvin sign was another person's": ("name", "\u212aate@example.org".encode()),
} | {
    f"X-Forwarded-For {value!r} was answered by waitress without our headers": (
        "whole",
        _request(_HEALTH, HTTP_X_FORWARDED_FOR=value),
    )
    for value in (
        b'"',
        b"[::1",
        b"1.2.3.4:x:y",
        b",",
        b"a b",
        b"\xff",
        b"for=1.2.3.4;by",
        b'"1.2.3.4',
        b"1.2.3.4," * 200,
    )
}
