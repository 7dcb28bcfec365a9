"""``dsgctl doctor``: each thing that can be wrong is found, and says what to do."""

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from dsgctl import doctor
from dsgctl.config import load
from dsgctl.core import datasets, grants, users
from dsgctl.core.change import change
from dsgctl.store import Database
from tests.commands.running import Quick
from tests.e2e.conftest import KEY, running
from tests.e2e.google import running_google
from tests.e2e.local import make_certificate
from tests.store.builders import with_apsw

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
Examine = Callable[..., dict[str, doctor.Finding]]


@pytest.fixture
def examine(path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """The findings for settings, by the name of the check; of several of one name the worst."""
    monkeypatch.setattr(doctor, "SOCKET", home / "absent.sock")
    path.chmod(0o600)

    def run(at: datetime | None = None, **settings: str) -> dict[str, doctor.Finding]:
        config = load({"DATABASE_PATH": str(path), "DSG_PORT": "9", "DSG_ORIGIN": "http://localhost:9", **settings})
        found: dict[str, doctor.Finding] = {}
        for one in doctor.examine(config, home / "dsg.env", at or datetime.now(UTC)):
            before = found.get(one.check)
            if before is None or list(doctor.State).index(one.state) > list(doctor.State).index(before.state):
                found[one.check] = one
            assert bool(one.do) == (one.state is not doctor.State.OK), one
        return found

    return run


def says(found: dict[str, doctor.Finding], check: str, state: str, *parts: str) -> None:
    one = found[check]
    assert one.state == state, one
    for part in parts:
        assert part in f"{one.found}; {one.do}"


def test_a_bare_host(examine: Examine) -> None:
    found = examine()
    says(found, "settings file", "warning", "there is no", "dsgctl setup")
    says(found, "signing keys", "warning", "set DSG_SECRET_KEY")
    says(found, "viewers", "warning", "no Neuroglancer may ask")
    says(found, "database", "ok", "is sound")
    says(found, "audit log", "ok")
    says(found, "provider", "failed", "no OAuth client")
    says(found, "server", "failed", "does not answer on http://127.0.0.1:9/health", "journalctl")
    says(found, "origin", "failed", "http://localhost:9/health does not answer", "nginx -t")
    says(found, "backup", "warning", "there are no backups")


def test_settings(examine: Examine, home: Path) -> None:
    (home / "dsg.env").write_text("")
    (home / "dsg.env").chmod(0o644)
    says(examine(), "settings file", "failed", "everybody on this host can read", "chmod 640")
    (home / "dsg.env").chmod(0o640)
    says(examine(), "settings file", "ok")
    says(examine(DSG_SECRET_KEY=f"{KEY},{KEY}"), "signing keys", "ok", "one signs, 1 for what was signed before")
    says(examine(DSG_ORIGIN="https://localhost:9"), "signing keys", "failed", "dsgserve will not start")
    says(examine(DSG_TOKEN_REDIRECTS="https://a.org"), "redirects", "warning", "https://a.org", "DSG_ALLOWED_REDIRECTS")
    assert "redirects" not in examine(DSG_TOKEN_REDIRECTS="https://a.org", DSG_ALLOWED_REDIRECTS="https://a.org")


@pytest.mark.parametrize(("pattern", "let_in"), [
    (r"https://viewer\.example\.org", None),
    (r"https://(viewer|atlas)\.example\.org", None),
    (r"https://[a-z0-9-]+\.example\.org", None),
    (r"https://viewer.example.org", "https://viewerxexample.org"),
    (r"https://viewer\.example\.org.*", "https://viewer.example.org.attacker.example"),
    (r"https://.*viewer\.example\.org", "https://attacker-viewer.example.org"),
    (r"https://.*\.example\.org|https://.*", "https://attacker.example"),
    (r".*", "https://attacker.example"),
])  # fmt: skip
def test_a_pattern_of_viewers_is_tried_against_look_alikes(examine: Examine, pattern: str, let_in: str | None) -> None:
    found = examine(NGAUTH_ALLOWED_ORIGINS=pattern)
    if let_in is None:
        says(found, "viewers", "ok")
    else:
        says(found, "viewers", "failed", f"also lets {let_in} in")


def test_the_database(examine: Examine, path: Path) -> None:
    path.chmod(0o644)
    says(examine(), "database", "failed", "everybody on this host can read", "chmod 660")
    path.chmod(0o600)
    with_apsw(path, "PRAGMA foreign_keys = 0", "INSERT INTO memberships VALUES (7, 8, 0)")
    says(examine(), "database", "warning", "a row of memberships refers to", "db check --mend")
    with_apsw(path, "DELETE FROM memberships", "DROP TRIGGER audit_no_delete",
              "INSERT INTO audit (at, actor, action, target, hash) VALUES "
              "('2026-11-20T12:00:00.000000Z', 'x', 'x', 'x', zeroblob(32))")  # fmt: skip
    says(examine(), "audit log", "failed", "record 1 does not follow")
    with_apsw(path, "DELETE FROM migrations WHERE number > 1")
    says(examine(), "database", "failed", "it has schema 1", "dsgctl db migrate")
    path.unlink()
    says(examine(), "database", "failed", "there is no database", "dsgctl db migrate")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_a_database_that_root_made_for_itself(examine: Examine, path: Path, quick: Quick) -> None:
    os.chown(path.parent, 54321, 54321)
    says(examine(), "database", "failed", "belongs to root", "the server may not write to it", "chown")
    os.chown(path, 54321, 54321)
    says(examine(), "database", "ok")
    assert '"owner": "54321"' in quick("db", "info", "-o", "json").ok().out  # nobody has that number


def test_disk_and_journal(examine: Examine, path: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    says(examine(), "disk", "ok")
    monkeypatch.setattr(doctor, "ROOM", 1 << 60)
    says(examine(), "disk", "warning", "make room")
    database.scalar("SELECT 1")
    with change(database, "os:test") as opened:
        datasets.add(opened, "fish")
    monkeypatch.setattr(doctor, "LONG_WAL", 10)
    says(examine(), "journal", "warning", "something reads without end")


def test_a_backup_that_is_old(examine: Examine, home: Path) -> None:
    settings = {"DSG_BACKUP_DIR": str(home), "DSG_BACKUP_AGE_RECIPIENTS_FILE": str(home / "recipients")}
    says(examine(**settings), "backup", "failed", "nobody to encrypt to")
    import pyrage

    (home / "recipients").write_text(f"{pyrage.x25519.Identity.generate().to_public()}\n")
    says(examine(**settings), "backup", "warning", "there is none in", "dsgctl db backup")
    (home / f"dsg-backup-{NOW:%Y%m%dT%H%M%SZ}.tar.gz.age").write_text("")
    says(examine(NOW + timedelta(hours=2), **settings), "backup", "ok", "2.0 hours old")
    says(
        examine(NOW + timedelta(days=3), **settings), "backup", "warning", "72.0 hours old", "journalctl -u dsg-backup"
    )


def test_a_server_that_answers(examine: Examine, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(path, tmp_path) as server:
        port = server.origin.rpartition(":")[2]
        settings = {"DSG_PORT": port, "DSG_ORIGIN": f"http://localhost:{port}"}
        found = examine(**settings)
        says(found, "server", "ok")
        says(found, "origin", "ok", "answers, release")
        monkeypatch.setattr(doctor, "__version__", "9.9.9")
        says(examine(**settings), "origin", "failed", "this is 9.9.9", "systemctl restart")


class _Reply:
    """A provider's answer, as requests has it."""

    status_code = 200

    def __init__(self, body: Any, away: timedelta = timedelta(0)) -> None:
        self._body = body
        self._away = away

    @property
    def headers(self) -> dict[str, str]:
        """Of the moment of the answer: the table below was made when the test run began."""
        return {"Date": f"{datetime.now(UTC) + self._away:%a, %d %b %Y %H:%M:%S GMT}"}

    def json(self) -> Any:
        return self._body


@pytest.mark.parametrize(("answer", "check", "state", "said"), [
    (_Reply({"issuer": "https://id.example.org"}), "provider", "ok", "answers"),
    (_Reply({"issuer": "https://other.example.org"}), "provider", "failed", "set DSG_OIDC_ISSUER=https://other"),
    (_Reply([]), "provider", "failed", "another issuer: None"),
    (requests.ConnectTimeout(), "provider", "failed", "does not answer: ConnectTimeout"),
    (_Reply({"issuer": "https://id.example.org"}, timedelta(minutes=5)), "clock", "failed", "timedatectl"),
    (_Reply({"issuer": "https://id.example.org"}, timedelta(seconds=-5)), "clock", "ok", "agrees"),
])  # fmt: skip
def test_the_provider_and_the_clock(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, answer: Any, check: str, state: str, said: str
) -> None:
    def get(url: str) -> Any:
        if "openid-configuration" not in url or isinstance(answer, Exception):
            raise answer if isinstance(answer, Exception) else requests.ConnectionError
        return answer

    monkeypatch.setattr(doctor, "_get", get)
    client = {"GOOGLE_CLIENT_ID": "c", "GOOGLE_CLIENT_SECRET": "s", "DSG_OIDC_ISSUER": "https://id.example.org"}
    says(examine(**client), check, state, said)


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    certificate = make_certificate(tmp_path, "localhost")
    with running_google(tmp_path, certificate) as started:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://localhost:{started.port}")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(started.credentials))
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        yield started


def test_what_google_says_of_each_bucket(examine: Examine, database: Database, google: Any) -> None:
    uniform = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}
    google.buckets = {
        "good-bucket": {**uniform, "cors": [{"origin": ["*"]}]},
        "no-cors": uniform,
        "not-uniform": {"cors": [{"origin": ["*"]}]},
        "not-readable": {**uniform, "held": []},
        "no-policy": {**uniform, "held": ["storage.objects.get", "storage.objects.list"]},
        "requester-pays": {**uniform, "cors": [{"origin": ["*"]}], "billing": {"requesterPays": True}},
        "chosen": {**uniform, "held": ["storage.objects.get", "storage.objects.list", "storage.buckets.getIamPolicy"]},
    }
    with change(database, "os:test") as opened:
        for name in ("fish", "fly"):
            datasets.add(opened, name)
        for bucket in (*google.buckets, "unknown-bucket"):
            datasets.add_location(opened, "fish", f"gs://{bucket}/fish")
        datasets.add_location(opened, "fly", "gs://good-bucket")
        datasets.add_location(opened, "fish", "gs://bad-key")
        datasets.set_bucket(opened, "chosen", iam=True)
        datasets.set_bucket(opened, "bad-key", credential="/nowhere/key.json")
    found = examine()
    says(found, "bucket good-bucket", "ok", "readable, uniform access, CORS")
    says(found, "bucket no-cors", "warning", "no CORS rule", "--cors-file")
    says(found, "bucket not-uniform", "failed", "--uniform-bucket-level-access")
    says(found, "bucket not-readable", "failed", "lacks storage.objects.get, storage.objects.list")
    says(found, "bucket no-policy", "warning", "may not read its policy")
    says(found, "bucket chosen", "failed", "may not change its policy", "storage.buckets.setIamPolicy", "--no-iam")
    says(found, "bucket unknown-bucket", "failed", "does not let the gateway in", "no storage.buckets.get access")
    says(found, "bucket bad-key", "failed", "/nowhere/key.json")
    says(found, "bucket requester-pays", "failed", "viewers name no project", "--no-requester-pays")
    says(found, "buckets", "warning", "who may view fly reads all of gs://good-bucket, where fish lies too")


def test_its_answer_and_exit_code(quick: Quick, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSG_ENV_FILE", str(home / "dsg.env"))
    (home / "dsg.env").write_text("DSG_PORT=9\nDSG_ORIGIN=http://localhost:9\n")
    (home / "dsg.env").chmod(0o640)
    result = quick("doctor", "-o", "json")
    assert result.code == 1
    rows = json.loads(result.out)
    assert {"check": "provider", "state": "failed"}.items() <= next(r for r in rows if r["check"] == "provider").items()
    table = quick("doctor").out
    assert "failed   provider: no OAuth client: nobody can sign in\n         dsgctl setup" in table
    monkeypatch.setattr(doctor, "examine", lambda *_: iter([doctor.ok("all", "well")]))
    assert quick("doctor").ok().out == "ok       all: well\n"


def test_it_is_not_slow_when_nothing_answers(examine: Examine) -> None:
    start = time.monotonic()
    examine()
    assert time.monotonic() - start < 2 * doctor.SECONDS


def test_a_clock_behind_the_last_change(examine: Examine, quick: Quick) -> None:
    quick("user", "add", "ada@example.org").ok()
    says(examine(datetime.now(UTC) - timedelta(days=2)), "clock", "failed", "behind the last change", "timedatectl")


def test_whom_and_what_googles_limits_concern(examine: Examine, database: Database, google: Any) -> None:
    with change(database, "os:test") as opened:
        datasets.add(opened, "fish")
        datasets.add(opened, "bad")
        datasets.add_location(opened, "bad", "gs://lab-data/o'neil", any_prefix=True)
        for number in range(61):
            datasets.add_location(opened, "fish", f"gs://lab-data/{number}")
    assert "nobody gets a token for bad at gs://lab-data/o'neil/" in examine()["buckets"].found
    with change(database, "os:test") as opened:
        datasets.remove_location(opened, "bad", "gs://lab-data/o'neil")
        for name in ("ada", "bo"):
            user, _ = users.add(opened, f"{name}@example.org")
            grants.add(opened, grants.principal_subject(user), grants.Target("fish", "view"))
    says(examine(), "buckets", "failed", "ada@example.org and 1 more may view more folders of gs://lab-data")
