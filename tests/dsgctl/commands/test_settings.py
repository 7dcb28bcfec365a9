"""``dsgctl config``: what counts, where it comes from, and what is wrong; never a secret."""

import json
from pathlib import Path

import pytest

from dsgctl.config import LIBRARIES, SETTINGS
from tests.dsgctl.commands.running import Quick, Result

SECRET = "correct-horse-battery-staple-0123456789"


@pytest.fixture
def file(home: Path) -> Path:
    (home / "dsg.env").write_text(
        f"# ours\nDSG_SECRET_KEY={SECRET}\nGOOGLE_CLIENT_SECRET='{SECRET}'\nLOG_LEVEL=debug\nDSG_PORT=1\n"
        "NGAUTH_ALLOWED_ORIGINS='https://viewer\\.example\\.org'\nREQUESTS_CA_BUNDLE=/etc/ca.pem\n"
    )
    return home / "dsg.env"


def show_settings(quick: Quick, file: Path) -> tuple[Result, dict[str, tuple[str, str]]]:
    result = quick("--env-file", str(file), "config", "show", "-o", "json")
    return result, {row["setting"]: (row["value"], row["source"]) for row in json.loads(result.out)}


def test_each_setting_is_shown_with_its_value_and_where_that_comes_from(
    quick: Quick, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSG_PORT", "2")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    result, rows = show_settings(quick, file)
    assert result.ok().err == "" and rows.keys() == SETTINGS.keys() | LIBRARIES.keys()
    assert rows["DSG_PORT"] == ("2", "environment")
    assert rows["LOG_LEVEL"] == ("debug", f"{file}, line 4")
    assert rows["NGAUTH_ALLOWED_ORIGINS"] == (r"https://viewer\.example\.org", f"{file}, line 6")
    assert rows["REQUESTS_CA_BUNDLE"] == ("/etc/ca.pem", f"{file}, line 7")
    assert rows["DSG_ORIGIN"] == ("http://localhost:8200", "default") and rows["DSG_BACKUP_DIR"] == ("", "default")
    assert rows["DSG_SECRET_KEY"] == ("(set)", f"{file}, line 2")


@pytest.mark.parametrize("format", ["table", "json", "jsonl", "csv", "value"])
@pytest.mark.parametrize("verb", ["show", "check"])
def test_no_secret_is_shown(quick: Quick, file: Path, format: str, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for more in ("", f"DSG_SECRET_KEYS={SECRET}\n", f"nonsense {SECRET}\n", "DSG_SECRET_KEY=short-secret\n"):
        file.write_text(file.read_text() + more)
        result = quick("--env-file", str(file), "config", verb, "-o", format)
        assert SECRET not in result.out + result.err and "short-secret" not in result.out + result.err
        assert result.out


def test_config_show_reports_bad_settings_and_shows_the_others(quick: Quick, file: Path) -> None:
    file.write_text("DSG_PORT=none\nLOG_LEVEL=ERROR\nDSG_ORIGN=x\nDSG_URL=https://x.org\n")
    result, rows = show_settings(quick, file)
    assert result.code == 2 and "DSG_PORT: 'none'" in result.err and "did you mean DSG_ORIGIN?" in result.err
    assert rows["LOG_LEVEL"][0] == "ERROR"
    result = quick("--env-file", str(file), "config", "check")
    assert result.code == 2
    assert (
        f"failed   settings: DSG_PORT: 'none' is not allowed; allowed: a port from 1 to 65535 ({file}, line 1)"
        in result.out
    )
    assert "warning  settings: DSG_URL" in result.out
    file.write_text("DSG_URL=https://x.org\n")
    assert "ok       settings: " in quick("--env-file", str(file), "config", "check").ok().out
