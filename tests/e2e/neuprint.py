"""Runs a stand-in for neuPrintHTTP, the gateway that it asks, both behind nginx over TLS, and the real client."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from dsgctl.core import datasets, grants, service_accounts, services, terms, tokens, translations, users, versions
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Subject, Target, principal_subject
from dsgctl.core.translations import ServiceName
from dsgctl.core.versions import Position
from tests.e2e.conftest import Server
from tests.e2e.local import free_port, make_certificate, run_service
from tests.e2e.proxy import HOST, Loopback, build_site, run_nginx
from tests.e2e.real_clients import ClientError, Clients, run_clients
from tests.patience import PATIENCE

GATEWAY = f"https://{HOST}"
NAME = "neuprint.example.org"
NEUPRINT = f"https://{NAME}"


@dataclass
class NeuPrint:
    """The running programs.

    Attributes:
        server: the gateway.
        clients: the process of neuprint-python.
        secrets: tokens by the names of `add_data`.
        session: reaches gateway and neuPrint as a browser or a script does.
    """

    server: Server
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


@contextmanager
def run_neuprint(serve: Callable[..., Server], secrets: dict[str, str], directory: Path) -> Iterator[NeuPrint]:
    """Start gateway, nginx, the stand-in and the client; stop them at the end."""
    certificate = make_certificate(directory, HOST, NAME, "localhost")
    server = serve(DSG_ORIGIN=GATEWAY, DSG_APIS="native", DSG_ALLOWED_REDIRECTS=f"{NEUPRINT},http://{NAME}")
    port = free_port()
    with (
        run_nginx(directory, certificate, server.origin.removeprefix("http://"), build_site(port, NAME)) as tls,
        run_service("tests.e2e.neuprint_service", port, **environment(tls, certificate)),
        run_clients(tls, certificate, directory / "home") as clients,
        requests.Session() as session,
    ):
        session.trust_env = False
        session.verify = str(certificate)
        for origin in (GATEWAY, NEUPRINT):
            session.mount(origin, Loopback(tls))
        yield NeuPrint(server, clients, secrets, session)
