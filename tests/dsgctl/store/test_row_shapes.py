"""Which values of a row are stored otherwise than its shape says."""

from datetime import UTC, datetime
from typing import Literal, TypedDict

from dsgctl.store.row_shapes import list_conversions


class _Shape(TypedDict):
    id: int
    name: str | None
    source: Literal["manual", "import"]
    active: bool
    created: datetime
    expires: datetime | None


def test_flags_and_moments_are_converted() -> None:
    conversions = dict(list_conversions(_Shape))
    assert list(conversions) == ["active", "created", "expires"]
    assert conversions["active"](1) is True
    assert conversions["active"](0) is False
    for key in ("created", "expires"):
        assert conversions[key]("2026-11-20T12:00:00.000001Z") == datetime(2026, 11, 20, 12, 0, 0, 1, tzinfo=UTC)
