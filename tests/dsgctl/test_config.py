"""Settings: what each may be, where they come from, and what is said of those that may not be."""

import os
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest

from dsgctl import config
from dsgctl.config import Config, load
from dsgctl.core.errors import Invalid
from dsgctl.env_file import parse, with_values

SECRET = "correct-horse-battery-staple-0123456789"

Write = Callable[[str], str]


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config, "DEFAULT_ENV_FILE", str(tmp_path / "none.env"))


@pytest.fixture
def env_file(tmp_path: Path) -> Write:
    """Writes a settings file; returns its name."""

    def write(text: str) -> str:
        path = tmp_path / "dsg.env"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return str(path)

    return write


def refusal(environment: dict[str, str], env_file: str | None = None) -> str:
    """What is said of settings that are refused."""
    with pytest.raises(Invalid) as caught:
        load(environment, env_file)
    said = f"{caught.value.message}; {caught.value.hint}"
    assert said.isprintable()
    assert caught.value.hint
    return said


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
    said = refusal({name: value})
    assert said.startswith(f"{name}: ")
    assert allowed in said


def test_every_setting_is_tried_and_each_with_a_form_is_refused_something() -> None:
    names = {item["name"] for item in config.describe_settings()}
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
def test_only_plain_localhost_is_somebodys_own_machine(origin: str, local: bool) -> None:
    assert load({"DSG_ORIGIN": origin}).is_local == local


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"DSG_ORIGIN": "https://auth.x.org", "AUTH_COOKIE_DOMAIN": ".other.org"},
            "AUTH_COOKIE_DOMAIN: browsers refuse",
        ),
        ({"DSG_ORIGIN": "https://auth.x.org", "AUTH_COOKIE_DOMAIN": "h.x.org"}, "AUTH_COOKIE_DOMAIN: browsers refuse"),
        (
            {"DSG_TOKEN_REDIRECTS": "https://a.org,http://b.org"},
            "DSG_TOKEN_REDIRECTS: http://b.org would get login tokens",
        ),
        ({"DSG_TOKEN_NAMES": "dsg_token,dsg_login"}, "but for dsg_login"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, str], said: str) -> None:
    assert said in refusal(settings)


# Names


@pytest.mark.parametrize(
    ("name", "meant"),
    [("DSG_ORIGN", "DSG_ORIGIN"), ("DSG_SECRET_KEYS", "DSG_SECRET_KEY"), ("DSG_TOKEN_NAME", "DSG_TOKEN_NAMES")],
)
def test_a_name_that_is_no_setting_is_an_error_that_tells_the_nearest(name: str, meant: str) -> None:
    assert f"{name} is not a setting (did you mean {meant}?) (in the environment)" in refusal({name: SECRET})


@pytest.mark.parametrize(("name", "value"), [("DSG_PROT", "8200"), ("DSG_PORT", "http"), ("LOG_LEVEL", "loud")])
def test_an_error_says_where_the_setting_stands(name: str, value: str, env_file: Write) -> None:
    file = env_file("# sound\n")
    assert "(in the environment)" in refusal({name: value}, file)
    assert "dsg.env, line 2)" in refusal({}, env_file(f"# first\n{name}={value}\n"))


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("DSG_URL", "DSG_ORIGIN"),
        ("DSG_LOG_LEVEL", "LOG_LEVEL"),
        ("DSG_BACKUP_DECRYPT_CMD", "db restore"),
        ("DSG_BACKUP_ENCRYPT_CMD", "age"),
        ("DSG_FROBNICATE_QUUX", ""),
        ("DSG_TOKEN", ""),
        ("DSG_HOST", ""),
        ("DSG_X", ""),
    ],
)
def test_a_name_that_means_something_else_stops_nothing_and_is_named(name: str, instead: str, env_file: Write) -> None:
    assert load({name: "x"}) == load({}, env_file(f"{name}=x\n")) == Config()
    (here,) = config.read({name: "x"}).unused
    (there,) = config.read({}, env_file(f"# first\n{name}=x\n")).unused
    assert (here.name, here.source, there.name) == (name, "environment", name)
    assert there.source.endswith("dsg.env, line 2") and instead in here.hint


def test_of_the_environment_only_our_names_are_looked_at() -> None:
    environment = {"PATH": "/bin", "DATABASE_PATHS": "a", "dsg_port": "a", "GOOGLE_APPLICATION_CREDENTIALS": "a"}
    assert load(environment) == Config() and config.read(environment).unused == ()


def test_in_a_file_a_slip_stops_and_other_names_are_named(env_file: Write) -> None:
    said = refusal({}, env_file("DATABASE_PATHS=/a\nPATH=/bin\n"))
    assert "DATABASE_PATHS is not a setting (did you mean DATABASE_PATH?)" in said and "; PATH" not in said
    assert [one.name for one in config.read({}, env_file("PATH=/bin\nDJANGO_DEBUG=False\n")).unused] == [
        "DJANGO_DEBUG",
        "PATH",
    ]


def test_what_libraries_read_may_be_in_the_file_and_the_environment_wins(
    env_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = env_file("GOOGLE_APPLICATION_CREDENTIALS=/etc/dsg/google.json\nREQUESTS_CA_BUNDLE=/etc/dsg/ca.pem\n")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/other.pem")
    assert config.from_environment(file) == Config()
    assert os.environ["GOOGLE_APPLICATION_CREDENTIALS"] == "/etc/dsg/google.json"
    assert os.environ["REQUESTS_CA_BUNDLE"] == "/other.pem"


def test_where_each_setting_comes_from_is_known(env_file: Write) -> None:
    file = env_file("# ours\nDSG_PORT=1\nLOG_LEVEL=ERROR\n")
    settings = config.read({"DSG_PORT": "2", "DSG_ORIGIN": ""}, file)
    assert settings.sources == {"DSG_PORT": "environment", "LOG_LEVEL": f"{file}, line 3"}
    assert f"DSG_PORT: 'x' is not allowed; allowed: a port from 1 to 65535 ({file}, line 1)" in refusal(
        {}, env_file("DSG_PORT=x\n")
    )


def test_what_is_good_is_read_beside_what_is_not(env_file: Write) -> None:
    settings = config.read({"LOG_LEVEL": "loud"}, env_file("DSG_PORT=7\nnonsense\nDSG_ORIGN=x\n"))
    assert settings.config.port == 7 and settings.config.log_level == "INFO"
    assert [problem.names for problem in settings.problems] == [(), ("DSG_ORIGIN",), ("LOG_LEVEL",)]


# What is said


def test_all_that_is_wrong_is_said_at_once(env_file: Write) -> None:
    file = env_file("DSG_PORT=none\nDSG_ORIGN=x\n")
    said = refusal({"LOG_LEVEL": "loud", "DSG_SECRET_KEY": "short", "DSG_TOKEN_NAME": "1"}, file)
    for part in (
        "DSG_PORT: 'none'",
        "DSG_ORIGN is not",
        "LOG_LEVEL: 'loud'",
        "DSG_SECRET_KEY: its value",
        "DSG_TOKEN_NAME is not",
    ):
        assert part in said
    assert f"the file is {file}" in said


@pytest.mark.parametrize(
    "environment",
    [
        {"DSG_SECRET_KEY": SECRET + ",hunter2"},
        {"DSG_SECRET_KEYS": SECRET + ",hunter2"},
        {"DSG_SECRET_KEY": SECRET + ",hunter2", "GOOGLE_CLIENT_SECRET": "hunter2", "DSG_PORT": "x"},
    ],
    ids=["too short", "name mistyped", "something else is wrong"],
)
def test_no_secret_is_in_what_is_said(environment: dict[str, str]) -> None:
    said = refusal(environment)
    assert SECRET not in said
    assert "hunter2" not in said


def test_no_secret_is_in_what_is_said_of_a_line(env_file: Write) -> None:
    for line in (f"DSG_SECRET_KEY {SECRET}", f"export DSG_SECRET_KEY={SECRET}", SECRET):
        assert SECRET not in refusal({}, env_file(line))


def test_no_secret_is_in_what_a_log_would_show_of_the_settings() -> None:
    settings = load({"DSG_SECRET_KEY": SECRET, "GOOGLE_CLIENT_SECRET": "hunter2-hunter2"})
    assert settings.secret_keys == (SECRET,)
    for text in (repr(settings), str(settings)):
        assert SECRET not in text
        assert "hunter2" not in text


# The file


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("GOOGLE_CLIENT_ID=a", "a"),
        ("  GOOGLE_CLIENT_ID=a  ", "a"),
        ("GOOGLE_CLIENT_ID = a", "a"),
        ('GOOGLE_CLIENT_ID="a b"', "a b"),
        ("GOOGLE_CLIENT_ID='a b'", "a b"),
        ("GOOGLE_CLIENT_ID= 'a b' ", "a b"),
        ('GOOGLE_CLIENT_ID=" a "', " a "),
        ("GOOGLE_CLIENT_ID='a\"b'", 'a"b'),
        ("GOOGLE_CLIENT_ID=a'b", "a'b"),
        ("GOOGLE_CLIENT_ID=a#b", "a#b"),
        ("GOOGLE_CLIENT_ID=a=b=", "a=b="),
        ("GOOGLE_CLIENT_ID=$HOME", "$HOME"),
        ("GOOGLE_CLIENT_ID=", ""),
        ('GOOGLE_CLIENT_ID=""', ""),
        ("GOOGLE_CLIENT_ID=Zoë", "Zoë"),
        ("# a comment\n; another\n\n \t\nGOOGLE_CLIENT_ID=a", "a"),
        ("GOOGLE_CLIENT_ID=a\r\nDSG_PORT=1\r\n", "a"),
        ("GOOGLE_CLIENT_ID=a\nGOOGLE_CLIENT_ID=b", "b"),
        ("#GOOGLE_CLIENT_ID=a", ""),
    ],
)
def test_a_line_of_the_file_is_read_as_systemd_reads_it(line: str, expected: str, env_file: Write) -> None:
    assert load({}, env_file(line)).google_client_id == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("GOOGLE_CLIENT_ID='a' b", "begins with a quote and does not end with it"),
        ("GOOGLE_CLIENT_ID='a' # comment", "begins with a quote"),
        ("GOOGLE_CLIENT_ID='a'b'", "begins with a quote"),
        ("GOOGLE_CLIENT_ID='a", "begins with a quote"),
        ('GOOGLE_CLIENT_ID="a', "begins with a quote"),
        ('GOOGLE_CLIENT_ID="a\\"', "begins with a quote"),
        ("GOOGLE_CLIENT_ID='", "begins with a quote"),
        ("GOOGLE_CLIENT_ID='a\nb'", "begins with a quote"),
        ("GOOGLE_CLIENT_ID=a\\\nDSG_PORT=1", "joins the next line"),
        ("GOOGLE_CLIENT_ID=a\\\\\\", "joins the next line"),
        ("# a comment \\\nGOOGLE_CLIENT_ID=a", "takes the next line along"),
        ("export GOOGLE_CLIENT_ID=a", "not NAME=value; leave out 'export'"),
        ("set GOOGLE_CLIENT_ID=a", "not NAME=value"),
        ("GOOGLE CLIENT_ID=a", "not NAME=value"),
        ("\u00a0GOOGLE_CLIENT_ID=a", "not NAME=value"),
    ],
)
def test_a_line_that_systemd_reads_in_another_way_is_refused(text: str, what: str, env_file: Write) -> None:
    file = env_file(f"LOG_LEVEL=INFO\n{text}")
    said = refusal({}, file)
    assert said.startswith(f"{file}, line 2: ") and what in said


@pytest.mark.parametrize("name", ["GOOGLE_CLIENT_ID", "DSG_PORT", "DSG_SECRET_KEY", "REQUESTS_CA_BUNDLE", "X"])
@pytest.mark.parametrize("value", ["a\0b", "\x1b[31m", "a\x85DSG_DEV_LOGIN=1", "'a\x0bb'", "a\x7f"])
def test_a_value_with_control_characters_is_refused(name: str, value: str, env_file: Write) -> None:
    file = env_file(f"LOG_LEVEL=INFO\n{name}={value}\n")
    said = refusal({}, file)
    assert said.startswith(f"{name}: ") and "no control characters" in said and f"{file}, line 2" in said
    assert name != "DSG_SECRET_KEY" or "31m" not in said


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\u2028b", "a\u2028b"),
        ("a # b", "a # b"),
        ('"a\\$b"', "a$b"),
        ('"a\\.b"', "a\\.b"),
        ('"a\\"b"', 'a"b'),
        ('"a\\\\b"', "a\\b"),
        ("'a\\.b'", "a\\.b"),
        ("a\\\\", "a\\\\"),
        ('a"b"', 'a"b"'),
        ("\ta\t", "a"),
        ("#a", "#a"),
        (";a", ";a"),
        ("\u00a0a", "\u00a0a"),
    ],
)
@pytest.mark.parametrize("start", ["", "\ufeff", "LOG_LEVEL=INFO\r", "LOG_LEVEL=INFO\r\n", "\n\n"])
def test_every_value_in_every_kind_of_file(start: str, value: str, expected: str, env_file: Write) -> None:
    assert load({}, env_file(f"{start}GOOGLE_CLIENT_ID={value}\r\nDSG_PORT=9\r\n")).google_client_id == expected


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_a_file_of_any_line_ends_is_changed_without_another_line(end: str) -> None:
    text = with_values(f"# ours{end}" if end else "# ours", {"DSG_PORT": "1"})
    assert text == "# ours\nDSG_PORT=1\n" == with_values(text, {"DSG_PORT": "1"})
    assert with_values("", {"DSG_PORT": "1"}) == "DSG_PORT=1\n"


def test_a_file_that_leads_nowhere_is_no_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dsg.env").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(config, "DEFAULT_ENV_FILE", str(tmp_path / "dsg.env"))
    for said in (refusal({}), refusal({}, str(tmp_path / "dsg.env"))):
        assert f"is a symbolic link to {tmp_path}/elsewhere, which does not exist" in said


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    for encoding in ("utf-16", "latin-1"):
        (tmp_path / "e.env").write_bytes("GOOGLE_CLIENT_ID=Zo\xeb\n".encode(encoding))
        assert "not UTF-8" in refusal({}, str(tmp_path / "e.env"))
    assert "longer than a megabyte" in refusal({}, "/dev/zero")


def test_what_systemd_made_of_a_value_without_its_backslashes_is_refused(env_file: Write) -> None:
    file = env_file("NGAUTH_ALLOWED_ORIGINS=https://viewer\\.example\\.org\n")
    assert load({}, file).ngauth_origins.pattern == r"https://viewer\.example\.org"
    said = refusal({"NGAUTH_ALLOWED_ORIGINS": "https://viewer.example.org"}, file)
    assert "systemd, with EnvironmentFile=, dropped the backslashes of" in said and "single quotes" in said
    quoted = env_file("NGAUTH_ALLOWED_ORIGINS='https://viewer\\.example\\.org'\n")
    assert load({"NGAUTH_ALLOWED_ORIGINS": r"https://viewer\.example\.org"}, quoted)


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "a b",
        "https://a\\.org",
        "it's",
        'it\'s a "$1" \\ back`tick',
        "#a",
        "",
        " a ",
        "a;b",
        "Zoë",
        "\\",
        "a\\",
    ],
)
def test_what_is_written_is_read_again_and_systemd_reads_the_same(value: str, env_file: Write) -> None:
    text = with_values(
        "# ours\r\nDSG_PORT = 1\nGOOGLE_CLIENT_ID=old\n\nLOG_LEVEL=INFO\n",
        {"GOOGLE_CLIENT_ID": value, "DATABASE_PATH": value},
    )
    lines = parse(text)[0]
    assert [(line.name, line.value) for line in lines] == [
        ("DSG_PORT", "1"),
        ("GOOGLE_CLIENT_ID", value),
        ("LOG_LEVEL", "INFO"),
        ("DATABASE_PATH", value),
    ]
    assert all(line.as_systemd == line.value for line in lines) and text.startswith("# ours\nDSG_PORT = 1\n")
    assert with_values(text, {"GOOGLE_CLIENT_ID": value}) == text


@pytest.mark.parametrize(
    "line",
    ["DSG_PORT", "DSG_PORT:8200", "=8200", "export DSG_PORT=8200", "dsg_port=8200", "1DSG=1", "[dsg]", "DSG-PORT=1"],
)
def test_a_line_that_is_no_setting_is_named_by_its_number(line: str, env_file: Write) -> None:
    file = env_file(f"# first\n{line}\n")
    assert f"{file}, line 2: not NAME=value" in refusal({}, file)


def test_the_environment_comes_before_the_file_and_the_file_before_the_default(env_file: Write) -> None:
    file = env_file("DSG_PORT=1\nLOG_LEVEL=ERROR\n")
    settings = load({"DSG_PORT": "2"}, file)
    assert (settings.port, settings.log_level, settings.origin) == (2, "ERROR", Config().origin)


def test_an_empty_variable_says_nothing(env_file: Write) -> None:
    assert load({"DSG_PORT": ""}, env_file("DSG_PORT=1\n")).port == 1
    assert load({"DSG_PORT": ""}) == Config()


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


@pytest.mark.parametrize("name", [row["name"] for row in config.describe_settings()])
def test_an_empty_setting_never_gives_more_than_was_meant(name: str, env_file: Write) -> None:
    if name not in NEVER_EMPTY:
        assert load({name: ""}) == load({}, env_file(f"{name}=\n")) == Config()
        return
    for said in (refusal({name: ""}), refusal({}, env_file(f"{name}=\n")), refusal({}, env_file(f'{name}=""\n'))):
        assert f"{name} is empty; leave it out" in said


def test_what_may_be_empty_gives_nothing_by_default() -> None:
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
    gives = {row["name"] for row in config.describe_settings() if row["default"] not in ("", "0")}
    assert gives - harmless == NEVER_EMPTY - {"DSG_ALLOWED_EMAIL_DOMAINS"}


@pytest.mark.parametrize("value", [",", " ", " , ", ",,"])
@pytest.mark.parametrize("name", ["DSG_ALLOWED_EMAIL_DOMAINS", "DSG_SECRET_KEY", "DSG_TOKEN_NAMES"])
def test_a_list_of_nothing_is_refused_where_it_would_mean_all(name: str, value: str) -> None:
    assert f"{name}: " in refusal({name: value})


@pytest.mark.parametrize(
    ("environment", "named"), [({"DSG_ENV_FILE": ""}, None), ({}, ""), ({"DSG_ENV_FILE": "x"}, "")]
)
def test_an_empty_name_of_the_settings_file_is_refused(environment: dict[str, str], named: str | None) -> None:
    assert "the name of the settings file is empty" in refusal(environment, named)


def test_a_bad_value_in_the_file_is_no_matter_where_the_environment_has_another(env_file: Write) -> None:
    assert load({"DSG_PORT": "2"}, env_file("DSG_PORT=none\n")).port == 2


def test_the_file_is_the_one_that_is_named(tmp_path: Path, env_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    default, other = tmp_path / "default.env", tmp_path / "other.env"
    default.write_text("DSG_PORT=1\n")
    other.write_text("DSG_PORT=2\n")
    monkeypatch.setattr(config, "DEFAULT_ENV_FILE", str(default))
    named = env_file("DSG_PORT=3\n")
    assert load({}).port == 1
    assert load({"DSG_ENV_FILE": str(other)}).port == 2
    assert load({"DSG_ENV_FILE": str(other)}, named).port == 3


def test_a_file_that_is_named_is_to_be_there(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.env")
    for said in (refusal({"DSG_ENV_FILE": missing}), refusal({}, missing)):
        assert f"{missing} does not exist" in said
        assert "--env-file" in said


@pytest.mark.parametrize("content", ["DSG_PORT=\udcff\n", "\udcff\udcfe"])
def test_a_file_that_is_no_text_is_refused(content: str, env_file: Write) -> None:
    assert "it is not UTF-8 text" in refusal({}, env_file(content))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Is a directory" in refusal({}, str(tmp_path))
    monkeypatch.setattr(config, "DEFAULT_ENV_FILE", str(tmp_path))
    assert "Is a directory" in refusal({})


def test_a_file_that_one_may_not_read_is_refused_with_who_may(env_file: Write) -> None:
    file = env_file("DSG_PORT=1\n")
    Path(file).chmod(0)
    me = os.geteuid()
    if me == 0:  # root may read everything; nobody may not
        os.seteuid(65534)
    try:
        said = refusal({}, file)
    finally:
        os.seteuid(me)
    assert "Permission denied" in said
    assert "sudo -u dsg" in said


def test_the_table_of_settings_has_no_secret_and_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = config.describe_settings()
    assert len({row["name"] for row in rows}) == len(rows)
    assert all(row["help"].endswith(".") for row in rows)
    assert {"name": "DSG_PORT", "default": "8200", "help": rows[2]["help"]} in rows


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DSG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DSG_PORT", "1234")
    assert config.from_environment().port == 1234
