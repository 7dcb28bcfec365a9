"""``dsgctl access``"""

import click

from dsgctl.commands.messages import echo
from dsgctl.commands.options import subcommand
from dsgctl.commands.parameters import DATASET
from dsgctl.commands.session import Session
from dsgctl.core import access_decisions, access_explanation, access_report, datasets, reference_explanation
from dsgctl.core.access_explanation import ExplainedGrant, ExplainedLocation, Explanation, Reader
from dsgctl.core.clock import now
from dsgctl.core.errors import Invalid
from dsgctl.core.reference_explanation import ReferenceExplanation
from dsgctl.core.rules.access import Reason
from dsgctl.core.rules.reference_access import Rule
from dsgctl.core.rules.references import Reference
from dsgctl.wire_contract import accept_path, build_user_cache


@click.group()
def command() -> None:
    """Who has which permission, and why. The server decides by the same rules."""


_SERVICE = click.option("--service", metavar="NAME", help="For requests of this service.")


@subcommand(command, "show", example="dsgctl access show ada@example.org --service clio")
@click.argument("who", metavar="EMAIL|NAME")
@_SERVICE
def show(session: Session, who: str, service: str | None) -> None:
    """Show what the server answers to GET /api/v1/user/cache for a person or a service account."""
    principal = access_decisions.read_principal(session.database, who, service=service)
    if not principal.active and session.output.format == "table":
        parent = "" if principal.ended_by == principal.label else f" with {principal.ended_by}"
        echo(f"{who} is disabled{parent}: the server answers 401", err=True)
    session.output.print_record(build_user_cache(principal, now()), value="permissions_v2")


@subcommand(command, "check", example="dsgctl access check ada@example.org fish2 view && echo in")
@click.argument("who", metavar="EMAIL|NAME")
@click.argument("dataset", type=DATASET)
@click.argument("permission")
@_SERVICE
def check(session: Session, who: str, dataset: str, permission: str, *, service: str | None) -> int:
    """Check whether somebody has a permission: exit code 0 if so, 5 if not."""
    result = access_decisions.check(session.database, who, dataset, permission, now(), service=service)
    decision = result.decision
    session.output.print_result(
        "yes" if decision.allowed else f"no: {access_explanation.format_reason(result.principal, decision.reason)}",
        value="allowed",
        allowed=decision.allowed,
        reason=str(decision.reason),
    )
    return 0 if decision.allowed else 5


@subcommand(command, "explain", example="dsgctl access explain ada@example.org fish2 edit")
@click.argument("who", metavar="EMAIL|NAME")
@click.argument("dataset", type=DATASET)
@click.argument("permission", default="view")
@_SERVICE
@click.option("--version", metavar="VERSION", help="A version, or an ordinal, as the native API decides about it.")
@click.option("--branch", metavar="NAME", help="The branch of an ordinal; main if not given.")
@click.option("--native", is_flag=True, help="Decide about the whole dataset as the native API and the gate do.")
def explain(
    session: Session,
    who: str,
    dataset: str,
    permission: str,
    *,
    service: str | None,
    version: str | None,
    branch: str | None,
    native: bool,
) -> None:
    """Explain why somebody has a permission or not, and what to type next.

    With --version or --native, DATASET is a name of the service, and the answer is the decision that the native API and
    the gate give, with the rule that made it.

    The exit code is 0 in both cases; 'dsgctl access check' answers with its exit code.
    """

    def accept_url(terms_id: int) -> str:
        return session.config.origin + accept_path(terms_id)

    if branch is not None and version is None:
        raise Invalid("--branch needs --version", "name the ordinal on the branch: --version 3")
    reader = Reader(is_operator=session.on_behalf is None, delegate=session.delegate)
    if native or version is not None:
        reference = Reference(dataset, version, branch)
        decided = reference_explanation.explain(
            session.database, who, reference, permission, now(), service=service, accept_url=accept_url, reader=reader
        )
        _print_explanation(session, decided, _format_reference(decided))
        is_unknown = decided["rule"] == Rule.UNKNOWN_DATASET
    else:
        explanation, acceptor = access_explanation.explain(
            session.database, who, dataset, permission, now(), service=service, accept_url=accept_url, reader=reader
        )
        _print_explanation(session, explanation, _format_explanation(explanation, acceptor))
        is_unknown = explanation["reason"] == Reason.NO_SUCH_DATASET
    if is_unknown:
        raise datasets.no_such_dataset(dataset)


def _print_explanation(session: Session, explanation: Explanation | ReferenceExplanation, lines: list[str]) -> None:
    """Print the lines for people, or the explanation for programs."""
    if session.output.format == "table":
        for line in lines:
            echo(line)
    else:
        session.output.print_record(explanation, value="allowed")


def _format_reference(explanation: ReferenceExplanation) -> list[str]:
    """The lines of an explanation of a reference, for people."""
    version = f" version {explanation['version']}" if explanation["version"] is not None else ""
    service = f" for {explanation['service']}" if explanation["service"] is not None else ""
    question = f"{explanation['permission']} {explanation['name']}{version}{service}"
    lines = [
        f"{explanation['who']}, {question}: {explanation['decision']}: {explanation['why']}",
        f"  rule     {explanation['rule']}",
        f"  roles    {', '.join(explanation['roles']) or 'none'}",
    ]
    if explanation["dataset"]:
        lines.append(f"  means    {_format_meaning(explanation)}")
    lines += [f"  grant    {_format_grant(grant)}" for grant in explanation["grants"]]
    lines += [
        f"  anchor   branch {anchor['branch']}, ordinal {anchor['ordinal']}: {', '.join(anchor['roles'])}"
        for anchor in explanation["anchors"]
    ]
    lines += [
        f"  terms    {terms['id']} {terms['name']!r}: accept at {terms['accept_url']}"
        for terms in explanation["missing_terms"]
    ]
    return [*lines, f"  next     {explanation['next']}"]


def _format_meaning(explanation: ReferenceExplanation) -> str:
    """What the name of the service stands for here."""
    dataset, version = f"dataset {explanation['dataset']}", explanation["stored_version"]
    if explanation["version"] is None and version is None:
        return f"{dataset}, the whole"
    if explanation["rule"] == Rule.UNKNOWN_VERSION:
        return dataset
    ordinal = f", ordinal {explanation['ordinal']}" if explanation["ordinal"] is not None else ""
    return f"{dataset}, {f'version {version}' if version else 'no version'}, branch {explanation['branch']}{ordinal}"


def _format_explanation(explanation: Explanation, acceptor: str) -> list[str]:
    """The lines of an explanation, for people.

    Args:
        acceptor: the person whose acceptance of terms counts.
    """
    may = "may" if explanation["allowed"] else "may not"
    lines = [
        f"{explanation['who']} {may} {explanation['permission']} {explanation['dataset']}: {explanation['why']}",
        *(f"  grant    {_format_grant(grant)}" for grant in explanation["grants"]),
        *(f"  expired  {_format_grant(grant)}" for grant in explanation["expired_grants"]),
        *(f"  service  {_format_grant(grant)}" for grant in explanation["service_grants"]),
        *(
            f"  terms    {terms['id']} {terms['name']!r}: accept at {terms['accept_url']}"
            for terms in explanation["missing_terms"]
        ),
        *(f"  bucket   {_format_location(location)}" for location in explanation["locations"]),
        *(f"  note     {note}" for note in explanation["notes"]),
    ]
    if explanation["reason"] == Reason.TERMS_MISSING:  # operators record only what was accepted elsewhere
        link = explanation["missing_terms"][0]["accept_url"]
        lines.append(f"  next     send {acceptor} this link: {link}; only if they have accepted elsewhere:")
    lines.append(f"  next     {explanation['next']}")
    return lines


def _format_location(location: ExplainedLocation) -> str:
    version = f", version {location['version']}" if location["version"] else ""
    return f"{location['location']}{version}: " + (
        "may read" if location["may_read"] else f"may not read: {location['reason']}"
    )


def _format_grant(grant: ExplainedGrant) -> str:
    parts = [f"{grant['id']}: {grant['permission']}"]
    parts.append(f"through group {grant['group']}" if grant["group"] else "directly")
    if grant["version"]:
        parts.append(f"version {grant['version']}")
    if grant["service"]:
        parts.append(f"for {grant['service']} alone")
    if grant["scope"]:
        parts.append(f"scope {grant['scope']}")
    if grant["expires"]:
        parts.append(f"until {grant['expires']:%Y-%m-%d %H:%M UTC}")
    parts.append(f"granted by {grant['granted_by']} ({grant['source']})")
    return ", ".join(parts)


@subcommand(command, "who", example="dsgctl access who fish2 edit")
@click.argument("dataset", type=DATASET)
@click.argument("permission", default="view")
@click.option("--service", metavar="NAME", help="Count the grants for this service, too.")
def who(session: Session, dataset: str, permission: str, *, service: str | None) -> None:
    """List everybody who has a permission on a dataset now."""
    rows = access_report.list_holders(
        session.database, dataset, permission, now(), service=service, delegate=session.delegate
    )
    session.output.print_rows(rows, ("id", "who", "kind", "holds", "through"), value="who")
