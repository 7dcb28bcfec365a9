"""The form of tokens: what is generated, what a typing error looks like, and what may be shown."""

import string

import pytest

from dsgctl.core import token_format

ALPHABET = string.digits + string.ascii_letters
TOKEN = "dsg_0123456789ABCDEFGHIJKLMNOPQRSTUV1ggZdL"  # with its checksum written down: it must never change


def test_new_tokens_are_ours_and_never_the_same() -> None:
    generated = {token_format.generate() for _ in range(500)}
    assert len(generated) == 500
    for token in generated:
        assert token.startswith("dsg_")
        assert len(token) == 42
        assert set(token[4:]) <= set(ALPHABET)
        assert not token_format.is_mistyped(token)


def test_the_checksum_of_a_token_never_changes() -> None:
    assert not token_format.is_mistyped(TOKEN)


def test_the_checksum_detects_every_single_wrong_character() -> None:
    for place in range(4, len(TOKEN)):
        for char in ALPHABET:
            wrong = TOKEN[:place] + char + TOKEN[place + 1 :]
            assert token_format.is_mistyped(wrong) == (wrong != TOKEN), wrong


def test_the_checksum_detects_two_swapped_neighbours() -> None:
    for token in (TOKEN, *(token_format.generate() for _ in range(50))):
        for place in range(4, len(token) - 1):
            wrong = token[:place] + token[place + 1] + token[place] + token[place + 2 :]
            assert token_format.is_mistyped(wrong) == (wrong != token), wrong


@pytest.mark.parametrize(
    "text", ["", "dsg_", "DSG_" + TOKEN[4:], TOKEN[:-1], TOKEN + "a", TOKEN[:10] + "-" + TOKEN[11:], "abc"]
)
def test_a_token_of_another_form_is_not_called_mistyped(text: str) -> None:
    assert not token_format.is_mistyped(text)


@pytest.mark.parametrize(("secret", "prefix"), [(TOKEN, "dsg_0123"), ("abcdefghijkl", "abc"), ("abc", ""), ("", "")])
def test_never_more_than_a_quarter_of_a_token_is_shown(secret: str, prefix: str) -> None:
    assert token_format.visible_prefix(secret) == prefix


def test_a_text_longer_than_any_token_is_malformed() -> None:
    assert not token_format.is_malformed("a" * token_format.MAX_LENGTH)
    assert token_format.is_malformed("a" * (token_format.MAX_LENGTH + 1))
    assert token_format.is_malformed(TOKEN[:-1] + "0")
