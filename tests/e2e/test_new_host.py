"""From a bundle and a bare host to a served gateway: the commands of backup-and-restore.md, "Restore on a new host"."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dsgctl.core import tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.store.migrations import migrate, open_current
from tests.dsgctl.store.builders import MOMENT, SOMEBODY, as_somebody, only_root
from tests.e2e.local import free_port, wait_until
from tests.patience import PATIENCE

PAGE = Path(__file__).parents[2] / "dsgctl" / "guide" / "backup-and-restore.md"


@pytest.fixture
def hosts() -> Iterator[Path]:
    """A directory that everybody can enter, as / is: pytest's own are root's alone."""
    place = Path("/tmp") / f"dsg-hosts-{os.getpid()}"
    place.mkdir(mode=0o755)
    yield place
    shutil.rmtree(place)


def make_bare_host(host: Path) -> Path:
    """What `make install` makes: /etc/dsg of root and the service's group, /var/lib/dsg of the service."""
    (host / "etc").mkdir(parents=True)
    (host / "lib").mkdir()
    os.chown(host / "etc", 0, SOMEBODY)
    os.chown(host / "lib", SOMEBODY, SOMEBODY)
    (host / "etc").chmod(0o750)
    (host / "lib").chmod(0o2770)
    return host


@only_root
def test_a_bundle_becomes_a_served_gateway_on_a_bare_host(hosts: Path, tmp_path: Path) -> None:
    # The host that is lost.
    old, port = make_bare_host(hosts / "host"), free_port()
    settings = old / "etc" / "dsg.env"
    subprocess.run(["age-keygen", "-o", str(tmp_path / "dsg-backup.key")], capture_output=True, check=True)
    public = subprocess.run(["age-keygen", "-y", str(tmp_path / "dsg-backup.key")], capture_output=True, check=True)
    (old / "etc" / "age-recipients.txt").write_bytes(public.stdout)
    (old / "etc" / "client_credentials.json").write_text('{"web": {"client_id": "i", "client_secret": "s"}}')
    (tmp_path / "bundles").mkdir()
    settings.write_text(f"""DATABASE_PATH={old}/lib/dsg.sqlite3
DSG_ORIGIN=https://auth.example.org
DSG_SECRET_KEY={"k" * 40}
DSG_PORT={port}
CLIENT_CREDENTIALS_PATH={old}/etc/client_credentials.json
DSG_BACKUP_AGE_RECIPIENTS_FILE={old}/etc/age-recipients.txt
DSG_BACKUP_DIR={tmp_path}/bundles
DSG_BACKUP_STAGING_DIR={tmp_path}
""")
    migrate(old / "lib" / "dsg.sqlite3", now=MOMENT)
    database = open_current(old / "lib" / "dsg.sqlite3")
    with begin_change(database, "os:test") as change:
        token = tokens.mint(change, users.add(change, "ada@example.org")[0])[1]
    database.close()
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": programs, "DSG_ENV_FILE": str(settings)}
    result = subprocess.run(
        ["dsgctl", "db", "backup", "-o", "value"], env=environment, capture_output=True, text=True, check=True
    )
    shutil.rmtree(old)

    # The new one, of the same layout.
    make_bare_host(old)
    section = PAGE.read_text(encoding="utf-8").split("## Restore on a new host")[1].split("\n## ")[0]
    commands = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[0].replace("/etc/dsg", str(old / "etc"))
    lines = [line for line in commands.splitlines() if not line.startswith("#")]
    script = ["set -eu", f'BUNDLE="{result.stdout.strip()}"', *lines]
    # Until the settings are there, none are named: as on a host where /etc/dsg is empty.
    setup = subprocess.run(
        ["bash", "-c", "\n".join([*script[:2], lines[0], f"export DSG_ENV_FILE={settings}", *lines[1:3]])],
        cwd=tmp_path,
        env={"PATH": programs},
        capture_output=True,
        text=True,
        check=False,
    )
    assert setup.returncode == 0, setup.stderr
    for name in ("dsg.env", "client_credentials.json", "age-recipients.txt"):
        assert f"wrote {old / 'etc' / name}" in setup.stderr
        state = (old / "etc" / name).stat()
        assert (state.st_uid, state.st_gid, stat.S_IMODE(state.st_mode)) == (0, SOMEBODY, 0o640)
    assert {(entry.stat().st_uid, entry.stat().st_gid) for entry in (old / "lib").iterdir()} == {(SOMEBODY, SOMEBODY)}
    assert lines[3:] == ["dsgctl config check"]  # of nginx and the rest, which are not here

    # The service's user can read all of that, and write what it must.
    output = as_somebody(
        "config = load({}, path)\n"
        "print(read_oauth_client(config.client_credentials).id, len(read_recipients(config.backup_recipients)))\n"
        "database = open_current(config.database)\n"
        "with begin_change(database, 'os:dsg') as change:\n"
        "    users.set_attributes(change, 'ada@example.org', name='Ada')\n"
        "database.close()\n",
        settings,
        needs="import encodings.utf_8_sig, pyrage\n"
        "from dsgctl.operations.backup.encryption import read_recipients; from dsgctl.settings import load\n"
        "from dsgctl.oauth_client import read_oauth_client; from dsgctl.core import delegated_grants",
    )
    assert output == "i 1\n"
    server = subprocess.Popen(
        [sys.executable, "-m", "dsgserve", "--env-file", str(settings)],
        env={"PATH": programs},
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}/api/v1/user/cache"

        def answers() -> bool:
            assert server.poll() is None
            try:
                reply = requests.get(address, headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE)
            except (requests.ConnectionError, requests.Timeout):
                return False
            return reply.status_code == 200 and reply.json()["name"] == "Ada"

        wait_until(answers, seconds=60, event="the answer")
    finally:
        server.terminate()
        server.wait(30)
