"""The questions of ``dsgctl setup``, the checks of the answers, the database, and the commands that remain."""

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from dsgctl.config import Config
from dsgctl.core import hidden_characters, principals, user_queries, users, validation
from dsgctl.core.errors import Invalid
from dsgctl.core.transaction import begin_change
from dsgctl.operations.doctor.backups import allow_writing
from dsgctl.operations.doctor.check import Status
from dsgctl.operations.doctor.sign_in import check_provider, find_client_problem
from dsgctl.operations.doctor.viewers import check_viewers
from dsgctl.operations.maintenance import upgrade_database
from dsgctl.setting_values import APIS
from dsgctl.settings import DEFAULT_ENV_FILE, Settings, parse_value, read_settings, require_valid
from dsgctl.store import StoreError
from dsgctl.store.migrations import open_current

SITE = Path("/etc/nginx/conf.d/dsg.conf")
CERTIFICATE, KEY = Path("/etc/ssl/certs/dsg.pem"), Path("/etc/ssl/private/dsg.key")  # nginx/dsg.conf


@dataclass(frozen=True, slots=True)
class Question:
    """A setting that an operator must decide.

    Attributes:
        option: of the command line.
        why: one line for the operator.
        example: an answer, as it may be typed.
        needed: without it there is no gateway.
    """

    setting: str
    option: str
    why: str
    example: str
    needed: bool = False


QUESTIONS = (
    Question(
        "DSG_ORIGIN",
        "origin",
        "The address under which browsers reach this gateway",
        "https://auth.example.org",
        needed=True,
    ),
    Question(
        "CLIENT_CREDENTIALS_PATH",
        "client",
        "The OAuth client that signs people in: the JSON file that Google offers for download",
        "/root/client_secret.json",
    ),
    Question(
        "NGAUTH_ALLOWED_ORIGINS",
        "viewers",
        "Which Neuroglancers may ask for data: their addresses, with commas between, or a regular expression",
        "https://neuroglancer-demo.appspot.com",
    ),
    Question(
        "DSG_APIS",
        "apis",
        f"Which services ask this gateway, of {', '.join(APIS)}: "
        + "; ".join(f"{name} for {clients}" for name, clients in APIS.items()),
        "cave,native",
    ),
    Question(
        "DSG_BACKUP_DIR",
        "backup-dir",
        "A directory for encrypted backups, best on another machine's disk",
        "/var/backups/dsg",
    ),
)


def read_settings_file(path: Path) -> Settings:
    """The settings of a file, without those of the environment; empty if it does not exist.

    Raises:
        Invalid: a setting in it is bad; setup adds nothing to such a file.
    """
    settings = read_settings({}, str(path) if path.exists() else os.devnull)
    require_valid(settings)
    return settings


def values_of(settings: Settings) -> dict[str, str]:
    """Name -> value, of each line."""
    return {line.name: line.value for line in settings.lines}


# Checks


def check_answer(setting: str, answer: str) -> str:
    """Check an answer. Returns the value to write.

    Raises:
        Invalid: it is malformed or unusable: a pattern that admits look-alikes or no viewer, a file that is not an
            OAuth client, a relative directory.
    """
    if hidden_characters.has_control(answer):
        raise Invalid(f"{setting}: {validation.quote(answer)} is not one line", "write it without control characters")
    value = build_pattern(answer) if setting == "NGAUTH_ALLOWED_ORIGINS" else answer
    parse_value(setting, value)
    settings = read_settings({setting: value}, os.devnull)
    require_valid(settings)
    if setting == "NGAUTH_ALLOWED_ORIGINS":
        for check in check_viewers(settings.config):
            if check.status is Status.FAILED:
                raise Invalid(check.finding, check.advice)
    if setting == "CLIENT_CREDENTIALS_PATH" and (problem := find_client_problem(Path(value))):
        raise Invalid(*problem)
    if setting == "DSG_BACKUP_DIR" and not Path(value).is_absolute():
        raise Invalid(
            f"DSG_BACKUP_DIR: {value} is a relative path: it depends on the current directory", "use an absolute path"
        )
    return value


def build_pattern(answer: str) -> str:
    """The regular expression for the addresses of viewers, copied from a browser; any other text unchanged."""
    origins = [_origin_of(part) for part in re.split(r"[\s,]+", answer) if part]
    if not origins or None in origins:
        return answer
    return "|".join(dict.fromkeys(str(origin).replace(".", r"\.") for origin in origins))


def _origin_of(text: str) -> str | None:
    """``https://host[:port]`` of an address; None if the text is not one."""
    match = re.fullmatch(r"(?:(https?)://)?([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::([0-9]{1,5}))?(?:[/?#].*)?", text, re.I)
    if match is None or not (match[1] or "." in match[2]):
        return None
    scheme, host, port = (match[1] or "https").lower(), match[2].lower(), match[3]
    own_port = {"https": "443", "http": "80"}[scheme]
    return f"{scheme}://{host}" + (f":{port}" if port and port != own_port else "")


def require_consistent(settings: Mapping[str, str], *, offline: bool) -> Config:
    """Check all settings together, and that the provider answers if there is an OAuth client.

    Raises:
        Invalid: settings contradict each other, or the provider does not answer.
    """
    read_back = read_settings({**settings}, os.devnull)
    require_valid(read_back)
    config = read_back.config
    if config.client_credentials is not None and not offline:
        for check in check_provider(config, None):
            if check.status is Status.FAILED:
                raise Invalid(check.finding, f"{check.advice}, or --offline")
    return config


# Database and first admin


def has_admin(path: Path) -> bool:
    """Whether there is a database with an admin."""
    if not path.exists():
        return False
    try:
        database = open_current(path, read_only=True)
    except StoreError:
        return True  # the error is reported later, and is no reason to ask
    try:
        return next(user_queries.list_users(database, admin=True, limit=1), None) is not None
    finally:
        database.close()


def prepare_database(config: Config, admin: str | None, actor: str, at: datetime) -> list[str]:
    """Create or upgrade the database, and add the first admin. Returns a sentence for each thing that was done."""
    upgrade, done = upgrade_database(config.database, at), []
    if upgrade.migrations:
        done.append(f"{'created' if upgrade.created else 'upgraded'} the database {config.database}")
    if admin is None:
        return done
    database = open_current(config.database)
    try:
        with begin_change(database, actor) as change:
            if principals.find_by_email(database, admin) is None:
                users.add(change, admin, admin=True)
                done.append(f"added {admin}, who manages the gateway")
            elif users.set_attributes(change, admin, admin=True):
                done.append(f"{admin} manages the gateway now")
    finally:
        database.close()
    return done


def next_commands(config: Config, path: Path, *, restart: bool = False) -> list[str]:
    """The commands that remain to be typed, one a line."""
    options = "" if str(path) == DEFAULT_ENV_FILE else f" --env-file {shlex.quote(str(path))}"
    if config.is_local:
        return [f"dsgserve{options} &", f"dsgctl{options} doctor"]
    host, timers = urlsplit(config.origin).hostname or "", ["dsg-prune.timer"]
    commands = []
    if config.backup_dir is not None:
        timers.append("dsg-backup.timer")
        if not config.backup_dir.exists():
            commands.append(f"install -d -o dsg -g dsg -m 750 {shlex.quote(str(config.backup_dir))}")
        if not config.backup_dir.is_relative_to("/var/backups/dsg"):  # systemd/dsg-backup.service
            commands.append(allow_writing(config.backup_dir))
    if not CERTIFICATE.exists():  # without one nginx does not start, and certbot needs nginx
        commands.append(
            f"openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={host} -addext subjectAltName=DNS:{host} "
            f"-keyout {KEY} -out {CERTIFICATE}"
        )
    if not SITE.exists():
        shipped = Path(sys.prefix) / "share/nginx/dsg.conf"
        source = shipped if shipped.exists() else Path("/opt/dsg/share/nginx/dsg.conf")
        commands.append(f"sed s/auth.example.org/{host}/ {source} > {SITE}")
    commands += ["nginx -t && systemctl reload nginx", f"systemctl enable --now dsgserve.socket dsgserve {timers[0]}"]
    commands[-1] += "".join(f" {timer}" for timer in timers[1:])
    if restart:
        commands.append("systemctl restart 'dsgserve*.service'")
    return [*commands, f"dsgctl{options} doctor"]
