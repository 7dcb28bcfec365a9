"""The form of tokens: what is generated, what a typing error looks like, and what may be shown."""

import json
import re
import string

import pytest

from dsgctl.core import token_format

ALPHABET = string.digits + string.ascii_letters
TOKEN = "dsgt0123456789ABCDEFGHIJKLMNOPQRSTUVW3ffP4c"  # with its checksum written down: it must never change
FORMER = "dsg_0123456789ABCDEFGHIJKLMNOPQRSTUV1ggZdL"  # as tokens were before


def test_new_tokens_are_ours_and_never_the_same() -> None:
    generated = {token_format.generate() for _ in range(500)}
    assert len(generated) == 500
    for token in generated:
        assert token.startswith("dsgt")
        assert len(token) == 43
        assert set(token) <= set(ALPHABET)
        assert not token_format.is_mistyped(token)


# What clients compare a token with before they send it.
CLIENTS = {
    "cloud-volume, graphene/metadata.py": r"^[A-Za-z0-9+/]+={0,2}$",
    "fafbseg for R": r"^([a-z0-9]{32}|.{43,44})$",
    "RFC 6750, b64token": r"^[A-Za-z0-9._~+/-]+=*$",
    "a cookie, RFC 6265, cookie-octet": r"^[!#-+\--:<-\[\]-~]+$",
    "the manual, for scanners of secrets": r"^dsgt[0-9A-Za-z]{39}$",
}


@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_accepts_every_new_token(client: str) -> None:
    for _ in range(2000):
        token = token_format.generate()
        assert re.match(CLIENTS[client], token), token
        with pytest.raises(json.JSONDecodeError):  # cloud-volume takes a token that is JSON for the value in it
            json.loads(token)


@pytest.mark.parametrize("token", [TOKEN, FORMER])
def test_the_checksum_of_a_token_never_changes(token: str) -> None:
    assert not token_format.is_mistyped(token)


@pytest.mark.parametrize("token", [TOKEN, FORMER])
def test_the_checksum_detects_every_single_wrong_character(token: str) -> None:
    for place in range(4, len(token)):
        for char in ALPHABET:
            wrong = token[:place] + char + token[place + 1 :]
            assert token_format.is_mistyped(wrong) == (wrong != token), wrong


def test_the_checksum_detects_two_swapped_neighbours() -> None:
    for token in (TOKEN, FORMER, *(token_format.generate() for _ in range(50))):
        for place in range(4, len(token) - 1):
            wrong = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
            assert token_format.is_mistyped(wrong) == (wrong != token), wrong


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "dsgt",
        "dsg_",
        "DSGT" + TOKEN[4:],
        "dsg_" + TOKEN[4:],
        "dsgt" + FORMER[4:],
        *(variant for token in (TOKEN, FORMER) for variant in (token[:-1], token + "a", token[:10] + "-" + token[11:])),
    ],
)
def test_a_token_of_another_form_is_not_called_mistyped(text: str) -> None:
    assert not token_format.is_mistyped(text)


@pytest.mark.parametrize(
    ("secret", "prefix"), [(TOKEN, "dsgt0123"), (FORMER, "dsg_0123"), ("abcdefghijkl", "abc"), ("abc", ""), ("", "")]
)
def test_never_more_than_a_quarter_of_a_token_is_shown(secret: str, prefix: str) -> None:
    assert token_format.visible_prefix(secret) == prefix


def test_a_text_longer_than_any_token_is_malformed() -> None:
    assert not token_format.is_malformed("a" * token_format.MAX_LENGTH)
    assert token_format.is_malformed("a" * (token_format.MAX_LENGTH + 1))
    assert token_format.is_malformed(TOKEN[:-1] + "0")
