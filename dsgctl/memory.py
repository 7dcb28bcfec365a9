"""Keeps what is in a process's memory out of files: tokens, keys and the settings' secrets are there."""

import resource

_PR_SET_DUMPABLE = 4  # https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html


def forbid_core_dumps() -> None:
    """Leave no core behind, whatever kills this process. Called before the first secret is read."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # for children too
    # Not at the top: `dsgctl --help` needs none of it.
    import ctypes

    # A core that goes to a program (core_pattern with |) is made whatever the limit says.
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:  # it is Linux
        prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
