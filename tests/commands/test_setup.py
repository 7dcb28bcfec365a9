"""``dsgctl setup``: asks what it must, believes nothing, writes what a server starts with, and may be run again."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsgctl.config import load
from dsgctl.doctor import network
from tests.commands.running import Process, Quick, Result
from tests.commands.terminal import on_a_terminal
from tests.e2e.conftest import running

CLIENT = {"web": {"client_id": "the-client", "client_secret": "the-secret"}}


@pytest.fixture
def etc(home: Path) -> Path:
    """An empty /etc/dsg, and beside it the file that Google offered for download."""
    (home / "etc").mkdir()
    (home / "client.json").write_text(json.dumps(CLIENT))
    return home / "etc"


@pytest.fixture
def run(home: Path, etc: Path) -> Callable[..., Result]:
    quick = Quick(home, etc / "dsg.sqlite3")
    return lambda *words: quick("--env-file", str(etc / "dsg.env"), *words)


ALL = ["setup", "--origin", "http://localhost:8200", "--client", "client.json", "--viewers", r"https://viewer\.example\.org",
       "--admin", "ada@example.org", "--offline"]  # fmt: skip


def test_every_question_has_an_option(run: Callable[..., Result], etc: Path) -> None:
    said = run(*ALL).ok().out
    assert "redirect URI: http://localhost:8200/accounts/google/login/callback/" in said
    file = etc / "dsg.env"
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE((etc / "client_credentials.json").stat().st_mode) == 0o640
    config = load({}, str(file))
    assert len(config.secret_keys[0]) >= 32 and config.client_credentials == etc / "client_credentials.json"
    assert json.loads((etc / "client_credentials.json").read_text()) == CLIENT
    assert run("user", "list", "--admin", "-o", "value").ok().out == "ada@example.org\n"
    assert "the-secret" not in said and config.secret_keys[0] not in said


def test_what_it_writes_a_server_starts_with(run: Callable[..., Result], etc: Path, tmp_path: Path) -> None:
    run(*ALL).ok()
    with running(etc / "dsg.sqlite3", tmp_path, "--env-file", str(etc / "dsg.env")) as server:
        assert server.answers()


def test_a_second_run_changes_nothing_and_a_third_what_it_is_told(run: Callable[..., Result], etc: Path) -> None:
    run(*ALL).ok()
    (etc / "dsg.env").write_text("# ours\n" + (etc / "dsg.env").read_text() + "\nLOG_LEVEL=DEBUG  \n")
    before = (etc / "dsg.env").read_text()
    assert "are as they should be" in run("setup", "--offline").ok().out
    assert "are as they should be" in run(*ALL).ok().out
    assert (etc / "dsg.env").read_text() == before
    answer = json.loads(run("setup", "--offline", "--origin", "http://localhost:9000", "-o", "json").ok().out)
    assert answer["changed"] and answer["redirect_uri"].startswith("http://localhost:9000/")
    after = (etc / "dsg.env").read_text()
    assert after == before.replace("DSG_ORIGIN=http://localhost:8200", "DSG_ORIGIN=http://localhost:9000")


@pytest.mark.parametrize(("words", "code", "said"), [
    (["--origin", "auth.example.org"], 2, "DSG_ORIGIN: 'auth.example.org' is not allowed"),
    (["--origin", "https://Auth.example.org"], 2, "in lower case"),
    (["--viewers", "https://viewer.example.org"], 2, "also lets https://viewerxexample.org in"),
    (["--viewers", "("], 2, "NGAUTH_ALLOWED_ORIGINS: '(' is not allowed"),
    (["--client", "absent.json"], 2, "cannot read absent.json"),
    (["--client", "nonsense.json"], 2, "is not an OAuth client file"),
    (["--issuer", "id.example.org"], 2, "DSG_OIDC_ISSUER"),
    (["--admin", "nobody"], 2, "is not an email address"),
    (["--database", "nowhere/dsg.sqlite3"], 1, "the directory nowhere does not exist"),
])  # fmt: skip
def test_a_bad_answer_is_refused_and_nothing_is_written(
    run: Callable[..., Result], home: Path, etc: Path, words: list[str], code: int, said: str
) -> None:
    (home / "nonsense.json").write_text("{}")
    result = run(*ALL, *words) if words[0] not in ALL else run(*_replaced(ALL, *words))
    assert result.code == code and said in result.err and result.err.count("\n") == 1, result
    if "--admin" not in words and "--database" not in words:
        assert list(etc.iterdir()) == []


def _replaced(words: list[str], option: str, value: str) -> list[str]:
    at = words.index(option)
    return [*words[: at + 1], value, *words[at + 2 :]]


def test_the_provider_is_asked_whether_it_is_there(
    run: Callable[..., Result], etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = [word for word in ALL if word != "--offline"]
    monkeypatch.setattr(network, "get", lambda _: type("Reply", (), {"status_code": 404, "headers": {}})())
    result = run(*online)
    assert result.code == 2 and "answers 404" in result.err and "--offline" in result.err
    assert list(etc.iterdir()) == []

    def there(url: str) -> Any:
        assert url == "https://accounts.google.com/.well-known/openid-configuration"
        answer = b'{"issuer": "https://accounts.google.com"}'
        return type("Reply", (), {"status_code": 200, "headers": {}, "content": answer})()

    monkeypatch.setattr(network, "get", there)
    run(*online).ok()


def test_without_a_terminal_what_is_needed_is_named(run: Callable[..., Result], etc: Path) -> None:
    result = run("setup")
    assert result.code == 2
    assert "nobody is there to be asked for --origin; say it as an option" in result.err
    assert list(etc.iterdir()) == []


def test_a_settings_file_that_is_wrong_is_not_touched(run: Callable[..., Result], etc: Path) -> None:
    (etc / "dsg.env").write_text("DSG_ORIGN=x\n")
    result = run(*ALL)
    assert result.code == 2 and "DSG_ORIGN is not a setting" in result.err
    assert (etc / "dsg.env").read_text() == "DSG_ORIGN=x\n"


def test_a_first_admin_that_is_none_is_refused_before_anything_is_written(
    run: Callable[..., Result], etc: Path
) -> None:
    result = run(*ALL[:-2], "not-an-address", "--offline")
    assert (result.code, result.out) == (2, "")
    assert not (etc / "dsg.env").exists()


def test_a_value_of_two_lines_writes_no_other_setting(run: Callable[..., Result], etc: Path) -> None:
    result = run(*ALL, "--backup-dir", "/x\nDSG_DEV_LOGIN=1")
    assert (result.code, result.out) == (2, "")
    assert not (etc / "dsg.env").exists()


def test_no_place_for_settings(quick: Quick, home: Path) -> None:
    result = quick("--env-file", str(home / "absent" / "dsg.env"), *ALL)
    assert result.code == 2 and "there is no directory" in result.err and "make install" in result.err


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be refused by nobody else")
def test_settings_belong_to_root_and_are_read_by_the_services_group(run: Callable[..., Result], etc: Path) -> None:
    os.chown(etc, 0, 54321)
    run(*ALL).ok()
    for name in ("dsg.env", "client_credentials.json"):
        status = (etc / name).stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 54321, 0o640)


def test_on_a_terminal_it_asks_with_a_line_of_why(home: Path, etc: Path) -> None:
    process = Process(home, etc / "dsg.sqlite3")
    with on_a_terminal(process, "--env-file", str(etc / "dsg.env"), "setup", "--offline") as terminal:
        terminal.wait_for("The address under which browsers reach this gateway")
        terminal.type("\rhttp://localhost:8200\r")  # it is needed: Enter asks again
        terminal.wait_for("The OAuth client")
        terminal.type("client.json\r")
        terminal.wait_for("Which Neuroglancers")
        terminal.type("\r")
        terminal.wait_for("encrypted backups")
        terminal.type("\r")
        terminal.wait_for("first admin")
        terminal.type("ada@example.org\r")
        assert terminal.end() == 0, terminal.seen
    config = load({}, str(etc / "dsg.env"))
    assert config.origin == "http://localhost:8200" and config.backup_dir is None
    assert (
        process("--env-file", str(etc / "dsg.env"), "user", "list", "--admin", "-o", "value").out == "ada@example.org\n"
    )
