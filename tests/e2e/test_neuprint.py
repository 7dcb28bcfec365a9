"""The real neuprint-python, from PyPI, and a stand-in for neuPrintHTTP that asks the API `native` over TLS."""

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dsgctl.core import acceptances, grants, service_accounts
from dsgctl.core.grant_targets import Target
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.neuprint import GATEWAY, NEUPRINT, OWNERS, NeuPrint, add_data, run_neuprint, subject
from tests.e2e.real_clients import needs_clients
from tests.patience import PATIENCE

pytestmark = [
    needs_clients,
    pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light"),
    pytest.mark.skipif(not importlib.util.find_spec("flask"), reason="pip install flask"),
]


@pytest.fixture
def neuprint(serve: Callable[..., Server], database: Database, tmp_path: Path) -> Iterator[NeuPrint]:
    with begin_change(database, "os:test") as change:
        secrets = add_data(change)
    with run_neuprint(serve, secrets, tmp_path) as started:
        yield started


# Who may read what

READS = {
    "hemibrain:v1.1": {"ada", "early", "editor", "root"},  # a version's grant reaches the earlier ones of its branch
    "hemibrain:v1.2.1": {"ada", "editor", "root"},
    "manc:v1.0": {*OWNERS, "bot"},  # a public version
    "optic": {"bot", "root"},  # public, but people accept terms first
    "fw:783": {"ada", "root"},  # neuPrint's name of flywire
    "secret": {"bot", "root"},
    "nothing": {"root"},  # neuPrint itself admits admins
}


def test_the_client_reads_exactly_what_its_owner_may(neuprint: NeuPrint) -> None:
    for dataset, readers in READS.items():
        answers = {name: neuprint.query(name, dataset) for name in neuprint.secrets}
        assert answers == {name: dataset if name in readers else 403 for name in neuprint.secrets}, dataset
    assert neuprint.query("x" * 40, "manc:v1.0") == 401


def test_the_client_lists_what_its_owner_may_read_at_once_or_after_accepting_terms(neuprint: NeuPrint) -> None:
    for name in ("ada", "stranger", "bot"):
        listed = set(neuprint.ask("ask_neuprint", name, method="fetch_datasets"))
        expected = {dataset for dataset, readers in READS.items() if name in readers} | {"optic"}
        assert listed == expected, name
    before = neuprint.questions
    neuprint.move_clock(301)
    neuprint.ask("ask_neuprint", "ada", method="fetch_datasets")
    assert neuprint.questions == before + 2, "one question for the identity, and one for all datasets"


def test_without_a_token_only_the_public_can_be_read(neuprint: NeuPrint) -> None:
    statuses = {dataset: neuprint.status(None, dataset) for dataset in READS}
    assert statuses == {dataset: {"manc:v1.0": 200, "optic": 403}.get(dataset, 401) for dataset in READS}
    refused = neuprint.request("POST", f"{NEUPRINT}/api/custom/custom", json={"dataset": "optic"})
    assert refused.json()["tos_url"].startswith(f"{GATEWAY}/activate?")
    assert neuprint.status("x" * 40, "manc:v1.0") == 401, "a token that is not valid is not anonymous"


def test_only_admins_of_a_dataset_write(neuprint: NeuPrint) -> None:
    def write(dataset: str, name: str | None) -> int:
        reply = neuprint.request("POST", f"{NEUPRINT}/api/raw/cypher/cypher", name, json={"dataset": dataset})
        return reply.status_code

    assert {name: write("hemibrain:v1.1", name) for name in ("editor", "root")} == {"editor": 200, "root": 200}
    assert {write("hemibrain:v1.1", name) for name in ("ada", "early", "stranger", "bot")} == {403}
    assert write("manc:v1.0", "ada") == 403, "what is public is for reading"
    assert write("manc:v1.0", None) == 401


# How long neuPrint remembers


def test_a_change_is_seen_when_the_answer_is_no_longer_remembered(neuprint: NeuPrint, database: Database) -> None:
    assert (neuprint.query("ada", "hemibrain:v1.1"), neuprint.query("stranger", "secret")) == ("hemibrain:v1.1", 403)
    with begin_change(database, "os:test") as change:
        grants.revoke(change, subject(change, "ada"), Target("hemibrain", "view", version="v1.2.1"))
        grants.add(change, subject(change, "stranger"), Target("secret", "view"))
    assert (neuprint.query("ada", "hemibrain:v1.1"), neuprint.query("stranger", "secret")) == ("hemibrain:v1.1", 403)
    before = neuprint.questions
    assert (neuprint.status("ada", "hemibrain:v1.1"), neuprint.status("stranger", "secret")) == (200, 403)
    assert neuprint.questions == before, "nothing was asked"
    neuprint.move_clock(301)
    assert (neuprint.query("ada", "hemibrain:v1.1"), neuprint.query("stranger", "secret")) == (403, "secret")


def test_a_disabled_account_is_refused_when_its_identity_is_no_longer_remembered(
    neuprint: NeuPrint, database: Database
) -> None:
    assert neuprint.query("bot", "secret") == "secret"
    with begin_change(database, "os:test") as change:
        service_accounts.set_active(change, "bot", False)
    assert neuprint.query("bot", "secret") == "secret"
    assert neuprint.request("GET", f"{NEUPRINT}/profile", "bot").status_code == 401, "the profile is always asked for"
    assert neuprint.query("bot", "secret") == 401


def test_terms_are_asked_about_each_time_and_accepting_them_opens_the_data_at_once(
    neuprint: NeuPrint, database: Database
) -> None:
    refused = neuprint.request("POST", f"{NEUPRINT}/api/custom/custom", "ada", json={"dataset": "optic"})
    assert (refused.status_code, refused.json()["tos_required"]) == (403, True)
    before = neuprint.questions
    assert neuprint.status("ada", "optic") == 403
    assert neuprint.questions == before + 1
    address = urlsplit(refused.json()["tos_url"])
    assert f"{address.scheme}://{address.netloc}" == GATEWAY
    assert parse_qs(address.query)["redirect"] == [f"{NEUPRINT}/api/custom/custom"]
    cookie = {"dsg_token": neuprint.secrets["ada"]}
    assert "Be kind" in neuprint.request("GET", address.geturl(), cookies=cookie).text
    with begin_change(database, "os:test") as change:
        acceptances.accept(change, 1, "ada@example.org")
    assert neuprint.query("ada", "optic") == "optic"


def test_while_the_gateway_is_down_only_what_is_remembered_can_be_read(neuprint: NeuPrint) -> None:
    assert neuprint.status("ada", "hemibrain:v1.1") == 200
    neuprint.server.process.terminate()
    neuprint.server.process.wait(timeout=PATIENCE)
    assert neuprint.status("ada", "hemibrain:v1.1") == 200
    assert neuprint.status("ada", "fw:783") == 502, "another dataset"
    assert neuprint.status("early", "hemibrain:v1.1") == 502, "another person"
    neuprint.move_clock(301)
    assert neuprint.status("ada", "hemibrain:v1.1") == 502


def test_the_browser_returns_to_the_pages_of_neuprint_and_of_no_other_server(neuprint: NeuPrint) -> None:
    def find_target(return_url: str) -> list[str]:
        body = {"service": "neuprint", "return_url": return_url, "entries": [{"name": "optic"}]}
        reply = neuprint.request("POST", f"{GATEWAY}/api/dsg/v1/authorize", "ada", json=body)
        return parse_qs(urlsplit(reply.json()["entries"][0]["tos_url"]).query).get("redirect", [])

    # Behind a proxy that ends TLS, neuPrintHTTP takes its own scheme for http.
    for origin in (NEUPRINT, NEUPRINT.replace("https", "http")):
        assert find_target(f"{origin}/?dataset=optic&q=1") == [f"{origin}/?dataset=optic&q=1"]
    for stranger in ("https://evil.example/", "https://neuprint.example.org.evil.example/", "javascript:alert(1)"):
        assert find_target(stranger) == []


# What only services with branches get


def test_service_eval_is_for_services_with_branches_and_never_for_neuprint(neuprint: NeuPrint) -> None:
    def decide(service: str) -> str:
        body = {"service": service, "entries": [{"name": "hemibrain", "version": "v1.2.1", "permission": "view"}]}
        reply = neuprint.request("POST", f"{GATEWAY}/api/dsg/v1/authorize", "drafter", json=body)
        return str(reply.json()["entries"][0]["decision"])

    assert (decide("dvid"), decide("neuprint"), decide("unknown")) == ("service_eval", "deny", "deny")
    assert neuprint.query("drafter", "hemibrain:v1.2.1") == 403


# Tokens that neuPrint hands out


def test_the_client_gets_a_token_and_a_rotated_one_replaces_it(neuprint: NeuPrint) -> None:
    token = str(neuprint.ask("ask_neuprint", "ada", method="fetch_token"))
    assert token != neuprint.secrets["ada"]
    assert neuprint.query(token, "hemibrain:v1.1") == "hemibrain:v1.1"
    rotated = neuprint.request("POST", f"{NEUPRINT}/token/rotate", token).json()["token"]
    assert (neuprint.query(token, "manc:v1.0"), neuprint.query(rotated, "hemibrain:v1.1")) == (401, "hemibrain:v1.1")
    refused = neuprint.request("POST", f"{NEUPRINT}/token/rotate", "ada")
    assert refused.status_code == 403, "it is no long-lived token"


def test_the_profile_has_the_address_of_the_tokens_owner(neuprint: NeuPrint) -> None:
    for name, email in (("ada", "ada@example.org"), ("bot", "bot@service-account.dsg.local")):
        profile = neuprint.ask("ask_neuprint", name, method="fetch_profile")
        assert profile == {"Email": email, "AuthLevel": "noauth"}
