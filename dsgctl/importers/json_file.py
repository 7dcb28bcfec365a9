"""Reads a JSON document of another system, and finds on which line of it a name stands."""

import json
from pathlib import Path
from typing import Any, NoReturn

from dsgctl.core.errors import Invalid
from dsgctl.core.names import shown

_LARGEST = 64 * 2**20  # bytes: half a million people; it is held in memory as a whole, several times its size
_AGAIN = "take a new export"


class _NotJson(ValueError):
    """It reads as JSON for Python, and is none, or says one thing twice."""


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
            found = file.read(_LARGEST + 1)
        if len(found) > _LARGEST:
            raise Invalid(f"{path} is longer than {_LARGEST >> 20} MB", "that is no list of people; check the name")
        self._text = self._decoded(found)
        self.content: dict[str, Any] = self._parsed()
        self.begin()

    def _decoded(self, found: bytes) -> str:
        try:
            return found.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = found.count(b"\n", 0, error.start) + 1
            raise Invalid(f"{self.name}, line {line}: it is not UTF-8 text", _AGAIN) from None

    def _parsed(self) -> dict[str, Any]:
        try:
            found = json.loads(self._text, object_pairs_hook=_object, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            what = "empty" if not self._text.strip() else f"not JSON, or cut off ({error.msg})"
            raise Invalid(f"{self.name}, line {error.lineno}: {what}", _AGAIN) from None
        except (_NotJson, RecursionError) as error:
            what = str(error) if isinstance(error, _NotJson) else "it is nested too deep"
            raise Invalid(f"{self.name}: {what}", _AGAIN) from None
        if not isinstance(found, dict):
            raise Invalid(
                f"{self.name} is a {type(found).__name__} of JSON, and no object", "check the name of the file"
            )
        return found

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


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotJson(f"{shown(twice)} stands twice in one object")
    return found


def _no_constant(name: str) -> NoReturn:
    raise _NotJson(f"{name} is not JSON")
