"""Google Cloud Storage: with which credential a bucket is asked for."""

from typing import Any

from dsgctl.core import names

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def source_credentials(named: str | None) -> Any:
    """The google.auth credential of ``impersonate:EMAIL``, of a service account's key file, or the machine's own.

    Raises:
        DefaultCredentialsError: there is none.
    """
    import google.auth
    from google.auth import exceptions, impersonated_credentials
    from google.oauth2 import service_account

    google_accounts: Any = service_account.Credentials  # without types
    google_impersonated: Any = impersonated_credentials.Credentials
    if named is not None and not named.startswith(names.IMPERSONATE):
        try:
            return google_accounts.from_service_account_file(named, scopes=[SCOPE])
        except (OSError, ValueError) as error:
            not_found: Any = exceptions.DefaultCredentialsError
            raise not_found(f"{named}: {type(error).__name__}") from error
    own, _ = google.auth.default(scopes=[SCOPE])
    if named is None:
        return own
    return google_impersonated(own, named.removeprefix(names.IMPERSONATE), [SCOPE])
