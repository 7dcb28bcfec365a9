"""What the tests of settings share."""

from collections.abc import Callable

import pytest

from dsgctl.core.errors import Invalid
from dsgctl.settings import load

SECRET = "correct-horse-battery-staple-0123456789"

Write = Callable[[str], str]


def refusal(environment: dict[str, str], env_file: str | None = None) -> str:
    """The message and the hint for settings that are refused."""
    with pytest.raises(Invalid) as caught:
        load(environment, env_file)
    message = f"{caught.value.message}; {caught.value.hint}"
    assert message.isprintable()
    assert caught.value.hint
    return message
