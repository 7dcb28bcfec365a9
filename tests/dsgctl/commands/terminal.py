"""A terminal for ``dsgctl``, and somebody who types at it."""

import codecs
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.dsgctl.commands.running import Process
from tests.patience import PATIENCE

PYTHON_ON_A_TERMINAL = (  # makes the terminal on stdin the one whose Ctrl-C we get, as a login does
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
)


class Terminal:
    """A process on a terminal of its own, at which we sit."""

    def __init__(self, process: "subprocess.Popen[bytes]", descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.seen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end within a character

    def wait_for(self, text: str) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, self.seen
            if not self._read():
                raise AssertionError(self.seen)

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def press(self, keys: str) -> None:
        """Type until it ends: a Ctrl-C between the question and the reading of the answer is heard at the next key."""
        for _ in range(20):
            self.type(keys)
            try:
                self._process.wait(1)
            except subprocess.TimeoutExpired:
                continue
            return

    def end(self) -> int:
        """What the process ends with, once it has said all."""
        while self._read():
            pass
        return self._process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._descriptor], [], [], PATIENCE)
        try:
            read = os.read(self._descriptor, 4096) if ready else b""
        except OSError:  # how Linux says that the other side is closed
            read = b""
        self.seen += self._decoder.decode(read)
        return bool(read)


@contextmanager
def on_a_terminal(run: Process, *words: str, **env: str) -> Iterator[Terminal]:
    """``dsgctl`` as somebody types it."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PYTHON_ON_A_TERMINAL, sys.executable, "-m", "dsgctl", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=run.directory,
        env=run.environment(**{"TERM": "xterm-256color", **env}),
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
