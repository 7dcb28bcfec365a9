"""A request to another server, and the cause if there is no answer."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
from cryptography import x509

from dsgctl.bounded_http import limit_session

SECONDS = 5  # for a connection whose certificate is read
_EXPIRED, _NOT_YET, _SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, _OTHER_NAME = 10, 9, 18, 19, 20, 62
_UNKNOWN_AUTHORITY = (_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN, _NO_ISSUER, 2, 21)  # X509_V_ERR_* of OpenSSL


def get(url: str, headers: Mapping[str, str] | None = None) -> requests.Response:
    """The response to a GET, within the bounds of dsgctl/bounded_http.py; redirects are not followed.

    Raises:
        requests.RequestException: there is none; `explain` finds the cause.
    """
    with limit_session(requests.Session()) as session:
        session.auth = _leave_unchanged  # otherwise ~/.netrc may add a header
        session.max_redirects = 1  # with 0 a redirect would be an error; none is followed
        return session.get(url, headers=dict(headers or {}), allow_redirects=False)


def _leave_unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def explain(url: str, error: Exception) -> tuple[str, str]:
    """The cause of a failed request, in one line without the query, and what to do."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    where, causes = f"{parts.scheme}://{parts.netloc}", list(_causes(error))
    listening = f"look at what listens there: ss -ltnp 'sport = :{port}'"
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _explain_certificate(where, host, port, cause)
    explanations: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str, str], ...] = (
        (requests.exceptions.ProxyError, f"the proxy for {where} does not answer", "look at HTTPS_PROXY and NO_PROXY"),
        (ssl.SSLError, f"{where} does not speak TLS", listening),
        (
            socket.gaierror,
            f"the name {host} is not found",
            f"getent hosts {host}: correct the name, or add its DNS entry",
        ),
        (
            ConnectionRefusedError,
            f"connection refused by {host}, port {port}: nothing listens there",
            "start the program that should listen there",
        ),
        ((ConnectionResetError, BrokenPipeError), f"{where} closed the connection without an answer", listening),
        (
            (TimeoutError, requests.Timeout),
            f"{where} did not answer in time",
            "is a firewall in between, or that server overloaded?",
        ),
        (
            requests.exceptions.ContentDecodingError,
            f"the answer of {where} is too long or too slow",
            "is it the right address?",
        ),
        (
            (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema),
            f"{where} is not an address",
            "correct the setting",
        ),
    )
    for kind, finding, advice in explanations:
        if any(isinstance(cause, kind) for cause in causes):
            return finding, advice
    if "CA certificate bundle" in str(error):
        return "REQUESTS_CA_BUNDLE names no file with certificates", "correct it, or remove it"
    system_errors = [cause for cause in causes if isinstance(cause, OSError) and cause.strerror and cause.errno]
    if system_errors:
        return (
            f"{where} cannot be reached: {system_errors[0].strerror}",
            f"ip route get {host}; is a firewall in between?",
        )
    return f"{where} closed the connection without an answer", listening


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it wraps: requests and urllib3 keep the cause in several ways."""
    visited: set[int] = set()
    queue = [error]
    while queue:
        cause = queue.pop(0)
        if cause is None or id(cause) in visited:
            continue
        visited.add(id(cause))
        yield cause
        wrapped = [getattr(cause, "reason", None), *getattr(cause, "args", ())]
        queue += [cause.__cause__, cause.__context__, *(error for error in wrapped if isinstance(error, BaseException))]


def _explain_certificate(where: str, host: str, port: int, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    certificate = None
    with suppress(OSError, ValueError):
        certificate = peer_certificate(host, port)
    if error.verify_code == _EXPIRED:
        when = f" on {certificate.not_valid_after_utc:%Y-%m-%d}" if certificate else ""
        return f"the certificate of {where} expired{when}", "renew it, and reload what serves it: certbot renew"
    if error.verify_code == _NOT_YET:
        when = f" before {certificate.not_valid_before_utc:%Y-%m-%d}" if certificate else ""
        return f"the certificate of {where} is not good{when}", "is this host's clock right? timedatectl"
    if error.verify_code == _OTHER_NAME:
        names = ", ".join(certificate_names(certificate)) if certificate else "another name"
        return f"the certificate of {where} is for {names}, not for {host}", f"get one for {host}: certbot certonly"
    if error.verify_code in _UNKNOWN_AUTHORITY:
        by = f", {issuer_name(certificate)}" if certificate else ""
        return (
            f"the certificate of {where} is signed by an unknown authority{by}",
            "serve it with its intermediates (fullchain.pem); for an authority of your own set REQUESTS_CA_BUNDLE",
        )
    return f"the certificate of {where} is not accepted: {error.verify_message}", "get another: certbot certonly"


def peer_certificate(host: str, port: int) -> x509.Certificate:
    """The certificate of a server, whether or not it is valid.

    Raises:
        OSError, ValueError: it has none, or cannot be reached.
    """
    context: Any = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the certificate is read, not trusted
    with (
        socket.create_connection((host, port), timeout=SECONDS) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        encoded = connection.getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(encoded or b"")


def certificate_names(certificate: x509.Certificate) -> list[str]:
    """The hosts that it is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return [certificate.subject.rfc4514_string()]
    return [str(name) for name in extension.value.get_values_for_type(x509.DNSName)] or ["no host"]


def issuer_name(certificate: x509.Certificate) -> str:
    if certificate.issuer == certificate.subject:
        return "itself"
    return str(certificate.issuer.rfc4514_string())


def days_left(certificate: x509.Certificate, at: datetime) -> int:
    return (certificate.not_valid_after_utc - at.astimezone(UTC)).days
