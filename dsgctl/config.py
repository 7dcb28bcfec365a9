"""Every setting: its name, what it means, its default and its form. Read once, checked all at once."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from dsgctl import env_file
from dsgctl.core import validation
from dsgctl.core.errors import Invalid

DEFAULT_ENV_FILE = "/etc/dsg/dsg.env"
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
    """Canonical, because browsers and the viewer compare origins as text (contract.md, "ngauth")."""
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
    if not keys or any(len(key) < 32 for key in keys):
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
    try:
        if re.match(r"https://|http://(localhost|127\.0\.0\.1)[:/]", value):
            return validation.url(value)
    except Invalid:
        pass
    raise _Bad("an https address")


def _site_name(value: str) -> str:
    try:
        return validation.single_line(value, "name for this site")
    except Invalid as error:
        raise _Bad(error.hint) from None


def _contact(value: str) -> str:
    """Becomes a link on every page, so that nothing else than these two may stand there."""
    try:
        return validation.url(value) if value.startswith("http") else validation.email(value)
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
        return tuple(validation.single_line(part, "group name") for part in _list(value))
    except Invalid as error:
        raise _Bad(f"names of groups, separated by commas ({error.message})") from None


def _domains(value: str) -> tuple[str, ...]:
    domains = _list(value)
    # Commas and spaces alone name none, which would let everybody in.
    if not domains or not all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", part) for part in domains):
        raise _Bad("domains in lower case, separated by commas")
    return domains


def _origins(value: str) -> tuple[str, ...]:
    return tuple(map(_origin, _list(value)))


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def _flag(value: str) -> bool:
    if value.lower() not in _WORDS:
        raise _Bad("0 or 1, no or yes, false or true, off or on")
    return _WORDS[value.lower()]


def _number(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", value):
        raise _Bad("a whole number")
    return int(value)


# What libraries that we use read from the environment; in the settings file it works too.
LIBRARIES = {
    "GOOGLE_APPLICATION_CREDENTIALS": "The key file of the Google account that reads the buckets.",
    "REQUESTS_CA_BUNDLE": "Certificates of authorities that sign the gateway's own or the provider's, "
    "if they are not those of the system.",
}
# Names of the original and of its clients, and what is ours instead, if anything is: nobody has to take them out.
INSTEAD = {
    "DSG_URL": "DSG_ORIGIN is the gateway's own address",
    "DSG_LOG_LEVEL": "LOG_LEVEL is ours",
    "DSG_BACKUP_ENCRYPT_CMD": "bundles are encrypted with age, to DSG_BACKUP_AGE_RECIPIENTS_FILE",
    "DSG_BACKUP_DECRYPT_CMD": "'dsgctl db restore --identity FILE' decrypts",
    "DJANGO_SECRET_KEY": "DSG_SECRET_KEY is ours",
    "DJANGO_DEBUG": "LOG_LEVEL=DEBUG is ours",
    "DJANGO_ALLOWED_HOSTS": "DSG_ORIGIN is the one address",
    "PORT": "DSG_PORT is ours",
    "GUNICORN_WORKERS": "dsgserve@1, dsgserve@2 … are several processes",
    "SECURE_SSL_REDIRECT": "nginx/dsg.conf does it",
}


def _setting(
    env: str,
    parse: Callable[[str], Any],
    help: str,
    default: Any = MISSING,
    *,
    secret: bool = False,
    may_be_empty: bool = True,
) -> Any:
    """
    Args:
        may_be_empty: an empty value is as good as none. Not so where the default lets in more, or gives more away,
            than what somebody wanted to write there.
    """
    metadata = {"env": env, "parse": parse, "help": help, "secret": secret, "may_be_empty": may_be_empty}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings, typed. The table of them: one line a setting."""

    database: Path = _setting(
        "DATABASE_PATH", _path, "The SQLite file with all facts.", Path("/var/lib/dsg/dsg.sqlite3"), may_be_empty=False
    )
    origin: str = _setting(
        "DSG_ORIGIN", _origin, "Where browsers and clients find the server.", "http://localhost:8200"
    )
    port: int = _setting("DSG_PORT", _port, "The port on 127.0.0.1 that dsgserve listens on.", 8200)
    secret_keys: tuple[str, ...] = _setting(
        "DSG_SECRET_KEY",
        _keys,
        "Signs short-lived tokens and forms: the first of several signs, all verify. "
        "Needed unless DSG_ORIGIN is http://localhost.",
        (),
        secret=True,
    )
    google_client_id: str = _setting("GOOGLE_CLIENT_ID", _text, "The OAuth client that signs people in.", "")
    google_client_secret: str = _setting("GOOGLE_CLIENT_SECRET", _text, "Its secret.", "", secret=True)
    client_credentials: Path | None = _setting(
        "CLIENT_CREDENTIALS_PATH", _path, "The OAuth client as the JSON file that Google offers.", None
    )
    oidc_issuer: str = _setting(
        "DSG_OIDC_ISSUER",
        _issuer,
        "The OpenID provider that signs people in.",
        "https://accounts.google.com",
        may_be_empty=False,
    )
    dev_login: bool = _setting(
        "DSG_DEV_LOGIN", _flag, "1 lets anybody on this machine sign in as anybody, to try things out.", False
    )
    allowed_email_domains: tuple[str, ...] = _setting(
        "DSG_ALLOWED_EMAIL_DOMAINS",
        _domains,
        "Only addresses of these domains may sign in; all if not set.",
        (),
        may_be_empty=False,
    )
    default_groups: tuple[str, ...] = _setting(
        "DSG_DEFAULT_GROUPS",
        _groups,
        "Groups that people join when they first sign in; a comma for none.",
        ("user",),
        may_be_empty=False,
    )
    allowed_redirects: tuple[str, ...] = _setting(
        "DSG_ALLOWED_REDIRECTS",
        _origins,
        "Origins that a browser may be sent on to after a login; those under the cookie's domain may be anyway.",
        (),
    )
    token_redirects: tuple[str, ...] = _setting(
        "DSG_TOKEN_REDIRECTS",
        _origins,
        "Origins of services outside the cookie's domain that are handed the login token after a login.",
        (),
    )
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
        "DSG_TOKEN_NAMES",
        _token_names,
        "Names of the cookie and query parameter that may hold a token; the first is the one we set.",
        ("dsg_token",),
    )
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
        "DSG_BACKUP_STAGING_DIR",
        _path,
        "Where it works before that: a fast disk with room for the database twice.",
        Path("/var/tmp"),  # noqa: S108  a directory of our own is made in it
        may_be_empty=False,
    )
    backup_keep_hourly: int = _setting(
        "DSG_BACKUP_KEEP_HOURLY", _number, "It keeps the newest bundle of each of so many hours that have one.", 24
    )
    backup_keep_daily: int = _setting("DSG_BACKUP_KEEP_DAILY", _number, "The same of days.", 14)
    backup_keep_weekly: int = _setting("DSG_BACKUP_KEEP_WEEKLY", _number, "The same of ISO weeks.", 8)
    backup_include_secrets: bool = _setting(
        "DSG_BACKUP_INCLUDE_SECRETS",
        _flag,
        "1 takes the settings file and the OAuth client along, encrypted.",
        True,
        may_be_empty=False,
    )
    backup_recipients: Path = _setting(
        "DSG_BACKUP_AGE_RECIPIENTS_FILE",
        _path,
        "Public age keys to encrypt to, one a line.",
        Path("/etc/dsg/age-recipients.txt"),
        may_be_empty=False,
    )
    backup_identity: Path | None = _setting(
        "DSG_BACKUP_AGE_IDENTITY_FILE", _path, "A secret age key, to restore with; keep it off the server.", None
    )
    log_level: str = _setting("LOG_LEVEL", _log_level, "DEBUG, INFO, WARNING or ERROR.", "INFO")

    @property
    def is_local(self) -> bool:
        """Whether this is somebody's own machine, where a missing secret does no harm."""
        return urlsplit(self.origin).hostname == "localhost" and self.origin.startswith("http://")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a setting, in one line without secrets.

    Attributes:
        names: the settings concerned; empty where the file itself is.
    """

    names: tuple[str, ...]
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Unused:
    """A name that is none of our settings, and stops nothing."""

    name: str
    source: str
    hint: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What was read, also where something is wrong with it.

    Attributes:
        config: a setting with a bad value has its default there.
        file: the settings file; None if there is none.
        lines: its settings.
        sources: setting -> where its value comes from, of those that have another than the default.
        libraries: of `LIBRARIES`, what the file says.
    """

    config: Config
    file: str | None
    lines: tuple[env_file.Line, ...]
    sources: dict[str, str]
    problems: tuple[Problem, ...]
    unused: tuple[Unused, ...]
    libraries: dict[str, str]


ENVIRONMENT = "environment"


def read(environment: Mapping[str, str], named_file: str | None = None) -> Settings:
    """All that the environment says, and the file where the environment says nothing.

    Args:
        named_file: a file that must be there; None for that of ``DSG_ENV_FILE``, else
            `DEFAULT_ENV_FILE` if it exists.
    """
    path = DEFAULT_ENV_FILE
    problems: list[Problem] = []
    lines: list[env_file.Line] = []
    text = None
    try:
        path, named = settings_file(environment, named_file)
        text = env_file.read_text(path, required=named)
    except Invalid as error:
        problems.append(Problem((), error.message, error.hint))
    if text is not None:
        lines, faults = env_file.parse(text)
        problems += [Problem((), f"{path}, line {one.number}: {one.what}", one.hint) for one in faults]
    for odd in [line for line in lines if env_file.has_control(line.value)]:
        setting = SETTINGS.get(odd.name)
        shown = "its value" if setting is None or setting.metadata["secret"] else repr(odd.value)
        what = f"{odd.name}: {shown} is not allowed; allowed: no control characters ({path}, line {odd.number})"
        problems.append(Problem((odd.name,), what, "write the line again"))
    in_file = {line.name: line for line in lines if not env_file.has_control(line.value)}
    # An empty variable says nothing, as in most programs: it does not hide the file's.
    set_here = {name: value for name, value in environment.items() if value}
    unused = []
    for name, source in _foreign(set_here, in_file, path):
        if near := _find_meant_setting(name):
            problems.append(Problem((near,), f"{name} is not a setting (did you mean {near}?){_place(source)}"))
        else:
            unused.append(Unused(name, source, INSTEAD.get(name, "")))
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, item in SETTINGS.items():
        line = in_file.get(name)
        value = set_here.get(name) or (line.value if line else "")
        if not item.metadata["may_be_empty"] and "" in (environment.get(name), line.value if line else None):
            problems.append(Problem((name,), f"{name} is empty; leave it out, or write what it is to be"))
        if not value:
            continue
        sources[name] = source = ENVIRONMENT if name in set_here else f"{path}, line {line.number if line else 0}"
        if line and line.value != line.as_systemd == value:
            what = f"{name}: systemd, with EnvironmentFile=, dropped the backslashes of {path}, line {line.number}"
            problems.append(Problem((name,), what, "put the value between single quotes"))
        try:
            values[item.name] = item.metadata["parse"](value)
        except _Bad as error:
            shown = "its value" if item.metadata["secret"] else repr(value)
            problems.append(Problem((name,), f"{name}: {shown} is not allowed; allowed: {error}{_place(source)}"))
    config = Config(**values)
    libraries = {name: in_file[name].value for name in LIBRARIES if name in in_file and in_file[name].value}
    return Settings(
        config,
        None if text is None else path,
        tuple(lines),
        sources,
        (*problems, *_contradictions(config)),
        tuple(unused),
        libraries,
    )


def load(environment: Mapping[str, str], named_file: str | None = None) -> Config:
    """The settings, all of them good; see `read`.

    Raises:
        Invalid: names every misspelled setting and every bad value, and what is allowed.
    """
    settings = read(environment, named_file)
    require_good(settings)
    return settings.config


def require_good(settings: Settings) -> None:
    """Raises:
    Invalid: something is wrong with a setting or with the file; all of it is named.
    """
    if settings.problems:
        hints = [problem.hint for problem in settings.problems if problem.hint]
        see = f"see 'dsgctl help settings'{f'; the file is {settings.file}' if settings.file else ''}"
        raise Invalid("; ".join(problem.text for problem in settings.problems), "; ".join(dict.fromkeys(hints)) or see)


def _place(source: str) -> str:
    return " (in the environment)" if source == ENVIRONMENT else f" ({source})"


def _foreign(
    environment: Mapping[str, str], in_file: Mapping[str, env_file.Line], path: str
) -> Iterator[tuple[str, str]]:
    """The names that are none of our settings: all of the file, and of the environment those that might be."""
    ours = {*SETTINGS, *LIBRARIES, "DSG_ENV_FILE"}
    for name in sorted((in_file.keys() | {name for name in environment if name.startswith("DSG_")}) - ours):
        yield name, f"{path}, line {in_file[name].number}" if name in in_file else ENVIRONMENT


def _find_meant_setting(name: str) -> str | None:
    """The setting of ours that a name is a slip of; None for a name that means something else."""
    if name in INSTEAD:
        return None
    # Only needed to word an error.
    from difflib import SequenceMatcher

    def likeness(ours: str) -> float:
        return SequenceMatcher(None, name, ours, autojunk=False).ratio()

    nearest = max(SETTINGS, key=likeness)
    return nearest if likeness(nearest) >= 0.85 else None


def settings_file(environment: Mapping[str, str], named_file: str | None = None) -> tuple[str, bool]:
    """Which file the settings are read from, and whether somebody named it, so that it must be there.

    Raises:
        Invalid: what names it is empty: the default one may be another gateway's.
    """
    named = named_file if named_file is not None else environment.get("DSG_ENV_FILE")
    if named == "":
        raise Invalid("the name of the settings file is empty", "check --env-file and DSG_ENV_FILE")
    return (DEFAULT_ENV_FILE, False) if named is None else (named, True)


def _contradictions(config: Config) -> Iterator[Problem]:
    """Settings that are well-formed each and do not go together."""
    host, domain = urlsplit(config.origin).hostname or "", config.cookie_domain.removeprefix(".")
    if domain and not config.is_local and not f".{host}".endswith(f".{domain}"):
        yield Problem(
            ("AUTH_COOKIE_DOMAIN", "DSG_ORIGIN"),
            f"AUTH_COOKIE_DOMAIN: browsers refuse {domain} from {host}; allowed: a domain that DSG_ORIGIN is in",
        )
    plain = [one for one in config.token_redirects if one.startswith("http:") and urlsplit(one).hostname != "localhost"]
    if plain:
        yield Problem(
            ("DSG_TOKEN_REDIRECTS",),
            f"DSG_TOKEN_REDIRECTS: {plain[0]} would get login tokens in clear; allowed: https, or http://localhost",
        )


SETTINGS = {item.metadata["env"]: item for item in fields(Config)}


def describe_settings() -> list[dict[str, str]]:
    """The settings as rows for the manual: name, default, meaning."""
    return [
        {"name": item.metadata["env"], "default": shown_default(item), "help": item.metadata["help"]}
        for item in fields(Config)
    ]


def shown_default(item: Field[Any]) -> str:
    """The default of a row of `SETTINGS`, as it would be written; empty for none."""
    default = item.default
    if isinstance(default, re.Pattern):
        return str(default.pattern)
    if isinstance(default, bool):
        return str(int(default))
    return ",".join(default) if isinstance(default, tuple) else "" if default is None else str(default)


def from_environment(named_file: str | None = None) -> Config:
    """The settings of this process. What the file says for libraries goes into the environment, where they look."""
    settings = read(os.environ, named_file)
    require_good(settings)
    for name, value in settings.libraries.items():
        os.environ[name] = os.environ.get(name) or value
    return settings.config
