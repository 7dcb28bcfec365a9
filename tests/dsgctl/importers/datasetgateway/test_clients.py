"""Registered clients, consents and delegated keys that meet what exists here."""

from pathlib import Path

import pytest

from dsgctl.core import clients, token_checks, users
from dsgctl.core.errors import Conflict
from dsgctl.core.token_checks import PresentedToken, TokenError
from dsgctl.importers import datasetgateway
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.importers.datasetgateway.original import ANSWERED, query_original, spoil
from tests.dsgctl.importers.datasetgateway.release_sources import CLIENT

CONSENT = "INSERT INTO core_clientconsent VALUES (1, '2026-10-01', 3, 1)"
KEY = "UPDATE api_key SET delegated_client_id = 1, expires_at = NULL, created = '2026-11-20' WHERE id = 1"


def check(run: Run, source: Path) -> token_checks.TokenStatus:
    """The delegated key, when the original answered."""
    key = query_original("SELECT key FROM api_key WHERE id = 1", source)[0][0]
    return token_checks.check(run.database, PresentedToken(key), ANSWERED)


def test_a_key_without_an_end_gets_that_of_every_delegated_key(run: Run, newest_source: Path) -> None:
    spoil(newest_source, CLIENT, KEY)
    run(datasetgateway.Importer().run, newest_source)
    token = check(run, newest_source).token
    assert token is not None and token.expires is not None
    assert (token.expires - token.created).days == 7


@pytest.mark.parametrize("days", [8, 400])
def test_a_key_whose_week_is_over_is_refused(run: Run, newest_source: Path, days: int) -> None:
    spoil(newest_source, CLIENT, KEY.replace("'2026-11-20'", f"datetime('2026-11-23', '-{days} days')"))
    run(datasetgateway.Importer().run, newest_source)
    assert check(run, newest_source).problem is TokenError.EXPIRED


@pytest.mark.parametrize(
    ("origin", "owner"), [("https://other.example", "user2@example.org"), ("https://a.example", "user3@example.org")]
)
def test_keys_and_consents_are_not_taken_over_to_another_application_of_the_same_name(
    run: Run, newest_source: Path, origin: str, owner: str
) -> None:
    """People agreed to an application of that origin and that owner."""
    spoil(newest_source, CLIENT, CONSENT, KEY)
    run(datasetgateway.Importer().run, _without_clients(newest_source))
    run(clients.add, "Atlas", origin=origin, owner=owner)
    with refused(Conflict, "core_registeredclient row 1: client 'Atlas' has the origin https://a.example", origin):
        run(datasetgateway.Importer().run, newest_source)
    report = run(datasetgateway.Importer().run, newest_source, skip_conflicts=True)
    atlas = clients.show(run.database, "Atlas", ANSWERED)
    assert (atlas["origin"], atlas["owner"], atlas["consents"], atlas["keys"]) == (origin, owner, [], [])
    assert "core_clientconsent: 1 row belongs to what was left out" in report.left_out


def test_a_client_that_is_disabled_here_stays_disabled(run: Run, newest_source: Path) -> None:
    spoil(newest_source, CLIENT, CONSENT)
    run(datasetgateway.Importer().run, newest_source)
    run(clients.set_active, "Atlas", False)
    run(clients.set_attributes, "Atlas", app_urls=["https://data.example"])
    report = run(datasetgateway.Importer().run, newest_source)
    assert not report.changed
    assert "client Atlas: active differs there; what is here stays" in report.noted
    assert not clients.find(run.database, "Atlas").active


def test_an_owner_is_recognized_whatever_the_case_of_the_address(run: Run, newest_source: Path) -> None:
    spoil(newest_source, CLIENT.replace("USER2@example.org", " UsEr2@EXAMPLE.org "))
    run(datasetgateway.Importer().run, newest_source)
    client = clients.find(run.database, "Atlas")
    assert client.owner_id == users.find(run.database, "user2@example.org").id
    assert not run(datasetgateway.Importer().run, newest_source).changed


def _without_clients(source: Path) -> Path:
    """A copy of a source in which nobody has registered a client."""
    copy = source.with_name("before.sqlite3")
    copy.write_bytes(source.read_bytes())
    spoil(
        copy,
        "DELETE FROM core_clientconsent",
        "DELETE FROM api_key WHERE delegated_client_id IS NOT NULL",
        "DELETE FROM core_registeredclient",
    )
    return copy
