"""Reads and writes the policies of buckets at Google. Every call is bounded in time and size.

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
from dsgctl.gcs.credentials import source_credentials
from dsgctl.gcs.messages import error_code, redact
from dsgctl.gcs.transport import RequestFailed, Transport
from dsgctl.json_text import NotJson, parse

PERMISSIONS = "storage.buckets.getIamPolicy and storage.buckets.setIamPolicy"


class GoogleError(DsgError):
    """A request to Google failed.

    Attributes:
        google_message: of the response; the error's own message has it redacted.
    """

    def __init__(self, message: str, hint: str, google_message: str = "") -> None:
        super().__init__(f"{message}: {redact(google_message)}" if google_message else message, hint)
        self.google_message = google_message


class OutcomeUnknown(GoogleError):
    """There is no answer, or none that says whether the policy was written: it may have been."""


class EtagConflict(GoogleError):
    """The policy was written by another since it was read, or a part of it is forbidden (409, 412)."""


class NoBucket(GoogleError):
    """There is no such bucket at Google (404)."""


class InvalidMember(GoogleError):
    """Google refuses the policy: a member does not exist or is forbidden (400)."""


class Policies:
    """The policies that one credential reads and writes; close it afterwards."""

    def __init__(self, storage_url: str, credential: str | None) -> None:
        """
        Args:
            storage_url: ``https://storage.googleapis.com``.
            credential: of the bucket (core/buckets.py, `set_attributes`); None for the machine's own.

        Raises:
            GoogleError: there is no such credential.
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
        self._deadline = Deadline()  # of the current call and its requests for tokens
        self._transport = Transport(lambda: self._deadline)
        self._session = limit_session(google_session(source, auth_request=self._transport), lambda: self._deadline)

    def read(self, bucket: str) -> Policy:
        """The policy with its conditions, which Google leaves out of any version but 3.

        Raises:
            GoogleError: Google does not return it.
            UnknownPolicy: its form is unknown.
        """
        return require_policy(self._request("GET", bucket, params={"optionsRequestedPolicyVersion": "3"}))

    def write(self, bucket: str, policy: Policy) -> Policy:
        """Write a changed policy. Its etag makes Google refuse it if another was written since it was read.

        Returns:
            The policy that Google has now.

        Raises:
            GoogleError: it was not written.
            OutcomeUnknown: it may have been written.
            EtagConflict: read it again.
        """
        try:
            return require_policy(self._request("PUT", bucket, json=policy))
        except UnknownPolicy as error:
            raise OutcomeUnknown(
                "Google's answer does not say whether the policy was written", "run it again"
            ) from error

    def close(self) -> None:
        self._session.close()
        self._transport.close()

    def _request(self, method: str, bucket: str, **options: Any) -> object:
        """The JSON of a response.

        Args:
            options: of `requests.Session.request`.
        """
        self._deadline = Deadline()
        try:
            reply = self._session.request(method, f"{self._base}/{quote(bucket, safe='')}/iam", **options)
        except exceptions.RefreshError as error:
            raise GoogleError(
                "Google does not accept the gateway's credential",
                "dsgctl doctor",
                error_code(error),
            ) from error
        except (RequestFailed, exceptions.GoogleAuthError, requests.RequestException, *MALFORMED_RESPONSE) as error:
            raise OutcomeUnknown(
                f"Google does not answer ({type(error).__name__})", "check the network, and run it again"
            ) from error
        try:
            answer = parse(reply.content)
        except NotJson:
            answer = None
        if not 200 <= reply.status_code < 300:
            raise _explain_refusal(reply.status_code, bucket, _read_message(answer))
        return answer


def _explain_refusal(status: int, bucket: str, message: str) -> GoogleError:
    answers = f"Google answers {status}"
    if status in (409, 412):
        hint = "another program keeps writing the policy, or a member is forbidden: run it again"
        return EtagConflict(answers, hint, message)
    if status == 400:
        return InvalidMember(answers, "nothing was changed", message)
    if status == 401:
        return GoogleError(answers, "the gateway's credential is no longer valid: dsgctl doctor", message)
    if status == 403:
        return GoogleError(answers, f"give the gateway's account {PERMISSIONS} on gs://{bucket}", message)
    if status == 404:
        return NoBucket(
            answers,
            f"there is no bucket {bucket}: take its locations away, or dsgctl bucket set {bucket} --no-iam",
            message,
        )
    if status == 429:
        return GoogleError(answers, "there were too many requests: run it again in a minute", message)
    if status >= 500:
        return OutcomeUnknown(answers, "run it again later", message)
    return GoogleError(answers, "dsgctl doctor", message)


def _read_message(answer: object) -> str:
    """The message of an error, ``{"error": {"message": ...}}``; empty if the answer has another form."""
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else ""
