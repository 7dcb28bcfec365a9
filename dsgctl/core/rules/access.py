"""What a principal may do, and why. contract.md, "GET /api/v1/user/cache", is the source of these rules.

Everything here is a function of a `PrincipalSnapshot` and a moment. `user/cache`, `/gcs_token`, ``dsgctl --as`` and
``dsgctl access explain`` follow from `granted_permissions`, which ignores terms, and `missing_terms`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dsgctl.core.rules import levels
from dsgctl.core.rules.levels import expand
from dsgctl.core.rules.principal_snapshot import Dataset, Grant, PrincipalSnapshot
from dsgctl.core.rules.terms import Terms, list_changes, list_missing

Permissions = dict[str, frozenset[str]]  # by dataset
Viewable = frozenset[tuple[str, str | None]]  # datasets, each with one of its versions; None for the whole dataset


def granted_permissions(snapshot: PrincipalSnapshot, at: datetime) -> Permissions:
    """The permissions that the grants give on each dataset, whatever terms are missing."""
    permissions: Permissions = {}
    for grant in snapshot.grants:
        if grant.is_active(at):
            names = expand(grant.permission)
            others = permissions.get(grant.dataset)
            permissions[grant.dataset] = names if others is None else others | names
    if snapshot.read_only:
        permissions = {dataset: names - levels.LOST_IF_READ_ONLY for dataset, names in permissions.items()}
    return {dataset: names for dataset, names in permissions.items() if names}


def missing_terms(snapshot: PrincipalSnapshot, dataset: Dataset, at: datetime) -> list[Terms]:
    """The terms that the principal has yet to accept before it may use a dataset, for the service that asks too."""
    return list_missing(snapshot, dataset.terms, at)


def effective_permissions(snapshot: PrincipalSnapshot, at: datetime, granted: Permissions | None = None) -> Permissions:
    """The permissions on each dataset without missing terms; none if the account is disabled.

    Args:
        granted: the `granted_permissions`, if the caller has them.
    """
    if not snapshot.active:
        return {}
    if granted is None:
        granted = granted_permissions(snapshot, at)
    withheld = {terms.dataset for terms in _list_missing(snapshot, granted, at)}
    return {name: permissions for name, permissions in granted.items() if name not in withheld}


def list_visible_datasets(snapshot: PrincipalSnapshot, at: datetime, granted: Permissions | None = None) -> set[str]:
    """The names of the datasets on which the principal has a permission, and of the public ones.

    Args:
        granted: as of `effective_permissions`.
    """
    if granted is None:
        granted = granted_permissions(snapshot, at)
    return granted.keys() | {name for name, dataset in snapshot.datasets.items() if dataset.public}


def list_missing_terms(snapshot: PrincipalSnapshot, at: datetime, granted: Permissions | None = None) -> list[Terms]:
    """The missing terms of every visible dataset, in the order of the datasets' names.

    Args:
        granted: as of `effective_permissions`.
    """
    return _list_missing(snapshot, sorted(list_visible_datasets(snapshot, at, granted)), at)


def _list_missing(snapshot: PrincipalSnapshot, names: Iterable[str], at: datetime) -> list[Terms]:
    """The missing terms of some datasets, in their order."""
    return list_missing(snapshot, [terms for name in names for terms in snapshot.datasets[name].terms], at)


def list_known_datasets(snapshot: PrincipalSnapshot, at: datetime) -> set[str]:
    """The names of the datasets that the principal may see to exist, with their terms, of those in the snapshot."""
    if not snapshot.active:
        return set()
    of_services = {grant.dataset for grant in snapshot.service_grants if grant.is_active(at)}
    return list_visible_datasets(snapshot, at) | of_services


def may_know_of(snapshot: PrincipalSnapshot, dataset: str, at: datetime, *, is_public: bool = False) -> bool:
    """Whether the principal may see that there is a dataset, and its terms.

    Args:
        is_public: the dataset is public, or one of its versions, whether the snapshot has it or not.
    """
    return snapshot.active and (is_public or dataset in list_known_datasets(snapshot, at))


def list_administered(snapshot: PrincipalSnapshot, at: datetime) -> list[str]:
    """The sorted names of the datasets with a direct grant of ``admin`` or more, whatever terms are missing."""
    if snapshot.service_account:
        return []
    direct = (grant for grant in snapshot.grants if grant.group is None and grant.permission in levels.INCLUDE_ADMIN)
    return sorted({grant.dataset for grant in direct if grant.is_active(at)})


def list_viewable(snapshot: PrincipalSnapshot, at: datetime) -> Viewable:
    """What grants give ``view`` on. One pass over the grants, for callers with thousands of versions."""
    return frozenset(
        (grant.dataset, grant.version)
        for grant in snapshot.grants
        if grant.is_active(at) and levels.VIEW in expand(grant.permission)
    )


def is_viewable(viewable: Viewable, dataset: str, version: str | None) -> bool:
    """Whether a grant gives ``view`` on a version of a dataset, or, for None, on the whole dataset."""
    return (dataset, None) in viewable or (dataset, version) in viewable


def next_change(snapshot: PrincipalSnapshot, at: datetime) -> datetime | None:
    """The next moment at which the same snapshot gives other permissions or terms; None for never."""
    moments: list[datetime | None] = [grant.expires for grant in snapshot.grants]
    moments += list_changes(snapshot, [terms for dataset in snapshot.datasets.values() for terms in dataset.terms])
    return earliest(moments, at)


def earliest(moments: Iterable[datetime | None], after: datetime) -> datetime | None:
    """The earliest of some moments that is later than another; None if there is none."""
    return min((moment for moment in moments if moment and moment > after), default=None)


class Reason(StrEnum):
    """Why a permission is given or refused."""

    GRANTED = "granted"
    ACCOUNT_DISABLED = "account_disabled"
    NO_SUCH_DATASET = "no_such_dataset"
    NO_SUCH_PERMISSION = "no_such_permission"
    NO_GRANT = "no_grant"
    GRANT_EXPIRED = "grant_expired"
    LEVEL_TOO_LOW = "level_too_low"
    READ_ONLY = "read_only"
    TERMS_MISSING = "terms_missing"


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a principal has a permission on a dataset, and what led to that.

    Attributes:
        permission: the one that was asked for.
        holds: the permissions that the grants give on the dataset, whatever terms are missing.
        grants: the active grants on the dataset; ``expired``: the others.
        missing: the terms that the principal has yet to accept.
    """

    reason: Reason
    permission: str
    dataset: str
    holds: frozenset[str] = frozenset()
    grants: tuple[Grant, ...] = ()
    expired: tuple[Grant, ...] = ()
    missing: tuple[Terms, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the principal has the permission."""
        return self.reason is Reason.GRANTED


def decide(snapshot: PrincipalSnapshot, dataset: str, permission: str, at: datetime) -> Decision:
    """Whether a principal has a permission on a dataset at a moment: exactly if `effective_permissions` lists it.

    Of several reasons against it, the one to resolve first is given.
    """
    grants = [grant for grant in snapshot.grants if grant.dataset == dataset]
    active = tuple(grant for grant in grants if grant.is_active(at))
    expired = tuple(grant for grant in grants if not grant.is_active(at))
    holds = granted_permissions(snapshot, at).get(dataset, frozenset())
    missing: tuple[Terms, ...] = ()

    def answer(reason: Reason) -> Decision:
        return Decision(reason, permission, dataset, holds, active, expired, missing)

    if dataset not in snapshot.datasets:
        return answer(Reason.NO_SUCH_DATASET)
    missing = tuple(missing_terms(snapshot, snapshot.datasets[dataset], at))
    if not snapshot.active:
        return answer(Reason.ACCOUNT_DISABLED)
    if permission in holds:
        return answer(Reason.TERMS_MISSING if missing else Reason.GRANTED)
    if _gives(active, permission):
        return answer(Reason.READ_ONLY)
    if _gives(expired, permission):
        return answer(Reason.GRANT_EXPIRED)
    if permission not in levels.BY_NAME:
        return answer(Reason.NO_SUCH_PERMISSION)
    return answer(Reason.LEVEL_TOO_LOW if active else Reason.NO_GRANT)


def _gives(grants: Iterable[Grant], permission: str) -> bool:
    return any(permission in expand(grant.permission) for grant in grants)
