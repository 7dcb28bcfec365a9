"""Reads JSON (RFC 8259). Every JSON document that dsgctl reads goes through this module.

Python's own reader accepts what is not JSON (NaN) or cannot be stored (numbers beyond 64 bits, half a surrogate pair),
lets the last of two equal names win, and raises four kinds of exceptions. This one raises one kind.
"""

import json
import re
from typing import Any, NoReturn, TypeVar

_Value = TypeVar("_Value")

_LARGEST = 2**63 - 1  # the largest number of SQLite and of most other programs
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_MOST_DIGITS = 1000  # of a large number; the time to read one grows with their square
_MOST_QUOTED = 40  # characters of a name or a number in a message


class NotJson(ValueError):
    """The text is not JSON, or means different things to different readers.

    Attributes:
        line: the number of the line; 0 if it is not known.
    """

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.line = line


def parse(text: str | bytes, *, half_characters: bool = False, large_numbers: bool = False) -> Any:
    """The value of a JSON document: dict, list, str, int, float, bool or None.

    Args:
        text: bytes are UTF-8, with or without a byte order mark.
        half_characters: accept half a surrogate pair, for callers that check each text themselves.
        large_numbers: accept whole numbers beyond 64 bits, for callers that store none.

    Raises:
        NotJson: it is not UTF-8 or not JSON, is nested too deep, has a name twice in one object, a number that
            64 bits cannot hold, or half a surrogate pair.
    """
    if isinstance(text, bytes):
        text = _decode(text)
    try:
        value = (_LARGE_DECODER if large_numbers else _DECODER).decode(text)
    except json.JSONDecodeError as error:
        problem = "empty" if not text.strip() else f"not JSON, or cut off ({error.msg})"
        raise NotJson(problem, error.lineno) from None
    except RecursionError:
        raise NotJson("it is nested too deep") from None
    if not half_characters and _SURROGATE.search(text):
        _refuse_half_characters(value)
    return value


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The same for a document that must be an object.

    Raises:
        NotJson: as `parse`, or the value is not an object.
    """
    value = parse(text)
    if not isinstance(value, dict):
        raise NotJson(f"it is {_KINDS[type(value)]} and not an object")
    return value


def read_member(holder: Any, name: str, kind: type[_Value]) -> _Value:
    """The member of an object, which must exist and be of this type. True and False are not int.

    Raises:
        NotJson: ``holder`` is not an object, or has no such member.
    """
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise NotJson(f"it has no {name!r}, or one of another type")
    return value


_KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "a truth value", type(None): "null"}


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotJson("it is not UTF-8 text", content.count(b"\n", 0, error.start) + 1) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names: set[str] = set()
        for name, _ in pairs:
            if name in names:
                raise NotJson(f"{_shorten(name)} is repeated in one object")
            names.add(name)
    return members


def _integer(digits: str) -> int:
    # The length first: Python refuses to convert thousands of digits.
    if len(digits) <= 20 and -_LARGEST - 1 <= (number := int(digits)) <= _LARGEST:
        return number
    raise NotJson(f"the number {_shorten(digits)} is larger than 64 bits can hold")


def _large_integer(digits: str) -> int:
    if len(digits) <= _MOST_DIGITS:
        return int(digits)
    raise NotJson(f"the number {_shorten(digits)} has more than {_MOST_DIGITS} digits")


def _fraction(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotJson(f"the number {_shorten(digits)} is larger than 64 bits can hold")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


def _refuse_half_characters(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise NotJson("a text in it has half a surrogate pair, which is not a character") from None
    except RecursionError:
        raise NotJson("it is nested too deep") from None


def _shorten(text: str) -> str:
    cut = text if len(text) <= _MOST_QUOTED else text[: _MOST_QUOTED - 3] + "..."
    return ascii(cut) if not cut.isprintable() else f"'{cut}'"


# Built once: json.loads with options would build one for every document.
_DECODER, _LARGE_DECODER = (
    json.JSONDecoder(
        object_pairs_hook=_object, parse_int=parse_int, parse_float=_fraction, parse_constant=_refuse_constant
    )
    for parse_int in (_integer, _large_integer)
)
