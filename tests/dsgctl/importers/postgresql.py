"""A PostgreSQL server of our own for a test: started from Debian's programs, on loopback, thrown away afterwards."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.patience import PATIENCE

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)), Path()).parent
PASSWORD = "kept-out-of-sight"
# It refuses to run as root; Debian's package makes this user.
_AS: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}


@dataclass(frozen=True)
class Server:
    port: int
    directory: Path

    def url(self, database: str, password: str = "") -> str:
        return f"postgresql://postgres{':' if password else ''}{password}@127.0.0.1:{self.port}/{database}"

    def psql(self, database: str, *words: str) -> str:
        process = subprocess.run(
            [
                PROGRAMS / "psql",
                "-qAtX",
                "-v",
                "ON_ERROR_STOP=1",
                "-h",
                "127.0.0.1",
                "-p",
                str(self.port),
                "-U",
                "postgres",
                "-d",
                database,
                *words,
            ],
            env={"PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            check=True,
            timeout=PATIENCE,
        )
        return process.stdout


@contextmanager
def running() -> Iterator[Server]:
    directory = Path(tempfile.mkdtemp(prefix="dsg-postgresql-"))
    try:
        (directory / "password").write_text(PASSWORD)
        if _AS:
            shutil.chown(directory, "postgres")
            shutil.chown(directory / "password", "postgres")
        subprocess.run(
            [
                PROGRAMS / "initdb",
                "-D",
                directory / "data",
                "-U",
                "postgres",
                "-A",
                "scram-sha-256",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale",
                "C",
                "--pwfile",
                directory / "password",
            ],
            **_AS,
            cwd=directory,
            capture_output=True,
            check=True,
            timeout=PATIENCE,
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        control = [PROGRAMS / "pg_ctl", "-D", directory / "data", "-w", "-l", directory / "log"]
        settings = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off -c timezone=Asia/Tokyo"
        subprocess.run(
            [*control, "-o", settings, "start"],
            **_AS,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            timeout=PATIENCE,
        )
        try:
            yield Server(port, directory)
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"],
                **_AS,
                cwd=directory,
                capture_output=True,
                check=True,
                timeout=PATIENCE,
            )
    finally:
        shutil.rmtree(directory)
