"""Stands in for a person with a browser who signs in at a server with DSG_DEV_LOGIN."""

import re

import requests

from tests.patience import PATIENCE


class Visitor:
    """Signs in as anybody; stores cookies like a browser."""

    def __init__(self, server: str) -> None:
        self.origin = server.replace("127.0.0.1", "localhost")
        self.session = requests.Session()
        self.session.trust_env = False

    def begin(self, then: str = "/success") -> str:
        """Begin a sign-in. Returns its state."""
        page = self.session.get(f"{self.origin}/auth/login", params={"next": then}, timeout=PATIENCE)
        state = re.search(r'name="state" value="([^"]+)"', page.text)
        assert state, page.text
        return state[1]

    def finish(self, state: str, email: str) -> requests.Response:
        """Choose the account with this email."""
        return self.session.get(
            f"{self.origin}/accounts/google/login/callback/",
            params={"state": state, "code": email},
            allow_redirects=False,
            timeout=PATIENCE,
        )

    def sign_in(self, email: str) -> str:
        """Sign in. Returns the login token in the cookie."""
        response = self.finish(self.begin(), email)
        assert response.status_code in (302, 303), response.text
        return self.token

    @property
    def token(self) -> str:
        return next((cookie.value or "" for cookie in self.session.cookies if cookie.name == "dsg_token"), "")
