"""Reads a JSON document of another system, and finds on which line of it a name stands."""

import json
from pathlib import Path
from typing import Any

from dsgctl.core.errors import Invalid
from dsgctl.json_text import NotJson, parse_object

_LARGEST = 64 * 2**20  # bytes: half a million people; it is held in memory as a whole, several times its size
_AGAIN = "take a new export"


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
        self.begin()

    def _parsed(self, content: bytes) -> dict[str, Any]:
        try:
            return parse_object(content)
        except NotJson as error:
            place = f"{self.name}, line {error.line}" if error.line else self.name
            raise Invalid(f"{place}: {error}", _AGAIN) from None

    def begin(self) -> None:
        """Look for keys from the beginning of the document on."""
        self._at, self._line = 0, 1

    def line_of(self, key: str) -> str:
        """Where a key stands: ``line 12``. To be asked in the order of the document."""
        for written in (json.dumps(key, ensure_ascii=False), json.dumps(key)):
            at = self._text.find(written, self._at)
            if at >= 0:
                self._line += self._text.count("\n", self._at, at)
                self._at = at
                break
        return f"line {self._line}"
