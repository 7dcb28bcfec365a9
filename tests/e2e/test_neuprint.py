"""The real neuprint-python, from PyPI, and a stand-in for neuPrintHTTP that asks the API `native` over TLS."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from dsgctl.core import (
    acceptances,
    datasets,
    grants,
    service_accounts,
    services,
    terms,
    tokens,
    translations,
    users,
    versions,
)
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Subject, Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.core.translations import ServiceName
from dsgctl.core.versions import Position
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.local import free_port, make_certificate, run_service
from tests.e2e.proxy import HOST, Loopback, run_nginx
from tests.e2e.real_clients import ClientError, Clients, needs_clients, run_clients
from tests.patience import PATIENCE

pytestmark = [
    needs_clients,
    pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light"),
    pytest.mark.skipif(not importlib.util.find_spec("flask"), reason="pip install flask"),
]

GATEWAY = f"https://{HOST}"
NEUPRINT = "https://neuprint.example.org"
SITE = """
server {
    listen 127.0.0.1:PORT ssl;
    server_name neuprint.example.org;
    ssl_certificate CERTIFICATES/dsg.pem;
    ssl_certificate_key CERTIFICATES/dsg.key;
    location / {
        proxy_pass http://127.0.0.1:SERVICE;
        proxy_set_header Host $host;
    }
}
"""


@dataclass
class NeuPrint:
    """The running programs.

    Attributes:
        clients: the process of neuprint-python.
        secrets: tokens by the names of `add_data`.
        session: reaches gateway and neuPrint as a browser or a script does.
    """

    clients: Clients
    secrets: dict[str, str]
    session: requests.Session

    def query(self, name: str, dataset: str) -> str | int | None:
        """Query a dataset with the client. Returns its name, which the stand-in answers, or an error's status."""
        try:
            rows = self.ask("query_neuprint", name, other=dataset)
        except ClientError as error:
            assert error.kind == "HTTPError", error
            return error.status
        return str(rows[0][0])

    def ask(self, call: str, name: str, **arguments: str) -> list[list[str]]:
        """A call of the client, which is made for a dataset that everybody may read."""
        token = self.secrets.get(name, name)
        rows: list[list[str]] = self.clients.call(call, server=NEUPRINT, token=token, dataset="manc:v1.0", **arguments)
        return rows

    def request(self, method: str, address: str, name: str | None = None, **more: object) -> requests.Response:
        """A request without the client, with the token of ``name``, or with none."""
        headers = {"Authorization": f"Bearer {self.secrets.get(name, name)}"} if name is not None else {}
        return self.session.request(
            method,
            address,
            headers=headers,
            timeout=PATIENCE,
            allow_redirects=False,
            **more,  # type: ignore[arg-type]
        )

    def status(self, name: str | None, dataset: str) -> int:
        """The status of a query without the client, which first lists all datasets."""
        return self.request("POST", f"{NEUPRINT}/api/custom/custom", name, json={"dataset": dataset}).status_code

    def move_clock(self, seconds: float) -> None:
        self.request("POST", f"{NEUPRINT}/clock", json={"seconds": seconds}).raise_for_status()

    @property
    def questions(self) -> int:
        """How often the stand-in has asked the gateway."""
        return int(self.request("GET", f"{NEUPRINT}/questions").json()["count"])


def subject(change: Change, name: str) -> Subject:
    return principal_subject(users.find(change.database, f"{name}@example.org"))


def add_data(change: Change) -> dict[str, str]:
    """What neuPrint serves, and who may read it. Returns tokens by names of their owners."""
    services.add(change, "neuprint")
    services.add(change, "dvid", mode="dag")
    for name in ("hemibrain", "manc", "optic", "flywire", "secret"):
        datasets.add(change, name, public=name == "optic")
    for number, name in enumerate(("v1.1", "v1.2.1"), start=1):
        versions.add(change, "hemibrain", name, position=Position("main", number))
    versions.add(change, "hemibrain", "v2-draft", position=Position("draft", 7))
    versions.add(change, "manc", "v1.0", public=True)
    versions.add(change, "flywire", "783")
    terms.add(change, "optic terms", "# Be kind\n", dataset="optic")
    translations.add(change, ServiceName("neuprint", "fw", "783"), "flywire", version="783")
    for name in ("ada", "early", "editor", "drafter", "stranger", "root"):
        users.add(change, f"{name}@example.org", admin=name == "root")
    grants.add(change, subject(change, "ada"), Target("hemibrain", "view", version="v1.2.1"))
    grants.add(change, subject(change, "ada"), Target("flywire", "view", version="783", service="neuprint"))
    grants.add(change, subject(change, "early"), Target("hemibrain", "view", version="v1.1"))
    grants.add(change, subject(change, "editor"), Target("hemibrain", "admin"))
    grants.add(change, subject(change, "drafter"), Target("hemibrain", "view", version="v2-draft"))
    bot, _ = service_accounts.add(change, "bot")
    grants.add(change, principal_subject(bot), Target("secret", "view"))
    owners = {name: users.find(change.database, f"{name}@example.org") for name in OWNERS}
    return {name: tokens.mint(change, owner)[1] for name, owner in {**owners, "bot": bot}.items()}


OWNERS = ("ada", "early", "editor", "drafter", "stranger", "root")


def environment(tls: int, certificate: Path) -> dict[str, str]:
    """Of the stand-in."""
    path = {"PATH": os.environ["PATH"], "REQUESTS_CA_BUNDLE": str(certificate)}
    return {**path, "GATEWAY": f"https://localhost:{tls}"}


@pytest.fixture
def neuprint(serve: Callable[..., Server], database: Database, tmp_path: Path) -> Iterator[NeuPrint]:
    with begin_change(database, "os:test") as change:
        secrets = add_data(change)
    certificate = make_certificate(tmp_path, HOST, "neuprint.example.org", "localhost")
    server = serve(DSG_ORIGIN=GATEWAY, DSG_APIS="native", DSG_ALLOWED_REDIRECTS=NEUPRINT)
    port = free_port()
    more = SITE.replace("SERVICE", str(port))
    with (
        run_nginx(tmp_path, certificate, server.origin.removeprefix("http://"), more) as tls,
        run_service("tests.e2e.neuprint_service", port, **environment(tls, certificate)),
        run_clients(tls, certificate, tmp_path / "home") as clients,
        requests.Session() as session,
    ):
        session.trust_env = False
        session.verify = str(certificate)
        for origin in (GATEWAY, NEUPRINT):
            session.mount(origin, Loopback(tls))
        yield NeuPrint(clients, secrets, session)


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
