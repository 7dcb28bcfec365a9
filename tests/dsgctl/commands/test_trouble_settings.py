"""Wrong settings and settings files: one line that says what is allowed."""

from pathlib import Path

import pytest

from tests.dsgctl.commands.running import Process, Quick
from tests.dsgctl.commands.test_errors import is_one_line

# Settings


@pytest.mark.parametrize(
    ("env", "parts"),
    [
        ({"DSG_ORIGN": "x"}, ["DSG_ORIGN is not a setting (did you mean DSG_ORIGIN?)"]),
        ({"DSG_PORT": "http"}, ["DSG_PORT: 'http' is not allowed; allowed: a port from 1 to 65535"]),
        (
            {"DSG_ORIGIN": "https://EXAMPLE.org/"},
            ["DSG_ORIGIN: 'https://EXAMPLE.org/' is not allowed", "in lower case"],
        ),
        ({"LOG_LEVEL": "loud"}, ["LOG_LEVEL: 'loud' is not allowed; allowed: DEBUG, INFO, WARNING, ERROR"]),
        ({"DSG_SECRET_KEY": "short-secret"}, ["DSG_SECRET_KEY: its value is not allowed", "32 characters"]),
        ({"NGAUTH_ALLOWED_ORIGINS": "("}, ["NGAUTH_ALLOWED_ORIGINS", "a regular expression"]),
        ({"DSG_PORT": "0", "DSG_ORIGN": "x"}, ["DSG_ORIGN is not a setting", "DSG_PORT: '0'"]),
        ({"DSG_ENV_FILE": "/no/such.env"}, ["the settings file /no/such.env does not exist"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, env: dict[str, str], parts: list[str]
) -> None:
    for name, text in env.items():
        monkeypatch.setenv(name, text)
    result = quick("user", "list")
    assert (result.code, result.out, is_one_line(result)) == (2, "", True)
    assert all(part in result.err for part in parts), result
    assert "short-secret" not in result.err


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("DSG_PROT=8200\n", "DSG_PROT is not a setting (did you mean DSG_PORT?)"),
        ("DATABASE_PTAH=/x\n", "DATABASE_PTAH is not a setting (did you mean DATABASE_PATH?)"),
        ("DSG_PORT 8200\n", "line 1: not NAME=value"),
        ("# fine\n\nexport DSG_PORT=8200\n", "line 3: not NAME=value"),
        ("DSG_PORT=\x1b[31m\n", "DSG_PORT: '\\x1b[31m' is not allowed"),
    ],
)
def test_a_wrong_line_in_the_settings_file_is_named(quick: Quick, home: Path, text: str, part: str) -> None:
    (home / "dsg.env").write_text(text)
    result = quick("--env-file", "dsg.env", "user", "list")
    assert (result.code, result.out, is_one_line(result)) == (2, "", True)
    assert part in result.err
    assert "dsg.env" in result.err


def test_a_settings_file_that_is_not_text_or_unreadable_is_an_error(quick: Quick, home: Path) -> None:
    (home / "dsg.env").write_bytes(b"\xff\xfe")
    assert "cannot read the settings file dsg.env: it is not UTF-8 text" in quick("--env-file", "dsg.env", "status").err
    assert "cannot read the settings file .: Is a directory" in quick("--env-file", ".", "status").err


def test_the_settings_file_names_the_database_and_the_environment_wins(dsgctl: Process, home: Path) -> None:
    dsgctl("group", "add", "lab-1").ok()
    (home / "dsg.env").write_text(f'# ours\nDATABASE_PATH="{dsgctl.database}"\nDSG_ORIGIN=https://dsg.example.org\n')
    status = dsgctl.shell("env -u DATABASE_PATH dsgctl --env-file dsg.env status").ok().out
    assert str(dsgctl.database) in status
    assert "https://dsg.example.org" in status
    assert dsgctl("--env-file", "dsg.env", "status", env={"DATABASE_PATH": "/no/such"}).code == 1


def test_help_and_completion_need_no_settings_and_no_database(quick: Quick, monkeypatch: pytest.MonkeyPatch) -> None:
    quick.database.unlink()
    monkeypatch.setenv("DSG_NONSENSE", "1")
    for words in (["--help"], ["--version"], ["user", "--help"], ["user", "add", "--help"], ["completion", "bash"]):
        quick(*words).ok()
