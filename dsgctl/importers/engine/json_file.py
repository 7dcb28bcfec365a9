"""Reads a JSON document of another system, and finds on which line of it a name stands."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsgctl.core.errors import Invalid
from dsgctl.json_text import NotJson, parse, parse_object

_LARGEST = 64 * 2**20  # bytes: half a million people; it is held in memory as a whole, several times its size
_AGAIN = "take a new export"
_TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?|[\[\]{}]')  # of a sound document; a key has a colon after it


class JsonFile:
    """A document whose outermost value is an object.

    Attributes:
        name: as messages name it.
        content: what it says.
    """

    def __init__(self, path: Path) -> None:
        """Raises:
        Invalid: it cannot be read as such a document.
        OSError: the file cannot be read.
        """
        self.name = str(path)
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise Invalid(f"{path} is longer than {_LARGEST >> 20} MB", "that is no list of people; check the name")
        self.content = self._parsed(content)
        self._text = content.decode("utf-8-sig")

    def _parsed(self, content: bytes) -> dict[str, Any]:
        try:
            return parse_object(content)
        except NotJson as error:
            place = f"{self.name}, line {error.line}" if error.line else self.name
            raise Invalid(f"{place}: {error}", _AGAIN) from None

    def lines(self, *path: str) -> Iterator[int]:
        """The line on which each key of an object stands, in their order.

        Args:
            path: the keys that lead to the object; none for the outermost.
        """
        wanted: list[str | None] = [None, *path]
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
                    if trail == wanted:
                        line += self._text.count("\n", at, token.start())
                        at = token.start()
                        yield line
