"""The user tokens of ngauth: signed, for at most an hour, and never valid longer than the login that they are for."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from bottle import BaseRequest

from dsgctl.core import token_checks
from dsgctl.core.token_checks import TokenError
from dsgctl.store.models import Principal
from dsgserve.gateway import Gateway
from dsgserve.http import signing
from dsgserve.http.requests import present_token
from dsgserve.http.signing import Purpose
from dsgserve.login.authentication import Login
from dsgserve.process import logs

LIFE = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class UserToken:
    """The signed values: the ids of the principal, and of the token that was exchanged for the user token."""

    principal: int
    token: int


def sign_user_token(gateway: Gateway, login: Login, at: datetime) -> str:
    """A user token for a login; it ends with the login, or after `LIFE`."""
    expires = min(filter(None, (at + LIFE, login.token.expires)))
    values = asdict(UserToken(login.principal.id, login.token.id))
    return signing.sign(gateway.secret_keys, Purpose.USER_TOKEN, values, expires)


def find_owner(gateway: Gateway, request: BaseRequest, presented: str, at: datetime) -> Principal | TokenError:
    """The owner of a user token, if the token behind it and the account are still valid. Records the use.

    Returns:
        The principal, or why the user token is not valid.
    """
    try:
        user_token = UserToken(**signing.verify(gateway.secret_keys, Purpose.USER_TOKEN, presented, at))
    except signing.Refused as error:
        return TokenError.EXPIRED if error.expired else TokenError.UNKNOWN
    status = token_checks.check(gateway.reader, present_token(request, user_token.token), at)
    if status.problem is not None:
        return status.problem
    if status.principal is None or status.principal.id != user_token.principal:
        return TokenError.UNKNOWN
    gateway.last_used.note(user_token.token)
    logs.annotate(principal=status.principal.id)
    return status.principal
