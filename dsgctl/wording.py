"""Wording that the messages of several modules share."""


def format_count(count: int, noun: str, plural: str | None = None) -> str:
    """``1 change``, ``2 changes``, ``2 people``: a number with its noun. By default the plural ends with s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"
