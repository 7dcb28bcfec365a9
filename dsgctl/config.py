"""Every setting: its name, what it means, its default and its form. Read once, checked all at once."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from dsgctl.core import names
from dsgctl.core.errors import Invalid

DEFAULT_ENV_FILE = "/etc/dsg/dsg.env"
LONGEST_FILE = 2**20  # characters; no file of settings is longer, and a device may go on for ever
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


class _Bad(ValueError):
    """What is allowed instead."""


def _text(value: str) -> str:
    return value


def _path(value: str) -> Path:
    return Path(value)


def _port(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 65535:
        raise _Bad("a port from 1 to 65535")
    return int(value)


def _origin(value: str) -> str:
    """Canonical, because browsers and the viewer compare origins as text (contract.md, ngauth)."""
    found = re.fullmatch(r"(https?)://[a-z0-9.-]+(?::([1-9][0-9]{0,4}))?", value)
    if not found or int(found[2] or 1) > 65535 or (found[1], found[2]) in (("http", "80"), ("https", "443")):
        raise _Bad("scheme://host[:port] in lower case, without a path and without the scheme's own port")
    return value


class Pattern(Protocol):
    """A compiled regular expression, as `re` and `re2` have it."""

    @property
    def pattern(self) -> str: ...

    def fullmatch(self, string: str, /) -> object | None: ...


def _pattern(value: str) -> Pattern:
    """Compiled by RE2, whose time grows with the length of the text alone: strangers send what it is held against."""
    import re2  # only where this is set

    options = re2.Options()
    options.log_errors = False
    try:
        compiled: Pattern = re2.compile(value, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace")
        raise _Bad(f"a regular expression as RE2 knows them, without look-around ({why})") from None
    return compiled


def _log_level(value: str) -> str:
    if value.upper() not in LOG_LEVELS:
        raise _Bad(", ".join(LOG_LEVELS))
    return value.upper()


def _keys(value: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in value.split(",") if part.strip())
    if any(len(key) < 32 for key in keys):
        raise _Bad("keys of at least 32 characters, separated by commas")
    return keys


def _token_names(value: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.split(","))
    if not all(re.fullmatch(r"[A-Za-z0-9_-]+", name) and "dsg_login" not in name for name in names):
        raise _Bad("names of letters, digits, '_' and '-', separated by commas, but for dsg_login, which is taken")
    return names


def _domain(value: str) -> str:
    if value and not re.fullmatch(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)+", value):
        raise _Bad("a domain in lower case, such as .example.org")
    return value


def _issuer(value: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", value):
        raise _Bad("an https address, as the provider spells it")
    return value


def _web_address(value: str) -> str:
    if not re.fullmatch(r"https://[!-~]+|http://(localhost|127\.0\.0\.1)[:/][!-~]*", value):
        raise _Bad("an https address")
    return value


def _site_name(value: str) -> str:
    try:
        return names.line(value, "name for this site")
    except Invalid as error:
        raise _Bad(error.hint) from None


def _contact(value: str) -> str:
    """Becomes a link on every page, so that nothing else than these two may stand there."""
    try:
        return names.url(value) if value.startswith("http") else names.email(value)
    except Invalid:
        raise _Bad("an email address, or a web address that begins with https://") from None


def _viewer(value: str) -> str:
    if "#" in value:
        raise _Bad("an https address without '#', which the state of the viewer follows")
    return _web_address(value)


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _groups(value: str) -> tuple[str, ...]:
    try:
        return tuple(names.line(part, "group name") for part in _list(value))
    except Invalid as error:
        raise _Bad(f"names of groups, separated by commas ({error.message})") from None


def _domains(value: str) -> tuple[str, ...]:
    if not all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", part) for part in _list(value)):
        raise _Bad("domains in lower case, separated by commas")
    return _list(value)


def _origins(value: str) -> tuple[str, ...]:
    return tuple(map(_origin, _list(value)))


def _flag(value: str) -> bool:
    if value not in ("0", "1"):
        raise _Bad("0 or 1")
    return value == "1"


def _flag_or_word(value: str) -> bool:
    """A setting that the original has as true or false."""
    if value.lower() not in ("0", "1", "false", "true"):
        raise _Bad("0, 1, false or true")
    return value.lower() in ("1", "true")


def _number(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", value):
        raise _Bad("a whole number")
    return int(value)


def _setting(env: str, parse: Callable[[str], Any], help: str, default: Any = MISSING, *, secret: bool = False) -> Any:
    metadata = {"env": env, "parse": parse, "help": help, "secret": secret}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings, typed. The table of them: one line a setting."""

    database: Path = _setting(
        "DATABASE_PATH", _path, "The SQLite file with all facts.", Path("/var/lib/dsg/dsg.sqlite3")
    )
    origin: str = _setting(
        "DSG_ORIGIN", _origin, "Where browsers and clients find the server.", "http://localhost:8200"
    )
    port: int = _setting("DSG_PORT", _port, "The port on 127.0.0.1 that dsgserve listens on.", 8200)
    secret_keys: tuple[str, ...] = _setting(
        "DSG_SECRET_KEY", _keys,
        "Signs short-lived tokens and forms: the first of several signs, all verify. "
        "Needed unless DSG_ORIGIN is http://localhost.",
        (), secret=True,
    )  # fmt: skip
    google_client_id: str = _setting("GOOGLE_CLIENT_ID", _text, "The OAuth client that signs people in.", "")
    google_client_secret: str = _setting("GOOGLE_CLIENT_SECRET", _text, "Its secret.", "", secret=True)
    client_credentials: Path | None = _setting(
        "CLIENT_CREDENTIALS_PATH", _path, "The OAuth client as the JSON file that Google offers.", None
    )
    oidc_issuer: str = _setting(
        "DSG_OIDC_ISSUER", _issuer, "The OpenID provider that signs people in.", "https://accounts.google.com"
    )
    dev_login: bool = _setting(
        "DSG_DEV_LOGIN", _flag, "1 lets anybody on this machine sign in as anybody, to try things out.", False
    )
    allowed_email_domains: tuple[str, ...] = _setting(
        "DSG_ALLOWED_EMAIL_DOMAINS", _domains, "Only addresses of these domains may sign in; all if not set.", ()
    )
    default_groups: tuple[str, ...] = _setting(
        "DSG_DEFAULT_GROUPS", _groups, "Groups that people join when they first sign in.", ("user",)
    )
    allowed_redirects: tuple[str, ...] = _setting(
        "DSG_ALLOWED_REDIRECTS", _origins,
        "Origins that a browser may be sent on to after a login; those under the cookie's domain may be anyway.", (),
    )  # fmt: skip
    token_redirects: tuple[str, ...] = _setting(
        "DSG_TOKEN_REDIRECTS", _origins,
        "Origins of services outside the cookie's domain that are handed the login token after a login.", (),
    )  # fmt: skip
    ngauth_origins: Pattern = _setting(
        "NGAUTH_ALLOWED_ORIGINS",
        _pattern,
        "Regular expression; a viewer whose whole origin matches may ask for tokens. None may if it is not set.",
        re.compile(""),
    )
    sts_url: str = _setting(
        "DSG_STS_URL",
        _web_address,
        "Google's token exchange; another only for tests.",
        "https://sts.googleapis.com/v1/token",
    )
    storage_url: str = _setting(
        "DSG_STORAGE_URL",
        _web_address,
        "Google Cloud Storage, for 'dsgctl iam'; another only for tests.",
        "https://storage.googleapis.com",
    )
    cookie_domain: str = _setting(
        "AUTH_COOKIE_DOMAIN", _domain, "Domain of the login cookie; empty for this host alone.", ""
    )
    token_names: tuple[str, ...] = _setting(
        "DSG_TOKEN_NAMES", _token_names,
        "Names of the cookie and query parameter that may hold a token; the first is the one we set.",
        ("dsg_token",),
    )  # fmt: skip
    site_name: str = _setting("DSG_SITE_NAME", _site_name, "The name of this site, on every page.", "DatasetGateway")
    site_contact: str = _setting(
        "DSG_SITE_CONTACT", _contact, "An email or web address for help, linked to from every page.", ""
    )
    site_logo: Path | None = _setting(
        "DSG_SITE_LOGO", _path, "A PNG, JPEG or SVG file of at most 50 KB, shown beside the name.", None
    )
    viewer_url: str = _setting("DSG_VIEWER_URL", _viewer, "A Neuroglancer that the landing page opens datasets in.", "")
    backup_dir: Path | None = _setting("DSG_BACKUP_DIR", _path, "Where 'dsgctl db backup' puts its bundles.", None)
    backup_staging_dir: Path = _setting(
        "DSG_BACKUP_STAGING_DIR", _path, "Where it works before that: a fast disk with room for the database twice.",
        Path("/var/tmp"),  # noqa: S108
    )  # fmt: skip
    backup_keep_hourly: int = _setting(
        "DSG_BACKUP_KEEP_HOURLY", _number, "It keeps the newest bundle of each of so many hours that have one.", 24
    )  # fmt: skip
    backup_keep_daily: int = _setting("DSG_BACKUP_KEEP_DAILY", _number, "The same of days.", 14)
    backup_keep_weekly: int = _setting("DSG_BACKUP_KEEP_WEEKLY", _number, "The same of ISO weeks.", 8)
    backup_include_secrets: bool = _setting(
        "DSG_BACKUP_INCLUDE_SECRETS",
        _flag_or_word,
        "1 takes the settings file and the OAuth client along, encrypted.",
        True,
    )
    backup_recipients: Path = _setting(
        "DSG_BACKUP_AGE_RECIPIENTS_FILE", _path, "Public age keys to encrypt to, one a line.",
        Path("/etc/dsg/age-recipients.txt"),
    )  # fmt: skip
    backup_identity: Path | None = _setting(
        "DSG_BACKUP_AGE_IDENTITY_FILE", _path, "A secret age key, to restore with; keep it off the server.", None
    )
    log_level: str = _setting("LOG_LEVEL", _log_level, "DEBUG, INFO, WARNING or ERROR.", "INFO")

    @property
    def is_local(self) -> bool:
        """Whether this is somebody's own machine, where a missing secret does no harm."""
        return urlsplit(self.origin).hostname == "localhost" and self.origin.startswith("http://")


def load(environment: Mapping[str, str], env_file: str | None = None) -> Config:
    """The settings from the environment, and from a file for what the environment does not say.

    Args:
        env_file: a file that must be there; None for that of ``DSG_ENV_FILE``, else
            `DEFAULT_ENV_FILE` if it exists.

    Raises:
        Invalid: names every unknown setting and every bad value, and what is allowed.
    """
    named = env_file or environment.get("DSG_ENV_FILE")
    found = _read(named or DEFAULT_ENV_FILE, required=bool(named))
    # An empty variable says nothing, as in most programs: it does not hide the file's.
    given = {**found, **{name: value for name, value in environment.items() if value}}
    known = {item.metadata["env"]: item for item in fields(Config)}
    problems: list[str] = []
    # In a file every name must be one of ours; the environment holds much that is not.
    for name in sorted(found.keys() | {name for name in environment if name.startswith("DSG_")}):
        if name not in known and name != "DSG_ENV_FILE":
            problems.append(f"{name} is not a setting{_nearest(name, known)}")
    values: dict[str, Any] = {}
    for name, item in known.items():
        if given.get(name):
            try:
                values[item.name] = item.metadata["parse"](given[name])
            except _Bad as error:
                shown = "its value" if item.metadata["secret"] else repr(given[name])
                problems.append(f"{name}: {shown} is not allowed; allowed: {error}")
    config = Config(**values)
    problems += _contradictions(config)
    if problems:
        raise Invalid("; ".join(problems), f"see README, Settings{f'; the file is {named}' if named else ''}")
    return config


def _contradictions(config: Config) -> Iterator[str]:
    """Settings that are well-formed each and do not go together."""
    host, domain = urlsplit(config.origin).hostname or "", config.cookie_domain.removeprefix(".")
    if domain and not config.is_local and not f".{host}".endswith(f".{domain}"):
        yield f"AUTH_COOKIE_DOMAIN: browsers refuse {domain} from {host}; allowed: a domain that DSG_ORIGIN is in"
    plain = [one for one in config.token_redirects if one.startswith("http:") and urlsplit(one).hostname != "localhost"]
    if plain:
        yield f"DSG_TOKEN_REDIRECTS: {plain[0]} would get login tokens in clear; allowed: https, or http://localhost"


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    # Only needed to word an error.
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1, cutoff=0.75)
    return f" (did you mean {near[0]}?)" if near else ""


def _read(path: str, *, required: bool) -> dict[str, str]:
    """The ``NAME=value`` lines of a file, as systemd reads them: comments, blank lines and quotes allowed."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            text = file.read(LONGEST_FILE)
    except FileNotFoundError:
        if required:
            raise Invalid(f"the settings file {path} does not exist", "check --env-file or DSG_ENV_FILE") from None
        return {}
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Invalid(
            f"cannot read the settings file {path}: {why}", "run as the service's user: sudo -u dsg"
        ) from None
    found: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals or not re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            raise Invalid(f"{path}, line {number}: not NAME=value", "write one setting on a line")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        found[name] = value
    return found


def described() -> list[dict[str, str]]:
    """The settings as rows for README: name, default, meaning."""
    return [
        {"name": item.metadata["env"], "default": _shown(item.default), "help": item.metadata["help"]}
        for item in fields(Config)
    ]


def _shown(default: Any) -> str:
    if isinstance(default, re.Pattern):
        return str(default.pattern)
    if isinstance(default, bool):
        return str(int(default))
    return ",".join(default) if isinstance(default, tuple) else "" if default is None else str(default)


def from_environment(env_file: str | None = None) -> Config:
    return load(os.environ, env_file)
