"""The settings file: read as systemd reads it, written so that both read the same."""

import os
from pathlib import Path

import pytest

from dsgctl import settings
from dsgctl.env_file import parse, replace_values
from dsgctl.settings import load
from tests.dsgctl.refused_settings import Write, refusal

pytestmark = pytest.mark.usefixtures("no_settings_of_this_machine")


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
    ("text", "part"),
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
def test_a_line_that_systemd_reads_in_another_way_is_refused(text: str, part: str, env_file: Write) -> None:
    file = env_file(f"LOG_LEVEL=INFO\n{text}")
    message = refusal({}, file)
    assert message.startswith(f"{file}, line 2: ") and part in message


@pytest.mark.parametrize("name", ["GOOGLE_CLIENT_ID", "DSG_PORT", "DSG_SECRET_KEY", "REQUESTS_CA_BUNDLE", "X"])
@pytest.mark.parametrize("value", ["a\0b", "\x1b[31m", "a\x85DSG_DEV_LOGIN=1", "'a\x0bb'", "a\x7f"])
def test_a_value_with_control_characters_is_refused(name: str, value: str, env_file: Write) -> None:
    file = env_file(f"LOG_LEVEL=INFO\n{name}={value}\n")
    message = refusal({}, file)
    assert message.startswith(f"{name}: ") and "no control characters" in message and f"{file}, line 2" in message
    assert name != "DSG_SECRET_KEY" or "31m" not in message


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
    text = replace_values(f"# ours{end}" if end else "# ours", {"DSG_PORT": "1"})
    assert text == "# ours\nDSG_PORT=1\n" == replace_values(text, {"DSG_PORT": "1"})
    assert replace_values("", {"DSG_PORT": "1"}) == "DSG_PORT=1\n"


def test_a_dangling_link_is_an_error_and_not_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dsg.env").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setattr(settings, "DEFAULT_ENV_FILE", str(tmp_path / "dsg.env"))
    for message in (refusal({}), refusal({}, str(tmp_path / "dsg.env"))):
        assert f"is a symbolic link to {tmp_path}/elsewhere, which does not exist" in message


def test_a_file_of_another_encoding_is_refused(tmp_path: Path) -> None:
    for encoding in ("utf-16", "latin-1"):
        (tmp_path / "e.env").write_bytes("GOOGLE_CLIENT_ID=Zo\xeb\n".encode(encoding))
        assert "not UTF-8" in refusal({}, str(tmp_path / "e.env"))
    assert "longer than a megabyte" in refusal({}, "/dev/zero")


def test_a_value_whose_backslashes_systemd_dropped_is_refused(env_file: Write) -> None:
    file = env_file("NGAUTH_ALLOWED_ORIGINS=https://viewer\\.example\\.org\n")
    assert load({}, file).ngauth_origins.pattern == r"https://viewer\.example\.org"
    message = refusal({"NGAUTH_ALLOWED_ORIGINS": "https://viewer.example.org"}, file)
    assert "systemd, with EnvironmentFile=, dropped the backslashes of" in message and "single quotes" in message
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
def test_a_written_value_is_read_back_and_systemd_reads_the_same(value: str, env_file: Write) -> None:
    text = replace_values(
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
    assert replace_values(text, {"GOOGLE_CLIENT_ID": value}) == text


@pytest.mark.parametrize(
    "line",
    ["DSG_PORT", "DSG_PORT:8200", "=8200", "export DSG_PORT=8200", "dsg_port=8200", "1DSG=1", "[dsg]", "DSG-PORT=1"],
)
def test_a_line_that_is_no_setting_is_named_by_its_number(line: str, env_file: Write) -> None:
    file = env_file(f"# first\n{line}\n")
    assert f"{file}, line 2: not NAME=value" in refusal({}, file)


@pytest.mark.parametrize("content", ["DSG_PORT=\udcff\n", "\udcff\udcfe"])
def test_a_file_that_is_no_text_is_refused(content: str, env_file: Write) -> None:
    assert "it is not UTF-8 text" in refusal({}, env_file(content))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Is a directory" in refusal({}, str(tmp_path))
    monkeypatch.setattr(settings, "DEFAULT_ENV_FILE", str(tmp_path))
    assert "Is a directory" in refusal({})


def test_an_unreadable_file_is_refused_with_the_user_who_may_read_it(env_file: Write) -> None:
    file = env_file("DSG_PORT=1\n")
    Path(file).chmod(0)
    me = os.geteuid()
    if me == 0:  # root may read everything; nobody may not
        os.seteuid(65534)
    try:
        message = refusal({}, file)
    finally:
        os.seteuid(me)
    assert "Permission denied" in message
    assert "sudo -u dsg" in message
