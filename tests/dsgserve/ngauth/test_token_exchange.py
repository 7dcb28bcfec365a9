"""The exchange with Google: what a boundary allows, which credential is used, and what each failure means."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from google.auth import crypt
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from google.oauth2 import service_account

from dsgctl.bounded_http import Deadline
from dsgserve.ngauth.gcs_tokens import GcsTokenIssuer
from dsgserve.ngauth.token_exchange import GoogleRefused, GoogleUnavailable, build_conditions
from dsgserve.process.outbound import ConcurrencyLimit
from tests.dsgserve.ngauth.sts import KEY, MINUTE, START, Clock, Exchange, Source, Ticks, read_rules


def test_a_boundary_without_prefixes_covers_the_whole_bucket(gcs_issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    assert gcs_issuer.issue("lab", ("",)) == "downscoped-1"
    (request,) = exchange.requests
    assert request["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
    assert request["subject_token"] == "source-1"
    assert read_rules(request) == [
        {
            "availableResource": "//storage.googleapis.com/projects/_/buckets/lab",
            "availablePermissions": ["inRole:roles/storage.objectViewer"],
        }
    ]


def test_reading_and_listing_are_limited_to_the_prefixes(gcs_issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    gcs_issuer.issue("lab", ("a/", "b c/"))
    (rule,) = read_rules(exchange.requests[0])
    assert rule["availabilityCondition"]["expression"] == (
        "resource.name.startsWith('projects/_/buckets/lab/objects/a/') || "
        "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('a/') || "
        "resource.name.startsWith('projects/_/buckets/lab/objects/b c/') || "
        "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('b c/')"
    )


def test_a_boundary_takes_sixty_prefixes_and_no_more() -> None:
    prefixes = tuple(f"p{number}/" for number in range(61))
    conditions = build_conditions("lab", prefixes[:60])
    assert len(conditions) == 10
    for expression in conditions:
        assert expression
        assert expression.count("||") <= 12
    with pytest.raises(GoogleRefused):
        build_conditions("lab", prefixes)


@pytest.mark.parametrize(
    ("bucket", "prefix"),
    [
        ("lab", "a'/"),
        ("lab", 'a"/'),
        ("lab", "a\\/"),
        ("lab", "a\n/"),
        ("lab", "a"),
        ("lab", "') || true || ('/"),
        ("lab", "a`/"),
        ("lab", "a\x00/"),
        ("lab", "a{}/"),
        ("lab", "a\u2028/"),
        ("l'ab", ""),
        ("lab/x", "a/"),
        ("LAB", "a/"),
        ("", ""),
        ("lab\n", ""),
    ],
)
def test_a_name_with_characters_of_a_condition_is_refused(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, bucket: str, prefix: str
) -> None:
    with pytest.raises(GoogleRefused):
        gcs_issuer.issue(bucket, (prefix,))
    assert not exchange.requests


def test_a_boundary_of_no_prefixes_gets_no_token(gcs_issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    with pytest.raises(GoogleRefused):
        gcs_issuer.issue("lab", ())
    assert not exchange.requests


def test_a_token_lives_as_long_as_its_source_where_google_does_not_say(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock
) -> None:
    exchange.expires_in = None
    gcs_issuer.issue("lab", ("",))
    clock.now = START + 51 * MINUTE
    assert gcs_issuer.issue("lab", ("",)) == "downscoped-2"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b'{"error": "invalid_grant"}'),
        (403, b"no"),
        (404, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"access_token": ""}'),
        (200, b'{"access_token": 7}'),
        (302, b""),
    ],
)
def test_a_refusal_or_an_invalid_answer_raises_google_refused(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, status: int, body: bytes
) -> None:
    exchange.response = (status, body)
    with pytest.raises(GoogleRefused):
        gcs_issuer.issue("lab", ("",))
    exchange.response = None
    assert gcs_issuer.issue("lab", ("",)).startswith("downscoped-")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failure_of_google_is_unavailable(gcs_issuer: GcsTokenIssuer, exchange: Exchange, status: int) -> None:
    exchange.response = (status, b'{"error": "later"}')
    with pytest.raises(GoogleUnavailable):
        gcs_issuer.issue("lab", ("",))


def test_an_unreachable_google_is_unavailable(exchange: Exchange, clock: Clock, source: Source) -> None:
    gcs_issuer = GcsTokenIssuer(
        ConcurrencyLimit(2), "http://127.0.0.1:1/v1/token", find_credentials=lambda named: source, clock=clock
    )
    with pytest.raises(GoogleUnavailable):
        gcs_issuer.issue("lab", ("",))


def test_a_source_that_cannot_be_refreshed_is_unavailable(gcs_issuer: GcsTokenIssuer, source: Source) -> None:
    source.raises = TransportError("x")
    with pytest.raises(GoogleUnavailable):
        gcs_issuer.issue("lab", ("",))
    source.raises = RefreshError("revoked")
    with pytest.raises(GoogleRefused):
        gcs_issuer.issue("lab", ("",))


def test_missing_credentials_are_looked_for_at_intervals(exchange: Exchange, clock: Clock, source: Source) -> None:
    looked: list[datetime] = []

    def find(named: str | None) -> Source:
        looked.append(clock.now)
        if clock.now < START + MINUTE:
            raise DefaultCredentialsError("none")
        return source

    gcs_issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=find, clock=clock)
    for _ in range(3):
        with pytest.raises(GoogleUnavailable):
            gcs_issuer.issue("lab", ("",))
    clock.now = START + MINUTE
    assert gcs_issuer.issue("lab", ("",)) == "downscoped-1"
    assert len(looked) == 2


def test_a_bucket_is_asked_for_with_the_credential_that_it_names(exchange: Exchange, clock: Clock) -> None:
    asked_for: list[str | None] = []

    def find(named: str | None) -> Source:
        asked_for.append(named)
        return Source(clock)

    gcs_issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=find, clock=clock)
    first = gcs_issuer.issue("lab", ("",))
    assert gcs_issuer.issue("lab", ("",), "/etc/dsg/key.json") != first, "a token of another credential was handed out"
    assert gcs_issuer.issue("lab", ("",)) == first
    gcs_issuer.issue("other", ("",), "/etc/dsg/key.json")
    assert asked_for == [None, "/etc/dsg/key.json"], "a credential was looked for twice"


def test_a_credential_file_that_is_not_there_is_unavailable_and_others_work(
    exchange: Exchange, clock: Clock, tmp_path: Path
) -> None:
    gcs_issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, clock=clock)
    with pytest.raises(GoogleUnavailable):
        gcs_issuer.issue("lab", ("",), str(tmp_path / "nowhere.json"))


def test_the_real_clock_does_not_make_credentials_missing(exchange: Exchange, clock: Clock) -> None:
    """It moves on between two looks at it, unlike that of the other tests."""
    gcs_issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=lambda named: Source(Clock()))
    assert gcs_issuer.issue("lab", ("",)).startswith("downscoped-")


def test_a_source_token_that_the_exchange_refuses_is_refreshed(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, clock: Clock, source: Source
) -> None:
    gcs_issuer.issue("lab", ("",))
    clock.now += 2 * MINUTE
    exchange.response = (400, b'{"error": "invalid_grant"}')
    for _ in range(5):
        with pytest.raises(GoogleRefused):
            gcs_issuer.issue("other", ("",))
    assert source.refreshed == 2, "once in a minute"
    exchange.response = None
    assert gcs_issuer.issue("other", ("",)).startswith("downscoped-")


def test_the_source_and_the_exchange_share_one_deadline(
    exchange: Exchange, clock: Clock, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source's token takes all of it: the exchange is not begun."""
    ticks = Ticks()
    refresh = source.refresh
    monkeypatch.setattr(source, "refresh", lambda request: (refresh(request), setattr(ticks, "now", 10.0)))
    gcs_issuer = GcsTokenIssuer(ConcurrencyLimit(2), exchange.url, find_credentials=lambda named: source, clock=clock)
    with pytest.raises(GoogleUnavailable):
        gcs_issuer.issue("lab", ("",), deadline=Deadline(clock=ticks))
    assert not exchange.requests
    assert gcs_issuer.issue("lab", ("",), deadline=Deadline(clock=ticks)) == "downscoped-1"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_concurrent_requests_ask_a_failing_google_once_for_a_source(
    exchange: Exchange, clock: Clock, status: int
) -> None:
    """google.auth by itself asks three times, and waits in between."""
    exchange.response = (status, b'{"error": "internal_failure", "error_description": "again"}')
    google_accounts: Any = service_account.Credentials
    credential = google_accounts(
        crypt.RSASigner.from_string(KEY), "gateway@lab.iam.gserviceaccount.com", exchange.url, scopes=["x"]
    )
    gcs_issuer = GcsTokenIssuer(
        ConcurrencyLimit(2), "http://127.0.0.1:1/", find_credentials=lambda named: credential, clock=clock
    )
    with pytest.raises(GoogleUnavailable, match=str(status)):
        gcs_issuer.issue("lab", ("",))
    assert len(exchange.requests) == 1


def test_a_token_without_an_expiry_is_refused(gcs_issuer: GcsTokenIssuer, exchange: Exchange) -> None:
    exchange.response = (200, json.dumps({"access_token": "x" * 100_000}).encode())
    with pytest.raises(GoogleRefused):
        gcs_issuer.issue("lab", ("",))


@pytest.mark.parametrize("status", [400, 401, 403, 418])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('{"error": "invalid_grant", "error_description": "TOKEN"}', "invalid_grant"),
        ('{"error": "TOKEN"}', "OAuthError"),
        ('{"error": {"status": "PERMISSION_DENIED", "message": "TOKEN"}}', "PERMISSION_DENIED"),
        ('{"error": {"status": "TOKEN", "errors": [{"reason": "TOKEN"}, {"reason": "forbidden"}]}}', "forbidden"),
        ('{"error": ["TOKEN"]}', "OAuthError"),
        ("TOKEN", "OAuthError"),
        ("[" * 100_000, "RecursionError"),
    ],
)
def test_only_the_code_of_an_error_of_google_is_repeated(
    gcs_issuer: GcsTokenIssuer, exchange: Exchange, status: int, body: str, code: str
) -> None:
    exchange.response = (status, body.replace("TOKEN", "source-1").encode())
    with pytest.raises(GoogleRefused) as refused:
        gcs_issuer.issue("lab", ("",))
    assert str(refused.value) == f"Google answers {status}: {code}"
    assert refused.value.__cause__ is None
