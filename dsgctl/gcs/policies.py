"""The policies of buckets at Google: read one, write one. Every call is bounded in time and size.

https://cloud.google.com/storage/docs/json_api/v1/buckets/getIamPolicy and setIamPolicy
"""

from typing import Any
from urllib.parse import quote

import requests
from google.auth import exceptions
from google.auth.transport.requests import AuthorizedSession

from dsgctl.bounded_http import MALFORMED_RESPONSE, Deadline, limit_session
from dsgctl.core.errors import DsgError
from dsgctl.core.rules.iam_policy import Policy, UnknownPolicy, require_policy
from dsgctl.gcs import error_code, redact, source_credentials
from dsgctl.gcs.transport import Failed, Transport
from dsgctl.json_text import NotJson, parse

PERMISSIONS = "storage.buckets.getIamPolicy and storage.buckets.setIamPolicy"


class GoogleError(DsgError):
    """Google was asked in vain.

    Attributes:
        told: what Google says about it; on the screen without what may be a secret.
    """

    def __init__(self, message: str, hint: str, told: str = "") -> None:
        super().__init__(f"{message}: {redact(told)}" if told else message, hint)
        self.google_message = told


class OutcomeUnknown(GoogleError):
    """No answer, or none that says whether it was done: it may have been."""


class EtagConflict(GoogleError):
    """Somebody else has written the policy since it was read, or something of it is not allowed (409, 412)."""


class NoBucket(GoogleError):
    """There is no such bucket at Google (404)."""


class InvalidMember(GoogleError):
    """Google does not take the policy: one of its members is nobody, or may not be there (400)."""


class Policies:
    """Reads and writes policies with one credential; close it afterwards."""

    def __init__(self, storage_url: str, credential: str | None) -> None:
        """
        Args:
            storage_url: ``https://storage.googleapis.com``.
            credential: of the bucket (core/buckets.py, `set_attributes`); None for the machine's own.

        Raises:
            NotDone: there is no such credential.
        """
        self._base = f"{storage_url.rstrip('/')}/storage/v1/b"
        google_session: Any = AuthorizedSession  # without types
        try:
            source = source_credentials(credential)
        except (exceptions.GoogleAuthError, OSError, ValueError) as error:
            raise GoogleError(
                f"there is no Google credential ({credential or 'the machine has none'})",
                "set GOOGLE_APPLICATION_CREDENTIALS, or dsgctl bucket set NAME --credential",
            ) from error
        self._deadline = Deadline()  # of the call under way, with the tokens that it needs
        self._transport = Transport(lambda: self._deadline)
        self._session = limit_session(google_session(source, auth_request=self._transport), lambda: self._deadline)

    def read(self, bucket: str) -> Policy:
        """The policy, with its conditions: without asking for version 3 Google would leave them out.

        Raises:
            NotDone: Google does not give it.
            UnknownPolicy: it is of no form that we know.
        """
        return require_policy(self._asked("GET", bucket, params={"optionsRequestedPolicyVersion": "3"}))

    def write(self, bucket: str, policy: Policy) -> Policy:
        """Write a policy that was read. Its etag makes Google refuse it if another was written meanwhile.

        Returns:
            The policy as Google has it now.

        Raises:
            NotDone: Google has not written it; `Unclear`: it may have; `Changed`: read it again.
        """
        try:
            return require_policy(self._asked("PUT", bucket, json=policy))
        except UnknownPolicy as error:
            raise OutcomeUnknown(
                "Google's answer does not say whether the policy was written", "run it again"
            ) from error

    def close(self) -> None:
        self._session.close()
        self._transport.close()

    def _asked(self, method: str, bucket: str, **sent: Any) -> object:
        self._deadline = Deadline()
        try:
            reply = self._session.request(method, f"{self._base}/{quote(bucket, safe='')}/iam", **sent)
        except exceptions.RefreshError as error:
            raise GoogleError(
                "Google does not take the gateway's credential",
                "dsgctl doctor",
                error_code(error),
            ) from error
        except (Failed, exceptions.GoogleAuthError, requests.RequestException, *MALFORMED_RESPONSE) as error:
            raise OutcomeUnknown(
                f"Google does not answer ({type(error).__name__})", "look at the network, and run it again"
            ) from error
        try:
            answer = parse(reply.content)
        except NotJson:
            answer = None
        if not 200 <= reply.status_code < 300:
            raise _refusal(reply.status_code, bucket, _read_message(answer))
        return answer


def _refusal(status: int, bucket: str, told: str) -> GoogleError:
    answers = f"Google answers {status}"
    if status in (409, 412):
        hint = "somebody else writes the policy all the time, or may forbid one of its members: run it again"
        return EtagConflict(answers, hint, told)
    if status == 400:
        return InvalidMember(answers, "nothing was changed", told)
    if status == 401:
        return GoogleError(answers, "the gateway's credential is no longer good: dsgctl doctor", told)
    if status == 403:
        return GoogleError(answers, f"give the gateway's account {PERMISSIONS} on gs://{bucket}", told)
    if status == 404:
        return NoBucket(
            answers,
            f"there is no bucket {bucket}: take its locations away, or dsgctl bucket set {bucket} --no-iam",
            told,
        )
    if status == 429:
        return GoogleError(answers, "it was asked too often: run it again in a minute", told)
    if status >= 500:
        return OutcomeUnknown(answers, "run it again later", told)
    return GoogleError(answers, "dsgctl doctor", told)


def _read_message(answer: object) -> str:
    """What Google says in an error: ``{"error": {"message": ...}}``; empty if it is not of this form."""
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""
