"""How a TypedDict that describes a row says which of its values are stored otherwise."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, get_args

from dsgctl.store.times import utc_datetime

_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {bool: bool, datetime: utc_datetime}


def list_conversions(shape: type[Any]) -> list[tuple[str, Callable[[Any], Any]]]:
    """The keys of a shape whose values are not stored as they are, each with the function that converts one."""
    return [
        (key, convert)
        for key, annotation in shape.__annotations__.items()
        for part in get_args(annotation) or (annotation,)
        if (convert := _CONVERSIONS.get(part)) is not None
    ]
