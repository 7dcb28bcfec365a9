"""Every setting: its name, its form, its meaning and its default. dsgctl/settings.py reads them."""

import re
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dsgctl.setting_values import (
    APIS,
    Pattern,
    parse_apis,
    parse_contact,
    parse_domain,
    parse_domains,
    parse_flag,
    parse_groups,
    parse_issuer,
    parse_keys,
    parse_log_level,
    parse_number,
    parse_origin,
    parse_origins,
    parse_path,
    parse_pattern,
    parse_port,
    parse_site_name,
    parse_text,
    parse_token_names,
    parse_viewer,
    parse_web_address,
)

# Variables that libraries read from the environment. They may be set in the settings file too.
LIBRARIES = {
    "GOOGLE_APPLICATION_CREDENTIALS": "The key file of the Google account that reads the buckets.",
    "REQUESTS_CA_BUNDLE": "Certificates of authorities that sign the gateway's own or the provider's, "
    "if they are not those of the system.",
}
# Settings of DatasetGateway and of its clients -> what this program has instead. They may stay in the file.
REPLACEMENTS = {
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
        may_be_empty: an empty value means the default. False where the default admits or reveals more than the value
            that an operator may have meant to write.
    """
    metadata = {"env": env, "parse": parse, "help": help, "secret": secret, "may_be_empty": may_be_empty}
    return field(default=default, metadata=metadata, repr=not secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings, typed: one field for each."""

    database: Path = _setting(
        "DATABASE_PATH",
        parse_path,
        "The SQLite file with all data.",
        Path("/var/lib/dsg/dsg.sqlite3"),
        may_be_empty=False,
    )
    origin: str = _setting(
        "DSG_ORIGIN",
        parse_origin,
        "The address at which browsers and clients reach the server.",
        "http://localhost:8200",
    )
    port: int = _setting("DSG_PORT", parse_port, "The port on 127.0.0.1 that dsgserve listens on.", 8200)
    secret_keys: tuple[str, ...] = _setting(
        "DSG_SECRET_KEY",
        parse_keys,
        "Signs short-lived tokens and forms: the first of several signs, all verify. "
        "Needed unless DSG_ORIGIN is http://localhost.",
        (),
        secret=True,
    )
    google_client_id: str = _setting("GOOGLE_CLIENT_ID", parse_text, "The OAuth client that signs people in.", "")
    google_client_secret: str = _setting(
        "GOOGLE_CLIENT_SECRET", parse_text, "The secret of this client.", "", secret=True
    )
    client_credentials: Path | None = _setting(
        "CLIENT_CREDENTIALS_PATH", parse_path, "The OAuth client as the JSON file that Google offers.", None
    )
    oidc_issuer: str = _setting(
        "DSG_OIDC_ISSUER",
        parse_issuer,
        "The OpenID provider that signs people in.",
        "https://accounts.google.com",
        may_be_empty=False,
    )
    dev_login: bool = _setting(
        "DSG_DEV_LOGIN", parse_flag, "1 lets anybody on this machine sign in as anybody, for trying things out.", False
    )
    allowed_email_domains: tuple[str, ...] = _setting(
        "DSG_ALLOWED_EMAIL_DOMAINS",
        parse_domains,
        "Only email addresses of these domains may sign in; if not set, all may.",
        (),
        may_be_empty=False,
    )
    default_groups: tuple[str, ...] = _setting(
        "DSG_DEFAULT_GROUPS",
        parse_groups,
        "Groups that people join when they first sign in; a comma for none.",
        ("user",),
        may_be_empty=False,
    )
    allowed_redirects: tuple[str, ...] = _setting(
        "DSG_ALLOWED_REDIRECTS",
        parse_origins,
        "Origins outside the cookie's domain to which a login may redirect the browser.",
        (),
    )
    token_redirects: tuple[str, ...] = _setting(
        "DSG_TOKEN_REDIRECTS",
        parse_origins,
        "Origins of services outside the cookie's domain that receive the login token after a login.",
        (),
    )
    ngauth_origins: Pattern = _setting(
        "NGAUTH_ALLOWED_ORIGINS",
        parse_pattern,
        "Regular expression: a viewer whose whole origin matches it may ask for tokens. If not set, none may.",
        re.compile(""),
    )
    apis: tuple[str, ...] = _setting(
        "DSG_APIS",
        parse_apis,
        f"The APIs to serve beyond login, ngauth and user/cache, of {', '.join(APIS)}. If not set, none.",
        (),
    )
    sts_url: str = _setting(
        "DSG_STS_URL",
        parse_web_address,
        "Google's token exchange. Change it for tests only.",
        "https://sts.googleapis.com/v1/token",
    )
    storage_url: str = _setting(
        "DSG_STORAGE_URL",
        parse_web_address,
        "Google Cloud Storage, for 'dsgctl iam'. Change it for tests only.",
        "https://storage.googleapis.com",
    )
    cookie_domain: str = _setting(
        "AUTH_COOKIE_DOMAIN", parse_domain, "The domain of the login cookie; empty for this host alone.", ""
    )
    token_names: tuple[str, ...] = _setting(
        "DSG_TOKEN_NAMES",
        parse_token_names,
        "Names of the cookie and the query parameter that may hold a token; the server sets the first.",
        ("dsg_token",),
    )
    site_name: str = _setting(
        "DSG_SITE_NAME", parse_site_name, "The name of this site, on every page.", "DatasetGateway"
    )
    site_contact: str = _setting(
        "DSG_SITE_CONTACT", parse_contact, "An email or web address for help, with a link on every page.", ""
    )
    site_logo: Path | None = _setting(
        "DSG_SITE_LOGO", parse_path, "A PNG, JPEG or SVG file of at most 50 KB, shown beside the name.", None
    )
    viewer_url: str = _setting(
        "DSG_VIEWER_URL", parse_viewer, "The Neuroglancer in which the landing page opens datasets.", ""
    )
    backup_dir: Path | None = _setting(
        "DSG_BACKUP_DIR", parse_path, "The directory for the bundles of 'dsgctl db backup'.", None
    )
    backup_staging_dir: Path = _setting(
        "DSG_BACKUP_STAGING_DIR",
        parse_path,
        "The working directory of a backup: a fast disk with room for the database twice.",
        Path("/var/tmp"),  # noqa: S108  a directory of our own is made in it
        may_be_empty=False,
    )
    backup_keep_hourly: int = _setting(
        "DSG_BACKUP_KEEP_HOURLY",
        parse_number,
        "The number of hours of which a backup keeps the newest bundle; hours without one do not count.",
        24,
    )
    backup_keep_daily: int = _setting("DSG_BACKUP_KEEP_DAILY", parse_number, "The same for days.", 14)
    backup_keep_weekly: int = _setting("DSG_BACKUP_KEEP_WEEKLY", parse_number, "The same for ISO weeks.", 8)
    backup_include_secrets: bool = _setting(
        "DSG_BACKUP_INCLUDE_SECRETS",
        parse_flag,
        "1 adds the settings file and the OAuth client to each bundle, encrypted.",
        True,
        may_be_empty=False,
    )
    backup_recipients: Path = _setting(
        "DSG_BACKUP_AGE_RECIPIENTS_FILE",
        parse_path,
        "Public age keys to encrypt to, one a line.",
        Path("/etc/dsg/age-recipients.txt"),
        may_be_empty=False,
    )
    backup_identity: Path | None = _setting(
        "DSG_BACKUP_AGE_IDENTITY_FILE", parse_path, "A secret age key, to restore with; keep it off the server.", None
    )
    log_level: str = _setting("LOG_LEVEL", parse_log_level, "DEBUG, INFO, WARNING or ERROR.", "INFO")

    @property
    def is_local(self) -> bool:
        """Whether the gateway runs for one person on their own machine, where a missing secret does no harm."""
        return urlsplit(self.origin).hostname == "localhost" and self.origin.startswith("http://")


SETTINGS = {item.metadata["env"]: item for item in fields(Config)}


def describe_settings() -> list[dict[str, str]]:
    """The settings as rows for the manual, with the keys ``name``, ``default`` and ``help``."""
    return [
        {"name": item.metadata["env"], "default": format_default(item), "help": item.metadata["help"]}
        for item in fields(Config)
    ]


def format_default(item: Field[Any]) -> str:
    """The default of an item of `SETTINGS`, as a settings file would have it; empty for none."""
    default = item.default
    if isinstance(default, re.Pattern):
        return str(default.pattern)
    if isinstance(default, bool):
        return str(int(default))
    return ",".join(default) if isinstance(default, tuple) else "" if default is None else str(default)
