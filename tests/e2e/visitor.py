"""Somebody with a browser, before a server with DSG_DEV_LOGIN."""

import re

import requests

from tests.patience import PATIENCE


class Visitor:
    """Signs in as anybody, and keeps the cookies."""

    def __init__(self, server: str) -> None:
        self.origin = server.replace("127.0.0.1", "localhost")
        self.session = requests.Session()
        self.session.trust_env = False

    def begin(self, then: str = "/success") -> str:
        """Start to sign in. Returns the state."""
        page = self.session.get(f"{self.origin}/auth/login", params={"next": then}, timeout=PATIENCE)
        found = re.search(r'name="state" value="([^"]+)"', page.text)
        assert found, page.text
        return found[1]

    def finish(self, state: str, email: str) -> requests.Response:
        """Choose whom to be."""
        return self.session.get(
            f"{self.origin}/accounts/google/login/callback/",
            params={"state": state, "code": email},
            allow_redirects=False,
            timeout=PATIENCE,
        )

    def sign_in(self, email: str) -> str:
        """The login token that the cookie then holds."""
        reply = self.finish(self.begin(), email)
        assert reply.status_code in (302, 303), reply.text
        return self.token

    @property
    def token(self) -> str:
        return next((cookie.value or "" for cookie in self.session.cookies if cookie.name == "dsg_token"), "")
