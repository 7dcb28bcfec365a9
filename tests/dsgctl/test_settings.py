"""Where settings come from, in which order, and what is reported about those that are wrong."""

import os
from pathlib import Path

import pytest

from dsgctl import settings
from dsgctl.config import Config
from dsgctl.settings import list_values, load, load_from_environment, read_settings
from tests.dsgctl.refused_settings import SECRET, Write, refusal

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")


@pytest.mark.parametrize(
    ("settings", "message"),
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
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, str], message: str) -> None:
    assert message in refusal(settings)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("DSG_ORIGN", "DSG_ORIGIN"), ("DSG_SECRET_KEYS", "DSG_SECRET_KEY"), ("DSG_TOKEN_NAME", "DSG_TOKEN_NAMES")],
)
def test_an_unknown_setting_is_an_error_that_names_the_nearest(name: str, meant: str) -> None:
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
def test_a_setting_of_another_program_is_reported_as_unused(name: str, instead: str, env_file: Write) -> None:
    assert load({name: "x"}) == load({}, env_file(f"{name}=x\n")) == Config()
    (here,) = read_settings({name: "x"}).unused
    (there,) = read_settings({}, env_file(f"# first\n{name}=x\n")).unused
    assert (here.name, here.source, there.name) == (name, "environment", name)
    assert there.source.endswith("dsg.env, line 2") and instead in here.hint


def test_other_names_in_the_environment_are_ignored() -> None:
    environment = {"PATH": "/bin", "DATABASE_PATHS": "a", "dsg_port": "a", "GOOGLE_APPLICATION_CREDENTIALS": "a"}
    assert load(environment) == Config() and read_settings(environment).unused == ()


def test_a_mistyped_name_in_the_file_is_an_error_and_other_names_are_unused(env_file: Write) -> None:
    message = refusal({}, env_file("DATABASE_PATHS=/a\nPATH=/bin\n"))
    assert "DATABASE_PATHS is not a setting (did you mean DATABASE_PATH?)" in message and "; PATH" not in message
    assert [setting.name for setting in read_settings({}, env_file("PATH=/bin\nDJANGO_DEBUG=False\n")).unused] == [
        "DJANGO_DEBUG",
        "PATH",
    ]


def test_settings_of_libraries_may_be_in_the_file_and_the_environment_wins(
    env_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = env_file("GOOGLE_APPLICATION_CREDENTIALS=/etc/dsg/google.json\nREQUESTS_CA_BUNDLE=/etc/dsg/ca.pem\n")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/other.pem")
    assert load_from_environment(file) == Config()
    assert os.environ["GOOGLE_APPLICATION_CREDENTIALS"] == "/etc/dsg/google.json"
    assert os.environ["REQUESTS_CA_BUNDLE"] == "/other.pem"


def test_where_each_setting_comes_from_is_known(env_file: Write) -> None:
    file = env_file("# ours\nDSG_PORT=1\nLOG_LEVEL=ERROR\n")
    settings = read_settings({"DSG_PORT": "2", "DSG_ORIGIN": ""}, file)
    assert settings.sources == {"DSG_PORT": "environment", "LOG_LEVEL": f"{file}, line 3"}
    assert f"DSG_PORT: 'x' is not allowed; allowed: a port from 1 to 65535 ({file}, line 1)" in refusal(
        {}, env_file("DSG_PORT=x\n")
    )


def test_valid_settings_are_read_beside_invalid_ones(env_file: Write) -> None:
    settings = read_settings({"LOG_LEVEL": "loud"}, env_file("DSG_PORT=7\nnonsense\nDSG_ORIGN=x\n"))
    assert settings.config.port == 7 and settings.config.log_level == "INFO"
    assert [problem.names for problem in settings.problems] == [(), ("DSG_ORIGIN",), ("LOG_LEVEL",)]


def test_all_errors_are_reported_at_once(env_file: Write) -> None:
    file = env_file("DSG_PORT=none\nDSG_ORIGN=x\n")
    message = refusal({"LOG_LEVEL": "loud", "DSG_SECRET_KEY": "short", "DSG_TOKEN_NAME": "1"}, file)
    for part in (
        "DSG_PORT: 'none'",
        "DSG_ORIGN is not",
        "LOG_LEVEL: 'loud'",
        "DSG_SECRET_KEY: its value",
        "DSG_TOKEN_NAME is not",
    ):
        assert part in message
    assert f"the file is {file}" in message


@pytest.mark.parametrize(
    "environment",
    [
        {"DSG_SECRET_KEY": SECRET + ",hunter2"},
        {"DSG_SECRET_KEYS": SECRET + ",hunter2"},
        {"DSG_SECRET_KEY": SECRET + ",hunter2", "GOOGLE_CLIENT_SECRET": "hunter2", "DSG_PORT": "x"},
    ],
    ids=["too short", "name mistyped", "something else is wrong"],
)
def test_no_secret_is_in_an_error(environment: dict[str, str]) -> None:
    message = refusal(environment)
    assert SECRET not in message
    assert "hunter2" not in message


def test_no_secret_is_in_an_error_about_a_line(env_file: Write) -> None:
    for line in (f"DSG_SECRET_KEY {SECRET}", f"export DSG_SECRET_KEY={SECRET}", SECRET):
        assert SECRET not in refusal({}, env_file(line))


def test_the_environment_comes_before_the_file_and_the_file_before_the_default(env_file: Write) -> None:
    file = env_file("DSG_PORT=1\nLOG_LEVEL=ERROR\n")
    settings = load({"DSG_PORT": "2"}, file)
    assert (settings.port, settings.log_level, settings.origin) == (2, "ERROR", Config().origin)


def test_an_empty_variable_counts_as_unset(env_file: Write) -> None:
    assert load({"DSG_PORT": ""}, env_file("DSG_PORT=1\n")).port == 1
    assert load({"DSG_PORT": ""}) == Config()


@pytest.mark.parametrize(
    ("environment", "named"), [({"DSG_ENV_FILE": ""}, None), ({}, ""), ({"DSG_ENV_FILE": "x"}, "")]
)
def test_an_empty_name_of_the_settings_file_is_refused(environment: dict[str, str], named: str | None) -> None:
    assert "the name of the settings file is empty" in refusal(environment, named)


def test_a_bad_value_in_the_file_is_no_matter_where_the_environment_has_another(env_file: Write) -> None:
    assert load({"DSG_PORT": "2"}, env_file("DSG_PORT=none\n")).port == 2


def test_the_named_settings_file_is_read(tmp_path: Path, env_file: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    default, other = tmp_path / "default.env", tmp_path / "other.env"
    default.write_text("DSG_PORT=1\n")
    other.write_text("DSG_PORT=2\n")
    monkeypatch.setattr(settings, "DEFAULT_ENV_FILE", str(default))
    named = env_file("DSG_PORT=3\n")
    assert load({}).port == 1
    assert load({"DSG_ENV_FILE": str(other)}).port == 2
    assert load({"DSG_ENV_FILE": str(other)}, named).port == 3


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.env")
    for message in (refusal({"DSG_ENV_FILE": missing}), refusal({}, missing)):
        assert f"{missing} does not exist" in message
        assert "--env-file" in message


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("DSG_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DSG_PORT", "1234")
    assert load_from_environment().port == 1234


def test_values_are_listed_with_their_sources_and_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "dsg.env"
    file.write_text(f"GOOGLE_CLIENT_SECRET={SECRET}\nLOG_LEVEL=debug\nREQUESTS_CA_BUNDLE=/etc/ca.pem\n")
    environment = {"DSG_PORT": "2", "GOOGLE_APPLICATION_CREDENTIALS": "/etc/key.json"}
    rows = {
        row["setting"]: (row["value"], row["source"])
        for row in list_values(read_settings(environment, str(file)), environment)
    }
    assert rows["DSG_PORT"] == ("2", "environment")
    assert rows["GOOGLE_APPLICATION_CREDENTIALS"] == ("/etc/key.json", "environment")
    assert rows["GOOGLE_CLIENT_SECRET"] == ("(set)", f"{file}, line 1")
    assert rows["LOG_LEVEL"] == ("debug", f"{file}, line 2")
    assert rows["REQUESTS_CA_BUNDLE"] == ("/etc/ca.pem", f"{file}, line 3")
    assert rows["DSG_BACKUP_DIR"] == ("", "default")
