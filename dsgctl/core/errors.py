"""What can be wrong with what somebody asked. The class decides exit code and HTTP status."""


class DsgError(Exception):
    """Something was asked that cannot be done; nothing was changed.

    Attributes:
        message: one line: what is wrong, with which name.
        hint: one line: what to do next; empty if there is nothing to say.
        exit_code: of the command line (architecture.md, "The command line").
        http_status, code: of the server, and the word for programs that goes with it.
    """

    exit_code = 1
    http_status = 500
    code = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Invalid(DsgError):
    """A value is not of the form that it must have."""

    exit_code = 2
    http_status = 400
    code = "invalid"


class NotFound(DsgError):
    """A name or an id names nothing."""

    exit_code = 3
    http_status = 404
    code = "not_found"


class Conflict(DsgError):
    """What is there already stands against it."""

    exit_code = 4
    http_status = 409
    code = "conflict"


class NotAllowed(DsgError):
    """It could be done, but not by this actor or not so lightly."""

    exit_code = 5
    http_status = 403
    code = "not_allowed"
