"""Whoever is sent to accept terms finds them there, and then has what the terms withheld."""

import re
from html import unescape
from typing import Any
from urllib.parse import quote

from dsgctl.core import terms
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.dsgserve.apis.native.conftest import ORIGIN, Ask
from tests.dsgserve.conftest import PAGE, Client
from tests.native_answers import rows

BACK = "/success?from=the-service"


def list_references() -> list[dict[str, Any]]:
    """Every dataset and version by its name here, and every name of a service."""
    datasets = {row["id"]: row["name"] for row in rows("Dataset")}
    references: list[dict[str, Any]] = [{"name": name} for name in datasets.values()]
    for row in rows("DatasetVersion"):
        references.append({"name": datasets[row["dataset_id"]], "version": row["version"]})
        if row["ordinal"] is not None:
            version = str(row["ordinal"])
            references.append({"name": datasets[row["dataset_id"]], "version": version, "branch": row["branch"]})
    names = [(row["client_name"], row["client_version"]) for row in rows("DatasetTranslation")]
    return [*references, *({"name": name, "version": version} for name, version in names)]


def accept_all(client: Client, url: str, token: str) -> None:
    """Accept what the page at an address shows, one document after the other, until it shows none."""
    path = url.removeprefix(ORIGIN) + f"&next={quote(BACK, safe='')}"
    for _ in range(10):
        page = client.get(path, cookie=token, accept=PAGE)
        if page.status == 303:
            assert page.headers["location"] == BACK
            return
        assert page.status == 200, page.text
        form = re.search(r'<form method="post" action="([^"]*/accept)".*?</form>', page.text, re.DOTALL)
        assert form, f"{path} shows no terms"
        fields = dict(re.findall(r'name="([^"]*)" value="([^"]*)"', form[0]))
        body = "&".join(f"{name}={quote(unescape(value), safe='')}" for name, value in fields.items()).encode()
        reply = client.post(form[1], cookie=token, body=body, content_type="application/x-www-form-urlencoded")
        assert reply.status == 303, reply.text
    raise AssertionError("the same terms are shown again and again")


def test_terms_that_withhold_something_are_shown_and_accepted_at_their_address(
    ask: Ask, client: Client, database: Database
) -> None:
    """For every person, dataset, version and service of the recorded data, and with terms on everything."""
    with begin_change(database, "os:test") as change:
        for row in rows("DatasetVersion"):
            dataset = next(other["name"] for other in rows("Dataset") if other["id"] == row["dataset_id"])
            for service in (None, "neuprint"):
                name = f"{dataset} {row['version']} {service}"
                terms.add(change, name, "x", dataset=dataset, version=row["version"], service=service)
    references = list_references()
    people = {row["key"] for row in rows("APIKey")}
    sent = set()
    for token in sorted(people):
        for service in (None, *(row["name"] for row in rows("Service"))):
            if ask(token, {"entries": []}).status != 200:
                continue  # a disabled account, or an expired token

            def decide(entries: list[dict[str, Any]], token: str = token, service: str | None = service) -> Any:
                return ask(token, {"service": service, "entries": entries}).json()["entries"]

            for reference in references:
                (row,) = decide([reference])
                if row["decision"] == "tos_required":
                    accept_all(client, row["tos_url"], token)
                    (after,) = decide([reference])
                    assert after["decision"] in ("allow", "service_eval"), (token, service, reference)
                    sent.add((token, service))
    assert len(sent) >= 10
