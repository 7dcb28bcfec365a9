"""Sign-ins that have begun, stored only in one signed cookie of the browser that began them.

Only that browser can finish a sign-in. This stops a forged login (the attacker's, finished by the victim) and the use
of a stolen response. Several tabs can sign in at the same time.
"""

import base64
import hashlib
import secrets
from dataclasses import asdict, dataclass
from datetime import timedelta

from bottle import BaseRequest, HTTPResponse

from dsgctl.core import clock
from dsgserve.http import signing
from dsgserve.http.cookies import set_cookie
from dsgserve.http.requests import cookie_values
from dsgserve.http.signing import Purpose

MAX_TIME = timedelta(minutes=10)  # until a sign-in must be finished
MAX_LOGINS = 4  # of one browser; the oldest is dropped
# Characters of the value. Browsers store cookies of up to 4096 bytes, attributes included (RFC 6265, section 6.1).
MAX_LENGTH = 3980
_NAME = "dsg_login"


@dataclass(frozen=True, slots=True)
class LoginState:
    """One sign-in that has begun.

    Attributes:
        state: ties the provider's response to this browser (RFC 6749, 10.12).
        nonce: ties the ID token to this sign-in (OpenID Connect Core, 15.5.2).
        verifier: of PKCE (RFC 7636).
        target: where to go afterwards, as redirects.py allowed it.
    """

    state: str
    nonce: str
    verifier: str
    target: str

    @property
    def challenge(self) -> str:
        """Of PKCE, S256 (RFC 7636, 4.2)."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def begin_login(target: str) -> LoginState:
    """A sign-in with new secrets."""
    return LoginState(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), target)


class LoginStateStore:
    """Reads and writes the cookie."""

    def __init__(self, keys: tuple[str, ...], *, secure: bool) -> None:
        self._keys = keys
        # __Host-: no other host below our domain can set it (RFC 6265bis, 4.1.3.2).
        self._name = f"__Host-{_NAME}" if secure else _NAME
        self._secure = secure

    def add(self, response: HTTPResponse, request: BaseRequest, login: LoginState) -> None:
        """Add a sign-in to the cookie."""
        self._write(response, [*self._read(request), login][-MAX_LOGINS:])

    def find(self, request: BaseRequest, state: str) -> LoginState | None:
        """The sign-in with this state, if this browser began it within `MAX_TIME`."""
        logins = self._read(request)
        return next((login for login in logins if secrets.compare_digest(login.state.encode(), state.encode())), None)

    def forget(self, response: HTTPResponse, request: BaseRequest, login: LoginState) -> None:
        """Remove a sign-in: it can be finished once only, whether it succeeded or not."""
        self._write(response, [other for other in self._read(request) if other != login])

    def fits(self, target: str) -> bool:
        """Whether the cookie has room for a sign-in with this target."""
        return len(self._text([begin_login(target)])) <= MAX_LENGTH

    def _read(self, request: BaseRequest) -> list[LoginState]:
        for value in cookie_values(request, self._name):
            try:
                values = signing.verify(self._keys, Purpose.LOGIN, value, clock.now(), max_length=MAX_LENGTH)
            except signing.Refused:
                continue  # without the prefix __Host-, another host can set a cookie of this name
            return [LoginState(**entry) for entry in values["logins"]]
        return []

    def _text(self, logins: list[LoginState]) -> str:
        values = {"logins": [asdict(login) for login in logins]}
        return signing.sign(self._keys, Purpose.LOGIN, values, clock.now() + MAX_TIME)

    def _write(self, response: HTTPResponse, logins: list[LoginState]) -> None:
        text = self._text(logins)
        if len(text) > MAX_LENGTH and len(logins) > 1:
            self._write(response, logins[1:])  # without the oldest
            return
        value, seconds = (text, MAX_TIME // timedelta(seconds=1)) if logins else ("", 0)
        set_cookie(response, self._name, value, seconds, secure=self._secure, same_site="Lax")
