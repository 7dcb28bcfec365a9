"""What can go wrong with the database, in words for an operator."""


class StoreError(Exception):
    """The database cannot do what was asked. Nothing was changed.

    Attributes:
        message: one line: what is wrong, with which file.
        hint: one line: what to do about it; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class LockedError(StoreError):
    """Another program has locked the database. Trying again later helps."""
