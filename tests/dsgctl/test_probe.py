"""The header by which doctor learns what address a server sees: only for those who hold a key, and for a minute."""

from datetime import UTC, datetime, timedelta

import pytest

from dsgctl import probe

KEYS = ("0123456789abcdef" * 2, "another-key-another-key-another-key")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_a_signature_is_valid_for_a_minute() -> None:
    for keys in (KEYS, KEYS[::-1]):
        assert probe.is_valid(KEYS, probe.sign(keys, NOW), NOW + timedelta(seconds=59))
        assert not probe.is_valid(KEYS, probe.sign(keys, NOW), NOW + timedelta(seconds=61))
        assert not probe.is_valid(KEYS, probe.sign(keys, NOW), NOW - timedelta(seconds=61))


@pytest.mark.parametrize(
    "presented",
    [
        "",
        ".",
        "x",
        "1",
        "1.",
        f"{int(NOW.timestamp())}.",
        f"{int(NOW.timestamp())}.{'0' * 64}",
        "-1.a",
        "1e9.a",
        "\xb2.a",
        "9" * 5000 + ".a",
        probe.sign(("key-of-somebody-else" * 2,), NOW),
        probe.sign(KEYS, NOW) + "0",
        "é" * 40,
        probe.sign(KEYS, NOW).replace(".", ".."),
        " " + probe.sign(KEYS, NOW),
    ],
)
def test_any_other_signature_is_invalid(presented: str) -> None:
    assert not probe.is_valid(KEYS, presented, NOW)
