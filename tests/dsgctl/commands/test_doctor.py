"""``dsgctl doctor``: each fault is planted on a real installation, and found with its cause and the next command."""

import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyrage
import pytest
import requests

from dsgctl.core import datasets, grants, terms, tokens, users
from dsgctl.core.transaction import begin_change
from dsgctl.operations import doctor
from dsgctl.store import process_registry
from dsgctl.store.migrations import open_current
from tests.dsgctl.commands.installation import (
    CLIENT_ID,
    IS_ROOT,
    SERVICE_USER,
    Installation,
    Plant,
    Site,
    installed,
    make_dated_certificate,
    running_server,
    running_site,
)
from tests.dsgctl.commands.running import Quick, Result
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.store.builders import with_apsw
from tests.e2e.conftest import KEY
from tests.e2e.google import running_google
from tests.e2e.local import free_port, wait_until
from tests.e2e.proxy import nginx
from tests.patience import PATIENCE

SYSTEMD = Path(__file__).parents[3] / "systemd"

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Site]:
    place = tmp_path_factory.mktemp("site")
    database = place / "dsg.sqlite3"
    shutil.copyfile(empty_database, database)
    with running_site(place, database) as started:
        yield started


@pytest.fixture
def here(site: Site, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    for name in [name for name in os.environ if name.startswith("DSG_")] + ["REQUESTS_CA_BUNDLE", "NO_COLOR"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    with installed(site, empty_database) as installation:
        yield installation


@pytest.fixture
def examine(here: Installation, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, list[dict[str, str]]]]:
    """Runs ``dsgctl doctor`` on the installation; its exit code and its lines."""

    def run(*words: str, host: doctor.Host | None = None) -> tuple[int, list[dict[str, str]]]:
        result = _run(here, monkeypatch, "doctor", "-o", "json", *words, host=host)
        rows = json.loads(result.out)
        for row in rows:
            assert row["state"] in ("ok", "warning", "failed") and bool(row["do"]) == (row["state"] != "ok"), row
            assert row["found"].isprintable() and KEY not in f"{row['found']} {row['do']}", row
        failing = any(row["state"] == "failed" for row in rows)
        assert result.code == (1 if failing or ("--strict" in words and _worst(rows) != "ok") else 0)
        return result.code, rows

    return run


def _run(here: Installation, monkeypatch: pytest.MonkeyPatch, *words: str, host: doctor.Host | None = None) -> Result:
    with monkeypatch.context() as patch:
        patch.setattr(doctor, "Case", partial(doctor.Case, host=host or here.host))
        patch.setenv("REQUESTS_CA_BUNDLE", "")  # the file says it
        return Quick(here.place, here.database)("--env-file", str(here.env), *words)


def _worst(rows: list[dict[str, str]]) -> str:
    return max((row["state"] for row in rows), key=("ok", "warning", "failed").index)


def find(rows: list[dict[str, str]], check: str, state: str, *parts: str) -> dict[str, str]:
    """The line of a check and a state that says all this."""
    for row in rows:
        text = f"{row['found']}; {row['do']}"
        if (row["check"], row["state"]) == (check, state) and all(part in text for part in parts):
            return row
    raise AssertionError((check, state, parts, [row for row in rows if row["check"] == check] or rows))


def test_a_sound_installation_passes_but_for_what_a_test_lacks(
    here: Installation, examine: Callable[..., Any], quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    _backup(here)
    code, rows = examine()
    assert code == 0
    assert {(row["check"], row["found"][:30]) for row in rows if row["state"] != "ok"} == {
        ("units", "systemd does not run here"),
        ("backup", f"{here.backups} is on the database's own disk"[:30]),
    }
    for check, part in (
        ("settings", "are set, each well-formed"),
        ("settings file", str(here.env)),
        ("signing keys", "one signs"),
        ("viewers", "it admits https://neuroglancer-demo.appspot.com"),
        ("database", "is sound"),
        ("disk", "MB are free"),
        ("audit log", "follows"),
        ("oauth client", "of a web application"),
        ("provider", here.site.issuer),
        ("clock", "agrees"),
        ("server", here.site.upstream),
        ("origin", here.site.origin),
        ("certificate", "good until"),
        ("headers", "cookie, Authorization and query arrive"),
        ("long headers", "8192 bytes pass"),
        ("cache", "nothing in front keeps answers"),
        ("address", "the server sees 127.0.0.1"),
        ("backup", "hours old"),
    ):
        find(rows, check, "ok", part)
    assert examine("--strict")[0] == 1


def _backup(here: Installation, *, hours: float = 0, size: int | None = None) -> Path:
    at = datetime.now(UTC) - timedelta(hours=hours)
    path = here.backups / f"dsg-backup-{at:%Y%m%dT%H%M%SZ}.tar.gz.age"
    key = pyrage.x25519.Recipient.from_str(here.recipients.read_text().strip())
    path.write_bytes(pyrage.encrypt(b"bundle", [key])[:size])
    return path


# The table. Each row: what is planted, then the check that finds it, its state, and parts of what it says.

Fault = tuple[str, Plant, str, str, tuple[str, ...]]


def settings(*lines: str, **values: str) -> Plant:
    return lambda here: here.write(*lines, **values)


def written(attribute: str, text: str) -> Plant:
    return lambda here: getattr(here, attribute).write_text(text)


def mode(attribute: str, bits: int) -> Plant:
    return lambda here: getattr(here, attribute).chmod(bits)


def closed(attribute: str) -> Plant:
    return lambda here: here.close_to_the_service(getattr(here, attribute))


def gone(attribute: str) -> Plant:
    return lambda here: getattr(here, attribute).unlink()


def _dangling(attribute: str) -> Plant:
    def plant(here: Installation) -> None:
        path = getattr(here, attribute)
        path.unlink()
        path.symlink_to(here.place / "elsewhere")

    return plant


def _journal_of_root(here: Installation) -> None:
    """What a program of root leaves that was killed: it is there while a reader holds it."""
    for suffix in ("-wal", "-shm"):
        path = here.database.with_name(here.database.name + suffix)
        path.touch()
        here.close_to_the_service(path)


def _people(*emails: str, admin: str = "") -> Callable[[Installation], None]:
    def plant(here: Installation) -> None:
        database = open_current(here.database)
        try:
            with begin_change(database, "os:test") as opened:
                for email in emails:
                    users.add(opened, email, admin=email == admin)
        finally:
            database.close()

    return plant


def both(*plants: Plant) -> Plant:
    def plant(here: Installation) -> None:
        for one in plants:
            one(here)

    return plant


WEB = '{{"web": {{"client_id": "{id}", "client_secret": "s", "redirect_uris": [{uris}]}}}}'
SECRET_KEY = "AGE-SECRET-KEY-1QQPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSPQRSTUV"
CLOSED = f"{SERVICE_USER if IS_ROOT else ''} may not "

FAULTS: list[Fault] = [
    # Settings that are bad: each is named with its file and line, and all else is looked at.
    ("bad value", settings(DSG_PORT="none"), "settings", "failed", ("DSG_PORT: 'none'", "dsg.env, line")),
    ("misspelled", settings("DSG_ORIGN=x"), "settings", "failed", ("did you mean DSG_ORIGIN?",)),
    ("no setting at all", settings("nonsense"), "settings", "failed", ("dsg.env, line 11: not NAME=value",)),
    ("export", settings("export LOG_LEVEL=INFO"), "settings", "failed", ("leave out 'export'",)),
    ("open quote", settings("LOG_LEVEL='INFO"), "settings", "failed", ("begins with a quote",)),
    ("not UTF-8", lambda here: here.env.write_bytes(b"\xff\xfe"), "settings", "failed", ("not UTF-8",)),
    (
        "given twice",
        settings("LOG_LEVEL=INFO", "LOG_LEVEL=DEBUG"),
        "settings",
        "failed",
        ("LOG_LEVEL is given 2 times", "lines 11, 12", "the last one counts"),
    ),
    ("given twice, the same", settings("LOG_LEVEL=INFO", "LOG_LEVEL=INFO"), "settings", "warning", ("given 2 times",)),
    ("comment in a value", settings("GOOGLE_CLIENT_SECRET=a # ours"), "settings", "warning", ("has a '#'",)),
    ("of the original", settings("DSG_LOG_LEVEL=info"), "settings", "warning", ("DSG_LOG_LEVEL", "LOG_LEVEL is ours")),
    ("of a client", settings("DSG_URL=https://x.org"), "settings", "warning", ("DSG_URL", "not used")),
    ("of nobody", settings("DSG_FROBNICATE=1"), "settings", "warning", ("DSG_FROBNICATE", "line 11")),
    ("contradiction", settings(AUTH_COOKIE_DOMAIN=".other.org"), "settings", "failed", ("browsers refuse other.org",)),
    ("no file", lambda here: here.env.unlink(), "settings", "failed", ("does not exist", "--env-file")),
    # Keys
    ("no key", settings(DSG_SECRET_KEY=""), "signing keys", "failed", ("dsgserve will not start", "dsgctl setup")),
    *(
        (
            f"keys with {mark!r}",
            settings(DSG_SECRET_KEY=f"{KEY}{mark}{KEY[::-1]}"),
            "signing keys",
            "failed",
            ("looks like 2", "only a comma"),
        )
        for mark in (" ", ";", ":", "; ", " : ")
    ),
    ("one key twice", settings(DSG_SECRET_KEY=f"{KEY},{KEY}"), "signing keys", "warning", ("one key twice",)),
    *(
        (
            f"key to guess: {key[:12]}",
            settings(DSG_SECRET_KEY=key),
            "signing keys",
            "failed",
            ("can be guessed", "setup"),
        )
        for key in (
            "a" * 64,
            "0123456" * 9,
            "change-me-" * 4,
            "CHANGE_THIS_to-32-random-characters-0123456789",
            "<32 random characters from openssl rand>",
            f"{KEY},{'ab' * 20}",
            "put-your-own-secret-here-of-32-characters",
        )
    ),
    (
        "secret of a sample",
        settings(GOOGLE_CLIENT_ID=CLIENT_ID, GOOGLE_CLIENT_SECRET="YOUR_CLIENT_SECRET"),
        "oauth client",
        "failed",
        ("what a sample shows",),
    ),
    # Well-formed and wrong
    *(
        (
            f"relative {name}",
            settings(**{name: "here/it"}),
            "settings",
            "failed",
            (f"{name} is here/it", "from the root"),
        )
        for name in (
            "CLIENT_CREDENTIALS_PATH",
            "DSG_BACKUP_STAGING_DIR",
            "DSG_BACKUP_AGE_RECIPIENTS_FILE",
            "DSG_BACKUP_AGE_IDENTITY_FILE",
        )
    ),
    (
        "keep no backup",
        settings(DSG_BACKUP_KEEP_HOURLY="0", DSG_BACKUP_KEEP_DAILY="0", DSG_BACKUP_KEEP_WEEKLY="0"),
        "backup",
        "warning",
        ("deletes all before it",),
    ),
    ("recipients that all may write", mode("recipients", 0o666), "backup", "failed", ("can write", "chmod 640")),
    ("backups that all may write", mode("backups", 0o777), "backup", "failed", ("can write", "chmod 750")),
    ("client is a directory", settings(CLIENT_CREDENTIALS_PATH="/tmp"), "oauth client", "failed", ("and no file",)),
    ("token redirect only", settings(DSG_TOKEN_REDIRECTS="https://a.org"), "redirects", "warning", ("https://a.org",)),
    ("STS of tests", settings(DSG_STS_URL="https://localhost:1/token"), "google", "failed", ("take DSG_STS_URL out",)),
    ("storage of tests", settings(DSG_STORAGE_URL="https://localhost:1"), "google", "failed", ("DSG_STORAGE_URL",)),
    ("plain origin", settings(DSG_ORIGIN="http://auth.example.org"), "origin", "failed", ("tokens go in clear",)),
    (
        "id without secret",
        settings(CLIENT_CREDENTIALS_PATH="", GOOGLE_CLIENT_ID=CLIENT_ID),
        "oauth client",
        "failed",
        ("GOOGLE_CLIENT_ID is set and GOOGLE_CLIENT_SECRET is not", "set GOOGLE_CLIENT_SECRET"),
    ),
    (
        "secret without id",
        settings(CLIENT_CREDENTIALS_PATH="", GOOGLE_CLIENT_SECRET="s"),
        "oauth client",
        "failed",
        ("set GOOGLE_CLIENT_ID",),
    ),
    ("id beside a file", settings(GOOGLE_CLIENT_ID=CLIENT_ID), "oauth client", "warning", ("so", "counts")),
    (
        "another client",
        settings(GOOGLE_CLIENT_ID="2-x", GOOGLE_CLIENT_SECRET="s"),
        "oauth client",
        "warning",
        ("which is not used", "take one of them out"),
    ),
    ("no client", settings(CLIENT_CREDENTIALS_PATH=""), "provider", "failed", ("no OAuth client",)),
    (
        "client of a desktop",
        lambda here: here.client.write_text(here.client.read_text().replace("web", "installed")),
        "oauth client",
        "failed",
        ("desktop app", "web application"),
    ),
    (
        "key of a service account",
        written("client", '{"type": "service_account", "private_key": "x"}'),
        "oauth client",
        "failed",
        ("key of a service account", "GOOGLE_APPLICATION_CREDENTIALS"),
    ),
    (
        "another redirect URI",
        written("client", WEB.format(id=CLIENT_ID, uris='"https://x.org/"')),
        "oauth client",
        "failed",
        ("lack https://localhost:", "redirect_uri_mismatch"),
    ),
    ("no redirect URI", written("client", WEB.format(id=CLIENT_ID, uris="")), "oauth client", "failed", ("lack",)),
    ("client is no JSON", written("client", "client"), "oauth client", "failed", ("not JSON, or cut off",)),
    ("client is a list", written("client", "[]"), "oauth client", "failed", ("not an OAuth client file",)),
    ("client for all", mode("client", 0o644), "oauth client", "failed", ("everybody on this host", "chmod 640")),
    ("client for nobody", closed("client"), "oauth client", "failed", (CLOSED, "read")),
    ("client is gone", gone("client"), "oauth client", "failed", ("there is no",)),
    ("client leads nowhere", _dangling("client"), "oauth client", "failed", ("symbolic link to", "not there")),
    (
        "domains of nobody",
        both(_people("ada@example.org", admin="ada@example.org"), settings(DSG_ALLOWED_EMAIL_DOMAINS="exmaple.org")),
        "sign-in",
        "failed",
        ("lets in nobody", "1 person"),
    ),
    (
        "domains of no admin",
        both(_people("ada@a.org", "bo@b.org", admin="ada@a.org"), settings(DSG_ALLOWED_EMAIL_DOMAINS="b.org")),
        "sign-in",
        "warning",
        ("no admin",),
    ),
    # Files
    ("settings for all", mode("env", 0o644), "settings file", "failed", ("everybody on this host", "chmod 640")),
    ("settings for nobody", closed("env"), "settings file", "failed", (CLOSED, "read")),
    ("directory of settings closed", closed("etc"), "settings file", "failed", ("may not enter", "etc")),
    ("recipients for nobody", closed("recipients"), "backup", "failed", (CLOSED, "read")),
    ("no recipients", gone("recipients"), "backup", "failed", ("nobody to encrypt to", "age-keygen")),
    ("recipients are empty", written("recipients", "# none\n"), "backup", "failed", ("names nobody",)),
    ("recipient is nonsense", written("recipients", "age1x\n"), "backup", "failed", ("line 1: not an age recipient",)),
    ("secret key as recipient", written("recipients", f"{SECRET_KEY}\n"), "age key", "failed", ("a secret age key",)),
    (
        "secret key beside",
        lambda here: (here.etc / "backup.key").write_text(f"# key\n{SECRET_KEY}\n"),
        "age key",
        "failed",
        ("backup.key holds a secret age key", "another machine"),
    ),
    (
        "secret key among backups",
        lambda here: (here.backups / "key").write_text(SECRET_KEY),
        "age key",
        "failed",
        ("holds a secret age key",),
    ),
    (
        "secret key is set",
        both(
            lambda here: (here.place / "k").write_text("x"),
            lambda here: here.write(DSG_BACKUP_AGE_IDENTITY_FILE=str(here.place / "k")),
        ),
        "age key",
        "failed",
        ("is on this host",),
    ),
    ("database for all", mode("database", 0o664), "database", "failed", ("everybody on this host", "chmod 660")),
    ("database for nobody", closed("database"), "database", "failed", (CLOSED, "write")),
    ("its directory for nobody", closed("lib"), "database", "failed", ("may not",)),
    ("journal of root", _journal_of_root, "journal", "failed", ("left by a program of another user", "chown --ref")),
    ("database leads nowhere", _dangling("database"), "database", "failed", ("symbolic link to",)),
    ("no database", gone("database"), "database", "failed", ("there is no database", "dsgctl db migrate")),
    ("no directory", lambda here: shutil.rmtree(here.lib), "database", "failed", ("does not exist", "install -d")),
    ("not a database", written("database", "x" * 4096), "database", "failed", ("is not a database",)),
    # The database
    (
        "older",
        lambda here: with_apsw(here.database, "DELETE FROM migrations WHERE number > 1"),
        "database",
        "failed",
        ("it has schema 1", "dsgctl db migrate"),
    ),
    (
        "newer",
        lambda here: with_apsw(
            here.database, "INSERT INTO migrations VALUES (99, 'later', '2026-01-01T00:00:00.000000Z')"
        ),
        "database",
        "failed",
        ("install the release",),
    ),
    (
        "dangling rows",
        lambda here: with_apsw(here.database, "PRAGMA foreign_keys = 0", "INSERT INTO memberships VALUES (7, 8, 0)"),
        "database",
        "warning",
        ("refers to", "db check --mend"),
    ),
    # Room
    (
        "no staging",
        lambda here: here.write(DSG_BACKUP_STAGING_DIR=str(here.place / "no")),
        "staging",
        "failed",
        ("there is no directory", "making backups"),
    ),
    # Backups
    ("none set", settings(DSG_BACKUP_DIR=""), "backup", "failed", ("DSG_BACKUP_DIR is not set",)),
    ("relative", settings(DSG_BACKUP_DIR="backups"), "backup", "failed", ("is backups", "from the root")),
    ("none made", lambda here: None, "backup", "failed", ("there is none in", "dsgctl db backup")),
    ("an old one", partial(_backup, hours=600), "backup", "failed", ("600.0 hours old", "dsg-backup.timer")),
    ("one of tomorrow", partial(_backup, hours=-20), "backup", "failed", ("which is to come", "timedatectl")),
    ("an empty one", partial(_backup, size=0), "backup", "failed", ("is empty",)),
    ("half a header", partial(_backup, size=9), "backup", "failed", ("not encrypted with age, or damaged",)),
    (
        "a short one",
        lambda here: (
            (path := _backup(here, size=100))
            .with_name(path.name.partition(".")[0] + ".meta.json")
            .write_text('{"size": 200}')
        ),
        "backup",
        "failed",
        ("100 bytes of 200",),
    ),
    (
        "directory is closed to the unit",
        lambda here: shutil.copy(SYSTEMD / "dsg-backup.service", here.units),
        "backup",
        "failed",
        ("dsg-backup.service may not write to", "printf '[Service]\\nReadWritePaths="),
    ),
    ("directory is gone", lambda here: here.backups.rmdir(), "backup", "failed", ("is not a directory", "install -d")),
    ("directory for nobody", both(_backup, closed("backups")), "backup", "failed", (CLOSED, "write")),
    # The provider
    (
        "another issuer",
        lambda here: here.write(DSG_OIDC_ISSUER=f"{here.site.issuer}/else"),
        "provider",
        "failed",
        ("speaks of another issuer", "set DSG_OIDC_ISSUER=https://id.example.org"),
    ),
    (
        "no description",
        lambda here: here.write(DSG_OIDC_ISSUER=f"{here.site.issuer}/odd"),
        "provider",
        "failed",
        ("no OpenID provider's description",),
    ),
    (
        "moved",
        lambda here: here.write(DSG_OIDC_ISSUER=f"{here.site.issuer}/moved"),
        "provider",
        "failed",
        ("redirects to https://id.example.org/",),
    ),
    (
        "broken",
        lambda here: here.write(DSG_OIDC_ISSUER=f"{here.site.issuer}/broken"),
        "provider",
        "failed",
        ("answers 500",),
    ),
    (
        "not there",
        lambda here: here.write(DSG_OIDC_ISSUER=f"https://localhost:{free_port()}"),
        "provider",
        "failed",
        ("connection refused by localhost",),
    ),
    (
        "no such host",
        settings(DSG_OIDC_ISSUER="https://nowhere.invalid"),
        "provider",
        "failed",
        ("the name nowhere.invalid is not found", "getent hosts"),
    ),
    # Google
    (
        "credential for all",
        lambda here: here.write(GOOGLE_APPLICATION_CREDENTIALS=str(_key(here, 0o644))),
        "credential",
        "failed",
        ("everybody on this host", "chmod 640"),
    ),
    (
        "credential is gone",
        settings(GOOGLE_APPLICATION_CREDENTIALS="/nowhere/key.json"),
        "credential",
        "failed",
        ("there is no /nowhere/key.json",),
    ),
    (
        "credential for nobody",
        lambda here: (
            here.write(GOOGLE_APPLICATION_CREDENTIALS=str(_key(here, 0o600))),
            here.close_to_the_service(here.etc / "google.json"),
        ),
        "credential",
        "failed",
        (CLOSED, "read"),
    ),
    # Servers and units
    (
        "origin without a server",
        lambda here: here.write(DSG_ORIGIN=f"https://localhost:{free_port()}"),
        "origin",
        "failed",
        ("connection refused by localhost", "nginx -t"),
    ),
    (
        "origin without a name",
        settings(DSG_ORIGIN="https://nowhere.invalid"),
        "origin",
        "failed",
        ("the name nowhere.invalid is not found",),
    ),
    (
        "unknown authority",
        settings(REQUESTS_CA_BUNDLE=""),
        "origin",
        "failed",
        ("signed by an unknown authority, itself", "fullchain.pem", "REQUESTS_CA_BUNDLE"),
    ),
    (
        "no list of authorities",
        settings(REQUESTS_CA_BUNDLE="/nowhere.pem"),
        "origin",
        "failed",
        ("REQUESTS_CA_BUNDLE",),
    ),
    (
        "enabled unit is gone",
        lambda here: (here.units / "dsgserve.socket").unlink(),
        "units",
        "failed",
        ("dsgserve.socket is enabled, and its file is gone",),
    ),
    (
        "enabled and not there",
        lambda here: (here.units / "sockets.target.wants" / "dsgserve@2.socket").symlink_to(
            here.units / "dsgserve.socket"
        ),
        "server",
        "failed",
        ("dsgserve@2.socket is enabled, and", "systemctl start"),
    ),
]


def _key(here: Installation, bits: int) -> Path:
    path = here.etc / "google.json"
    path.write_text("{}")
    path.chmod(bits)
    return path


@pytest.mark.parametrize(
    ("plant", "check", "state", "parts"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS]
)
def test_a_planted_fault_is_found(
    here: Installation, examine: Callable[..., Any], plant: Plant, check: str, state: str, parts: tuple[str, ...]
) -> None:
    plant(here)
    code, rows = examine()
    find(rows, check, state, *parts)
    assert code == 1 or state == "warning"
    assert not any("fault of dsgctl" in row["found"] for row in rows)
    if check == "settings" and "no file" not in parts and state == "failed":
        find(rows, "audit log", "ok")  # one bad setting hides no other check


def test_a_drop_in_opens_the_directory_of_backups_to_the_unit(here: Installation, examine: Callable[..., Any]) -> None:
    shutil.copy(SYSTEMD / "dsg-backup.service", here.units)
    row = find(examine()[1], "backup", "failed", "may not write to")
    command = row["do"].replace("/etc/systemd/system", str(here.units)).replace("systemctl daemon-reload", "true")
    subprocess.run(["bash", "-euc", command], check=True)
    assert not any("may not write to" in row["found"] for row in examine()[1] if row["check"] == "backup")


@pytest.mark.skipif(not IS_ROOT, reason="only root may give files away")
def test_without_the_services_user_it_is_tried_as_whoever_owns_the_directory(
    here: Installation, examine: Callable[..., Any]
) -> None:
    host = replace(here.host, service_user="nobody-of-this-name")
    os.chown(here.lib, 54321, 54321)  # nobody has that number
    os.chown(here.database, 0, 0)
    find(examine(host=host)[1], "database", "failed", "54321 may not write", "(root:root, mode 0660)", "chown 54321:")
    os.chown(here.database, 54321, 54321)
    find(examine(host=host)[1], "database", "ok", "54321:54321")


# Viewers


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        (r"https://viewer\.example\.org", None),
        (r"https://(viewer|atlas)\.example\.org", None),
        (r"https://[a-z0-9-]+\.example\.org", None),
        (r"^https?://.*\.neuroglancer\.org$", None),
        (r"(?i)https://Viewer\.example\.org", None),
        (r"http://localhost(:\d+)?", None),
        (r"http://127\.0\.0\.1:8080", None),
        (r"https://viewer\.example\.org(:8443)?", None),
        (r"https://\pL+\.example\.org", None),
        (r"https://viewer.example.org", "also lets https://viewerxexample.org in"),
        (r"https://viewer\.example\.org.*", "also lets https://viewer.example.org.attacker.example in"),
        (r"https://.*viewer\.example\.org", "also lets https://attacker-viewer.example.org in"),
        (r"https://.*\.example\.org|https://.*", "also lets https://attacker.example in"),
        (r".*", "also lets https://attacker.example in"),
        (r"viewer\.example\.org", "an origin begins with https://"),
        (r"//viewer\.example\.org", "an origin begins with https://"),
        (r"https:/viewer\.example\.org", "an origin begins with https://"),
        (r"https://viewer\.example\.org/", "without a slash or path"),
        (r"https://viewer\.example\.org/v/", "without a slash or path"),
        (r"https://viewer\.example\.org/?|https://b\.org/", "'https://b.org/': an origin ends"),
        (r"https://(a\.org/|b\.org)", "'https://a.org/': an origin ends"),
        (r"https://viewer\\.example\\.org", "it asks for a backslash"),
        (r"https://a\.org,https://b\.org", "separated by |"),
        (r"https://a\.org https://b\.org", "separated by |"),
        (r"https://a\.org|b\.org", "'b.org': an origin begins with https://"),
        (r"https://a\.org|", "'': an origin begins"),
        (r"http://viewer\.example\.org", "over http alone"),
        (r"https://b\.org|http://viewer\.example\.org", "admits viewer.example.org over http alone"),
        (r"https://Viewer\.example\.org", "lower case"),
        (r"HTTPS://viewer\.example\.org", "an origin begins with https://"),
        (r"https://viewer\.example\.org:443", "no origin has that form"),
        (r"https://viewer\.example\.org:99999", "no origin has that form"),
        (r"https://neuroglancer-demo\.appsppot\.com", "a slip of neuroglancer-demo.appspot.com?"),
        (r"https://neuroglancer-dem\.appspot\.com", "a slip of neuroglancer-demo.appspot.com?"),
        (r"https://spelunker\.cave-explorer\.com", "a slip of spelunker.cave-explorer.org?"),
    ],
)
def test_a_pattern_of_viewers_is_tried(pattern: str, said: str | None) -> None:
    from dsgctl.config import load
    from dsgctl.operations.doctor.viewers import check_viewers

    (check,) = check_viewers(load({"NGAUTH_ALLOWED_ORIGINS": pattern}))
    if said is None:
        assert check.status == "ok" and "of the well-known viewers it admits" in check.found
    else:
        assert check.status == "failed" and said in check.found and check.do


def test_which_viewers_are_admitted_is_said() -> None:
    from dsgctl.config import load
    from dsgctl.operations.doctor.viewers import check_viewers

    def said(pattern: str, **more: str) -> str:
        return " ".join(check.found for check in check_viewers(load({"NGAUTH_ALLOWED_ORIGINS": pattern, **more})))

    both_known = r"https://(spelunker\.cave-explorer\.org|neuroglancer-demo\.appspot\.com)"
    assert "admits https://neuroglancer-demo.appspot.com, https://spelunker.cave-explorer.org" in said(both_known)
    assert "it admits none" in said(r"https://viewer\.example\.org")
    assert "DSG_VIEWER_URL leads to https://v.org, which" in said(r"https://b\.org", DSG_VIEWER_URL="https://v.org/x")
    assert "a slip of viewer.lab.org?" in said(r"https://viewr\.lab\.org", DSG_VIEWER_URL="https://viewer.lab.org/")


# What stands in front


def _in_location(*lines: str) -> Callable[[str], str]:
    """The site with further directives beside proxy_pass."""
    return lambda text: text.replace("proxy_pass http://dsgserve;", "\n".join(["proxy_pass http://dsgserve;", *lines]))


def _without(line: str, instead: str = "") -> Callable[[str], str]:
    def alter(text: str) -> str:
        assert line in text
        return text.replace(line, instead)

    return alter


def _cached(text: str) -> str:
    zone = "proxy_cache_path CACHE keys_zone=k:1m;\n"
    return zone + _in_location(
        "proxy_cache k; proxy_cache_valid any 1m; proxy_cache_key $uri;",
        "proxy_ignore_headers Cache-Control Expires Set-Cookie Vary;",
    )(text)


FRONTS: list[tuple[str, Callable[[str], str], str, str, tuple[str, ...]]] = [
    ("as it is shipped", str, "address", "ok", ("the server sees 127.0.0.1",)),
    ("no cookie", _in_location('proxy_set_header Cookie "";'), "cookie", "failed", ("the cookie dsg_token does not",)),
    (
        "no Authorization",
        _in_location('proxy_set_header Authorization "";'),
        "authorization",
        "failed",
        ("the header Authorization does not arrive",),
    ),
    (
        "no query",
        lambda text: text.replace("proxy_pass http://dsgserve;", "proxy_pass http://dsgserve$uri;"),
        "query",
        "failed",
        ("the query does not arrive",),
    ),
    (
        "forged address",
        _without("X-Forwarded-For $remote_addr", "X-Forwarded-For $http_x_forwarded_for"),
        "address",
        "failed",
        ("that a client makes up is believed", "X-Forwarded-For $remote_addr"),
    ),
    (
        "no address",
        _without("proxy_set_header X-Forwarded-For $remote_addr;", 'proxy_set_header X-Forwarded-For "";'),
        "address",
        "warning",
        ("does not learn the clients' addresses",),
    ),
    (
        "address is added",
        _without("X-Forwarded-For $remote_addr", "X-Forwarded-For $proxy_add_x_forwarded_for"),
        "address",
        "ok",
        ("127.0.0.1",),
    ),
    ("cached", _cached, "cache", "failed", ("kept in front",)),
    ("no Cache-Control", _in_location("proxy_hide_header Cache-Control;"), "cache", "failed", ("no-store out of",)),
    (
        "short headers",
        _without("large_client_header_buffers 4 32k;"),
        "long headers",
        "failed",
        ("8192 bytes is refused with 400", "large_client_header_buffers"),
    ),
    (
        "no HSTS",
        _without('add_header Strict-Transport-Security "max-age=63072000" always;'),
        "origin",
        "warning",
        ("no Strict-Transport-Security",),
    ),
    (
        "no server behind",
        _without("dsgserve.sock", "absent.sock"),
        "origin",
        "failed",
        ("answers 502", "reaches no server", "tail /var/log/nginx/dsg.access.log"),
    ),
    (
        "redirects",
        lambda text: text.replace("location / {", "location = /health { return 301 https://x.org/; }\nlocation / {", 1),
        "origin",
        "failed",
        ("redirects to https://x.org/", "set DSG_ORIGIN=https://x.org"),
    ),
    (
        "another site",
        lambda text: text.replace("location / {", "location = /health { return 200 hello; }\nlocation / {", 1),
        "origin",
        "failed",
        ("answered by something else", "server_name"),
    ),
    (
        "not found",
        lambda text: text.replace("location / {", "location = /health { return 404; }\nlocation / {", 1),
        "origin",
        "failed",
        ("answered by something else (404",),
    ),
    (
        "its own login",
        lambda text: text.replace("location / {", "location = /health { return 401; }\nlocation / {", 1),
        "origin",
        "failed",
        ("asks for a login of its own",),
    ),
    (
        "limited",
        lambda text: text.replace("location / {", "location = /health { return 429; }\nlocation / {", 1),
        "origin",
        "failed",
        ("answers 429",),
    ),
]


@contextmanager
def front(
    here: Installation, tmp_path: Path, alter: Callable[[str], str] = str, certificate: Path | None = None
) -> Iterator[str]:
    """Another nginx before the same server; its origin is in the settings."""
    with nginx(
        tmp_path,
        certificate or here.site.certificate,
        here.site.upstream,
        alter=lambda text: alter(text).replace("CACHE", str(tmp_path / "cache")),
    ) as port:
        origin = f"https://localhost:{port}"
        here.write(DSG_ORIGIN=origin)
        yield origin


@pytest.mark.parametrize(
    ("alter", "check", "state", "parts"), [one[1:] for one in FRONTS], ids=[one[0] for one in FRONTS]
)
def test_what_stands_in_front_is_asked_and_looked_at(
    here: Installation,
    examine: Callable[..., Any],
    tmp_path: Path,
    alter: Callable[[str], str],
    check: str,
    state: str,
    parts: tuple[str, ...],
) -> None:
    with front(here, tmp_path, alter):
        find(examine()[1], check, state, *parts)


@pytest.mark.parametrize(
    ("names", "days", "check", "state", "parts"),
    [
        (["localhost"], (-30, -2), "origin", "failed", ("expired on 20", "certbot renew")),
        (["localhost"], (2, 30), "origin", "failed", ("is not good before 20", "timedatectl")),
        (["other.example.org", "b.org"], (-1, 90), "origin", "failed", ("is for other.example.org, b.org, not",)),
        (["localhost"], (-1, 20), "certificate", "warning", ("ends in 19 days", "certbot renew")),
        (["localhost"], (-1, 22), "certificate", "ok", ("is good until",)),
    ],
)
def test_the_certificate_is_looked_at(
    here: Installation,
    examine: Callable[..., Any],
    tmp_path: Path,
    names: list[str],
    days: tuple[int, int],
    check: str,
    state: str,
    parts: tuple[str, ...],
) -> None:
    certificate = make_dated_certificate(tmp_path / "certificates", *names, days=days)
    with front(here, tmp_path, certificate=certificate) as origin:
        here.write(DSG_ORIGIN=origin, REQUESTS_CA_BUNDLE=str(certificate))
        find(examine()[1], check, state, *parts)


def test_an_answer_that_is_cached_in_front_is_never_taken_for_a_login(
    here: Installation, examine: Callable[..., Any], tmp_path: Path
) -> None:
    """Somebody's 200 is kept there, with a key that has no token in it: then anybody gets it."""
    database = open_current(here.site.database)
    with begin_change(database, "os:test") as opened:
        ada, _ = users.add(opened, "ada@example.org")
        _, token = tokens.mint(opened, ada)
    database.close()
    with front(
        here, tmp_path, lambda text: _cached(text).replace("proxy_cache_valid any", "proxy_cache_valid 200")
    ) as url:
        reply = requests.get(
            f"{url}/api/v1/user/cache",
            headers={"Authorization": f"Bearer {token}"},
            timeout=PATIENCE,
            verify=str(here.site.certificate),
        )
        assert reply.json()["email"] == "ada@example.org"
        _, rows = examine()
    find(rows, "cache", "failed", "answers 200 without a token")
    assert not {row["check"] for row in rows} & {"cookie", "authorization", "query", "headers"}


def test_plain_http_where_tls_is_expected(here: Installation, examine: Callable[..., Any]) -> None:
    with _listener(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        here.write(DSG_ORIGIN=f"https://localhost:{port}")
        find(examine()[1], "origin", "failed", "does not speak TLS")


@contextmanager
def _listener(answer: bytes | None) -> Iterator[int]:
    """Somebody else on a port: answers this at once; None for nobody who ever says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        kept: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                if answer is None:
                    kept.append(client)
                else:
                    client.recv(4096)
                    client.sendall(answer)
                    client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for client in kept:
                client.close()


# The servers


def test_without_a_socket_the_port_is_asked(here: Installation, examine: Callable[..., Any], tmp_path: Path) -> None:
    host = replace(here.host, sockets=tmp_path)
    (here.units / "sockets.target.wants" / "dsgserve.socket").unlink()
    here.write(DSG_PORT=str(free_port()))
    find(examine(host=host)[1], "server", "failed", "connection refused, no server runs there", "start it: dsgserve")
    for answer, said in (
        (b"SSH-2.0-x\r\n", "something else than dsgserve answers on"),
        (None, "said nothing for 5 s"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "something else"),
        (b"", "does not answer"),
    ):
        with _listener(answer) as port:
            here.write(DSG_PORT=str(port))
            find(examine(host=host)[1], "server", "failed", said, f"127.0.0.1:{port}")


def test_several_processes_are_each_found_and_asked(
    here: Installation, examine: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = here.place / "run"
    sockets.mkdir()
    host = replace(here.host, sockets=sockets)
    wants = here.units / "sockets.target.wants"
    (wants / "dsgserve.socket").unlink()
    with ExitStack() as stack:
        for number in (1, 2):
            stack.enter_context(running_server(sockets / f"dsgserve@{number}.sock", here.database, here.site.origin))
            (wants / f"dsgserve@{number}.socket").symlink_to(here.units / "dsgserve.socket")
        wait_until(
            lambda: len(process_registry.list_running(here.database, now=time.time())) == 2, what="what they tell"
        )
        _, rows = examine(host=host)
        for number in (1, 2):
            find(rows, "server", "ok", f"answers on unix:{sockets}/dsgserve@{number}.sock")
        assert len([row for row in rows if row["check"] == "server"]) == 2
        monkeypatch.setattr("dsgctl.operations.doctor.server.__version__", "0.1.0+gnew")
        find(examine(host=host)[1], "server", "failed", "runs release", "dsgserve@2.sock", "this is 0.1.0+gnew")
    (sockets / "dsgserve@2.sock").unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as left:  # of a server that was killed
        left.bind(str(sockets / "dsgserve@2.sock"))
    find(examine(host=host)[1], "server", "failed", "dsgserve@2.sock: connection refused, its file was left")


def test_a_server_on_another_port_is_found_by_what_it_tells(
    here: Installation, examine: Callable[..., Any], tmp_path: Path
) -> None:
    from tests.e2e.conftest import running

    with running(here.database, tmp_path) as server:
        wait_until(lambda: bool(process_registry.list_running(here.database, now=time.time())), what="what it tells")
        _, rows = examine(host=replace(here.host, sockets=tmp_path))
        find(rows, "server", "ok", f"answers on {server.origin.removeprefix('http://')}")


@pytest.mark.skipif(not IS_ROOT, reason="only root may try as another user")
def test_nginx_must_be_let_through_to_the_socket(here: Installation, examine: Callable[..., Any]) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        path = here.place / "run" / "dsgserve.sock"
        path.parent.mkdir()
        listening.bind(str(path))
        path.chmod(0o600)
        _, rows = examine(host=replace(here.host, sockets=path.parent, proxy_user="nobody"))
        find(rows, "server", "failed", "nginx (nobody) may not connect to", "SocketGroup=nobody")


def test_systemd_is_asked_where_it_runs(
    here: Installation, examine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program of that name stands in for systemd: it is not to be had in a test."""
    program = here.place / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\ncase "$1" in is-active) echo failed;; '
        '*) echo "dsg-backup.service loaded failed failed DatasetGateway backup";; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(os, "defpath", f"{program.parent}:{os.defpath}")
    host = replace(here.host, systemd=here.place, sockets=here.place / "absent")
    here.write(DSG_PORT=str(free_port()))
    _, rows = examine(host=host)
    find(rows, "server", "failed", "connection refused", "dsgserve.service is failed", "journalctl -u dsgserve")
    find(rows, "units", "failed", "dsg-backup.service failed when it last ran", "journalctl -u dsg-backup.service")
    find(rows, "units", "ok", "dsgserve.socket: enabled")
    find(rows, "units", "warning", "dsg-prune.timer is not enabled", "systemctl enable --now dsg-prune.timer")
    for link in (here.units / "sockets.target.wants").iterdir():
        link.unlink()
    find(examine(host=host)[1], "units", "warning", "no socket of dsgserve is enabled")


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount")
@pytest.mark.parametrize(
    ("size", "state", "said"), [("32m", "failed", "the disk is full"), ("100m", "warning", "free at")]
)
def test_a_disk_without_room(
    here: Installation, examine: Callable[..., Any], tmp_path: Path, size: str, state: str, said: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk], check=False).returncode == 0
    assert mounted, "needs the right to mount"
    try:
        here.write(DSG_BACKUP_STAGING_DIR=str(disk))
        _, rows = examine(host=replace(here.host, room=2**30))
        find(rows, "staging", state, said, f"at {disk}, for making backups (DSG_BACKUP_STAGING_DIR)")
        shutil.copytree(here.lib, disk / "lib")
        here.write(DATABASE_PATH=str(disk / "lib" / "dsg.sqlite3"))
        result = _run_with(here, disk / "lib" / "dsg.sqlite3", replace(here.host, room=2**30))
        find(json.loads(result.out), "disk", state, said, "for the database")
    finally:
        subprocess.run(["umount", disk], check=True)


def _run_with(here: Installation, database: Path, host: doctor.Host) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "Case", partial(doctor.Case, host=host))
        return Quick(here.place, database)("--env-file", str(here.env), "doctor", "-o", "json")


def test_the_operating_systems_refusals_are_told_with_their_cause() -> None:
    import errno

    from dsgctl.operations.doctor.check import explain_os_error

    for number, do in (
        (errno.EACCES, "sudo"),
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "read-only"),
        (errno.ENOENT, "make it"),
        (errno.EIO, "disk"),
        (9999, "ls -ld"),
    ):
        check = explain_os_error("disk", OSError(number, os.strerror(number), "/x"))
        assert check.found.startswith("/x: ") and do in check.do and "service's user" not in check.do


def test_a_journal_that_never_ends(here: Installation, examine: Callable[..., Any]) -> None:
    database = open_current(here.database)
    try:
        with begin_change(database, "os:test") as opened:
            datasets.add(opened, "fish")
        find(examine(host=replace(here.host, long_journal=10))[1], "journal", "warning", "reads without end")
    finally:
        database.close()


def test_the_audit_log_and_the_clock(
    here: Installation, examine: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dsgctl.commands import doctor as doctor_command

    _people("ada@example.org")(here)
    monkeypatch.setattr(doctor_command, "now", lambda: datetime.now(UTC) - timedelta(days=2))
    _, rows = examine()
    find(rows, "clock", "failed", "behind the last change", "timedatectl")
    find(rows, "clock", "failed", "s away from the provider's", "timedatectl")
    with_apsw(
        here.database,
        "DROP TRIGGER audit_no_delete",
        "INSERT INTO audit (at, actor, action, target, hash) VALUES "
        "('2026-11-20T12:00:00.000000Z', 'x', 'x', 'x', zeroblob(32))",
    )
    find(examine()[1], "audit log", "failed", "does not follow")


# Buckets


@pytest.fixture
def google(here: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with running_google(tmp_path, here.site.certificate) as started:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://localhost:{started.port}")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(started.credentials))
        yield started


def test_public_datasets_without_terms_open_to_nobody(here: Installation, examine: Callable[..., Any]) -> None:
    database = open_current(here.database)
    with begin_change(database, "os:test") as opened:
        for name in ("fish", "fly"):
            datasets.add(opened, name, public=True)
        terms.add(opened, "fly terms", "Be kind.", dataset="fly")
    database.close()
    _, rows = examine()
    warned = find(rows, "datasets", "warning", "fish is public, but without terms", "--file FILE --dataset fish")
    assert [row for row in rows if row["check"] == "datasets"] == [warned]


def test_what_google_says_of_each_bucket(here: Installation, examine: Callable[..., Any], google: Any) -> None:
    uniform = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}
    google.buckets = {
        "good-bucket": {**uniform, "cors": [{"origin": ["*"]}]},
        "no-cors": uniform,
        "not-uniform": {"cors": [{"origin": ["*"]}]},
        "not-readable": {**uniform, "held": []},
        "no-policy": {**uniform, "held": ["storage.objects.get", "storage.objects.list"]},
        "requester-pays": {**uniform, "cors": [{"origin": ["*"]}], "billing": {"requesterPays": True}},
        "chosen": {**uniform, "held": ["storage.objects.get", "storage.objects.list", "storage.buckets.getIamPolicy"]},
    }
    database = open_current(here.database)
    with begin_change(database, "os:test") as opened:
        for name in ("fish", "fly"):
            datasets.add(opened, name)
        for bucket in (*google.buckets, "unknown-bucket"):
            datasets.add_location(opened, "fish", f"gs://{bucket}/fish")
        datasets.add_location(opened, "fly", "gs://good-bucket")
        datasets.add_location(opened, "fish", "gs://bad-key")
        datasets.set_bucket(opened, "chosen", iam=True)
        datasets.set_bucket(opened, "bad-key", credential="/nowhere/key.json")
    database.close()
    _, rows = examine()
    find(rows, "bucket good-bucket", "ok", "readable, uniform access, CORS")
    find(rows, "bucket no-cors", "warning", "no CORS rule", "--cors-file")
    find(rows, "bucket not-uniform", "failed", "--uniform-bucket-level-access")
    find(rows, "bucket not-readable", "failed", "lacks storage.objects.get, storage.objects.list")
    find(rows, "bucket no-policy", "warning", "may not read its policy")
    find(rows, "bucket chosen", "failed", "may not change its policy", "storage.buckets.setIamPolicy", "--no-iam")
    find(rows, "bucket unknown-bucket", "failed", "does not let the gateway in", "no storage.buckets.get access")
    find(rows, "bucket bad-key", "failed", "no credential", "/nowhere/key.json")
    find(rows, "credential", "failed", "there is no /nowhere/key.json")
    find(rows, "bucket requester-pays", "failed", "viewers name no project", "--no-requester-pays")
    find(rows, "buckets", "warning", "who may view fly reads all of gs://good-bucket, where fish lies too")


def test_whom_and_what_googles_limits_concern(here: Installation, examine: Callable[..., Any], google: Any) -> None:
    database = open_current(here.database)
    with begin_change(database, "os:test") as opened:
        datasets.add(opened, "fish")
        datasets.add(opened, "bad")
        datasets.add_location(opened, "bad", "gs://lab-data/o'neil", any_prefix=True)
        for number in range(61):
            datasets.add_location(opened, "fish", f"gs://lab-data/{number}")
    find(examine()[1], "buckets", "failed", "nobody gets a token for bad at gs://lab-data/o'neil/")
    with begin_change(database, "os:test") as opened:
        datasets.remove_location(opened, "bad", "gs://lab-data/o'neil")
        for name in ("ada", "bo"):
            user, _ = users.add(opened, f"{name}@example.org")
            grants.add(opened, grants.principal_subject(user), grants.Target("fish", "view"))
    database.close()
    find(examine()[1], "buckets", "failed", "ada@example.org and 1 more may view more folders of gs://lab-data")


def test_a_bucket_that_no_dataset_lies_in_is_not_asked_for(here: Installation, examine: Callable[..., Any]) -> None:
    database = open_current(here.database)
    with begin_change(database, "os:test") as opened:
        datasets.add(opened, "fish")
        datasets.add_location(opened, "fish", "gs://old-data")
        datasets.set_bucket(opened, "old-data", project="lab-project")
        datasets.remove_location(opened, "fish", "gs://old-data")
    find(examine()[1], "bucket old-data", "warning", "no dataset has a location in it", "dsgctl bucket remove old-data")
    with begin_change(database, "os:test") as opened:
        datasets.remove_bucket(opened, "old-data")
    database.close()
    assert "old-data" not in str(examine()[1])


# What it prints


def test_on_a_terminal_words_stay_whole_and_colours_are_only_for_those_who_want_them(here: Installation) -> None:
    from tests.dsgctl.commands.running import Process

    here.write(DSG_ORIGIN="http://localhost:9", DSG_PORT="9", GOOGLE_APPLICATION_CREDENTIALS=f"/{'long-name/' * 12}x")
    process = Process(here.place, here.database)

    def shown(**env: str) -> str:
        with on_a_terminal(process, "--env-file", str(here.env), "doctor", COLUMNS="80", **env) as terminal:
            assert terminal.end() == 1
        return terminal.seen.replace("\r\n", "\n")

    text = shown(NO_COLOR="1")
    assert "\x1b" not in text and "\x1b" not in shown(TERM="dumb") and "\x1b[3" in shown()
    assert f"/{'long-name/' * 12}x" in text  # a name is never broken
    lines = [line for line in text.splitlines() if "long-name" not in line]
    assert lines and max(map(len, lines)) <= 80
    plain = process("--env-file", str(here.env), "doctor").out
    words = {word for word in plain.split() if not word.isdigit()}  # the room on the disk is another each time
    assert words <= set(text.split())  # each word, none broken
    assert re.search(r"^failed   server: .+\n         start it: dsgserve$", plain, re.MULTILINE)


def test_it_asks_what_is_silent_for_no_longer_than_it_says(here: Installation, examine: Callable[..., Any]) -> None:
    with _listener(None) as port:
        here.write(DSG_ORIGIN=f"https://localhost:{port}", DSG_OIDC_ISSUER=f"https://localhost:{port}")
        _, rows = examine()
    for check in ("origin", "provider"):
        find(rows, check, "failed", "did not answer in time")
