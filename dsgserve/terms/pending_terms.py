"""The terms that a person has not accepted, and those that their login has postponed."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime

from dsgctl.core import clock, logins, reference_decisions, snapshots, withdrawals
from dsgctl.core.rules.pending_terms import PendingTerms, list_pending_terms
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.references import Reference
from dsgctl.store.models import Principal
from dsgserve.gateway import Gateway
from dsgserve.login import form_proofs
from dsgserve.login.authentication import Login

_MAX_COLONS = 8  # of a dataset and version that are looked up as one text


def read_pending(
    gateway: Gateway, principal: Principal, *, service: str | None = None, dataset: str | None = None
) -> tuple[PrincipalSnapshot, tuple[PendingTerms, ...]]:
    """The snapshot of a principal, and their pending terms: first those of datasets that a grant reaches.

    Args:
        service: include the terms of this service; an unknown service adds nothing.
        dataset: only the terms of this dataset, or of one version of it, ``NAME:VERSION``.
    """
    at = clock.now()
    with gateway.reader.snapshot():
        snapshot = snapshots.read_principal(gateway.reader, principal, service=service)
        version_terms = snapshots.read_version_terms(gateway.reader, snapshot.datasets)
        withdrawn = withdrawals.list_datasets(gateway.reader, principal.id)
        referenced = _list_referenced(gateway, principal, dataset, service, at) if dataset is not None else []
    pending_terms = [
        pending
        for pending in list_pending_terms(snapshot, version_terms, at)
        if (dataset is None or _concerns(pending, dataset))
        and (pending.reached or pending.terms.dataset not in withdrawn)
    ]
    # Also of a dataset that was withdrawn: what is public is everybody's again once they accept its terms.
    ids = {pending.terms.id for pending in pending_terms}
    pending_terms += [pending for pending in referenced if pending.terms.id not in ids]
    return snapshot, tuple(sorted(pending_terms, key=lambda pending: not pending.reached))


def _list_referenced(
    gateway: Gateway, principal: Principal, name: str, service: str | None, at: datetime
) -> list[PendingTerms]:
    """The terms that withhold a dataset, or its version ``NAME:VERSION``, as the native API decides it.

    It knows what user/cache does not: grants for one service, versions that are public, and those before another.
    """
    if principal.kind != "user":
        return []
    parts = name.split(":", _MAX_COLONS)
    versions = [Reference(":".join(parts[:count]), ":".join(parts[count:])) for count in range(1, len(parts))]
    pending: dict[int, PendingTerms] = {}
    for reference in (Reference(name), *versions):
        missing, reached = reference_decisions.list_missing_terms(
            gateway.reader, principal, reference, at, service=service
        )
        pending |= {terms.id: PendingTerms(terms, reached) for terms in missing}
    return list(pending.values())


def _concerns(pending: PendingTerms, name: str) -> bool:
    """Whether the terms are of the dataset of this name, or hold for the version ``NAME:VERSION``.

    Names of datasets and of versions can have colons. Every way to read the text counts, so that no terms are missed.
    """
    dataset, version = pending.terms.dataset, pending.terms.version
    return dataset == name or (
        dataset is not None and name.startswith(f"{dataset}:") and version in (None, name.removeprefix(f"{dataset}:"))
    )


def list_pending(
    gateway: Gateway, principal: Principal, *, service: str | None = None, dataset: str | None = None
) -> tuple[PendingTerms, ...]:
    """The pending terms alone; see `read_pending`."""
    return read_pending(gateway, principal, service=service, dataset=dataset)[1]


def list_unpostponed(gateway: Gateway, login: Login) -> tuple[PendingTerms, ...]:
    """The pending terms that this login has not postponed."""
    postponed = logins.list_postponed_terms(login.token)
    return tuple(pending for pending in list_pending(gateway, login.principal) if pending.terms.id not in postponed)


def has_blocking_terms(gateway: Gateway, login: Login) -> bool:
    """Whether terms that are not postponed withhold something that a grant reaches."""
    return any(pending.reached for pending in list_unpostponed(gateway, login))


def sign_postponement(gateway: Gateway, login: Login, pending_terms: Sequence[PendingTerms]) -> str:
    """The proof in the link that continues without accepting these terms."""
    return form_proofs.sign(gateway, login, later=_digest(terms_ids(pending_terms)))


def postpone(gateway: Gateway, login: Login, proof: str) -> bool:
    """Record that this login continues without the pending terms.

    Args:
        proof: from `sign_postponement`.

    Returns:
        False if the proof is not valid, or if the page did not show exactly the terms that are pending now.
    """
    ids = terms_ids(list_unpostponed(gateway, login))
    if not form_proofs.verify(gateway, login, proof, later=_digest(ids)):
        return False
    logins.postpone_terms(gateway.writer, login.token, ids)
    return True


def terms_ids(pending_terms: Sequence[PendingTerms]) -> list[int]:
    """The ids of the documents; one document can be pending for several datasets."""
    return [pending.terms.id for pending in pending_terms]


def _digest(ids: Collection[int]) -> str:
    """A hash of any number of ids, short enough for a link."""
    text = " ".join(map(str, sorted(set(ids))))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
