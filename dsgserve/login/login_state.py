"""Logins under way: kept in one signed cookie of the browser that started them, and nowhere else.

A login can be finished only by the browser that began it, which stops both a forged login (somebody
else's, finished by the victim) and a stolen answer. Several tabs may have one each.
"""

import base64
import hashlib
import secrets
from dataclasses import asdict, dataclass

from bottle import BaseRequest, HTTPResponse
from itsdangerous import BadData, URLSafeTimedSerializer

from dsgserve.http.cookies import set_cookie
from dsgserve.http.requests import cookie_values

MINUTES = 10  # in which a login must be finished
AT_ONCE = 4  # logins of one browser; the oldest gives way
LONGEST = 3900  # characters of the value; browsers keep cookies of 4096 bytes with name and attributes
_NAME = "dsg_login"


@dataclass(frozen=True, slots=True)
class LoginState:
    """One login under way.

    Attributes:
        state: ties the provider's answer to this browser (RFC 6749, 10.12).
        nonce: ties the ID token to this login (OpenID Connect Core, 15.5.2).
        verifier: of PKCE (RFC 7636).
        target: where to go afterwards: a path, or an address that was allowed.
    """

    state: str
    nonce: str
    verifier: str
    target: str

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def new(target: str) -> LoginState:
    return LoginState(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), target)


class LoginStateStore:
    """Reads and writes the cookie."""

    def __init__(self, keys: tuple[str, ...], *, secure: bool) -> None:
        # itsdangerous signs with the last key of its list and tries all.
        self._serializer = URLSafeTimedSerializer(list(reversed(keys)), salt="dsg pending logins")
        # __Host-: no other host below our domain can set it (RFC 6265bis, 4.1.3.2).
        self._name = f"__Host-{_NAME}" if secure else _NAME
        self._secure = secure

    def add(self, reply: HTTPResponse, request: BaseRequest, login: LoginState) -> None:
        self._write(reply, [*self._read(request), login][-AT_ONCE:])

    def find(self, request: BaseRequest, state: str) -> LoginState | None:
        """The login of this state, if this browser began it not too long ago."""
        known = self._read(request)
        return next((login for login in known if secrets.compare_digest(login.state.encode(), state.encode())), None)

    def forget(self, reply: HTTPResponse, request: BaseRequest, login: LoginState) -> None:
        """A login is finished once, however it ended."""
        self._write(reply, [other for other in self._read(request) if other != login])

    def fits(self, target: str) -> bool:
        """Whether a login with this target can be kept at all."""
        return len(self._text([new(target)])) <= LONGEST

    def _read(self, request: BaseRequest) -> list[LoginState]:
        for value in cookie_values(request, self._name):
            if len(value) > LONGEST:
                continue
            try:
                entries = self._serializer.loads(value, max_age=MINUTES * 60)
                return [LoginState(**entry) for entry in entries]
            except (BadData, TypeError):
                continue  # another host may have set one of this name where it has no prefix
        return []

    def _text(self, logins: list[LoginState]) -> str:
        return str(self._serializer.dumps([asdict(login) for login in logins]))

    def _write(self, reply: HTTPResponse, logins: list[LoginState]) -> None:
        text = self._text(logins)
        if len(text) > LONGEST and len(logins) > 1:
            self._write(reply, logins[1:])  # the oldest gives way
            return
        value, seconds = (text, MINUTES * 60) if logins else ("", 0)
        set_cookie(reply, self._name, value, seconds, secure=self._secure, same_site="Lax")
