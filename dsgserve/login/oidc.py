"""The OpenID provider: discovery, the authorization code flow with PKCE, and verified ID tokens.

OpenID Connect Core 1.0 and Discovery 1.0; PKCE: RFC 7636.
"""

import time
from typing import Any

import jwt
import requests
from oauthlib.oauth2 import OAuth2Error
from requests_oauthlib import OAuth2Session

from dsgctl.bounded_http import NONSENSE, Deadline, harmless_code, limit_session
from dsgctl.core import validation
from dsgctl.core.errors import Invalid
from dsgctl.core.logins import Identity
from dsgctl.json_text import NotJson, parse_object
from dsgctl.oauth_client import Client
from dsgserve.process.outbound import Shared, UpstreamUnavailable

SCOPE = "openid email profile"
LEEWAY = 10  # seconds by which clocks may differ
_DISCOVERY_SECONDS = 3600.0
_KEYS_SECONDS = 3600.0
_KEYS_PAUSE = 1.0  # seconds at least between two fetches of the keys, whatever ids are named
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "EdDSA"]  # none that shares a secret


class LoginFailed(Exception):
    """The provider's answer does not sign anybody in.

    Attributes:
        reason: one of `REASONS`.
        detail: for the log; nothing secret.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Provider:
    """One OpenID provider. What it says of itself is fetched when first needed, and kept for a while.

    Its methods may call out: hold a place of `outbound.Places` meanwhile.
    """

    def __init__(self, issuer: str, client: Client) -> None:
        self.issuer = issuer
        self._client = client
        self._calls: Shared[Any] = Shared()
        self._metadata: dict[str, Any] = {}
        self._metadata_until = 0.0
        self._keys: dict[str, jwt.PyJWK] = {}
        self._keys_at = float("-inf")

    def authorization_url(
        self,
        redirect_uri: str,
        *,
        state: str,
        nonce: str,
        challenge: str,
        deadline: Deadline | None = None,
        **hints: str,
    ) -> str:
        """Where to send the browser.

        Args:
            challenge: of PKCE, S256.
            deadline: of the whole call; None for one that begins now.
            hints: ``prompt``, ``login_hint``.

        Raises:
            Unavailable: the provider cannot be asked where that is.
        """
        session = OAuth2Session(self._client.id, redirect_uri=redirect_uri, scope=SCOPE.split())
        url, _ = session.authorization_url(
            self._endpoint("authorization_endpoint", deadline or Deadline()),
            state=state,
            nonce=nonce,
            code_challenge=challenge,
            code_challenge_method="S256",
            **hints,
        )
        return str(url)

    def identify(
        self, code: str, redirect_uri: str, *, verifier: str, nonce: str, deadline: Deadline | None = None
    ) -> Identity:
        """Redeem an authorization code, and verify whom it signs in.

        Raises:
            LoginFailed: the provider refuses, or its ID token is not good.
            Unavailable: it cannot be asked.
        """
        # No scope here: a provider may spell what it granted in another way, which is no failure.
        session = OAuth2Session(self._client.id, redirect_uri=redirect_uri)
        ends = deadline or Deadline()
        limit_session(session, lambda: ends)
        try:
            granted = session.fetch_token(
                self._endpoint("token_endpoint", ends),
                code=code,
                client_secret=self._client.secret,
                include_client_id=True,
                code_verifier=verifier,
            )
        except OAuth2Error as error:
            raise LoginFailed("refused", f"token endpoint: {harmless_code(error.error)}") from None
        except (requests.RequestException, *NONSENSE) as error:
            raise UpstreamUnavailable(f"token endpoint: {type(error).__name__}") from None
        finally:
            session.close()
        id_token = granted.get("id_token")
        if not isinstance(id_token, str):
            raise LoginFailed("bad_token", "there is no ID token")
        return self._verified(id_token, nonce, ends)

    def _verified(self, id_token: str, nonce: str, deadline: Deadline | None = None) -> Identity:
        """Check signature, issuer, audience, expiry, nonce and email (OpenID Connect Core, 3.1.3.7)."""
        try:
            key = self._key(str(jwt.get_unverified_header(id_token).get("kid", "")), deadline or Deadline())
            claims = jwt.decode(
                id_token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._client.id,
                issuer=self.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except (jwt.PyJWTError, *NONSENSE) as error:
            raise LoginFailed("bad_token", type(error).__name__) from None
        audience = claims["aud"]
        if isinstance(audience, list) and len(audience) > 1 and claims.get("azp") != self._client.id:
            raise LoginFailed("bad_token", "it is for another client")
        if claims.get("nonce") != nonce:
            raise LoginFailed("bad_token", "nonce")
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            raise LoginFailed("unverified_email")
        return Identity(
            self.issuer, str(claims["sub"]), email, _text(claims.get("name")), _picture(claims.get("picture"))
        )

    def _key(self, key_id: str, deadline: Deadline) -> jwt.PyJWK:
        """The provider's published key of this id, fetched anew if it is not known."""
        if self._needs_keys(key_id):
            self._calls.run("keys", deadline, lambda: self._fetch_keys(key_id, deadline))
        key = self._keys.get(key_id)
        if key is None:
            raise LoginFailed("bad_token", "signed with a key that the provider does not publish")
        return key

    def _needs_keys(self, key_id: str) -> bool:
        age = time.monotonic() - self._keys_at
        return age > _KEYS_SECONDS or (key_id not in self._keys and age > _KEYS_PAUSE)

    def _fetch_keys(self, key_id: str, deadline: Deadline) -> None:
        if self._needs_keys(key_id):  # nobody has fetched them in the meantime
            answer = self._fetch("jwks_uri", self._endpoint("jwks_uri", deadline), deadline)
            self._keys, self._keys_at = _usable_keys(answer.get("keys")), time.monotonic()

    def _endpoint(self, name: str, deadline: Deadline) -> str:
        if time.monotonic() > self._metadata_until:
            self._calls.run("discovery", deadline, lambda: self._discover(deadline))
        url = self._metadata.get(name)
        if not isinstance(url, str) or not url.startswith("https://"):
            raise UpstreamUnavailable(f"discovery has no https {name}")
        return url

    def _discover(self, deadline: Deadline) -> None:
        if time.monotonic() > self._metadata_until:
            url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            answer = self._fetch("discovery", url, deadline)
            if answer.get("issuer") != self.issuer:  # Discovery, 4.3
                raise UpstreamUnavailable("discovery names another issuer")
            self._metadata, self._metadata_until = answer, time.monotonic() + _DISCOVERY_SECONDS

    def _fetch(self, what: str, url: str, deadline: Deadline) -> dict[str, Any]:
        session = limit_session(requests.Session(), lambda: deadline)
        try:
            reply = session.get(url)
            reply.raise_for_status()
            return parse_object(reply.content)
        except (requests.RequestException, NotJson) as error:
            raise UpstreamUnavailable(f"{what}: {type(error).__name__}") from None
        finally:
            session.close()


def _usable_keys(found: Any) -> dict[str, jwt.PyJWK]:
    keys: dict[str, jwt.PyJWK] = {}
    for entry in found if isinstance(found, list) else []:
        try:
            keys[str(entry.get("kid", ""))] = jwt.PyJWK(entry)
        except (jwt.PyJWTError, AttributeError):
            continue  # a kind of key that we do not know; others may do
    return keys


def _picture(value: Any) -> str:
    """The address of a picture, if it is one that can be kept."""
    try:
        return validation.url(_text(value, 2048))
    except Invalid:
        return ""


def _text(value: Any, limit: int = 255) -> str:
    """A claim that is only shown: what cannot be kept is left out."""
    return value.strip()[:limit].strip() if isinstance(value, str) and value.isprintable() else ""
