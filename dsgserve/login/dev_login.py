"""A sign-in without a provider, to try things out: the person chooses an account. Only with DSG_DEV_LOGIN=1.

The server refuses to start with it unless it listens on loopback alone and DSG_ORIGIN is
http://localhost (server.py), so that nobody on another machine can choose.
"""

from itertools import islice

from bottle import HTTPResponse

from dsgctl.bounded_http import Deadline
from dsgctl.core import principals, user_queries
from dsgctl.core.logins import Identity
from dsgctl.store import Database
from dsgserve.http.responses import page
from dsgserve.login.login_state import LoginState
from dsgserve.login.oidc import LoginFailed

_MAX_PEOPLE = 50  # in the list; other addresses can be typed
_ISSUER = "http://localhost/dev-login"


class DevProvider:
    """In place of the OpenID provider. Its authorization code is the email of the chosen account."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def choose(self, login: LoginState, callback: str) -> HTTPResponse:
        """The page on which the person chooses, in place of the provider's page."""
        people = [row for row in islice(user_queries.list_users(self._database), _MAX_PEOPLE) if row["active"]]
        return page("dev_login", title="Sign in as anybody", people=people, state=login.state, callback=callback)

    def identify(
        self, code: str, redirect_uri: str, *, verifier: str, nonce: str, deadline: Deadline | None = None
    ) -> Identity:
        """The identity of the account with this email: the one that it has already, or a new one.

        Raises:
            LoginFailed: there is no such account.
        """
        user = principals.find_by_email(self._database, code)
        if user is None:
            raise LoginFailed("bad_email", "dev login")
        return Identity(user.issuer or _ISSUER, user.subject or user.email, user.email)
