"""The rules: who may what, and why. contract.md, "GET /api/v1/user/cache" is their source.

Everything here is a function of a `PrincipalSnapshot` and a moment. What user/cache answers, what
lets a request through and what ``dsgctl access explain`` prints come from the same
two functions: `granted_permissions` (terms aside) and `missing_terms` (what holds them back).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from dsgctl.core.rules import levels
from dsgctl.core.rules.levels import expand
from dsgctl.core.validation import SERVICE_ACCOUNT_DOMAIN


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant that reaches the principal, directly or through a group.

    Attributes:
        dataset: name of the dataset; ``version``: of one version of it, or None for all.
        group: through which group it comes, or None for a direct one.
        scope: the group within whose work it was given; decides nothing here.
        expires: the first moment at which it no longer counts.
    """

    id: int
    dataset: str
    permission: str
    group: str | None = None
    version: str | None = None
    scope: str | None = None
    expires: datetime | None = None
    granted_by: str = ""
    source: str = "manual"

    def counts(self, at: datetime) -> bool:
        return self.expires is None or at < self.expires


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of a dataset, or of a service for a dataset."""

    id: int
    name: str
    effective: datetime
    retired: datetime | None = None

    def active(self, at: datetime) -> bool:
        """Terms are active from their effective date until their retired date."""
        return self.effective <= at and not is_retired(self.retired, at)


def is_retired(retired: datetime | None, at: datetime) -> bool:
    """Whether terms with this retirement date have ended: from that moment on (dsgserve/contract.md, user/cache)."""
    return retired is not None and retired <= at


@dataclass(frozen=True, slots=True)
class Dataset:
    """What the rules need of a dataset.

    Attributes:
        own_terms: count whether or not they are active by date.
        service_terms: those of the service that asks (`Facts.service`), for this dataset.
    """

    id: int
    name: str
    public: bool = False
    own_terms: Terms | None = None
    service_terms: tuple[Terms, ...] = ()


@dataclass(frozen=True, slots=True)
class PrincipalSnapshot:
    """All that is known of one principal, and all that its permissions depend on.

    Attributes:
        ended_by: the disabled account because of which this one does not count: itself, or one above it
            (account_status.py).
        accepted: ids of the terms accepted, by the parent where there is one.
        datasets: by name: those that a grant reaches, and every public one.
        service: the service that asks, or None.
    """

    id: int
    service_account: bool
    label: str
    name: str = ""
    display_name: str = ""
    ended_by: str | None = None
    admin: bool = False
    read_only: bool = False
    pi: str = ""
    picture_url: str = ""
    parent_id: int | None = None
    affiliations: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()
    grants: tuple[Grant, ...] = ()
    accepted: frozenset[int] = frozenset()
    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    service: str | None = None

    @property
    def active(self) -> bool:
        """Whether the account counts: it is enabled, and so is every one above it."""
        return self.ended_by is None


def granted_permissions(facts: PrincipalSnapshot, at: datetime) -> dict[str, frozenset[str]]:
    """The permissions that the grants give on each dataset, terms aside."""
    found: dict[str, frozenset[str]] = {}
    for grant in facts.grants:
        if grant.counts(at):
            found[grant.dataset] = found.get(grant.dataset, frozenset()) | expand(grant.permission)
    if facts.read_only:
        found = {dataset: permissions - levels.LOST_IF_READ_ONLY for dataset, permissions in found.items()}
    return {dataset: permissions for dataset, permissions in found.items() if permissions}


def missing_terms(facts: PrincipalSnapshot, dataset: Dataset, at: datetime) -> list[tuple[Terms, bool]]:
    """The terms that hold back this dataset, each with whether they are the asking service's."""
    if facts.service_account:
        return []
    found: list[tuple[Terms, bool]] = []
    if dataset.own_terms and dataset.own_terms.id not in facts.accepted:
        found.append((dataset.own_terms, False))
    found += [(terms, True) for terms in dataset.service_terms if terms.active(at) and terms.id not in facts.accepted]
    return found


def effective_permissions(facts: PrincipalSnapshot, at: datetime) -> dict[str, frozenset[str]]:
    """The permissions that count now: those of datasets without missing terms; none for a disabled account."""
    if not facts.active:
        return {}
    return {
        name: allowed
        for name, allowed in granted_permissions(facts, at).items()
        if not missing_terms(facts, facts.datasets[name], at)
    }


def build_user_cache(facts: PrincipalSnapshot, at: datetime) -> dict[str, Any]:
    """The body of GET /api/v1/user/cache, key for key as in contract.md, "GET /api/v1/user/cache".

    Lists are sorted, so that the same facts give the same bytes.
    """
    all_permissions = granted_permissions(facts, at)
    counting = effective_permissions(facts, at)
    concerned = _list_reached(facts, at)
    missing = [
        {
            "dataset_id": facts.datasets[name].id,
            "dataset_name": name,
            "tos_id": terms.id,
            "tos_name": terms.name,
        }
        | ({"service": facts.service} if of_service else {})
        for name in sorted(concerned)
        for terms, of_service in missing_terms(facts, facts.datasets[name], at)
    ]
    return {
        "id": facts.id,
        "parent_id": facts.parent_id,
        "service_account": facts.service_account or facts.parent_id is not None,
        "name": public_name(facts),
        "email": f"{facts.label}@{SERVICE_ACCOUNT_DOMAIN}" if facts.service_account else facts.label,
        "admin": facts.admin,
        "pi": facts.pi,
        "picture_url": facts.picture_url,
        "affiliations": sorted(facts.affiliations),
        "groups": sorted(facts.groups),
        "groups_admin": sorted(facts.leads),
        "permissions": {name: max(map(levels.find_wire_number, held)) for name, held in sorted(counting.items())},
        "permissions_v2": {name: sorted(held) for name, held in sorted(counting.items())},
        "permissions_v2_ignore_tos": {name: sorted(held) for name, held in sorted(all_permissions.items())},
        "missing_tos": missing,
        "datasets_admin": [] if facts.service_account else datasets_admin(facts, at),
    }


def public_name(facts: PrincipalSnapshot) -> str:
    """Display name, else name, else the part of the email before ``@``; a service account's slug."""
    return facts.display_name or facts.name or facts.label.partition("@")[0]


def datasets_admin(facts: PrincipalSnapshot, at: datetime) -> list[str]:
    """Datasets with an ``admin`` grant to the user directly, terms aside."""
    direct = (grant for grant in facts.grants if grant.group is None and grant.counts(at))
    return sorted({grant.dataset for grant in direct if grant.permission == levels.ADMIN})


def next_change(facts: PrincipalSnapshot, at: datetime) -> datetime | None:
    """The next moment at which the same facts give another answer; None if never."""
    moments: list[datetime | None] = [grant.expires for grant in facts.grants]
    for dataset in facts.datasets.values():
        for terms in dataset.service_terms:
            moments += [terms.effective, terms.retired]
    return earliest(moments, at)


def earliest(moments: Iterable[datetime | None], after: datetime) -> datetime | None:
    return min((moment for moment in moments if moment and moment > after), default=None)


class Reason(StrEnum):
    """Why a question about access was answered so: the closed list."""

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
    """An answer to "may this principal do this here", with all that led to it.

    Attributes:
        permission: what was asked for.
        holds: the permissions that the grants give here, terms aside.
        grants: the grants on this dataset that count now; ``expired``: those that no longer do.
        missing: the terms that hold it back.
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
        return self.reason is Reason.GRANTED


def decide(facts: PrincipalSnapshot, dataset: str, permission: str, at: datetime) -> Decision:
    """Whether the principal has this permission on this dataset now.

    Allowed exactly if `permissions` says so. Where several things stand against it,
    the reason is the one to mend first.
    """
    on_it = [grant for grant in facts.grants if grant.dataset == dataset]
    counting = tuple(grant for grant in on_it if grant.counts(at))
    expired = tuple(grant for grant in on_it if not grant.counts(at))
    holds = granted_permissions(facts, at).get(dataset, frozenset())
    missing: tuple[Terms, ...] = ()

    def answer(reason: Reason) -> Decision:
        return Decision(reason, permission, dataset, holds, counting, expired, missing)

    if dataset not in facts.datasets:
        return answer(Reason.NO_SUCH_DATASET)
    missing = tuple(terms for terms, _ in missing_terms(facts, facts.datasets[dataset], at))
    if not facts.active:
        return answer(Reason.ACCOUNT_DISABLED)
    if permission not in holds:
        given = frozenset().union(*(expand(grant.permission) for grant in counting))
        if permission in given:
            return answer(Reason.READ_ONLY)
        if any(permission in expand(grant.permission) for grant in expired):
            return answer(Reason.GRANT_EXPIRED)
        if permission not in levels.BY_NAME:
            return answer(Reason.NO_SUCH_PERMISSION)
        return answer(Reason.LEVEL_TOO_LOW if counting else Reason.NO_GRANT)
    return answer(Reason.TERMS_MISSING if missing else Reason.GRANTED)


@dataclass(frozen=True, slots=True)
class VersionTerms:
    """Terms of one version of a dataset, and of no service."""

    dataset: str
    version: str
    terms: Terms


@dataclass(frozen=True, slots=True)
class PendingTerms:
    """Terms that a person may want to accept, and what they hold back.

    Attributes:
        reached: a grant reaches the person there: without the terms they lack what they hold.
    """

    terms: Terms
    dataset: str
    version: str | None = None
    service: str | None = None
    reached: bool = False


def list_pending_terms(
    facts: PrincipalSnapshot, of_versions: Iterable[VersionTerms], at: datetime
) -> tuple[PendingTerms, ...]:
    """The terms that hold something back from this person: what user/cache calls missing, those
    of public datasets included, and the active ones of versions that a grant reaches."""
    if not facts.active:
        return ()
    held = granted_permissions(facts, at).keys()
    found = [
        PendingTerms(terms, name, service=facts.service if of_service else None, reached=name in held)
        for name in sorted(_list_reached(facts, at))
        for terms, of_service in missing_terms(facts, facts.datasets[name], at)
    ]
    for one in of_versions:
        reached = grant_reaches(facts, one.dataset, one.version, at)
        if list_unaccepted(facts, (one.terms,), at) and (reached or facts.datasets[one.dataset].public):
            found.append(PendingTerms(one.terms, one.dataset, version=one.version, reached=reached))
    return tuple(found)


def grant_reaches(facts: PrincipalSnapshot, dataset: str, version: str | None, at: datetime) -> bool:
    """Whether a grant gives ``view`` on this version, or on the whole dataset for None."""
    return any(
        grant.dataset == dataset
        and grant.version in (None, version)
        and grant.counts(at)
        and levels.VIEW in expand(grant.permission)
        for grant in facts.grants
    )


def list_unaccepted(facts: PrincipalSnapshot, terms: Iterable[Terms], at: datetime) -> list[Terms]:
    if facts.service_account:
        return []
    return [one for one in terms if one.active(at) and one.id not in facts.accepted]


def _list_reached(facts: PrincipalSnapshot, at: datetime) -> set[str]:
    """The datasets that the principal holds any permission on, and the public ones."""
    return granted_permissions(facts, at).keys() | {name for name, dataset in facts.datasets.items() if dataset.public}


def may_know_of(facts: PrincipalSnapshot, dataset: str, at: datetime) -> bool:
    """Whether a dataset's name and terms may be shown: it is public, or a grant reaches the principal."""
    return facts.active and dataset in _list_reached(facts, at)
