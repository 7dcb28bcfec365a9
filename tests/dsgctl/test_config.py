"""Every setting: the values that are allowed, and those that are refused."""

from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from dsgctl.config import Config, describe_settings
from dsgctl.setting_values import APIS
from dsgctl.settings import load
from tests.dsgctl.refused_settings import SECRET, Write, refusal

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")


def test_every_setting_has_a_default_that_works_on_ones_own_machine() -> None:
    settings = load({})
    assert settings == Config()
    assert settings.is_local
    assert settings.database == Path("/var/lib/dsg/dsg.sqlite3")
    assert not settings.ngauth_origins.fullmatch("https://example.org")


OK: list[tuple[str, str, str, Any]] = [
    ("DATABASE_PATH", "/srv/a b/dsg.sqlite3", "database", Path("/srv/a b/dsg.sqlite3")),
    ("DSG_ORIGIN", "https://dsg.example.org", "origin", "https://dsg.example.org"),
    ("DSG_ORIGIN", "https://dsg.example.org:8443", "origin", "https://dsg.example.org:8443"),
    ("DSG_ORIGIN", "http://dsg.example.org:443", "origin", "http://dsg.example.org:443"),
    ("DSG_ORIGIN", "https://dsg.example.org:80", "origin", "https://dsg.example.org:80"),
    ("DSG_ORIGIN", "http://127.0.0.1:8080", "origin", "http://127.0.0.1:8080"),
    ("DSG_ORIGIN", "https://x:65535", "origin", "https://x:65535"),
    ("DSG_PORT", "1", "port", 1),
    ("DSG_PORT", "65535", "port", 65535),
    ("DSG_SECRET_KEY", "a" * 32, "secret_keys", ("a" * 32,)),
    ("DSG_SECRET_KEY", f"{'a' * 32}, {'b' * 40},", "secret_keys", ("a" * 32, "b" * 40)),
    ("GOOGLE_CLIENT_ID", "1-a.apps.example", "google_client_id", "1-a.apps.example"),
    ("GOOGLE_CLIENT_SECRET", "a=b c#d", "google_client_secret", "a=b c#d"),
    ("CLIENT_CREDENTIALS_PATH", "/etc/dsg/client.json", "client_credentials", Path("/etc/dsg/client.json")),
    ("DSG_OIDC_ISSUER", "https://id.example.org/realms/a", "oidc_issuer", "https://id.example.org/realms/a"),
    ("DSG_DEV_LOGIN", "1", "dev_login", True),
    ("DSG_DEV_LOGIN", "0", "dev_login", False),
    *(
        (name, value, attribute, value.lower() in ("yes", "on", "true", "1"))
        for name, attribute in (
            ("DSG_DEV_LOGIN", "dev_login"),
            ("DSG_BACKUP_INCLUDE_SECRETS", "backup_include_secrets"),
        )
        for value in ("yes", "no", "on", "off", "true", "false", "TRUE", "Yes", "oFF")
    ),
    ("DSG_ALLOWED_EMAIL_DOMAINS", "a.org, b.c.org", "allowed_email_domains", ("a.org", "b.c.org")),
    ("DSG_DEFAULT_GROUPS", "user, new people", "default_groups", ("user", "new people")),
    ("DSG_DEFAULT_GROUPS", ",", "default_groups", ()),
    (
        "DSG_ALLOWED_REDIRECTS",
        "https://a.org,http://localhost:3000",
        "allowed_redirects",
        ("https://a.org", "http://localhost:3000"),
    ),
    ("DSG_TOKEN_REDIRECTS", "https://a.org", "token_redirects", ("https://a.org",)),
    ("NGAUTH_ALLOWED_ORIGINS", r"https://.*\.example\.org", "ngauth_origins.pattern", r"https://.*\.example\.org"),
    ("DSG_STORAGE_URL", "https://localhost:1234", "storage_url", "https://localhost:1234"),
    ("DSG_STS_URL", "http://127.0.0.1:1234/token", "sts_url", "http://127.0.0.1:1234/token"),
    ("AUTH_COOKIE_DOMAIN", ".example.org", "cookie_domain", ".example.org"),
    ("AUTH_COOKIE_DOMAIN", "dsg.example.org", "cookie_domain", "dsg.example.org"),
    ("DSG_TOKEN_NAMES", "dsg_token, middle_auth_token", "token_names", ("dsg_token", "middle_auth_token")),
    ("DSG_APIS", "cave", "apis", ("cave",)),
    ("DSG_APIS", "gate, native,cave", "apis", ("gate", "native", "cave")),
    ("DSG_APIS", "cave,cave,", "apis", ("cave",)),
    ("DSG_APIS", ",", "apis", ()),
    ("DSG_SITE_NAME", "Données du labo", "site_name", "Données du labo"),
    ("DSG_SITE_CONTACT", "help@example.org", "site_contact", "help@example.org"),
    ("DSG_SITE_CONTACT", "https://example.org/help?a=1", "site_contact", "https://example.org/help?a=1"),
    ("DSG_SITE_LOGO", "/etc/dsg/logo.png", "site_logo", Path("/etc/dsg/logo.png")),
    (
        "DSG_VIEWER_URL",
        "https://neuroglancer-demo.appspot.com/",
        "viewer_url",
        "https://neuroglancer-demo.appspot.com/",
    ),
    ("DSG_VIEWER_URL", "http://localhost:8080/v/", "viewer_url", "http://localhost:8080/v/"),
    ("DSG_BACKUP_DIR", "/mnt/nearline", "backup_dir", Path("/mnt/nearline")),
    ("DSG_BACKUP_STAGING_DIR", "/scratch", "backup_staging_dir", Path("/scratch")),
    ("DSG_BACKUP_KEEP_HOURLY", "0", "backup_keep_hourly", 0),
    ("DSG_BACKUP_KEEP_DAILY", "30", "backup_keep_daily", 30),
    ("DSG_BACKUP_KEEP_WEEKLY", "520", "backup_keep_weekly", 520),
    ("DSG_BACKUP_INCLUDE_SECRETS", "false", "backup_include_secrets", False),
    ("DSG_BACKUP_INCLUDE_SECRETS", "True", "backup_include_secrets", True),
    ("DSG_BACKUP_INCLUDE_SECRETS", "0", "backup_include_secrets", False),
    ("DSG_BACKUP_AGE_RECIPIENTS_FILE", "/etc/age", "backup_recipients", Path("/etc/age")),
    ("DSG_BACKUP_AGE_IDENTITY_FILE", "/root/key", "backup_identity", Path("/root/key")),
    ("LOG_LEVEL", "debug", "log_level", "DEBUG"),
    ("LOG_LEVEL", "WARNING", "log_level", "WARNING"),
]


FAIL: list[tuple[str, str, str]] = [
    *(
        ("DSG_ORIGIN", value, "scheme://host[:port] in lower case")
        for value in (
            "dsg.example.org",
            "https://",
            "https://Dsg.example.org",
            "HTTPS://dsg.example.org",
            "https://dsg.example.org/",
            "https://dsg.example.org/a",
            "https://dsg.example.org:443",
            "http://dsg.example.org:80",
            "https://x:0",
            "https://x:65536",
            "https://x:99999",
            "https://x:",
            "https://x:08",
            "https://x:a",
            "ftp://x.org",
            "https://u@x.org",
            "https://x.org?a",
            "https://x.org#a",
            "https://x .org",
            "https://x.org ",
            "https://b\u00fcc.org",
            "http://[",
            "http://[::1",
            "javascript:alert(1)",
            "*",
            "null",
        )
    ),
    *(
        ("DSG_PORT", value, "a port from 1 to 65535")
        for value in (
            "0",
            "65536",
            "-1",
            "http",
            "8200/tcp",
            "8_200",
            "82.0",
            "\u0668\u0662",
            "99999999999999999999",
        )
    ),
    *(
        ("DSG_SECRET_KEY", value, "keys of at least 32 characters")
        for value in (
            "short",
            f"{SECRET},short",
            "a" * 31,
            " " * 40 + "a",
        )
    ),
    *(
        ("DSG_OIDC_ISSUER", value, "an https address")
        for value in (
            "accounts.google.com",
            "http://id.example.org",
            "https://",
            "https://x/?a",
            "https://x y",
        )
    ),
    *(
        ("DSG_ALLOWED_EMAIL_DOMAINS", value, "domains in lower case")
        for value in (
            "@a.org",
            "A.org",
            "a.org b.org",
            "org",
        )
    ),
    *(
        (name, value, "scheme://host[:port]")
        for name in ("DSG_ALLOWED_REDIRECTS", "DSG_TOKEN_REDIRECTS")
        for value in (
            "https://a.org/",
            "https://a.org https://b.org",
            "https://*.a.org",
            "a.org",
            "https://a.org,*",
        )
    ),
    *(
        ("NGAUTH_ALLOWED_ORIGINS", value, "a regular expression")
        for value in (
            "https://(",
            "*",
            "[a-",
            r"\1",
            "a{2,1}",
            "a{9999}",
            "(?<n",
            "(" * 200,
            "(?=a)",
            "(a{1000}){1000}",
        )
    ),
    *(
        (name, value, "0 or 1, no or yes, false or true")
        for name in ("DSG_DEV_LOGIN", "DSG_BACKUP_INCLUDE_SECRETS")
        for value in ("01", "2", "y", "-1", "enabled", "yes ", "tru", "ja")
    ),
    *(("DSG_STS_URL", value, "an https address") for value in ("sts.googleapis.com", "http://sts.googleapis.com")),
    *(
        ("DSG_APIS", value, f"{', '.join(APIS)}, separated by commas")
        for value in ("caves", "Cave", "cave;gate", "cave gate", "cave,,nativ", "all", "1")
    ),
    *(("DSG_SITE_NAME", value, "1 to 255 characters") for value in ("a\x1bb", "a" * 256)),
    *(
        ("DSG_SITE_CONTACT", value, "an email address, or a web address")
        for value in (
            "ada",
            "javascript:alert(1)",
            "https://a b",
            "mailto:a@example.org",
            "http:",
            "a@example.org, b@example.org",
        )
    ),
    *(
        ("DSG_VIEWER_URL", value, "an https address")
        for value in (
            "viewer.example",
            "http://viewer.example/",
            "https://viewer.example/#!{}",
            "https://user:password@viewer.example/",
            "https://viewer.example\\@evil.example/",
            "javascript:alert(1)",
        )
    ),
    *(
        ("DSG_STORAGE_URL", value, "an https address")
        for value in (
            "storage.googleapis.com",
            "http://example.org",
            "http://localhost:x@example.org/",
            "http://localhost.example/",
        )
    ),
    *(
        ("AUTH_COOKIE_DOMAIN", value, "a domain in lower case")
        for value in (
            "example",
            ".Example.org",
            "*.example.org",
            "https://example.org",
            "example.org:80",
            "..example.org",
            "a.org;b",
        )
    ),
    *(("DSG_TOKEN_NAMES", value, "names of letters, digits") for value in ("a b", "a,,b", "a;b", "a=b", "t\u00f6ken")),
    *(
        (f"DSG_BACKUP_KEEP_{tier}", value, "a whole number")
        for tier in ("HOURLY", "DAILY", "WEEKLY")
        for value in (
            "-1",
            "1.5",
            "many",
            "\u0661",
            "1000000",
            "1 ",
        )
    ),
    *(("LOG_LEVEL", value, "DEBUG, INFO, WARNING, ERROR") for value in ("trace", "10", "INFO ")),
]


def _id(value: Any) -> str:
    return ascii(value)[:30] if isinstance(value, str) else ""


@pytest.mark.parametrize(("name", "value", "attribute", "expected"), OK, ids=_id)
def test_a_value_that_is_allowed_is_read_from_environment_and_file(
    name: str, value: str, attribute: str, expected: Any, env_file: Write
) -> None:
    for settings in (load({name: value}), load({}, env_file(f"{name}={value}\n"))):
        assert attrgetter(attribute)(settings) == expected


@pytest.mark.parametrize(("name", "value", "allowed"), FAIL, ids=_id)
def test_a_value_that_is_not_allowed_is_named_with_what_is(name: str, value: str, allowed: str) -> None:
    message = refusal({name: value})
    assert message.startswith(f"{name}: ")
    assert allowed in message


def test_every_setting_is_tried_and_each_with_a_form_is_refused_something() -> None:
    names = {item["name"] for item in describe_settings()}
    assert {name for name, *_ in OK} == names
    free = {
        "DATABASE_PATH",
        "GOOGLE_CLIENT_ID",
        "GOOGLE_CLIENT_SECRET",
        "CLIENT_CREDENTIALS_PATH",
        "DSG_DEFAULT_GROUPS",
        "DSG_SITE_LOGO",
        "DSG_BACKUP_DIR",
        "DSG_BACKUP_STAGING_DIR",
        "DSG_BACKUP_AGE_RECIPIENTS_FILE",
        "DSG_BACKUP_AGE_IDENTITY_FILE",
    }
    assert {name for name, *_ in FAIL} == names - free


@pytest.mark.parametrize(
    ("origin", "local"),
    [
        ("http://localhost", True),
        ("http://localhost:8200", True),
        ("https://localhost", False),
        ("http://127.0.0.1:8200", False),
        ("http://localhost.example.org", False),
        ("http://notlocalhost", False),
    ],
)
def test_only_plain_localhost_is_local(origin: str, local: bool) -> None:
    assert load({"DSG_ORIGIN": origin}).is_local == local


def test_no_secret_is_in_what_a_log_would_show_of_the_settings() -> None:
    settings = load({"DSG_SECRET_KEY": SECRET, "GOOGLE_CLIENT_SECRET": "hunter2-hunter2"})
    assert settings.secret_keys == (SECRET,)
    for text in (repr(settings), str(settings)):
        assert SECRET not in text
        assert "hunter2" not in text


# An empty value of these would let in more people, give away more or work on another gateway's facts than meant.
NEVER_EMPTY = {
    "DATABASE_PATH",
    "DSG_OIDC_ISSUER",
    "DSG_ALLOWED_EMAIL_DOMAINS",
    "DSG_DEFAULT_GROUPS",
    "DSG_BACKUP_STAGING_DIR",
    "DSG_BACKUP_INCLUDE_SECRETS",
    "DSG_BACKUP_AGE_RECIPIENTS_FILE",
}


@pytest.mark.parametrize("name", [row["name"] for row in describe_settings()])
def test_an_empty_setting_is_refused_where_it_would_allow_more(name: str, env_file: Write) -> None:
    if name not in NEVER_EMPTY:
        assert load({name: ""}) == load({}, env_file(f"{name}=\n")) == Config()
        return
    for message in (refusal({name: ""}), refusal({}, env_file(f"{name}=\n")), refusal({}, env_file(f'{name}=""\n'))):
        assert f"{name} is empty; leave it out" in message


def test_a_setting_that_may_be_empty_allows_nothing_by_default() -> None:
    """A new setting whose default gives something is to be thought about: it belongs to one of the two."""
    harmless = {
        "DSG_ORIGIN",
        "DSG_PORT",
        "DSG_STS_URL",
        "DSG_STORAGE_URL",
        "DSG_TOKEN_NAMES",
        "LOG_LEVEL",
        "DSG_SITE_NAME",
        *(f"DSG_BACKUP_KEEP_{tier}" for tier in ("HOURLY", "DAILY", "WEEKLY")),
    }
    gives = {row["name"] for row in describe_settings() if row["default"] not in ("", "0")}
    assert gives - harmless == NEVER_EMPTY - {"DSG_ALLOWED_EMAIL_DOMAINS"}


@pytest.mark.parametrize("value", [",", " ", " , ", ",,"])
@pytest.mark.parametrize("name", ["DSG_ALLOWED_EMAIL_DOMAINS", "DSG_SECRET_KEY", "DSG_TOKEN_NAMES"])
def test_a_list_of_nothing_is_refused_where_it_would_mean_all(name: str, value: str) -> None:
    assert f"{name}: " in refusal({name: value})


def test_the_table_of_settings_has_no_secret_and_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = describe_settings()
    assert len({row["name"] for row in rows}) == len(rows)
    assert all(row["help"].endswith(".") for row in rows)
    assert {"name": "DSG_PORT", "default": "8200", "help": rows[2]["help"]} in rows
