"""The settings file of a new gateway: each answer is checked, a server starts with it, and a second run is safe."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsgctl.env_file import parse
from dsgctl.operations import setup
from dsgctl.operations.doctor import network
from dsgctl.settings import load
from tests.dsgctl.commands.running import Quick, Result
from tests.e2e.conftest import run_server

CLIENT = {"web": {"client_id": "the-client", "client_secret": "the-secret"}}

Run = Callable[..., Result]


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


def replace_value(words: list[str], option: str, value: str) -> list[str]:
    at = words.index(option)
    return [*words[: at + 1], value, *words[at + 2 :]]


def test_a_server_starts_with_the_written_settings(run: Run, etc: Path, tmp_path: Path) -> None:
    run(*ALL).ok()
    with run_server(etc / "dsg.sqlite3", tmp_path, "--env-file", str(etc / "dsg.env")) as server:
        assert server.is_ready()


def test_a_second_run_changes_nothing_and_a_third_only_the_given_options(run: Run, etc: Path) -> None:
    run(*ALL).ok()
    (etc / "dsg.env").write_text("# ours\n" + (etc / "dsg.env").read_text() + "\nLOG_LEVEL=DEBUG  \n")
    before = (etc / "dsg.env").read_text()
    assert "need no change" in run("setup", "--offline").ok().out
    assert "need no change" in run(*ALL).ok().out
    assert (etc / "dsg.env").read_text() == before
    answer = json.loads(run("setup", "--offline", "--origin", "http://localhost:9000", "-o", "json").ok().out)
    assert answer["changed"] and answer["redirect_uri"].startswith("http://localhost:9000/")
    after = (etc / "dsg.env").read_text()
    assert after == before.replace("DSG_ORIGIN=http://localhost:8200", "DSG_ORIGIN=http://localhost:9000")


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (["--origin", "auth.example.org"], 2, "DSG_ORIGIN: 'auth.example.org' is not allowed"),
        (["--origin", "https://Auth.example.org"], 2, "in lower case"),
        (["--viewers", "https://viewer.example.org|https://z.org"], 2, "also admits https://viewerxexample.org"),
        (["--viewers", "http://viewer.example.org"], 2, "over http alone"),
        (["--viewers", r"viewer\.example\.org"], 2, "an origin begins with https://"),
        (["--viewers", "https://neuroglancer-demo.appsppot.com"], 2, "a typo of neuroglancer-demo.appspot.com"),
        (["--backup-dir", "backups"], 2, "use an absolute path"),
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
    run: Run, home: Path, etc: Path, words: list[str], code: int, part: str
) -> None:
    (home / "nonsense.json").write_text("{}")
    (home / "desktop.json").write_text('{"installed": {"client_id": "x", "client_secret": "y"}}')
    (home / "key.json").write_text('{"type": "service_account"}')
    result = run(*ALL, *words) if words[0] not in ALL else run(*replace_value(ALL, *words))
    assert result.code == code and part in result.err and result.err.count("\n") == 1, result
    if "--admin" not in words and "--database" not in words:
        assert list(etc.iterdir()) == []


def test_setup_checks_that_the_provider_answers(run: Run, etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    online = [word for word in ALL if word != "--offline"]
    monkeypatch.setattr(network, "get", lambda _: type("Reply", (), {"status_code": 404, "headers": {}})())
    result = run(*online)
    assert result.code == 2 and "answers 404" in result.err and "--offline" in result.err
    assert list(etc.iterdir()) == []

    def answer(url: str) -> Any:
        assert url == "https://accounts.google.com/.well-known/openid-configuration"
        content = b'{"issuer": "https://accounts.google.com"}'
        return type("Reply", (), {"status_code": 200, "headers": {}, "content": content})()

    monkeypatch.setattr(network, "get", answer)
    run(*online).ok()


def test_a_settings_file_that_is_wrong_is_not_touched(run: Run, etc: Path) -> None:
    (etc / "dsg.env").write_text("DSG_ORIGN=x\n")
    result = run(*ALL)
    assert result.code == 2 and "DSG_ORIGN is not a setting" in result.err
    assert (etc / "dsg.env").read_text() == "DSG_ORIGN=x\n"


def test_a_value_of_two_lines_writes_no_other_setting(run: Run, etc: Path) -> None:
    result = run(*ALL, "--backup-dir", "/x\nDSG_DEV_LOGIN=1")
    assert (result.code, result.out) == (2, "")
    assert not (etc / "dsg.env").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may be refused by nobody else")
def test_settings_belong_to_root_and_are_read_by_the_services_group(run: Run, etc: Path) -> None:
    os.chown(etc, 0, 54321)
    run(*ALL).ok()
    for name in ("dsg.env", "client_credentials.json"):
        status = (etc / name).stat()
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (0, 54321, 0o640)


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
def test_the_pattern_of_viewers_is_built_from_their_addresses(run: Run, etc: Path, answer: str, pattern: str) -> None:
    assert setup.build_pattern(answer) == pattern
    run(*replace_value(ALL, "--viewers", answer)).ok()
    (line,) = [line for line in parse((etc / "dsg.env").read_text())[0] if line.name == "NGAUTH_ALLOWED_ORIGINS"]
    assert line.value == line.as_systemd == pattern


def test_a_key_is_rotated_and_nothing_else_is_done(run: Run, etc: Path) -> None:
    run(*ALL).ok()
    before = (etc / "dsg.env").read_text()
    (first,) = load({}, str(etc / "dsg.env")).secret_keys
    output = run("setup", "--rotate-key").ok().out
    second, former = load({}, str(etc / "dsg.env")).secret_keys
    assert former == first != second and second not in output and "systemctl restart 'dsgserve*.service'" in output
    run("setup", "--rotate-key", "-o", "json").ok()
    third, former = load({}, str(etc / "dsg.env")).secret_keys
    assert former == second and third not in (first, second)
    assert (etc / "dsg.env").read_text() == before.replace(first, f"{third},{second}")


def test_names_of_others_are_named_and_stay(run: Run, etc: Path) -> None:
    (etc / "dsg.env").write_text("DSG_URL=https://x.org\nDJANGO_DEBUG=False\n")
    result = run(*ALL).ok()
    assert "DSG_URL" in result.err and "line 1) is not a setting of this gateway" in result.err
    assert (etc / "dsg.env").read_text().startswith("DSG_URL=https://x.org\nDJANGO_DEBUG=False\n")


def test_settings_that_do_not_go_together_are_refused(run: Run, etc: Path) -> None:
    (etc / "dsg.env").write_text("AUTH_COOKIE_DOMAIN=.other.org\n")
    result = run(*replace_value(ALL, "--origin", "https://auth.example.org"))
    assert result.code == 2 and "browsers refuse other.org" in result.err
    assert (etc / "dsg.env").read_text() == "AUTH_COOKIE_DOMAIN=.other.org\n"
