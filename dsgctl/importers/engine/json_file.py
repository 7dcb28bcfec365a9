"""Reads a JSON document of another system whose outermost value is an object, and finds the line of each key."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsgctl.core.errors import Invalid
from dsgctl.json_text import NotJson, parse, parse_object

_LARGEST = 64 * 2**20  # bytes, enough for half a million people; memory holds several times as much
_AGAIN = "take a new export"
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?|[\[\]{}]')  # of a valid document; a colon follows a key


class JsonFile:
    """A document, read whole. One with a list at the top is refused, as any other value but an object.

    Attributes:
        name: the path, for messages.
        content: the object.
    """

    def __init__(self, path: Path) -> None:
        """Raises:
        Invalid: it is not such a document.
        OSError: the file cannot be read.
        """
        self.name = str(path)
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise Invalid(f"{path} is longer than {_LARGEST >> 20} MB", "that is not a list of people; check the name")
        self.content = self._parse(content)
        self._text = content.decode("utf-8-sig")

    def _parse(self, content: bytes) -> dict[str, Any]:
        try:
            return parse_object(content)
        except NotJson as error:
            place = f"{self.name}, line {error.line}" if error.line else self.name
            raise Invalid(f"{place}: {error}", _AGAIN) from None

    def lines(self, *path: str) -> Iterator[int]:
        """The line of each key of an object, in their order.

        Args:
            path: the keys that lead to the object; none for the outermost.
        """
        target: list[str | None] = [None, *path]
        trail: list[str | None] = []
        key: str | None = None
        line, at = 1, 0
        for token in _TOKENS.finditer(self._text):
            match token[0][0]:
                case "{" | "[":
                    trail.append(key)
                    key = None
                case "}" | "]":
                    trail.pop()
                case _ if token[1]:
                    key = parse(token[0].removesuffix(token[1]))
                    if trail == target:
                        line += self._text.count("\n", at, token.start())
                        at = token.start()
                        yield line
