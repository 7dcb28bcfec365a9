"""NGAUTH_ALLOWED_ORIGINS: patterns that admit too much or nothing."""

import pytest

from dsgctl.operations.doctor.viewers import check_viewers
from dsgctl.settings import load


@pytest.mark.parametrize(
    ("pattern", "part"),
    [
        (r"https://viewer\.example\.org", None),
        (r"https://(viewer|atlas)\.example\.org", None),
        (r"https://[a-z0-9-]+\.example\.org", None),
        (r"^https?://.*\.neuroglancer\.org$", None),
        (r"(?i)https://Viewer\.example\.org", None),
        (r"http://localhost(:\d+)?", None),
        (r"http://127\.0\.0\.1:8080", None),
        (r"https://viewer\.example\.org(:8443)?", None),
        (r"https://\pL+\.example\.org", None),
        (r"https://viewer.example.org", "also admits https://viewerxexample.org"),
        (r"https://viewer\.example\.org.*", "also admits https://viewer.example.org.attacker.example"),
        (r"https://.*viewer\.example\.org", "also admits https://attacker-viewer.example.org"),
        (r"https://.*\.example\.org|https://.*", "also admits https://attacker.example"),
        (r".*", "also admits https://attacker.example"),
        (r"viewer\.example\.org", "an origin begins with https://"),
        (r"//viewer\.example\.org", "an origin begins with https://"),
        (r"https:/viewer\.example\.org", "an origin begins with https://"),
        (r"https://viewer\.example\.org/", "without a slash or path"),
        (r"https://viewer\.example\.org/v/", "without a slash or path"),
        (r"https://viewer\.example\.org/?|https://b\.org/", "'https://b.org/': an origin ends"),
        (r"https://(a\.org/|b\.org)", "'https://a.org/': an origin ends"),
        (r"https://viewer\\.example\\.org", "it matches a backslash"),
        (r"https://a\.org,https://b\.org", "separated by |"),
        (r"https://a\.org https://b\.org", "separated by |"),
        (r"https://a\.org|b\.org", "'b.org': an origin begins with https://"),
        (r"https://a\.org|", "'': an origin begins"),
        (r"http://viewer\.example\.org", "over http alone"),
        (r"https://b\.org|http://viewer\.example\.org", "admits viewer.example.org over http alone"),
        (r"https://Viewer\.example\.org", "lower case"),
        (r"HTTPS://viewer\.example\.org", "an origin begins with https://"),
        (r"https://viewer\.example\.org:443", "no origin has that form"),
        (r"https://viewer\.example\.org:99999", "no origin has that form"),
        (r"https://neuroglancer-demo\.appsppot\.com", "a typo of neuroglancer-demo.appspot.com?"),
        (r"https://neuroglancer-dem\.appspot\.com", "a typo of neuroglancer-demo.appspot.com?"),
        (r"https://spelunker\.cave-explorer\.com", "a typo of spelunker.cave-explorer.org?"),
    ],
)
def test_a_pattern_of_viewers_is_tried(pattern: str, part: str | None) -> None:

    (check,) = check_viewers(load({"NGAUTH_ALLOWED_ORIGINS": pattern}))
    if part is None:
        assert check.status == "ok" and "of the well-known viewers it admits" in check.finding
    else:
        assert check.status == "failed" and part in check.finding and check.advice


def test_doctor_reports_which_viewers_are_admitted() -> None:

    def describe(pattern: str, **more: str) -> str:
        return " ".join(check.finding for check in check_viewers(load({"NGAUTH_ALLOWED_ORIGINS": pattern, **more})))

    both_known = r"https://(spelunker\.cave-explorer\.org|neuroglancer-demo\.appspot\.com)"
    assert "admits https://neuroglancer-demo.appspot.com, https://spelunker.cave-explorer.org" in describe(both_known)
    assert "it admits none" in describe(r"https://viewer\.example\.org")
    assert "DSG_VIEWER_URL leads to https://v.org, which" in describe(
        r"https://b\.org", DSG_VIEWER_URL="https://v.org/x"
    )
    assert "a typo of viewer.lab.org?" in describe(r"https://viewr\.lab\.org", DSG_VIEWER_URL="https://viewer.lab.org/")
