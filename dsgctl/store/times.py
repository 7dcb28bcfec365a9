"""Moments as the tables store them."""

from datetime import UTC, datetime

# A moment as it is stored: UTC and of one width, so that text compares as time does.
UtcTime = str


def utc_text(moment: datetime) -> UtcTime:
    """``2026-11-22T23:54:12.913780Z`` for an aware datetime of any zone."""
    at = moment.astimezone(UTC)
    date = (at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)
    # Not strftime: whether it pads a year below 1000 depends on the platform. Not isoformat or an f-string: lists call
    # this for every row, and they take twice the time.
    return "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ" % date  # noqa: UP031


def utc_datetime(text: UtcTime) -> datetime:
    """The aware datetime of `utc_text`."""
    return datetime.fromisoformat(text)
