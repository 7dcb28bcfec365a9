"""What ``dsgctl doctor`` looks at: each check says what it found, what that means, and what to do."""

import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from dsgctl import __version__, backup
from dsgctl.config import Config
from dsgctl.core import audit, datasets, facts
from dsgctl.core.buckets import BucketReason, bucket_access
from dsgctl.core.clock import now
from dsgctl.core.errors import DsgError
from dsgctl.store import Database, StoreError
from dsgctl.store.database import owner_name
from dsgctl.store.migrations import LATEST, open_current, schema_number

SOCKET = Path("/run/dsg/dsgserve.sock")  # systemd/dsgserve.socket
UNITS = ("dsgserve.socket", "dsg-backup.timer", "dsg-prune.timer")
ROOM = 1024**3  # bytes that should be free beside the database
LONG_WAL = 256 * 1024**2  # bytes; a checkpoint keeps it at 4 MB, unless a reader never ends
SKEW = timedelta(seconds=30)  # ID tokens and signed tokens are dated
OLD_BACKUP = timedelta(hours=26)
SECONDS = 5  # for each request


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer; ``do`` is empty where all is well."""

    check: str
    state: State
    found: str
    do: str = ""


def ok(check: str, found: str) -> Finding:
    return Finding(check, State.OK, found)


def warning(check: str, found: str, do: str) -> Finding:
    return Finding(check, State.WARNING, found, do)


def failed(check: str, found: str, do: str) -> Finding:
    return Finding(check, State.FAILED, found, do)


def examine(config: Config, settings_file: Path, at: datetime) -> Iterator[Finding]:
    """Every check in turn; one that cannot be made is a finding too."""
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("settings file", lambda: _settings_file(settings_file)),
        ("signing keys", lambda: _keys(config)),
        ("viewers", lambda: viewers(config)),
        ("redirects", lambda: _redirects(config)),
        ("database", lambda: _database(config, at)),
        ("disk", lambda: _disk(config)),
        ("buckets", lambda: _buckets(config)),
        ("provider", lambda: provider(config, at)),
        ("server", lambda: _server(config)),
        ("origin", lambda: _origin(config, at)),
        ("units", _units),
        ("backup", lambda: _backup(config, at)),
    ]
    for name, check in checks:
        try:
            yield from check()
        except (DsgError, StoreError) as error:
            yield failed(name, error.message, error.hint)
        except OSError as error:
            yield failed(name, f"{error.filename or ''} {error.strerror}".strip(), "run as the service's user")


# Settings


def _settings_file(path: Path) -> Iterator[Finding]:
    if not path.exists():
        yield warning("settings file", f"there is no {path}", "dsgctl setup writes one")
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o007:
        yield failed("settings file", f"everybody on this host can read {path}", f"chmod 640 {path}")
    else:
        yield ok("settings file", f"{path}, mode {mode:04o}")


def _keys(config: Config) -> Iterator[Finding]:
    if config.secret_keys:
        more = f", {len(config.secret_keys) - 1} for what was signed before" if len(config.secret_keys) > 1 else ""
        yield ok("signing keys", f"one signs{more}")
    elif config.is_local:
        yield warning("signing keys", "none: viewers sign in again after a restart", "set DSG_SECRET_KEY")
    else:
        yield failed("signing keys", "DSG_SECRET_KEY is not set: dsgserve will not start", "dsgctl setup makes one")


def viewers(config: Config) -> Iterator[Finding]:
    pattern = config.ngauth_origins
    if not pattern.pattern:
        yield warning("viewers", "no Neuroglancer may ask for tokens", "set NGAUTH_ALLOWED_ORIGINS")
        return
    let_in = [origin for origin in look_alikes(pattern.pattern) if pattern.fullmatch(origin)]
    if let_in:
        yield failed(
            "viewers", f"NGAUTH_ALLOWED_ORIGINS also lets {let_in[0]} in", r"write dots as \. and no .* beside a name"
        )
    else:
        yield ok("viewers", f"{pattern.pattern} lets none of the look-alikes in")


def look_alikes(pattern: str) -> list[str]:
    """Origins that a pattern for the hosts named in it should not let in."""
    # The hosts that the pattern spells out: "https://viewer\.example\.org" says viewer.example.org.
    hosts = {found.strip(".-") for found in re.findall(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", pattern.replace("\\.", "."))}
    found = ["https://attacker.example", "http://attacker.example", "https://a", "null"]
    for host in sorted(hosts):
        found += [f"https://{host}.attacker.example", f"https://attacker-{host}", f"https://{host}-attacker.example"]
        found += [f"https://{host[:at]}x{host[at + 1 :]}" for at, letter in enumerate(host) if letter == "."]
        found += [
            f"https://attacker.example#{host}",
            f"https://attacker.example/{host}",
            f"https://{host}@attacker.example",
        ]
    return found


def _redirects(config: Config) -> Iterator[Finding]:
    lost = [origin for origin in config.token_redirects if origin not in config.allowed_redirects]
    if lost:
        yield warning(
            "redirects", f"{lost[0]} is in DSG_TOKEN_REDIRECTS only: no browser is sent there",
            "add it to DSG_ALLOWED_REDIRECTS",
        )  # fmt: skip


# The database


def _database(config: Config, at: datetime) -> Iterator[Finding]:
    path = Path(config.database)
    database = Database(path)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o007:
            yield failed("database", f"everybody on this host can read {path}", f"chmod 660 {path}")
        owner, directory = path.stat().st_uid, path.parent.stat()
        if directory.st_uid not in (owner, 0) and not mode & 0o020:
            whose = owner_name(path.parent)
            yield failed("database", f"{path} belongs to {owner_name(path)}, its directory to {whose}: "
                         "the server may not write to it", f"chown {whose}: {path}*")  # fmt: skip
        number = schema_number(database)
        if number != LATEST:
            do = "dsgctl db migrate" if number < LATEST else "install the release that was here"
            yield failed("database", f"it has schema {number}; this program needs {LATEST}", do)
            return
        problems = database.integrity_problems()
        dangling = database.dangling()
        if problems:
            yield failed("database", f"damaged: {problems[0]}", "stop the servers, and dsgctl db restore")
        elif dangling:
            yield warning("database", f"{dangling[0]}, and {len(dangling) - 1} more", "dsgctl db check --mend")
        else:
            yield ok("database", f"{path} is sound, schema {LATEST}, mode {mode:04o}, {database.engine()}")
        broken = audit.verify(database)
        if broken is not None:
            yield failed("audit log", f"record {broken} does not follow from the one before it",
                         "somebody changed the log: compare it with a backup")  # fmt: skip
        else:
            yield ok("audit log", "every record follows from the one before it")
        latest = audit.latest(database)
        if latest is not None and latest - at > SKEW:
            yield failed("clock", f"this host's clock is behind the last change, of {latest:%Y-%m-%d %H:%M} UTC",
                         "timedatectl set-ntp true; dsgserve will not start")  # fmt: skip
    finally:
        database.close()
    journal = path.with_name(path.name + "-wal")
    if journal.exists() and journal.stat().st_size > LONG_WAL:
        size = journal.stat().st_size // 1024**2
        yield warning("journal", f"{journal} has {size} MB: something reads without end", "restart what has it open")


def _disk(config: Config) -> Iterator[Finding]:
    path = Path(config.database)
    for directory in dict.fromkeys((path.parent, config.backup_staging_dir)):
        need = max(ROOM, 2 * path.stat().st_size)
        free = shutil.disk_usage(directory).free
        said = f"{free // 1024**2} MB are free at {directory}"
        yield ok("disk", said) if free >= need else warning("disk", said, f"make room: {need // 1024**2} MB")


def _buckets(config: Config) -> Iterator[Finding]:
    database = open_current(config.database, read_only=True)
    try:
        for bucket, dataset, others in datasets.overlaps(database):
            yield warning(
                "buckets", f"who may view {dataset} reads all of gs://{bucket}, where {', '.join(others)} lies too",
                f"dsgctl dataset location add {dataset} gs://{bucket}/PREFIX, and remove the whole bucket",
            )  # fmt: skip
        buckets = list(datasets.buckets(database))
        yield from _limits(database, [row["name"] for row in buckets])
    finally:
        database.close()
    for row in buckets:
        yield from _bucket(row["name"], row["credential"], iam=row["iam"])


def _limits(database: Database, names: list[str]) -> Iterator[Finding]:
    """Where Google's limits on a token stand in the way: of a location, and of people who may view very many."""
    for dataset, location, problem in datasets.unusable_locations(database):
        yield failed(
            "buckets", f"nobody gets a token for {dataset} at {location}: {problem}",
            f"dsgctl dataset location remove {shlex.join((dataset, location))}, and add the folder above it",
        )  # fmt: skip
    for name in names:
        with database.snapshot():
            locations = facts.of_bucket(database, name)
            crowded = [
                holder.label
                for holder in facts.of_bucket_holders(database, name)
                if bucket_access(holder, locations, now()).reason is BucketReason.TOO_MANY_PREFIXES
            ]
        if crowded:
            who = f"{crowded[0]} and {len(crowded) - 1} more" if len(crowded) > 1 else crowded[0]
            yield failed(
                "buckets", f"{who} may view more folders of gs://{name} than one Google token can be limited to",
                "give their datasets a location above those folders, or spread them over several buckets",
            )  # fmt: skip


def _bucket(name: str, credential: str | None, *, iam: bool) -> Iterator[Finding]:
    """Whether Google lets the gateway read a bucket, and viewers read it from a page.

    Args:
        iam: it has to keep the bucket's policy in step too.
    """
    check = f"bucket {name}"
    from google.api_core.exceptions import GoogleAPIError  # slow to import
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage

    from dsgctl.gcs import redact, source_credentials

    try:
        client = storage.Client(project="_", credentials=source_credentials(credential))
        bucket = client.get_bucket(name, timeout=SECONDS, retry=None)
        wanted, policy = ("storage.objects.get", "storage.objects.list"), "storage.buckets.getIamPolicy"
        to_write = "storage.buckets.setIamPolicy"
        held = bucket.test_iam_permissions((*wanted, policy, to_write), timeout=SECONDS, retry=None)
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError) as error:
        yield failed(check, f"Google does not let the gateway in: {redact(str(error))}",
                     "give its account roles/storage.objectViewer and roles/storage.legacyBucketReader")  # fmt: skip
        return
    if missing := [permission for permission in wanted if permission not in held]:
        yield failed(check, f"the gateway lacks {', '.join(missing)}", "give it roles/storage.objectViewer")
    elif not bucket.iam_configuration.uniform_bucket_level_access_enabled:
        yield failed(check, "uniform bucket-level access is off: Google makes no limited tokens for it",
                     f"gcloud storage buckets update gs://{name} --uniform-bucket-level-access")  # fmt: skip
    elif iam and not {policy, to_write} <= {*held}:
        yield failed(check, "the gateway may not change its policy: dsgctl iam does nothing there",
                     f"give it {policy} and {to_write}, or dsgctl bucket set {name} --no-iam")  # fmt: skip
    elif policy not in held:
        yield warning(check, "the gateway may not read its policy: who reads it with a Google account is not known",
                      "give it roles/storage.legacyBucketReader or a role with that permission")  # fmt: skip
    elif bucket.requester_pays:
        yield failed(check, "whoever asks pays, and viewers name no project: they cannot read it",
                     f"gcloud storage buckets update gs://{name} --no-requester-pays")  # fmt: skip
    elif not bucket.cors:
        yield warning(check, "no CORS rule: viewers cannot read it from a page",
                      f"gcloud storage buckets update gs://{name} --cors-file=FILE")  # fmt: skip
    else:
        yield ok(check, "readable, uniform access, CORS")


# The world


def _get(url: str) -> Any:
    import requests  # only for this

    return requests.get(url, timeout=SECONDS, allow_redirects=False)


def _asked(check: str, url: str, do: str) -> Any:
    """The answer to a GET, or the finding that there is none."""
    import requests

    try:
        reply = _get(url)
    except requests.RequestException as error:
        return failed(check, f"{url} does not answer: {type(error).__name__}", do)
    if reply.status_code != 200:
        return failed(check, f"{url} answers {reply.status_code}", do)
    return reply


def provider(config: Config, at: datetime | None) -> Iterator[Finding]:
    if config.dev_login:
        yield warning("provider", "DSG_DEV_LOGIN: anybody on this machine signs in as anybody", "for trying out only")
        return
    if not (config.google_client_id and config.google_client_secret) and config.client_credentials is None:
        yield failed(
            "provider", "no OAuth client: nobody can sign in", "dsgctl setup reads the file that Google offers"
        )
        return
    url = f"{config.oidc_issuer.rstrip('/')}/.well-known/openid-configuration"
    reply = _asked("provider", url, "look at the network, or DSG_OIDC_ISSUER")
    if isinstance(reply, Finding):
        yield reply
        return
    try:
        issuer = reply.json()["issuer"]
    except (ValueError, KeyError, TypeError):
        issuer = None
    if issuer != config.oidc_issuer:
        yield failed("provider", f"{url} speaks of another issuer: {issuer!r}", f"set DSG_OIDC_ISSUER={issuer}")
    else:
        yield ok("provider", f"{config.oidc_issuer} answers")
    if at is not None:
        yield from _clock("clock", reply, at)


def _clock(check: str, reply: Any, at: datetime) -> Iterator[Finding]:
    said = reply.headers.get("Date")
    if said is None:
        return
    away = abs(parsedate_to_datetime(said) - at)
    if away > SKEW:
        yield failed(check, f"this host's clock is {away.total_seconds():.0f} s away from the provider's",
                     "timedatectl set-ntp true")  # fmt: skip
    else:
        yield ok(check, "agrees with the provider's")


def _server(config: Config) -> Iterator[Finding]:
    if SOCKET.exists():
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(SECONDS)
            client.connect(str(SOCKET))
            client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            said = client.recv(64)
        answers, where = said.startswith(b"HTTP/1.0 200"), str(SOCKET)
    else:
        where = f"http://127.0.0.1:{config.port}/health"
        answers = not isinstance(_asked("server", where, ""), Finding)
    if answers:
        yield ok("server", f"answers on {where}")
    else:
        yield failed("server", f"does not answer on {where}", "journalctl -u dsgserve")


def _origin(config: Config, at: datetime) -> Iterator[Finding]:
    """What a browser meets: nginx, TLS, and this very release behind it."""
    reply = _asked("origin", f"{config.origin}/health", "look at nginx: nginx -t; journalctl -u nginx")
    if isinstance(reply, Finding):
        yield reply
        return
    try:
        version = reply.json()["version"]
    except (ValueError, KeyError, TypeError):
        yield failed("origin", f"{config.origin}/health is answered by something else", "look at nginx's server_name")
        return
    if version != __version__:
        yield failed(
            "origin", f"the server runs release {version}, this is {__version__}", "systemctl restart dsgserve"
        )
    elif config.origin.startswith("https:") and "Strict-Transport-Security" not in reply.headers:
        yield warning("origin", "no Strict-Transport-Security header", "use nginx/dsg.conf as it is shipped")
    else:
        yield ok("origin", f"{config.origin} answers, release {version}")


def _units() -> Iterator[Finding]:
    if not Path("/run/systemd/system").is_dir():
        yield warning("units", "systemd does not run here", "something else must keep dsgserve running")
        return
    for unit in UNITS:
        done = subprocess.run(  # noqa: S603  our own words
            ["systemctl", "is-enabled", unit],  # noqa: S607
            capture_output=True, text=True, check=False, env={"PATH": os.defpath, "LC_ALL": "C"},
        )  # fmt: skip
        if done.stdout.strip() == "enabled":
            yield ok("units", f"{unit} is enabled")
        else:
            yield warning("units", f"{unit} is {done.stdout.strip() or 'not there'}", f"systemctl enable --now {unit}")


def _backup(config: Config, at: datetime) -> Iterator[Finding]:
    if config.backup_dir is None:
        yield warning(
            "backup", "DSG_BACKUP_DIR is not set: there are no backups", "dsgctl setup, or see README, Backups"
        )
        return
    backup.recipients(config.backup_recipients)
    bundles = backup.listed(config.backup_dir)
    if not bundles:
        yield warning("backup", f"there is none in {config.backup_dir}", "dsgctl db backup")
        return
    age = at.astimezone(UTC) - next(iter(bundles.values()))
    said = f"the last one is {age.total_seconds() / 3600:.1f} hours old"
    yield ok("backup", said) if age < OLD_BACKUP else warning("backup", said, "journalctl -u dsg-backup")
