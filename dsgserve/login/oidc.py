"""The OpenID provider: discovery, the authorization code flow with PKCE, and verified ID tokens.

OpenID Connect Core 1.0 and Discovery 1.0; PKCE: RFC 7636.
"""

import time
from collections.abc import Mapping

import jwt
import requests
from oauthlib.oauth2 import OAuth2Error
from requests_oauthlib import OAuth2Session

from dsgctl.bounded_http import MALFORMED_RESPONSE, Deadline, limit_session, loggable_error_code
from dsgctl.core import validation
from dsgctl.core.errors import Invalid
from dsgctl.core.logins import Identity
from dsgctl.json_text import NotJson, parse_object
from dsgctl.oauth_client import OAuthClient
from dsgserve.process.outbound import Shared, UpstreamUnavailable

SCOPE = "openid email profile"
LEEWAY = 10  # seconds by which the clocks of provider and server may differ
_DISCOVERY_SECONDS = 3600.0
_KEYS_SECONDS = 3600.0
_KEYS_PAUSE = 1.0  # seconds at least between two fetches of the keys, whatever key ids tokens name
_ALGORITHMS = ["RS256", "RS384", "RS512", "ES256", "ES384", "PS256", "EdDSA"]  # none with a shared secret


class LoginFailed(Exception):
    """The provider's response does not sign anybody in.

    Attributes:
        reason: a key of `MESSAGES` in sign_in.py.
        detail: for the log; nothing secret.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Provider:
    """One OpenID provider. Its metadata and its keys are fetched when they are first needed, and cached for an hour.

    The methods may call the provider, so call them within `outbound.ConcurrencyLimit.acquire`.
    """

    def __init__(self, issuer: str, client: OAuthClient) -> None:
        self.issuer = issuer
        self._client = client
        self._fetches: Shared[None] = Shared()
        self._endpoints: dict[str, str] = {}  # name in the metadata (Discovery, 3) -> https URL
        self._endpoints_until = 0.0
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
        """The URL to send the browser to.

        Args:
            challenge: of PKCE, S256.
            deadline: of the whole call; None for one that begins now.
            hints: ``prompt``, ``login_hint``.

        Raises:
            UpstreamUnavailable: the provider's metadata cannot be fetched.
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
        """Redeem an authorization code, and verify the ID token.

        Raises:
            LoginFailed: the provider refuses the code, or its ID token is not valid.
            UpstreamUnavailable: the provider does not answer.
        """
        # Without a scope: a provider may spell the granted scope in another way, which would count as an error.
        session = OAuth2Session(self._client.id, redirect_uri=redirect_uri)
        deadline = deadline or Deadline()
        limit_session(session, lambda: deadline)
        try:
            response = session.fetch_token(
                self._endpoint("token_endpoint", deadline),
                code=code,
                client_secret=self._client.secret,
                include_client_id=True,
                code_verifier=verifier,
            )
        except OAuth2Error as error:
            raise LoginFailed("refused", f"token endpoint: {loggable_error_code(error.error)}") from None
        except (requests.RequestException, *MALFORMED_RESPONSE) as error:
            raise UpstreamUnavailable(f"token endpoint: {type(error).__name__}") from None
        finally:
            session.close()
        id_token = response.get("id_token")
        if not isinstance(id_token, str):
            raise LoginFailed("bad_token", "there is no ID token")
        return self._verify(id_token, nonce, deadline)

    def _verify(self, id_token: str, nonce: str, deadline: Deadline) -> Identity:
        """Check signature, issuer, audience, expiry, nonce and email (OpenID Connect Core, 3.1.3.7)."""
        try:
            key = self._find_key(str(jwt.get_unverified_header(id_token).get("kid", "")), deadline)
            claims: Mapping[str, object] = jwt.decode(
                id_token,
                key,
                algorithms=_ALGORITHMS,
                audience=self._client.id,
                issuer=self.issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        except (jwt.PyJWTError, *MALFORMED_RESPONSE) as error:
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
            self.issuer,
            str(claims["sub"]),
            email,
            _text_claim(claims.get("name")),
            _picture_claim(claims.get("picture")),
        )

    def _find_key(self, key_id: str, deadline: Deadline) -> jwt.PyJWK:
        """The provider's published key of this id; the keys are fetched again for an id that is not among them."""
        if self._needs_keys(key_id):
            self._fetches.run("keys", deadline, lambda: self._fetch_keys(key_id, deadline))
        key = self._keys.get(key_id)
        if key is None:
            raise LoginFailed("bad_token", "signed with a key that the provider does not publish")
        return key

    def _needs_keys(self, key_id: str) -> bool:
        age = time.monotonic() - self._keys_at
        return age > _KEYS_SECONDS or (key_id not in self._keys and age > _KEYS_PAUSE)

    def _fetch_keys(self, key_id: str, deadline: Deadline) -> None:
        if self._needs_keys(key_id):  # no other thread has fetched them meanwhile
            document = self._fetch("jwks_uri", self._endpoint("jwks_uri", deadline), deadline)
            self._keys, self._keys_at = _parse_keys(document.get("keys")), time.monotonic()

    def _endpoint(self, name: str, deadline: Deadline) -> str:
        if time.monotonic() > self._endpoints_until:
            self._fetches.run("discovery", deadline, lambda: self._discover(deadline))
        url = self._endpoints.get(name)
        if url is None:
            raise UpstreamUnavailable(f"discovery has no https {name}")
        return url

    def _discover(self, deadline: Deadline) -> None:
        if time.monotonic() > self._endpoints_until:
            url = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
            metadata = self._fetch("discovery", url, deadline)
            if metadata.get("issuer") != self.issuer:  # Discovery, 4.3
                raise UpstreamUnavailable("discovery names another issuer")
            self._endpoints = {
                name: value
                for name, value in metadata.items()
                if isinstance(value, str) and value.startswith("https://")
            }
            self._endpoints_until = time.monotonic() + _DISCOVERY_SECONDS

    def _fetch(self, name: str, url: str, deadline: Deadline) -> Mapping[str, object]:
        session = limit_session(requests.Session(), lambda: deadline)
        try:
            response = session.get(url)
            response.raise_for_status()
            return parse_object(response.content)
        except (requests.RequestException, NotJson) as error:
            raise UpstreamUnavailable(f"{name}: {type(error).__name__}") from None
        finally:
            session.close()


def _parse_keys(entries: object) -> dict[str, jwt.PyJWK]:
    """The keys of a JSON Web Key Set (RFC 7517, section 5), by their ids."""
    keys: dict[str, jwt.PyJWK] = {}
    for entry in entries if isinstance(entries, list) else []:
        try:
            keys[str(entry.get("kid", ""))] = jwt.PyJWK(entry)
        except (jwt.PyJWTError, AttributeError):
            continue  # a type of key that this library does not support; the other keys remain usable
    return keys


def _picture_claim(value: object) -> str:
    """The URL of a picture; empty if it is not one that the database takes."""
    try:
        return validation.url(_text_claim(value, 2048))
    except Invalid:
        return ""


def _text_claim(value: object, limit: int = 255) -> str:
    """A claim that is only displayed; empty if it is not printable text."""
    return value.strip()[:limit].strip() if isinstance(value, str) and value.isprintable() else ""
