"""Moments as the tables store them."""

from datetime import UTC, datetime
from functools import lru_cache

# A moment as it is stored: UTC and of one width, so that text compares as time does.
UtcTime = str


@lru_cache(maxsize=256)  # one change writes the same moment into many rows
def utc_text(moment: datetime) -> UtcTime:
    """``2026-11-22T23:54:12.913780Z`` for an aware datetime of any zone."""
    # Not strftime: whether it pads a year below 1000 depends on the platform.
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def utc_datetime(text: UtcTime) -> datetime:
    """The aware datetime of `utc_text`."""
    return datetime.fromisoformat(text)
