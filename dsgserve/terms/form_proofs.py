"""Signed proofs in forms and links: that this server's page showed certain terms to a certain login.

A proof counts for the login that the page was shown to, for those terms, and for `READING_TIME`.
"""

import hashlib
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from dsgctl.core import clock
from dsgserve.gateway import Gateway
from dsgserve.http import signing
from dsgserve.http.signing import Purpose
from dsgserve.login.authentication import Login

READING_TIME = timedelta(hours=12)


def sign_form(gateway: Gateway, login: Login, terms_id: int) -> str:
    """The proof in the form that accepts these terms."""
    return _sign(gateway, {"token": login.token.id, "terms": terms_id})


def verify_forms(gateway: Gateway, login: Login, proofs: Mapping[int, str]) -> bool:
    """Whether all proofs are valid for this login.

    Args:
        proofs: id of the terms -> the proof that `sign_form` returned for them.
    """
    return all(
        _verify(gateway, proof, {"token": login.token.id, "terms": terms_id}) for terms_id, proof in proofs.items()
    )


def sign_postponement(gateway: Gateway, login: Login, terms_ids: Collection[int]) -> str:
    """The proof in the link that continues without accepting these terms."""
    return _sign(gateway, {"token": login.token.id, "later": _digest(terms_ids)})


def verify_postponement(gateway: Gateway, login: Login, proof: str, terms_ids: Collection[int]) -> bool:
    """Whether the proof is valid for this login and for exactly these terms."""
    return _verify(gateway, proof, {"token": login.token.id, "later": _digest(terms_ids)})


def _sign(gateway: Gateway, values: Mapping[str, int | str]) -> str:
    return signing.sign(gateway.secret_keys, Purpose.FORM, values, clock.now() + READING_TIME)


def _verify(gateway: Gateway, proof: str, values: dict[str, Any]) -> bool:
    try:
        return signing.verify(gateway.secret_keys, Purpose.FORM, proof, clock.now()) == values
    except signing.Refused:
        return False


def _digest(terms_ids: Collection[int]) -> str:
    """A hash of any number of ids, short enough for a link."""
    ids = " ".join(map(str, sorted(set(terms_ids))))
    return hashlib.sha256(ids.encode()).hexdigest()[:32]
