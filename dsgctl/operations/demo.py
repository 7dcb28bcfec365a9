"""The gateway of ``dsgctl demo``: populated, and in a temporary directory that is deleted at the end."""

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
from dsgctl.store.times import utc_text

_START = 20.0  # seconds within which the server must answer


@dataclass(frozen=True, slots=True)
class Demo:
    """A running demo.

    Attributes:
        origin: the address of the server.
        env_file: its settings; ``DSG_ENV_FILE`` for commands.
        secrets: name -> token, of each person, and of the service account ``nightly``.
    """

    origin: str
    env_file: Path
    secrets: dict[str, str]
    server: "subprocess.Popen[bytes]"

    def ask(self, token: str) -> tuple[int, dict[str, object]]:
        """GET /api/v1/user/cache: status and answer."""
        request = urllib.request.Request(  # noqa: S310  the http origin of the demo
            f"{self.origin}/api/v1/user/cache", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def dsgctl(self, *words: str) -> str:
        """The output of a command."""
        result = subprocess.run(  # noqa: S603  this program, and constant words
            [sys.executable, "-m", "dsgctl", "--env-file", str(self.env_file), *words],
            check=False,
            capture_output=True,
            text=True,
        )
        return result.stdout + result.stderr


@contextlib.contextmanager
def run_demo(port: int) -> Iterator[Demo]:
    """Populate a gateway in a new directory and start its server; stop and delete both at the end.

    Raises:
        Conflict: another server answers on this port.
        DsgError: the server does not start.
    """
    with tempfile.TemporaryDirectory(prefix="dsg-demo-") as place:
        env_file = _write_settings(Path(place), port)
        demo_secrets = _populate(Path(place) / "dsg.sqlite3")
        origin = f"http://localhost:{port}"
        if _answers(origin):
            raise Conflict(f"something answers on {origin} already", "stop it, or choose another --port")
        server = subprocess.Popen([sys.executable, "-m", "dsgserve", "--env-file", str(env_file)])  # noqa: S603
        try:
            _wait_for(server, origin)
            yield Demo(origin, env_file, demo_secrets, server)
        finally:
            server.terminate()
            server.wait()


def _write_settings(place: Path, port: int) -> Path:
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
    """Create the database of a small lab. Returns the tokens, by name."""
    migrate(path, now=utc_text(now()))
    database = open_current(path)
    try:
        with begin_change(database, "os:demo") as change:
            return _add_lab(change)
    finally:
        database.close()


def _add_lab(change: Change) -> dict[str, str]:
    groups.add(change, "user")
    groups.add(change, "lab-1")
    people = {
        "ada": users.add(change, "ada@example.org", name="Ada Lovelace", affiliations=["HHMI"])[0],
        "bo": users.add(change, "bo@example.org", name="Bo Ek")[0],
        "cy": users.add(change, "cy@example.org", name="Cy Twombly")[0],
        "rosa": users.add(change, "rosa@example.org", name="Rosa Ott", admin=True)[0],
    }
    for user in people.values():
        groups.add_member(change, "user", user.email)
    groups.add_member(change, "lab-1", "ada@example.org", leads=True)
    groups.add_member(change, "lab-1", "cy@example.org")

    datasets.add(change, "fish2", description="A zebrafish brain")
    versions.add(change, "fish2", "v1")
    locations.add(change, "fish2", "gs://demo-fish2/v1", version="v1")
    datasets.add(change, "fly", description="A fly brain, for whoever accepts its terms", public=True)
    locations.add(change, "fly", "gs://demo-fly")
    fly_terms, _ = terms.add(change, "fly terms", "# Fly terms\n\nCite us, and be kind.\n", dataset="fly")
    acceptances.accept(change, fly_terms.id, "ada@example.org")
    services.add(change, "clio", display_name="Clio")

    lab = group_subject(change.database, "lab-1")
    grants.add(change, lab, Target("fish2", "edit"), expires=change.at + timedelta(days=90))
    grants.add(change, principal_subject(people["bo"]), Target("fly", "view"))
    nightly, _ = service_accounts.add(change, "nightly", description="exports synapses")
    grants.add(change, principal_subject(nightly), Target("fish2", "view"))

    owners = {**people, "nightly": nightly}
    secrets_by_name = {name: tokens.mint(change, owner, description="demo")[1] for name, owner in owners.items()}
    users.set_active(change, "cy@example.org", False)
    return secrets_by_name


def _answers(origin: str) -> bool:
    try:
        with urllib.request.urlopen(f"{origin}/health", timeout=2):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def _wait_for(server: "subprocess.Popen[bytes]", origin: str) -> None:
    end = time.monotonic() + _START
    while not _answers(origin):
        if server.poll() is not None or time.monotonic() > end:
            raise DsgError("the server did not start", "its messages are above")
        time.sleep(0.05)


def stop_on_sigterm() -> None:
    """Clean up on SIGTERM as on Ctrl-C."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
