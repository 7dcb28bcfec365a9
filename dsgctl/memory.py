"""Keeps a process's memory, which contains tokens, keys and other secrets, out of files."""

import resource

_PR_SET_DUMPABLE = 4  # https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html


def forbid_core_dumps() -> None:
    """Write no core file, whatever kills this process. Call it before the first secret is read."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # for children too
    # Imported here: `dsgctl --help` does not need it.
    import ctypes

    # A core that is piped to a program (core_pattern with |) is written whatever the limit is.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # on Linux
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
