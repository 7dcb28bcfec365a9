"""The standard streams of ``dsgctl``: they exist even if the caller closed them, and programs read UTF-8 from them."""

import contextlib
import io
import os
import stat
import sys

_PATIENCE = 5  # seconds that standard output may take to make room for a secret


class ClosedStream(io.TextIOWrapper):
    """Replaces a standard stream that the caller closed (``>&-``). What is written to it is lost."""


def replace_closed() -> None:
    """Open /dev/null for each standard stream that the caller closed.

    Python leaves None there, and the next file that SQLite opens would get the descriptor of the stream.
    """
    for name, mode in (("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb")):
        if getattr(sys, name) is None:
            file = open(os.open(os.devnull, os.O_RDWR), mode, closefd=False)  # noqa: SIM115
            setattr(sys, name, ClosedStream(file))


def use_utf8() -> None:
    """Read arguments, names of files and standard input as UTF-8 in every locale.

    Python decodes them in the locale's encoding before this code runs. If that is not UTF-8, Python is started again
    in UTF-8 mode (https://docs.python.org/3/library/os.html#utf8-mode). Output for people keeps the encoding of the
    terminal.
    """
    if sys.getfilesystemencoding().lower() != "utf-8" and sys.executable:
        # surrogateescape restores the arguments byte for byte
        environment = {"PYTHONIOENCODING": f"{sys.stdout.encoding}:backslashreplace", **os.environ}
        os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)  # noqa: S606
    reconfigure(sys.stdin, encoding="utf-8", errors="surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        reconfigure(stream, errors="backslashreplace")  # a name that the terminal cannot show is no error


def reconfigure(stream: object, **settings: str) -> None:
    """Change the encoding of a stream, if it has one."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(**settings)  # type: ignore[arg-type]


def drop_unwritten() -> None:
    """Empty the buffer of stdout: otherwise Python reports the same pipe or disk again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def require_room() -> None:
    """Check that standard output can be written to now.

    Raises:
        OSError: it is closed, or its reader has not read for some seconds.
    """
    if isinstance(sys.stdout, ClosedStream):
        raise OSError("it is closed")
    with contextlib.suppress(io.UnsupportedOperation):  # not a file: a buffer in this process
        import select  # not at the top: only secrets need it

        if not select.select([], [sys.stdout.fileno()], [], _PATIENCE)[1]:
            raise OSError("nobody reads it")


def write_through() -> None:
    """Wait until the output is in the pipe or on the disk.

    Raises:
        OSError: it cannot be written.
    """
    sys.stdout.flush()
    with contextlib.suppress(io.UnsupportedOperation):
        descriptor = sys.stdout.fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)  # some disks report only now that they are full
