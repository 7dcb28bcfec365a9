"""What can be wrong with a request. The class decides the exit code and the HTTP status."""


class DsgError(Exception):
    """A request that cannot be done; nothing was changed.

    Attributes:
        message: one line: what is wrong, with which name.
        hint: one line: what to do next; may be empty.
        exit_code: of the command line (architecture.md, "The command line").
        http_status, code: of the server: the status, and the word for programs in the body.
    """

    exit_code = 1
    http_status = 500
    code = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Invalid(DsgError):
    """A value is malformed."""

    exit_code = 2
    http_status = 400
    code = "invalid"


class NotFound(DsgError):
    """No object has this name or id."""

    exit_code = 3
    http_status = 404
    code = "not_found"


class Conflict(DsgError):
    """The request contradicts what already exists."""

    exit_code = 4
    http_status = 409
    code = "conflict"


class NotAllowed(DsgError):
    """This actor may not do it, or not without another option."""

    exit_code = 5
    http_status = 403
    code = "not_allowed"
