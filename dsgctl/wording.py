"""Wording that the messages of several modules share."""


def format_count(count: int, noun: str, plural: str | None = None) -> str:
    """``1 change``, ``2 changes``, ``2 people``: a number with its noun. By default the plural ends with s."""
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def format_grant(*words: str | None, service: str | None) -> str:
    """A grant in a list of what belongs to something: ``fish2 view for neuprint``.

    Args:
        words: those of dataset, permission and subject that the list does not imply.
        service: the service that it is limited to.
    """
    return " ".join(filter(None, (*words, f"for {service}" if service else None)))
