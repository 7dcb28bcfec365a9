"""Which rule decides about a dataset or a version that a service names: ``access explain --version``."""

import shlex
from datetime import datetime
from typing import TypedDict

from dsgctl.core import access_explanation, reference_decisions, service_accounts
from dsgctl.core.access_explanation import AcceptUrl, ExplainedGrant, ExplainedTerms, Reader, describe_grant
from dsgctl.core.rules import levels
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.reference_access import ReferenceDecision, Rule, Verdict
from dsgctl.core.rules.references import Reference
from dsgctl.core.validation import quote
from dsgctl.store import Database


class ExplainedAnchor(TypedDict):
    """A place on another branch, from which a service decides itself."""

    branch: str
    ordinal: int
    roles: list[str]


class ReferenceExplanation(TypedDict):
    """``decision`` is a `reference_access.Verdict`, ``rule`` a `reference_access.Rule`, ``why`` the same in words.

    ``name``, ``version`` and ``branch`` are the service's, ``dataset``, ``stored_version`` and ``ordinal`` what they
    stand for here; ``dataset`` is empty if nothing has this name. ``next`` is a command or advice.
    """

    allowed: bool
    decision: str
    rule: str
    why: str
    who: str
    service: str | None
    name: str
    version: str | None
    branch: str | None
    dataset: str
    stored_version: str | None
    ordinal: int | None
    permission: str
    roles: list[str]
    grants: list[ExplainedGrant]
    anchors: list[ExplainedAnchor]
    missing_terms: list[ExplainedTerms]
    next: str


_WHY = {
    Rule.MALFORMED: "it is no reference",
    Rule.UNKNOWN_DATASET: "nothing has this name",
    Rule.UNKNOWN_VERSION: "the dataset has no such version",
    Rule.ACCOUNT_DISABLED: "the account is disabled",
    Rule.ADMIN: "an admin has every permission",
    Rule.NOTHING: "no grant with this permission covers it, and it is not public",
    Rule.GRANT: "a grant covers it",
    Rule.PUBLIC: "it is public",
    Rule.OTHER_BRANCH: "the service decides itself, from what they have on other branches",
}


def explain(
    database: Database,
    who: str,
    reference: Reference,
    permission: str,
    at: datetime,
    *,
    service: str | None = None,
    accept_url: AcceptUrl,
    reader: Reader,
) -> ReferenceExplanation:
    """Decide as the native API and the gate do (`reference_decisions.decide_all`), and explain the decision.

    Args:
        accept_url: returns the address at which terms are accepted, by their id.
        reader: what they may not see is left out. A delegate sees no dataset under the name of another.

    Raises:
        NotFound: there is no such user or service account.
    """
    with database.snapshot():
        principal = service_accounts.find_principal(database, who)
        answer = reference_decisions.decide_all(database, principal, ((reference, permission),), at, service=service)
        (decision,), snapshot = answer.decisions, answer.principal
        assert snapshot is not None  # noqa: S101  it is that of the principal
        acceptor = access_explanation.find_acceptor(database, snapshot)
    if reader.delegate is not None and decision.dataset != reference.name:
        decision = ReferenceDecision(Verdict.DENY, Rule.UNKNOWN_DATASET)
    place = decision.place
    return {
        "allowed": decision.allowed,
        "decision": str(decision.verdict),
        "rule": str(decision.rule),
        "why": _format_why(decision, service if answer.catalogue.service is None else None),
        "who": snapshot.label,
        "service": service,
        "name": reference.name,
        "version": reference.version,
        "branch": place.branch if place is not None else reference.branch,
        "dataset": decision.dataset,
        "stored_version": place.version.name if place is not None and place.version is not None else None,
        "ordinal": place.ordinal if place is not None else None,
        "permission": permission,
        "roles": list(decision.roles),
        "grants": [describe_grant(grant) for grant in decision.grants if reader.may_see(snapshot, grant)],
        "anchors": [
            {"branch": anchor.branch, "ordinal": anchor.ordinal, "roles": list(anchor.roles)}
            for anchor in decision.anchors
        ],
        "missing_terms": [
            {"id": missing.id, "name": missing.name, "accept_url": accept_url(missing.id)}
            for missing in decision.missing
        ],
        "next": _next_command(decision, snapshot, permission, acceptor)
        if reader.delegate is None
        else "ask an operator",
    }


def _format_why(decision: ReferenceDecision, unknown_service: str | None) -> str:
    terms = ", but terms are not accepted" if decision.missing else ""
    service = f"; there is no service {quote(unknown_service)}" if unknown_service is not None else ""
    return f"{_WHY[decision.rule]}{terms}{service}"


def _next_command(decision: ReferenceDecision, principal: PrincipalSnapshot, permission: str, acceptor: str) -> str:
    """The command that an operator most likely needs now.

    Args:
        acceptor: the person whose acceptance of terms counts.
    """
    dataset, who = shlex.quote(decision.dataset), shlex.quote(principal.label)
    noun = "service-account" if principal.service_account else "user"
    if decision.missing:
        return f"dsgctl terms accept {decision.missing[0].id} {shlex.quote(acceptor)}"
    match decision.rule:
        case Rule.UNKNOWN_DATASET:
            return "dsgctl dataset list"
        case Rule.UNKNOWN_VERSION:
            return f"dsgctl dataset version list {dataset}"
        case Rule.ACCOUNT_DISABLED:
            return f"dsgctl {noun} enable {shlex.quote(principal.ended_by or principal.label)}"
        case Rule.NOTHING if permission not in levels.NAMES:
            return f"dsgctl access explain {who} {dataset} view --native"
        case Rule.NOTHING:
            return f"dsgctl grant add {dataset} {shlex.quote(permission)} --{noun} {who}"
        case _:
            return f"dsgctl grant list --dataset {dataset}"
