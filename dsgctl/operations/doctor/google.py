"""Google Cloud Storage: the credentials of the gateway, and its access to each bucket."""

import os
import shlex
from pathlib import Path

import requests

from dsgctl.core import buckets, locations, snapshots, validation
from dsgctl.core.clock import now
from dsgctl.core.rules.buckets import BucketReason, decide_bucket_access
from dsgctl.operations.doctor import network
from dsgctl.operations.doctor.check import Case, Checks, failure, ok, warning
from dsgctl.operations.doctor.files import check_secret_file
from dsgctl.store import Database
from dsgctl.store.migrations import open_current

SECONDS = 5  # for each request to Google


def check_credentials(case: Case) -> Checks:
    """The files of Google credentials that a setting or a bucket names: readable by the service, and by nobody else."""
    account = case.account
    default = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or case.settings.libraries.get(
        "GOOGLE_APPLICATION_CREDENTIALS"
    )
    if default:
        yield from check_secret_file("credential", account, Path(default), case.host)
    if not case.config.database.exists():
        return
    database = open_current(case.config.database, read_only=True)
    try:
        credentials = {row["credential"] for row in buckets.list_buckets(database)}
    finally:
        database.close()
    for path in sorted(name for name in credentials if name and not name.startswith(validation.IMPERSONATE)):
        yield from check_secret_file("credential", account, Path(path), case.host)


def check_buckets(case: Case) -> Checks:
    """Locations that overlap, Google's limits on tokens, and Google's answer about each bucket in use."""
    database = open_current(case.config.database, read_only=True)
    try:
        for overlap in locations.find_overlaps(database):
            outer = overlap.location
            where = outer if outer.count("/") > 3 else f"all of {outer.rstrip('/')}"
            yield warning(
                "buckets",
                f"who may view {overlap.owner} reads {where}, where {', '.join(overlap.inside)} is stored too",
                "give each a folder of its own: dsgctl dataset location add, and remove the one above",
            )
        rows = list(buckets.list_buckets(database))
        yield from _check_limits(database, [row["name"] for row in rows])
    finally:
        database.close()
    for row in rows:
        if row["datasets"]:
            yield from _check_bucket(row["name"], row["credential"], iam=row["iam"])
        else:
            yield warning(
                f"bucket {row['name']}", "no dataset has a location in it", f"dsgctl bucket remove {row['name']}"
            )


def _check_limits(database: Database, names: list[str]) -> Checks:
    """Locations that do not fit into Google's limits on a token, and principals whose locations are too many."""
    for unusable in locations.find_unusable(database):
        words = [unusable.dataset, unusable.location, *(("--version", unusable.version) if unusable.version else ())]
        yield failure(
            "buckets",
            f"nobody gets a token for {unusable.dataset} at {unusable.location}: {unusable.problem}",
            f"dsgctl dataset location remove {shlex.join(words)}, and add the folder above it",
        )
    for name in names:
        with database.snapshot():
            stored = snapshots.read_bucket(database, name)
            crowded = [
                holder.label
                for holder in snapshots.read_bucket_holders(database, name)
                if decide_bucket_access(holder, stored, now()).reason is BucketReason.TOO_MANY_PREFIXES
            ]
        if crowded:
            who = f"{crowded[0]} and {len(crowded) - 1} more" if len(crowded) > 1 else crowded[0]
            yield failure(
                "buckets",
                f"{who} may view more folders of gs://{name} than one Google token can be limited to",
                "give their datasets a location above those folders, or spread them over several buckets",
            )


def _check_bucket(name: str, credential: str | None, *, iam: bool) -> Checks:
    """Whether the gateway can read a bucket, and a viewer's page can.

    Args:
        iam: the gateway must be able to change its policy too.
    """
    check = f"bucket {name}"
    from google.api_core.exceptions import GoogleAPIError  # slow to import
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import storage

    from dsgctl.gcs.credentials import source_credentials

    try:
        client = storage.Client(project="_", credentials=source_credentials(credential))
        bucket = client.get_bucket(name, timeout=SECONDS, retry=None)
        to_view = ("storage.objects.get", "storage.objects.list")
        to_read, to_write = "storage.buckets.getIamPolicy", "storage.buckets.setIamPolicy"  # the policy
        permissions = bucket.test_iam_permissions((*to_view, to_read, to_write), timeout=SECONDS, retry=None)
    except (GoogleAPIError, GoogleAuthError, OSError, ValueError) as error:
        yield failure(check, *_explain_google(name, error))
        return
    if missing := [permission for permission in to_view if permission not in permissions]:
        yield failure(check, f"the gateway lacks {', '.join(missing)}", "give it roles/storage.objectViewer")
    elif not bucket.iam_configuration.uniform_bucket_level_access_enabled:
        yield failure(
            check,
            "uniform bucket-level access is off: Google makes no limited tokens for it",
            f"gcloud storage buckets update gs://{name} --uniform-bucket-level-access",
        )
    elif iam and not {to_read, to_write} <= {*permissions}:
        yield failure(
            check,
            "the gateway may not change its policy: dsgctl iam does nothing there",
            f"give it {to_read} and {to_write}, or dsgctl bucket set {name} --no-iam",
        )
    elif to_read not in permissions:
        yield warning(
            check,
            "the gateway may not read its policy: who reads it with a Google account is not known",
            "give it roles/storage.legacyBucketReader or a role with that permission",
        )
    elif bucket.requester_pays:
        yield failure(
            check,
            "requester pays is on, and viewers name no project to bill: they cannot read it",
            f"gcloud storage buckets update gs://{name} --no-requester-pays",
        )
    elif not bucket.cors:
        yield warning(
            check,
            "no CORS rule: viewers cannot read it from a page",
            f"gcloud storage buckets update gs://{name} --cors-file=FILE",
        )
    else:
        yield ok(check, "readable, uniform access, CORS")


def _explain_google(bucket: str, error: Exception) -> tuple[str, str]:
    """Why a request was not sent or was refused, and what to do; Google's message is redacted."""
    from google.api_core.exceptions import NotFound
    from google.auth.exceptions import DefaultCredentialsError, RefreshError

    from dsgctl.gcs.messages import redact

    message = redact(str(error))
    if isinstance(error, NotFound):
        return f"Google knows no bucket {bucket}", f"dsgctl bucket list: correct the locations in gs://{bucket}"
    if isinstance(error, DefaultCredentialsError):
        return (
            f"Google denies access to the gateway: no credential: {message}",
            "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or dsgctl bucket set --credential",
        )
    if isinstance(error, RefreshError):
        return (
            f"Google denies access to the gateway: the credential is no longer valid: {message}",
            "make another key for its account; timedatectl, if the clock is wrong",
        )
    if isinstance(error, requests.RequestException):
        cause, advice = network.explain("https://storage.googleapis.com", error)
        return f"no request reached Google: {cause}", advice
    return (
        f"Google denies access to the gateway: {message}",
        "give its account roles/storage.objectViewer and roles/storage.legacyBucketReader",
    )
