"""Why somebody may or may not do something with a dataset, and what to do next: the answer of ``access explain``."""

import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from dsgctl.core import access_decisions, locations, snapshots, withdrawals
from dsgctl.core.access_report import may_see
from dsgctl.core.delegation import Delegate
from dsgctl.core.rules import buckets, levels
from dsgctl.core.rules.access import Decision, Reason
from dsgctl.core.rules.buckets import BucketReason
from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.store import Database
from dsgctl.store.models import Principal

AcceptUrl = Callable[[int], str]


class ExplainedGrant(TypedDict):
    """``group`` is the group through which it reaches the principal; None if it is direct."""

    id: int
    permission: str
    group: str | None
    version: str | None
    scope: str | None
    expires: datetime | None
    granted_by: str
    source: str
    service: str | None


class ExplainedTerms(TypedDict):
    """Terms that hold the permission back."""

    id: int
    name: str
    accept_url: str


class ExplainedLocation(TypedDict):
    """Whether the token of POST /gcs_token reads a location; ``reason`` is a `buckets.BucketReason`."""

    location: str
    version: str | None
    may_read: bool
    reason: str


class Explanation(TypedDict):
    """``reason`` is an `access.Reason`, and ``why`` the same in words; ``next`` is a command or advice.

    ``service_grants`` are those for one service each, which do not count here.
    """

    allowed: bool
    reason: str
    why: str
    who: str
    dataset: str
    permission: str
    holds: list[str]
    grants: list[ExplainedGrant]
    expired_grants: list[ExplainedGrant]
    missing_terms: list[ExplainedTerms]
    locations: list[ExplainedLocation]
    notes: list[str]
    next: str
    service_grants: list[ExplainedGrant]


_WHY = {
    Reason.GRANTED: "a grant gives it",
    Reason.ACCOUNT_DISABLED: "the account is disabled",
    Reason.NO_SUCH_DATASET: "there is no dataset of this name",
    Reason.NO_SUCH_PERMISSION: "there is no permission of this name",
    Reason.NO_GRANT: "no grant on this dataset reaches them",
    Reason.GRANT_EXPIRED: "the grant that gave it has expired",
    Reason.LEVEL_TOO_LOW: "the grants give less than that",
    Reason.READ_ONLY: f"the account is read-only, which takes {levels.enumerate_lost_if_read_only()} away",
    Reason.TERMS_MISSING: "terms are not accepted",
}


def format_reason(principal: PrincipalSnapshot, reason: Reason) -> str:
    """The reason of a decision about this principal, in words."""
    if reason is Reason.ACCOUNT_DISABLED and principal.ended_by != principal.label:
        return f"the account is a child of {principal.ended_by}, which is disabled"
    return _WHY[reason]


def find_acceptor(database: Database, principal: PrincipalSnapshot) -> str:
    """The person whose acceptance of terms counts for this principal: for a child account, the parent."""
    if principal.parent_id is None:
        return principal.label
    parent = database.first(Principal.select().where(Principal.id == principal.parent_id))
    return parent.label if parent is not None else principal.label


@dataclass(frozen=True, slots=True)
class Reader:
    """The person who reads an explanation.

    Attributes:
        is_operator: whether they run ``dsgctl`` without ``--as``.
        delegate: with ``--as``, what they may see and change; None for operators and gateway admins.
    """

    is_operator: bool = True
    delegate: Delegate | None = None

    def may_see(self, principal: PrincipalSnapshot, grant: Grant) -> bool:
        return may_see(self.delegate, principal.label, grant)


def explain(
    database: Database,
    who: str,
    dataset: str,
    permission: str,
    at: datetime,
    *,
    service: str | None = None,
    accept_url: AcceptUrl,
    reader: Reader,
) -> tuple[Explanation, str]:
    """Decide as `access_decisions.decide` does, and explain the decision, in one state of the database.

    Args:
        accept_url: returns the address at which terms are accepted, by their id.
        reader: what they may not see is left out.

    Returns:
        The explanation, and the person whose acceptance of terms counts.

    Raises:
        NotFound: there is no such user or service account.
    """
    with database.snapshot():
        result = access_decisions.decide(database, who, dataset, permission, at, service=service)
        principal, decision = result.principal, result.decision
        acceptor = find_acceptor(database, principal)
        service_grants = [
            grant for grant in principal.service_grants if grant.dataset == dataset and grant.is_active(at)
        ]
        counts_natively = any(
            grant.service == service and permission in levels.expand(grant.permission) for grant in service_grants
        )

        def describe(grants: Iterable[Grant]) -> list[ExplainedGrant]:
            return [describe_grant(grant) for grant in grants if reader.may_see(principal, grant)]

        explanation: Explanation = {
            "allowed": decision.allowed,
            "reason": str(decision.reason),
            "why": format_reason(principal, decision.reason),
            "who": principal.label,
            "dataset": dataset,
            "permission": permission,
            "holds": sorted(decision.holds),
            "grants": describe(decision.grants),
            "expired_grants": describe(decision.expired),
            "missing_terms": [
                {"id": missing.id, "name": missing.name, "accept_url": accept_url(missing.id)}
                for missing in decision.missing
            ],
            "locations": _list_locations(database, principal, dataset, at, reader),
            "notes": _list_notes(database, principal, decision, accept_url, reader),
            "next": _next_command(principal, decision, acceptor, service if counts_natively else None)
            if reader.delegate is None
            else _next_step(reader.delegate, principal, decision, accept_url),
            "service_grants": describe(service_grants),
        }
    return explanation, acceptor


def describe_grant(grant: Grant) -> ExplainedGrant:
    """A grant, as an explanation has it."""
    return {
        "id": grant.id,
        "permission": grant.permission,
        "group": grant.group,
        "version": grant.version,
        "scope": grant.scope,
        "expires": grant.expires,
        "granted_by": grant.granted_by,
        "source": grant.source,
        "service": grant.service,
    }


def _list_locations(
    database: Database, principal: PrincipalSnapshot, dataset: str, at: datetime, reader: Reader
) -> list[ExplainedLocation]:
    if dataset not in principal.datasets:
        return []
    sees_all = reader.delegate is None or reader.delegate.administers(dataset)
    names = {row["location"].split("/")[2] for row in locations.list_locations(database, dataset)}
    rows: list[ExplainedLocation] = []
    for bucket in sorted(names):
        decision = buckets.decide_bucket_access(principal, snapshots.read_bucket(database, bucket), at)
        rows += [
            {
                "location": f"gs://{bucket}/{location.prefix}",
                "version": location.version,
                "may_read": reason is BucketReason.GRANTED,
                "reason": str(reason),
            }
            for location, reason in decision.places
            if location.dataset == dataset and (sees_all or reason is BucketReason.GRANTED)
        ]
    return rows


def _list_notes(
    database: Database,
    principal: PrincipalSnapshot,
    decision: Decision,
    accept_url: AcceptUrl,
    reader: Reader,
) -> list[str]:
    notes = []
    if principal.admin:
        notes.append("a global admin: some services let admins in without a grant")
    if principal.parent_id is not None:
        notes.append("a child account: the parent's acceptances of terms count")
    dataset = principal.datasets.get(decision.dataset)
    if dataset and dataset.public and not decision.holds:
        notes += _explain_public_dataset(database, principal, decision, accept_url, reader)
    return notes


def _explain_public_dataset(
    database: Database,
    principal: PrincipalSnapshot,
    decision: Decision,
    accept_url: AcceptUrl,
    reader: Reader,
) -> list[str]:
    """How a principal without a permission on a public dataset gets view."""
    dataset = principal.datasets[decision.dataset]
    own = dataset.own_terms
    if dataset.name in withdrawals.list_datasets(database, principal.id):
        return ["public, but their view was revoked here: only a grant restores it, not accepting terms"]
    if own is None:
        note = "public, but without terms: people get view by accepting terms, so nobody has it without a grant"
        if not reader.is_operator:  # only an operator can add terms
            return [note]
        return [f"{note}; dsgctl terms add NAME --file FILE --dataset {shlex.quote(dataset.name)}"]
    if own not in decision.missing:
        return []
    return [f"public: view is theirs once they accept at {accept_url(own.id)}"]


def _next_command(principal: PrincipalSnapshot, decision: Decision, acceptor: str, native_service: str | None) -> str:
    """The command that an operator most likely needs now.

    Args:
        native_service: the service that asks, if a grant for it alone has the permission, which only the native API
            counts.
    """
    who, dataset = shlex.quote(principal.label), shlex.quote(decision.dataset)
    noun = "service-account" if principal.service_account else "user"
    match decision.reason:
        case Reason.ACCOUNT_DISABLED:
            return f"dsgctl {noun} enable {shlex.quote(principal.ended_by or principal.label)}"
        case Reason.NO_SUCH_DATASET:
            return "dsgctl dataset list"
        case Reason.NO_SUCH_PERMISSION:
            return f"dsgctl access explain {who} {dataset} view"
        case Reason.READ_ONLY:
            return f"dsgctl user set {who} --no-read-only"
        case Reason.TERMS_MISSING:
            return f"dsgctl terms accept {decision.missing[0].id} {shlex.quote(acceptor)}"
        case Reason.GRANTED:
            return f"dsgctl grant list --dataset {dataset}"
        case _ if native_service is not None:
            service = shlex.quote(native_service)
            return f"dsgctl access explain {who} {dataset} {decision.permission} --service {service} --native"
        case _:
            return f"dsgctl grant add {dataset} {decision.permission} --{noun} {who}"


def _next_step(delegate: Delegate, principal: PrincipalSnapshot, decision: Decision, accept_url: AcceptUrl) -> str:
    """What a delegate can do next."""
    who, dataset, permission = shlex.quote(principal.label), shlex.quote(decision.dataset), decision.permission
    match decision.reason:
        case Reason.TERMS_MISSING:
            return f"accept at {accept_url(decision.missing[0].id)}"
        case Reason.NO_SUCH_PERMISSION:
            return f"dsgctl access explain {who} {dataset} view"
        case Reason.GRANTED if delegate.manages(decision.dataset):
            return f"dsgctl grant list --dataset {dataset}"
        case Reason.GRANTED:
            return f"dsgctl access show {shlex.quote(delegate.email)}"
        case Reason.NO_GRANT | Reason.GRANT_EXPIRED | Reason.LEVEL_TOO_LOW if not principal.service_account:
            for scope in (None, *sorted(delegate.snapshot.leads)):
                if delegate.may_give(decision.dataset, permission, scope, principal.id):
                    within = f" --scope {shlex.quote(scope)}" if scope is not None else ""
                    return f"dsgctl grant add {dataset} {permission} --user {who}{within}"
            return f"ask an admin of {decision.dataset}"
        case _:
            return "ask an operator"
