"""Signatures: of one purpose, for a time, by keys that may change."""

from datetime import UTC, datetime, timedelta

import pytest

from dsgserve.http import signing
from dsgserve.http.signing import Purpose, Refused

OLD, NEW = "o" * 32, "n" * 32
AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
VALUES = {"principal": 3, "token": 14}


def sign_values(*keys: str, purpose: Purpose = Purpose.USER_TOKEN) -> str:
    return signing.sign(keys, purpose, VALUES, AT + HOUR)


def test_signed_values_are_verified_until_they_expire() -> None:
    token = sign_values(NEW)
    assert signing.verify((NEW,), Purpose.USER_TOKEN, token, AT + HOUR - timedelta(seconds=1)) == VALUES
    with pytest.raises(Refused) as refused:
        signing.verify((NEW,), Purpose.USER_TOKEN, token, AT + HOUR)
    assert refused.value.expired


def test_a_signed_text_is_safe_in_a_url() -> None:
    assert set(sign_values(NEW)) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_a_rotation_of_keys_invalidates_no_signature() -> None:
    assert signing.verify((NEW, OLD), Purpose.USER_TOKEN, sign_values(OLD), AT) == VALUES


def test_the_first_key_signs() -> None:
    assert signing.verify((NEW,), Purpose.USER_TOKEN, sign_values(NEW, OLD), AT) == VALUES
    with pytest.raises(Refused):
        signing.verify((OLD,), Purpose.USER_TOKEN, sign_values(NEW, OLD), AT)


@pytest.mark.parametrize("purpose", Purpose)
def test_a_token_of_one_purpose_is_invalid_for_any_other(purpose: Purpose) -> None:
    for other in set(Purpose) - {purpose}:
        with pytest.raises(Refused) as refused:
            signing.verify((NEW,), other, sign_values(NEW, purpose=purpose), AT)
        assert not refused.value.expired


def test_no_other_text_verifies() -> None:
    token = sign_values(NEW)
    payload, _, signature = token.rpartition(".")
    others = [token[:end] for end in range(len(token))]  # cut
    others += [token[start:] for start in range(1, len(token))]
    others += [token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :] for i in range(len(token))]
    others += [token[:i] + extra + token[i:] for i in range(len(token) + 1) for extra in "A=.\n é"]
    others += [
        token * 2,
        token + "." + token,
        f"{payload}.{payload}.{signature}",
        f".{token}",
        f"{signature}.{payload}",
    ]
    others += ["", ".", "..", "\ud800", "A" * 3000, token.upper(), token.replace(".", ":")]
    for other in others:
        with pytest.raises(Refused):
            signing.verify((NEW,), Purpose.USER_TOKEN, other, AT)
