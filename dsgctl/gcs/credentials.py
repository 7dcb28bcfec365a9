"""Google credentials: of a service account's key file, impersonated, or the machine's own."""

from typing import Any, cast

from dsgctl.bounded_http import Deadline
from dsgctl.core import validation

LOOK_SECONDS = 3.0  # to find the machine's own credential: a metadata server answers immediately, or there is none
SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def source_credentials(name: str | None) -> Any:
    """The google.auth credential of a bucket or of the gateway; google.auth has no types.

    Args:
        name: the path of a key file, or ``impersonate:EMAIL``; None for the machine's own.

    Raises:
        DefaultCredentialsError: there is none.
    """
    import google.auth
    from google.auth import exceptions, impersonated_credentials
    from google.oauth2 import service_account

    from dsgctl.gcs.transport import RequestFailed, Transport

    deadline, missing = Deadline(LOOK_SECONDS), cast("Any", exceptions.DefaultCredentialsError)
    google_accounts: Any = service_account.Credentials  # without types
    google_impersonated: Any = impersonated_credentials.Credentials
    if name is not None and not name.startswith(validation.IMPERSONATE):
        try:
            return google_accounts.from_service_account_file(name, scopes=[SCOPE])
        except (OSError, ValueError) as error:
            raise missing(f"{name}: {type(error).__name__}") from error
    transport = Transport(lambda: deadline)
    try:
        own, _ = google.auth.default(scopes=[SCOPE], request=cast("Any", transport))
    except RequestFailed as error:
        raise missing("the machine has none") from error
    finally:
        transport.close()
    if name is None:
        return own
    return google_impersonated(own, name.removeprefix(validation.IMPERSONATE), [SCOPE])
