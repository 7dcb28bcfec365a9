"""The standard streams of ``dsgctl``: there although the caller closed them, and UTF-8 where programs read them."""

import contextlib
import io
import os
import select
import stat
import sys

_PATIENCE = 5  # seconds that standard output may take to make room for a secret


class ClosedStream(io.TextIOWrapper):
    """What stands in for a standard stream that the caller closed (``>&-``): what is written to it is lost."""


def open_closed() -> None:
    """Put /dev/null where the caller closed a standard stream: Python leaves None there, and SQLite would
    get the number of the stream for its file."""
    for name, mode in (("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb")):
        if getattr(sys, name) is None:
            file = open(os.open(os.devnull, os.O_RDWR), mode, closefd=False)  # noqa: SIM115
            setattr(sys, name, ClosedStream(file))


def use_utf8() -> None:
    """Read arguments, names of files and standard input as UTF-8 in every locale.

    Python decodes them before a line of ours runs, in the locale's encoding: in one that is not UTF-8 it starts
    anew in UTF-8 mode (https://docs.python.org/3/library/os.html#utf8-mode). What people read stays in the
    terminal's encoding.
    """
    if sys.getfilesystemencoding().lower() != "utf-8" and sys.executable:
        # surrogateescape gives the arguments back byte for byte
        environment = {"PYTHONIOENCODING": f"{sys.stdout.encoding}:backslashreplace", **os.environ}
        os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)  # noqa: S606
    reconfigure(sys.stdin, encoding="utf-8", errors="surrogateescape")
    for stream in (sys.stdout, sys.stderr):
        reconfigure(stream, errors="backslashreplace")  # a name that the terminal cannot show is no reason to fail


def reconfigure(stream: object, **settings: str) -> None:
    """Give a stream another encoding, if it has one."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(**settings)  # type: ignore[arg-type]


def drop_unwritten() -> None:
    """Empty the buffer of stdout: Python would complain once more of the same pipe or disk at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def require_room() -> None:
    """Find out whether standard output takes something now, before anything waits for it.

    Raises:
        OSError: it is closed, or whoever reads it has not read for some seconds.
    """
    if isinstance(sys.stdout, ClosedStream):
        raise OSError("it is closed")
    with contextlib.suppress(io.UnsupportedOperation):  # no file: a buffer in this process
        if not select.select([], [sys.stdout.fileno()], [], _PATIENCE)[1]:
            raise OSError("nobody reads it")


def write_through() -> None:
    """Wait until what was printed has been taken by whoever reads it, or is on the disk.

    Raises:
        OSError: it was not.
    """
    sys.stdout.flush()
    with contextlib.suppress(io.UnsupportedOperation):
        descriptor = sys.stdout.fileno()
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fsync(descriptor)  # some disks find out only now that they are full
