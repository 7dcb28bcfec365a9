"""Google's limits on a token: the real server and command line, and a Google that refuses what Google would."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from dsgctl.core import datasets, grants, locations, tokens, users, versions
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.google import Google, run_google
from tests.e2e.google_conditions import allows
from tests.e2e.local import make_certificate
from tests.patience import PATIENCE

FOLDER = "projects/2026/consortium-of-laboratories/larval-zebrafish/electron-microscopy/segmentation/release-{}/full/"


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    place = tmp_path_factory.mktemp("google")
    certificate = make_certificate(place, "localhost")
    with run_google(place, certificate) as started:
        yield started


class Lab:
    """A server, and people with an API token each; ada may view fish2 at gs://fish-bucket/v1."""

    def __init__(self, database: Database, server: Server, google: Google) -> None:
        self.database, self.server, self.google = database, server, google
        self.tokens: dict[str, str] = {}
        with begin_change(database, "os:test") as change:
            datasets.add(change, "fish2")
            locations.add(change, "fish2", "gs://fish-bucket/v1")
        self.person("ada", "fish2")

    def person(self, name: str, *views: str) -> None:
        with begin_change(self.database, "os:test") as change:
            user, _ = users.add(change, f"{name}@example.org")
            self.tokens[name] = tokens.mint(change, user)[1]
            for dataset in views:
                grants.add(change, principal_subject(user), Target(dataset, "view"))

    def dataset(self, name: str, *urls: str, any_prefix: bool = False) -> str:
        with begin_change(self.database, "os:test") as change:
            datasets.add(change, name)
            for url in urls:
                locations.add(change, name, url, any_prefix=any_prefix)
        return name

    def ask(self, name: str, bucket: str) -> requests.Response:
        cookie = {"Cookie": f"dsg_token={self.tokens[name]}"}
        token = requests.post(f"{self.server.origin}/token", headers=cookie, timeout=PATIENCE).text
        body = json.dumps({"token": token, "bucket": bucket})
        return requests.post(f"{self.server.origin}/gcs_token", data=body, timeout=PATIENCE)

    def reads(self, name: str, bucket: str, *objects: str) -> list[bool]:
        """Whether storage would give each object for the token of this person."""
        answer = self.ask(name, bucket)
        assert answer.status_code == 200, answer.text
        rules = self.google.tokens[answer.json()["token"]]
        return [allows(rules, bucket, path, "") for path in objects]

    def explain(self, name: str, dataset: str) -> list[tuple[bool, str]]:
        result = self.dsgctl("access", "explain", f"{name}@example.org", dataset, "-o", "json")
        return [(row["may_read"], row["reason"]) for row in json.loads(result.stdout)["locations"]]

    def dsgctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "dsgctl", *words],
            env={"DATABASE_PATH": str(self.database.path)},
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def lab(database: Database, serve: Callable[..., Server], google: Google, tmp_path: Path) -> Lab:
    certificate = google.credentials.parent / "dsg.pem"
    return Lab(database, serve(REQUESTS_CA_BUNDLE=str(certificate), **google.settings), google)


def test_long_prefixes_are_packed_within_the_limits_of_google(lab: Lab) -> None:
    names = [lab.dataset(f"release{number}", f"gs://long-data/{FOLDER.format(number)}") for number in range(8)]
    lab.person("bo", *names)
    objects = [f"{FOLDER.format(number)}info" for number in range(9)]
    assert lab.reads("bo", "long-data", *objects) == [True] * 8 + [False]
    assert lab.explain("bo", "release3") == [(True, "granted")]


def test_too_many_prefixes_refuse_only_the_person_who_has_them(lab: Lab) -> None:
    names = [lab.dataset(f"many{number}", f"gs://many-data/m{number}") for number in range(62)]
    lab.person("bo", *names)
    lab.person("cy", *names[:60])
    answer = lab.ask("bo", "many-data")
    assert (answer.status_code, answer.json()["error"]) == (403, "too_many_prefixes")
    assert lab.explain("bo", "many7") == [(False, "too_many_prefixes")]
    assert lab.reads("cy", "many-data", "m7/info", "m59/info", "m60/info") == [True, True, False]
    assert lab.explain("cy", "many7") == [(True, "granted")]
    # The folder above is theirs as soon as a dataset of theirs lies there, and not before.
    lab.person("di", *names, lab.dataset("all", "gs://many-data/"))
    assert lab.reads("di", "many-data", "m61/info", "other") == [True, True]


BAD = ("o'neil", 'a"b', "a[b", "a\\b", "a`b", "a{b}", "a\u2028b", "a\u200bb", "x" * 1000)


@pytest.mark.parametrize("folder", BAD, ids=ascii)
def test_a_location_that_no_condition_can_name_is_refused_when_added(lab: Lab, folder: str) -> None:
    command = lab.dsgctl("dataset", "location", "add", "fish2", f"gs://fish-bucket/{folder}")
    assert (command.returncode, command.stdout) == (2, "")
    assert len(command.stderr.splitlines()) <= 2
    assert lab.reads("ada", "fish-bucket", "v1/info") == [True]


def test_an_unusable_location_disables_only_itself_and_can_be_removed(lab: Lab) -> None:
    lab.dataset("bad", *(f"gs://fish-bucket/{folder}" for folder in BAD if "\u2028" not in folder), any_prefix=True)
    with begin_change(lab.database, "os:test") as change:
        grants.add(change, principal_subject(users.find(lab.database, "ada@example.org")), Target("bad", "view"))
    lab.person("bo", "bad")
    assert lab.reads("ada", "fish-bucket", "v1/info", "o'neil/info") == [True, False]
    answer = lab.ask("bo", "fish-bucket")
    assert (answer.status_code, answer.json()["error"]) == (403, "unusable_location")
    assert {*lab.explain("ada", "bad"), *lab.explain("bo", "bad")} == {(False, "unusable_location")}
    assert lab.explain("ada", "fish2") == [(True, "granted")]
    assert lab.dsgctl("dataset", "location", "remove", "bad", "gs://fish-bucket/o'neil", "-y").returncode == 0


def test_a_location_within_a_readable_folder_is_explained_as_readable(lab: Lab) -> None:
    with begin_change(lab.database, "os:test") as change:
        versions.add(change, "fish2", "v9")
    lab.dataset("inner", "gs://fish-bucket/v1/inner/o'neil", any_prefix=True)
    lab.person("bo", "fish2", "inner")
    assert lab.reads("bo", "fish-bucket", "v1/inner/o'neil/info") == [True]
    assert lab.explain("bo", "inner") == [(True, "granted")]


def test_a_second_request_with_the_same_user_token_gets_a_new_google_token_once(lab: Lab) -> None:
    """What the viewer does where storage refuses the first (contract.md, "ngauth")."""
    cookie = {"Cookie": f"dsg_token={lab.tokens['ada']}"}
    user_token = requests.post(f"{lab.server.origin}/token", headers=cookie, timeout=PATIENCE).text
    body = json.dumps({"token": user_token, "bucket": "fish-bucket"})
    before = len(lab.google.boundaries)
    google_tokens = [
        requests.post(f"{lab.server.origin}/gcs_token", data=body, timeout=PATIENCE).json()["token"] for _ in range(6)
    ]
    assert google_tokens[0] != google_tokens[1]
    assert set(google_tokens[1:]) == {google_tokens[1]}
    assert len(lab.google.boundaries) == before + 2
    assert lab.reads("ada", "fish-bucket", "v1/info") == [True]


def test_a_token_repeated_in_an_answer_of_google_is_not_logged(lab: Lab) -> None:
    assert lab.reads("ada", "fish-bucket", "v1/info") == [True]
    sources = set(lab.google.sources)
    lab.google.sources.clear()
    lab.dataset("other", "gs://fish-bucket/other")
    lab.person("bo", "other")
    answer = lab.ask("bo", "fish-bucket")
    lab.google.sources |= sources
    assert (answer.status_code, answer.json()["error"]) == (502, "google_refused")
    log = lab.server.log.read_text()
    assert "no token for bucket fish-bucket: Google answers 400: invalid_request" in log
    assert not [secret for secret in (*sources, *lab.google.tokens) if secret in log + answer.text]
