"""``dsgctl setup``: asks what it must, believes nothing, writes what a server starts with, and may be run again."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsgctl.config import load
from dsgctl.env_file import parse
from dsgctl.operations import setup
from dsgctl.operations.doctor import network
from tests.dsgctl.commands.running import Process, Quick, Result
from tests.dsgctl.commands.terminal import on_a_terminal
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


ALL = [
    "setup",
    "--origin",
    "http://localhost:8200",
    "--client",
    "client.json",
    "--viewers",
    r"https://viewer\.example\.org",
    "--admin",
    "ada@example.org",
    "--offline",
]


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


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--origin", "auth.example.org"], 2, "DSG_ORIGIN: 'auth.example.org' is not allowed"),
        (["--origin", "https://Auth.example.org"], 2, "in lower case"),
        (["--viewers", "https://viewer.example.org|https://z.org"], 2, "also lets https://viewerxexample.org in"),
        (["--viewers", "http://viewer.example.org"], 2, "over http alone"),
        (["--viewers", r"viewer\.example\.org"], 2, "an origin begins with https://"),
        (["--viewers", "https://neuroglancer-demo.appsppot.com"], 2, "a slip of neuroglancer-demo.appspot.com"),
        (["--backup-dir", "backups"], 2, "name it from the root"),
        (["--client", "desktop.json"], 2, "is of a desktop app"),
        (["--client", "key.json"], 2, "is the key of a service account"),
        (["--viewers", "("], 2, "NGAUTH_ALLOWED_ORIGINS: '(' is not allowed"),
        (["--client", "absent.json"], 2, "cannot read absent.json"),
        (["--client", "nonsense.json"], 2, "is not an OAuth client file"),
        (["--issuer", "id.example.org"], 2, "DSG_OIDC_ISSUER"),
        (["--admin", "nobody"], 2, "is not an email address"),
        (["--database", "nowhere/dsg.sqlite3"], 1, "the directory nowhere does not exist"),
    ],
)
def test_a_bad_answer_is_refused_and_nothing_is_written(
    run: Callable[..., Result], home: Path, etc: Path, words: list[str], code: int, said: str
) -> None:
    (home / "nonsense.json").write_text("{}")
    (home / "desktop.json").write_text('{"installed": {"client_id": "x", "client_secret": "y"}}')
    (home / "key.json").write_text('{"type": "service_account"}')
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
        terminal.wait_for("\n  for example  https://auth.example.org\r\n")  # nothing after it that one might copy
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


def test_each_answer_is_judged_when_it_is_given_and_kept_when_it_is_good(home: Path, etc: Path) -> None:
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
        terminal.wait_for("encrypted backups")
        terminal.press("\x03")
        assert terminal.end() == 130
    assert f"what was answered is kept in {file}" in terminal.seen
    config = load({}, str(file))
    assert config.ngauth_origins.pattern == r"https://viewer\.example\.org|https://b\.org"
    assert config.client_credentials == etc / "client_credentials.json" and config.secret_keys
    with on_a_terminal(process, "--env-file", str(file), "setup", "--offline") as terminal:
        terminal.wait_for("encrypted backups")  # all else is answered
        terminal.type("/var/backups/dsg\r")
        terminal.wait_for("first admin")
        terminal.type("nobody\r")
        terminal.wait_for("is not an email address")
        terminal.type("ada@example.org\r")
        assert terminal.end() == 0
    assert "The address under" not in terminal.seen and load({}, str(file)).secret_keys == config.secret_keys


@pytest.mark.parametrize(
    ("answer", "pattern"),
    [
        ("https://viewer.example.org", r"https://viewer\.example\.org"),
        ("https://viewer.example.org/", r"https://viewer\.example\.org"),
        ("https://neuroglancer-demo.appspot.com/#!%7B%22a%22:1%7D", r"https://neuroglancer-demo\.appspot\.com"),
        ("HTTPS://Viewer.Example.org:443/v/", r"https://viewer\.example\.org"),
        ("https://viewer.example.org:8443", r"https://viewer\.example\.org:8443"),
        ("viewer.example.org", r"https://viewer\.example\.org"),
        ("https://a.org,https://b.org", r"https://a\.org|https://b\.org"),
        ("https://a.org  b.org, https://a.org", r"https://a\.org|https://b\.org"),
        ("http://localhost:8080", "http://localhost:8080"),
        (r"https://(a|b)\.example\.org", r"https://(a|b)\.example\.org"),
        (r"https://[a-z]+\.example\.org", r"https://[a-z]+\.example\.org"),
    ],
)
def test_the_pattern_of_viewers_is_built_from_their_addresses(
    run: Callable[..., Result], etc: Path, answer: str, pattern: str
) -> None:
    assert setup.build_pattern(answer) == pattern
    run(*_replaced(ALL, "--viewers", answer)).ok()
    (line,) = [line for line in parse((etc / "dsg.env").read_text())[0] if line.name == "NGAUTH_ALLOWED_ORIGINS"]
    assert line.value == line.as_systemd == pattern


def test_it_says_what_was_made_and_ends_with_what_to_type(run: Callable[..., Result], etc: Path, home: Path) -> None:
    words = _replaced(ALL, "--origin", "https://auth.example.org")
    lines = run(*words, "--backup-dir", str(home / "backups")).ok().out.splitlines()
    assert any(
        line.startswith("wrote ") and "DSG_ORIGIN, " in line and line.endswith(str(etc / "dsg.env")) for line in lines
    )
    assert f"made the database {etc}/dsg.sqlite3" in lines and "added ada@example.org, who manages the gateway" in lines
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


def test_a_key_is_rotated_and_nothing_else_is_done(run: Callable[..., Result], etc: Path) -> None:
    run(*ALL).ok()
    before = (etc / "dsg.env").read_text()
    (first,) = load({}, str(etc / "dsg.env")).secret_keys
    said = run("setup", "--rotate-key").ok().out
    second, former = load({}, str(etc / "dsg.env")).secret_keys
    assert former == first != second and second not in said and "systemctl restart 'dsgserve*.service'" in said
    run("setup", "--rotate-key", "-o", "json").ok()
    third, former = load({}, str(etc / "dsg.env")).secret_keys
    assert former == second and third not in (first, second)
    assert (etc / "dsg.env").read_text() == before.replace(first, f"{third},{second}")


def test_names_of_others_are_named_and_stay(run: Callable[..., Result], etc: Path) -> None:
    (etc / "dsg.env").write_text("DSG_URL=https://x.org\nDJANGO_DEBUG=False\n")
    result = run(*ALL).ok()
    assert "DSG_URL" in result.err and "line 1) is no setting of this gateway" in result.err
    assert (etc / "dsg.env").read_text().startswith("DSG_URL=https://x.org\nDJANGO_DEBUG=False\n")


def test_settings_that_do_not_go_together_are_refused(run: Callable[..., Result], etc: Path) -> None:
    (etc / "dsg.env").write_text("AUTH_COOKIE_DOMAIN=.other.org\n")
    result = run(*_replaced(ALL, "--origin", "https://auth.example.org"))
    assert result.code == 2 and "browsers refuse other.org" in result.err
    assert (etc / "dsg.env").read_text() == "AUTH_COOKIE_DOMAIN=.other.org\n"
