"""``dsgctl setup``: its options, its questions on a terminal, and what it prints."""

# ruff: noqa: F811  fixtures are imported

import json
import stat
from pathlib import Path

import pytest

from dsgctl.settings import load
from tests.dsgctl.commands.running import Process, Quick
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.operations.test_setup import ALL, CLIENT, Run, etc, replace_value, run  # noqa: F401  fixtures


def test_every_question_has_an_option(run: Run, etc: Path) -> None:
    output = run(*ALL).ok().out
    assert "redirect URI: http://localhost:8200/accounts/google/login/callback/" in output
    file = etc / "dsg.env"
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((etc / "client_credentials.json").stat().st_mode) == 0o640
    config = load({}, str(file))
    assert len(config.secret_keys[0]) >= 32 and config.client_credentials == etc / "client_credentials.json"
    assert json.loads((etc / "client_credentials.json").read_text()) == CLIENT
    assert run("user", "list", "--admin", "-o", "value").ok().out == "ada@example.org\n"
    assert "the-secret" not in output and config.secret_keys[0] not in output


def test_setup_without_a_terminal_names_the_missing_options(run: Run, etc: Path) -> None:
    result = run("setup")
    assert result.code == 2
    assert "--origin must be set; set it with an option" in result.err
    assert list(etc.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        ("--apis", "cave,gat"),
        ("--origin", "auth example"),
        ("--viewers", "("),
        ("--backup-dir", "backups"),
    ],
)
def test_a_bad_option_is_not_blamed_on_the_environment_or_a_file(
    quick: Quick, etc: Path, words: tuple[str, str]
) -> None:
    result = quick("--env-file", str(etc / "dsg.env"), *ALL, *words)
    assert result.code == 2 and is_one_line(result), result
    assert "environment" not in result.err and "/dev/null" not in result.err


def test_setup_refuses_a_settings_file_in_an_absent_directory(quick: Quick, home: Path) -> None:
    result = quick("--env-file", str(home / "absent" / "dsg.env"), *ALL)
    assert result.code == 2 and "there is no directory" in result.err and "make install" in result.err


def test_setup_on_a_terminal_explains_each_question(home: Path, etc: Path) -> None:
    process = Process(home, etc / "dsg.sqlite3")
    with on_a_terminal(process, "--env-file", str(etc / "dsg.env"), "setup", "--offline") as terminal:
        terminal.wait_for("The address under which browsers reach this gateway")
        terminal.wait_for("\n  for example  https://auth.example.org\r\n")  # nothing after it that one might copy
        terminal.type("\rhttp://localhost:8200\r")  # it is needed: Enter asks again
        terminal.wait_for("The OAuth client")
        terminal.type("client.json\r")
        terminal.wait_for("Which Neuroglancers")
        terminal.type("\r")
        terminal.wait_for("Which services ask this gateway")
        terminal.type("caves\r")
        terminal.wait_for("cave, native, gate, separated by commas")
        terminal.type("cave,gate\r")
        terminal.wait_for("encrypted backups")
        terminal.type("\r")
        terminal.wait_for("first admin")
        terminal.type("ada@example.org\r")
        assert terminal.end() == 0, terminal.seen
    config = load({}, str(etc / "dsg.env"))
    assert config.origin == "http://localhost:8200" and config.backup_dir is None
    assert config.apis == ("cave", "gate")
    assert (
        process("--env-file", str(etc / "dsg.env"), "user", "list", "--admin", "-o", "value").out == "ada@example.org\n"
    )


def test_each_answer_is_checked_when_it_is_typed(home: Path, etc: Path) -> None:
    process, file = Process(home, etc / "dsg.sqlite3"), etc / "dsg.env"
    with on_a_terminal(process, "--env-file", str(file), "setup", "--offline") as terminal:
        terminal.wait_for("The address under")
        assert "DSG_ORIGIN" not in file.read_text()
        terminal.type("auth.example.org\r")
        terminal.wait_for("scheme://host[:port] in lower case")
        terminal.type("https://auth.example.org\r")
        terminal.wait_for("The OAuth client")
        assert load({}, str(file)).origin == "https://auth.example.org"
        terminal.type("absent.json\r")
        terminal.wait_for("cannot read absent.json")
        terminal.type("client.json\r")
        terminal.wait_for("Which Neuroglancers")
        terminal.type("viewer.example\\.org|x\r")
        terminal.wait_for("an origin begins with https://")
        terminal.type("Viewer.example.org/#!x, https://b.org:443\r")
        terminal.wait_for("Which services ask this gateway")
        terminal.press("\x03")
        assert terminal.end() == 130
    assert f"your answers are saved in {file}" in terminal.seen
    config = load({}, str(file))
    assert config.ngauth_origins.pattern == r"https://viewer\.example\.org|https://b\.org"
    assert config.client_credentials == etc / "client_credentials.json" and config.secret_keys
    with on_a_terminal(process, "--env-file", str(file), "setup", "--offline") as terminal:
        terminal.wait_for("Which services ask this gateway")  # all before it is answered
        terminal.type("\r")
        terminal.wait_for("encrypted backups")
        terminal.type("/var/backups/dsg\r")
        terminal.wait_for("first admin")
        terminal.type("nobody\r")
        terminal.wait_for("is not an email address")
        terminal.type("ada@example.org\r")
        assert terminal.end() == 0
    assert "The address under" not in terminal.seen and load({}, str(file)).secret_keys == config.secret_keys


def test_setup_reports_what_it_created_and_the_next_commands(run: Run, etc: Path, home: Path) -> None:
    words = replace_value(ALL, "--origin", "https://auth.example.org")
    lines = run(*words, "--backup-dir", str(home / "backups")).ok().out.splitlines()
    assert any(
        line.startswith("wrote ") and "DSG_ORIGIN, " in line and line.endswith(str(etc / "dsg.env")) for line in lines
    )
    assert (
        f"created the database {etc}/dsg.sqlite3" in lines and "added ada@example.org, who manages the gateway" in lines
    )
    commands = [line.strip() for line in lines[lines.index("next:") + 1 :]]
    assert commands == [
        f"install -d -o dsg -g dsg -m 750 {home}/backups",
        "install -d /etc/systemd/system/dsg-backup.service.d && "
        f"printf '[Service]\\nReadWritePaths={home}/backups\\n' > "
        "/etc/systemd/system/dsg-backup.service.d/directory.conf && systemctl daemon-reload",
        "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=auth.example.org -addext "
        "subjectAltName=DNS:auth.example.org -keyout /etc/ssl/private/dsg.key -out /etc/ssl/certs/dsg.pem",
        "sed s/auth.example.org/auth.example.org/ /opt/dsg/share/nginx/dsg.conf > /etc/nginx/conf.d/dsg.conf",
        "nginx -t && systemctl reload nginx",
        "systemctl enable --now dsgserve.socket dsgserve dsg-prune.timer dsg-backup.timer",
        f"dsgctl --env-file {etc}/dsg.env doctor",
    ]
    assert json.loads(run("setup", "--offline", "-o", "json").ok().out)["next"] == commands


def test_a_first_admin_that_is_none_is_refused_before_anything_is_written(run: Run, etc: Path) -> None:
    result = run(*ALL[:-2], "not-an-address", "--offline")
    assert (result.code, result.out) == (2, "")
    assert not (etc / "dsg.env").exists()
