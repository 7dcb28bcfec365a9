"""What somebody may do with a dataset or a version that a service names (contract-services.md, "Decisions").

`decide` is the only place of these rules: the native API, the gate and ``dsgctl access explain`` call it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dsgctl.core.rules import levels
from dsgctl.core.rules.access import earliest
from dsgctl.core.rules.levels import expand
from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.core.rules.references import (
    Catalogue,
    Place,
    Reference,
    Resolved,
    UnknownDataset,
    UnknownVersion,
    resolve,
)
from dsgctl.core.rules.terms import Terms, list_changes, list_missing


class Verdict(StrEnum):
    """The answer, in the words of contract-services.md, "Decisions".

    Attributes:
        SERVICE_EVAL: the service itself compares the version with the anchors.
    """

    ALLOW = "allow"
    DENY = "deny"
    TOS_REQUIRED = "tos_required"
    SERVICE_EVAL = "service_eval"


class Rule(StrEnum):
    """Which rule made a decision; missing terms withhold what the last three give."""

    MALFORMED = "malformed"
    UNKNOWN_DATASET = "unknown_dataset"
    UNKNOWN_VERSION = "unknown_version"
    ACCOUNT_DISABLED = "account_disabled"
    ADMIN = "admin"
    NOTHING = "nothing_covers"
    GRANT = "grant"
    PUBLIC = "public"
    OTHER_BRANCH = "other_branch"


@dataclass(frozen=True, slots=True)
class Anchor:
    """A version from which a service works out what somebody may do with a version of another branch."""

    branch: str
    ordinal: int
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReferenceDecision:
    """What somebody may do with what a reference stands for.

    Attributes:
        roles: what the covering grants give, in the order of the levels; also while terms are missing.
        dataset: the name here; empty for an unknown dataset.
        place: None for the whole dataset, and for an unknown version.
        anchors: for ``service_eval`` alone.
        grants: those that the decision rests on.
        missing: the terms to accept first.
    """

    verdict: Verdict
    rule: Rule
    roles: tuple[str, ...] = ()
    dataset: str = ""
    place: Place | None = None
    anchors: tuple[Anchor, ...] = ()
    grants: tuple[Grant, ...] = ()
    missing: tuple[Terms, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the reference may be used as asked, without any further condition."""
        return self.verdict is Verdict.ALLOW


MALFORMED = ReferenceDecision(Verdict.DENY, Rule.MALFORMED)


@dataclass(frozen=True, slots=True)
class Nobody:
    """A caller without a token, for whom the public rule and terms count alone."""

    service_account: bool = False
    accepted: Mapping[int, datetime] = field(default_factory=dict)


NOBODY = Nobody()


GrantsByDataset = Mapping[str, Sequence[Grant]]


def group_grants(principal: PrincipalSnapshot | None, service: str | None) -> GrantsByDataset:
    """The grants of a principal for every service, and those for the one that asks, by dataset."""
    groups: dict[str, list[Grant]] = {}
    if principal is not None:
        for grant in (*principal.grants, *principal.service_grants):
            if grant.service in (None, service):
                groups.setdefault(grant.dataset, []).append(grant)
    return groups


def decide(
    principal: PrincipalSnapshot | None,
    catalogue: Catalogue,
    reference: Reference,
    permission: str,
    at: datetime,
    *,
    grants: GrantsByDataset | None = None,
) -> ReferenceDecision:
    """What a principal may do with what a reference stands for.

    Args:
        principal: None for a caller without a token.
        catalogue: has the datasets that the reference can stand for, and for these the translations.
        permission: a level, or any other name that a grant may have.
        grants: `group_grants` of the principal and the service of the catalogue, from callers with many references.
    """
    try:
        resolved = resolve(catalogue, reference)
    except UnknownDataset:
        return ReferenceDecision(Verdict.DENY, Rule.UNKNOWN_DATASET)
    except UnknownVersion as error:
        return ReferenceDecision(Verdict.DENY, Rule.UNKNOWN_VERSION, dataset=error.dataset)
    dataset, place = resolved.dataset, resolved.place

    def deny(rule: Rule) -> ReferenceDecision:
        return ReferenceDecision(Verdict.DENY, rule, dataset=dataset.name, place=place)

    if principal is not None and not principal.active:
        return deny(Rule.ACCOUNT_DISABLED)
    if principal is not None and principal.admin:
        return ReferenceDecision(Verdict.ALLOW, Rule.ADMIN, levels.NAMES, dataset.name, place)
    by_dataset = group_grants(principal, catalogue.service) if grants is None else grants
    matching = _list_matching(principal, by_dataset.get(dataset.name, ()), permission, at)
    basis = _find_basis(principal, catalogue, resolved, permission, matching)
    if basis is None:
        return deny(Rule.NOTHING)
    missing = tuple(list_missing(principal or NOBODY, resolved.list_terms(), at, by_date=True))
    anchors = () if missing else basis.anchors
    verdict = Verdict.TOS_REQUIRED if missing else Verdict.SERVICE_EVAL if anchors else Verdict.ALLOW
    return ReferenceDecision(verdict, basis.rule, basis.roles, dataset.name, place, anchors, basis.grants, missing)


def next_change(principal: PrincipalSnapshot | None, catalogue: Catalogue, at: datetime) -> datetime | None:
    """The next moment at which `decide` gives another decision for the same facts; None for never."""
    moments: list[datetime | None] = []
    if principal is not None:
        moments += [grant.expires for grant in (*principal.grants, *principal.service_grants)]
    for dataset in catalogue.datasets.values():
        for terms in (dataset.terms, *(version.terms for version in dataset.versions.values())):
            moments += list_changes(principal or NOBODY, terms, by_date=True)
    return earliest(moments, at)


@dataclass(frozen=True, slots=True)
class _Basis:
    """What gives a permission, terms aside."""

    rule: Rule
    roles: tuple[str, ...]
    grants: tuple[Grant, ...] = ()
    anchors: tuple[Anchor, ...] = ()


def _find_basis(
    principal: PrincipalSnapshot | None,
    catalogue: Catalogue,
    resolved: Resolved,
    permission: str,
    matching: Sequence[Grant],
) -> _Basis | None:
    """Covering grants, else what is public, else for some services the grants and public versions of other branches."""
    dataset, place = resolved.dataset, resolved.place
    covering = tuple(grant for grant in matching if _covers(grant, resolved))
    if covering:
        return _Basis(Rule.GRANT, _list_roles(principal, covering), covering)
    if permission == levels.VIEW and (dataset.public or (place is not None and place.is_public(dataset))):
        return _Basis(Rule.PUBLIC, (levels.VIEW,))
    if principal is None or place is None or not catalogue.is_dag:
        return None
    anchoring: dict[tuple[str, int], list[Grant]] = {}
    for grant in matching:
        version = dataset.versions.get(grant.version or "")
        if version is not None and version.ordinal is not None and version.branch != place.branch:
            anchoring.setdefault((version.branch, version.ordinal), []).append(grant)
    roles = {anchor: frozenset(_list_roles(principal, grants)) for anchor, grants in anchoring.items()}
    if permission == levels.VIEW:
        for version in dataset.public_versions:
            if version.ordinal is not None:
                anchor = version.branch, version.ordinal
                roles[anchor] = roles.get(anchor, frozenset()) | {levels.VIEW}
    if not roles:
        return None
    return _Basis(
        Rule.OTHER_BRANCH,
        _sort_roles(frozenset().union(*roles.values())),
        tuple(grant for grants in anchoring.values() for grant in grants),
        tuple(Anchor(*anchor, _sort_roles(roles[anchor])) for anchor in sorted(roles)),
    )


def _list_matching(
    principal: PrincipalSnapshot | None, grants: Sequence[Grant], permission: str, at: datetime
) -> tuple[Grant, ...]:
    """Those of some grants that are active and include a permission."""
    if principal is None or (principal.read_only and permission in levels.LOST_IF_READ_ONLY):
        return ()
    return tuple(grant for grant in grants if grant.is_active(at) and permission in expand(grant.permission))


def _covers(grant: Grant, resolved: Resolved) -> bool:
    """Whether a grant on the dataset reaches what a reference stands for."""
    if grant.version is None:
        return True
    version = resolved.dataset.versions.get(grant.version)
    return version is not None and resolved.place is not None and resolved.place.is_covered_by(version)


def _list_roles(principal: PrincipalSnapshot | None, grants: Iterable[Grant]) -> tuple[str, ...]:
    roles = frozenset().union(*(expand(grant.permission) for grant in grants))
    return _sort_roles(roles - levels.LOST_IF_READ_ONLY if principal is not None and principal.read_only else roles)


def _sort_roles(roles: Iterable[str]) -> tuple[str, ...]:
    """In the order of the levels, the lowest first; then other names by name."""
    order = {name: number for number, name in enumerate(levels.NAMES)}
    return tuple(sorted(roles, key=lambda role: (order.get(role, len(order)), role)))
