"""An error of the operating system, with its cause and the next command."""

import errno
import os

from dsgctl.operations.doctor.check import explain_os_error


def test_an_error_of_the_operating_system_is_reported_with_its_advice() -> None:

    for number, do in (
        (errno.EACCES, "sudo"),
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "create it"),
        (errno.EIO, "disk"),
        (9999, "ls -ld"),
    ):
        check = explain_os_error("disk", OSError(number, os.strerror(number), "/x"))
        assert check.finding.startswith("/x: ") and do in check.advice and "service's user" not in check.advice
