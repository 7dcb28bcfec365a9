"""A populated gateway in a temporary place: what ``dsgctl demo`` runs. Nothing of it stays."""

import contextlib
import json
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import NoReturn

from dsgctl.core import (
    acceptances,
    datasets,
    grants,
    groups,
    locations,
    service_accounts,
    services,
    terms,
    tokens,
    users,
    versions,
)
from dsgctl.core.change import Change
from dsgctl.core.clock import now
from dsgctl.core.errors import Conflict, DsgError
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.models import utc_text

_START = 20.0  # seconds that the server may take to answer


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo.

    Attributes:
        origin: where the server answers.
        env_file: its settings; ``DSG_ENV_FILE`` for commands that are to use them.
        secrets: a token of each person, by first name; ``nightly`` is a service account's.
    """

    origin: str
    env_file: Path
    secrets: dict[str, str]
    server: "subprocess.Popen[bytes]"

    def ask(self, token: str) -> tuple[int, dict[str, object]]:
        """GET /api/v1/user/cache: status and answer."""
        request = urllib.request.Request(  # noqa: S310  our own http origin
            f"{self.origin}/api/v1/user/cache", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def dsgctl(self, *words: str) -> str:
        """What a command prints."""
        done = subprocess.run(  # noqa: S603  our own program, our own words
            [sys.executable, "-m", "dsgctl", "--env-file", str(self.env_file), *words],
            check=False,
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr


@contextlib.contextmanager
def running(port: int) -> Iterator[Demo]:
    """Populate a gateway in a new directory, start its server, and remove both at the end.

    Raises:
        Conflict: something else answers on this port.
        DsgError: the server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="dsg-demo-") as place:
        env_file = _settings(Path(place), port)
        found = _populate(Path(place) / "dsg.sqlite3")
        origin = f"http://localhost:{port}"
        if _answers(origin):
            raise Conflict(f"something answers on {origin} already", "stop it, or say another --port")
        server = subprocess.Popen([sys.executable, "-m", "dsgserve", "--env-file", str(env_file)])  # noqa: S603
        try:
            _wait(server, origin)
            yield Demo(origin, env_file, found, server)
        finally:
            server.terminate()
            server.wait()


def _settings(place: Path, port: int) -> Path:
    env_file = place / "dsg.env"
    env_file.touch(mode=0o600)
    env_file.write_text(
        f"DATABASE_PATH={place}/dsg.sqlite3\n"
        f"DSG_ORIGIN=http://localhost:{port}\n"
        f"DSG_PORT={port}\n"
        f"DSG_SECRET_KEY={secrets.token_urlsafe(32)}\n"
        "DSG_DEV_LOGIN=1\n"
        "NGAUTH_ALLOWED_ORIGINS=https?://(localhost|127\\.0\\.0\\.1)(:[0-9]+)?|https://neuroglancer-demo\\.appspot\\.com\n"
        "LOG_LEVEL=ERROR\n",
        encoding="utf-8",
    )
    return env_file


def _populate(path: Path) -> dict[str, str]:
    """A small lab. Returns the tokens, by name."""
    migrate(path, now=utc_text(now()))
    database = open_current(path)
    try:
        with begin_change(database, "os:demo") as opened:
            return _lab(opened)
    finally:
        database.close()


def _lab(opened: Change) -> dict[str, str]:
    groups.add(opened, "user")
    groups.add(opened, "lab-1")
    people = {
        "ada": users.add(opened, "ada@example.org", name="Ada Lovelace", affiliations=["HHMI"])[0],
        "bo": users.add(opened, "bo@example.org", name="Bo Ek")[0],
        "cy": users.add(opened, "cy@example.org", name="Cy Twombly")[0],
        "rosa": users.add(opened, "rosa@example.org", name="Rosa Ott", admin=True)[0],
    }
    for user in people.values():
        groups.add_member(opened, "user", user.email)
    groups.add_member(opened, "lab-1", "ada@example.org", leads=True)
    groups.add_member(opened, "lab-1", "cy@example.org")

    datasets.add(opened, "fish2", description="A zebrafish brain")
    versions.add(opened, "fish2", "v1")
    locations.add(opened, "fish2", "gs://demo-fish2/v1", version="v1")
    datasets.add(opened, "fly", description="A fly brain, for whoever accepts its terms", public=True)
    locations.add(opened, "fly", "gs://demo-fly")
    of_fly, _ = terms.add(opened, "fly terms", "# Fly terms\n\nCite us, and be kind.\n", dataset="fly")
    acceptances.accept(opened, of_fly.id, "ada@example.org")
    services.add(opened, "clio", display_name="Clio")

    lab = group_subject(opened.database, "lab-1")
    grants.add(opened, lab, Target("fish2", "edit"), expires=opened.at + timedelta(days=90))
    grants.add(opened, principal_subject(people["bo"]), Target("fly", "view"))
    nightly, _ = service_accounts.add(opened, "nightly", description="exports synapses")
    grants.add(opened, principal_subject(nightly), Target("fish2", "view"))

    owners = {**people, "nightly": nightly}
    found = {name: tokens.mint(opened, owner, description="demo")[1] for name, owner in owners.items()}
    users.set_active(opened, "cy@example.org", False)
    return found


def _answers(origin: str) -> bool:
    try:
        with urllib.request.urlopen(f"{origin}/health", timeout=2):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _wait(server: "subprocess.Popen[bytes]", origin: str) -> None:
    end = time.monotonic() + _START
    while not _answers(origin):
        if server.poll() is not None or time.monotonic() > end:
            raise DsgError("the server did not start", "what it said stands above")
        time.sleep(0.05)


def stop_on_sigterm() -> None:
    """Let a polite kill clean up as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
