"""``dsgctl access``"""

import shlex
from typing import TYPE_CHECKING, Any

import click

from dsgctl.commands.options import subcommand
from dsgctl.commands.output import echo
from dsgctl.commands.parameters import DATASET
from dsgctl.commands.session import Session
from dsgctl.core import datasets, locations, service_accounts, snapshots, terms, users, withdrawals
from dsgctl.core.clock import now
from dsgctl.core.errors import NotFound
from dsgctl.core.rules import access, buckets, levels
from dsgctl.core.rules.access import Decision, PrincipalSnapshot, Reason
from dsgctl.core.rules.buckets import BucketReason

if TYPE_CHECKING:
    from dsgctl.core.delegation import Delegate


@click.group()
def command() -> None:
    """Who may what, and why. The server decides by the same rules."""


_SERVICE = click.option("--service", metavar="NAME", help="As this service would be told.")


def _facts(session: Session, who: str, *, service: str | None = None, also: str | None = None) -> PrincipalSnapshot:
    with session.database.snapshot():
        principal = service_accounts.find_principal(session.database, who)
        return snapshots.read_principal(session.database, principal, service=service, also=also)


@subcommand(command, "show", example="dsgctl access show ada@example.org --service clio")
@click.argument("who", metavar="EMAIL|NAME")
@_SERVICE
def show(session: Session, who: str, service: str | None) -> None:
    """What the server answers to GET /api/v1/user/cache for a person or service account."""
    known = _facts(session, who, service=service)
    if not known.active and session.output.format == "table":
        echo(
            f"{who} is disabled{'' if known.ended_by == known.label else f' with {known.ended_by}'}: "
            "the server answers 401",
            err=True,
        )
    session.output.one(access.build_user_cache(known, now()), value="permissions_v2")


@subcommand(command, "check", example="dsgctl access check ada@example.org fish2 view && echo in")
@click.argument("who", metavar="EMAIL|NAME")
@click.argument("dataset", type=DATASET)
@click.argument("permission")
@_SERVICE
def check(session: Session, who: str, dataset: str, permission: str, *, service: str | None) -> int:
    """Whether somebody has a permission: exit code 0 if so, 5 if not."""
    known = _facts(session, who, service=service, also=dataset)
    decision = access.decide(known, dataset, permission, now())
    if decision.reason is Reason.NO_SUCH_DATASET:
        datasets.find(session.database, dataset)
    session.output.done(
        "yes" if decision.allowed else f"no: {_why(known, decision.reason)}",
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
def explain(session: Session, who: str, dataset: str, permission: str, *, service: str | None) -> None:
    """Why somebody may or may not do something with a dataset, and what to type next.

    The answer is the exit code of 'access check'; here it is 0 as long as there is an explanation.
    """
    known = _facts(session, who, service=service, also=dataset)
    decision = access.decide(known, dataset, permission, now())
    record = _record(session, known, decision)
    if session.output.format == "table":
        _print_explanation(record, accepting=_accepting(session, known))
    else:
        session.output.one(record, value="allowed")
    if decision.reason is Reason.NO_SUCH_DATASET:
        raise NotFound(f"there is no dataset {dataset!r}", "dsgctl dataset list")


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


def _why(known: PrincipalSnapshot, reason: Reason) -> str:
    if reason is Reason.ACCOUNT_DISABLED and known.ended_by != known.label:
        return f"the account is a child of {known.ended_by}, which is disabled"
    return _WHY[reason]


def _how_it_opens(session: Session, known: PrincipalSnapshot, dataset: access.Dataset) -> list[str]:
    """How somebody who holds nothing on a public dataset gets view."""
    own = dataset.own_terms
    if dataset.name in withdrawals.list_datasets(session.database, known.id):
        return ["public, but view was taken from them here: it comes back with a grant, and not with terms"]
    if own is None:
        note = "public, but without terms: view comes with accepting them, so nobody has it without a grant"
        if session.on_behalf is not None:  # an operator adds terms, and a delegate does not
            return [note]
        return [f"{note}; dsgctl terms add NAME --file FILE --dataset {shlex.quote(dataset.name)}"]
    if own.id in known.accepted or known.service_account:
        return []
    return [f"public: view is theirs once they accept at {session.config.origin}{terms.accept_path(own.id)}"]


def _record(session: Session, known: PrincipalSnapshot, decision: Decision) -> dict[str, Any]:
    """An explanation as programs read it; people get the same, in lines."""
    dataset = known.datasets.get(decision.dataset)
    url = session.config.origin
    notes = []
    if known.admin:
        notes.append("a global admin: services that let admins in do so whatever the grants say")
    if known.parent_id is not None:
        notes.append("a child account: the parent's acceptances of terms count")
    if dataset and dataset.public and not decision.holds:
        notes += _how_it_opens(session, known, dataset)
    return {
        "allowed": decision.allowed,
        "reason": str(decision.reason),
        "why": _why(known, decision.reason),
        "who": known.label,
        "dataset": decision.dataset,
        "permission": decision.permission,
        "holds": sorted(decision.holds),
        "grants": [_grant(grant) for grant in decision.grants if _may_see(session, known, grant)],
        "expired_grants": [_grant(grant) for grant in decision.expired if _may_see(session, known, grant)],
        "missing_terms": [
            {"id": missing.id, "name": missing.name, "accept_url": url + terms.accept_path(missing.id)}
            for missing in decision.missing
        ],
        "locations": _locations(session, known, decision.dataset),
        "notes": notes,
        "next": _next_command(session, known, decision)
        if session.delegate is None
        else _next_step(session, session.delegate, known, decision),
    }


def _locations(session: Session, known: PrincipalSnapshot, dataset: str) -> list[dict[str, Any]]:
    """Whether the token that POST /gcs_token gives reads each location of the dataset, and why not."""
    if dataset not in known.datasets:
        return []
    all_of_it = session.delegate is None or session.delegate.administers(dataset)
    rows = []
    for bucket in sorted(
        {row["location"].split("/")[2] for row in locations.list_locations(session.database, dataset)}
    ):
        decision = buckets.decide_bucket_access(known, snapshots.read_bucket(session.database, bucket), now())
        rows += [
            {
                "location": f"gs://{bucket}/{location.prefix}",
                "version": location.version,
                "may_read": reason is BucketReason.GRANTED,
                "reason": str(reason),
            }
            for location, reason in decision.places
            if location.dataset == dataset and (all_of_it or reason is BucketReason.GRANTED)
        ]
    return rows


def _grant(grant: access.Grant) -> dict[str, Any]:
    return {
        "id": grant.id,
        "permission": grant.permission,
        "group": grant.group,
        "version": grant.version,
        "scope": grant.scope,
        "expires": grant.expires,
        "granted_by": grant.granted_by,
        "source": grant.source,
    }


def _next_command(session: Session, known: PrincipalSnapshot, decision: Decision) -> str:
    """What an operator most likely wants to type now."""
    who, dataset = shlex.quote(known.label), shlex.quote(decision.dataset)
    noun = "service-account" if known.service_account else "user"
    match decision.reason:
        case Reason.ACCOUNT_DISABLED:
            return f"dsgctl {noun} enable {shlex.quote(known.ended_by or known.label)}"
        case Reason.NO_SUCH_DATASET:
            return "dsgctl dataset list"
        case Reason.NO_SUCH_PERMISSION:
            return f"dsgctl access explain {who} {dataset} view"
        case Reason.READ_ONLY:
            return f"dsgctl user set {who} --no-read-only"
        case Reason.TERMS_MISSING:
            return f"dsgctl terms accept {decision.missing[0].id} {shlex.quote(_accepting(session, known))}"
        case Reason.GRANTED:
            return f"dsgctl grant list --dataset {dataset}"
        case _:
            return f"dsgctl grant add {dataset} {decision.permission} --{noun} {who}"


def _next_step(session: Session, delegate: "Delegate", known: PrincipalSnapshot, decision: Decision) -> str:
    """What somebody for whom this is run can do about it themselves."""
    who, dataset, permission = shlex.quote(known.label), shlex.quote(decision.dataset), decision.permission
    match decision.reason:
        case Reason.TERMS_MISSING:
            return f"accept at {session.config.origin}{terms.accept_path(decision.missing[0].id)}"
        case Reason.NO_SUCH_PERMISSION:
            return f"dsgctl access explain {who} {dataset} view"
        case Reason.GRANTED if delegate.manages(decision.dataset):
            return f"dsgctl grant list --dataset {dataset}"
        case Reason.GRANTED:
            return f"dsgctl access show {shlex.quote(delegate.email)}"
        case Reason.NO_GRANT | Reason.GRANT_EXPIRED | Reason.LEVEL_TOO_LOW if not known.service_account:
            for scope in (None, *sorted(delegate.facts.leads)):
                if delegate.may_give(decision.dataset, permission, scope, known.id):
                    within = f" --scope {shlex.quote(scope)}" if scope is not None else ""
                    return f"dsgctl grant add {dataset} {permission} --user {who}{within}"
            return f"ask an admin of {decision.dataset}"
        case _:
            return "ask an operator"


def _may_see(session: Session, known: PrincipalSnapshot, grant: access.Grant) -> bool:
    """Whether a grant that reaches somebody may be shown to the person for whom the command is run."""
    direct = known.label if grant.group is None else None
    return session.delegate is None or session.delegate.may_see(
        {
            "dataset": grant.dataset,
            "version": grant.version,
            "permission": grant.permission,
            "user": direct,
            "group": grant.group,
            "scope": grant.scope,
        }
    )


def _accepting(session: Session, known: PrincipalSnapshot) -> str:
    """Whose acceptance counts: of a child, the parent's."""
    parent = users.show(session.database, known.label)["parent"] if known.parent_id is not None else None
    return str(parent or known.label)


def _print_explanation(record: dict[str, Any], *, accepting: str) -> None:
    may = "may" if record["allowed"] else "may not"
    lines = [f"{record['who']} {may} {record['permission']} {record['dataset']}: {record['why']}"]
    lines += [f"  grant    {_format_grant(grant)}" for grant in record["grants"]]
    lines += [f"  expired  {_format_grant(grant)}" for grant in record["expired_grants"]]
    lines += [
        f"  terms    {one['id']} {one['name']!r}: accept at {one['accept_url']}" for one in record["missing_terms"]
    ]
    lines += [f"  bucket   {_place(one)}" for one in record["locations"]]
    lines += [f"  note     {note}" for note in record["notes"]]
    if record["reason"] == Reason.TERMS_MISSING:  # nobody should accept for others, unless it was done on paper
        link = record["missing_terms"][0]["accept_url"]
        lines.append(f"  next     send {accepting} this link: {link}; only if they have accepted elsewhere:")
    lines.append(f"  next     {record['next']}")
    for line in lines:
        echo(line)


def _place(one: dict[str, Any]) -> str:
    version = f", version {one['version']}" if one["version"] else ""
    return f"{one['location']}{version}: {'may read' if one['may_read'] else 'may not read: ' + one['reason']}"


def _format_grant(grant: dict[str, Any]) -> str:
    parts = [f"{grant['id']}: {grant['permission']}"]
    parts.append(f"through group {grant['group']}" if grant["group"] else "directly")
    if grant["version"]:
        parts.append(f"version {grant['version']}")
    if grant["scope"]:
        parts.append(f"scope {grant['scope']}")
    if grant["expires"]:
        parts.append(f"until {grant['expires']:%Y-%m-%d %H:%M UTC}")
    parts.append(f"given by {grant['granted_by']} ({grant['source']})")
    return ", ".join(parts)


@subcommand(command, "who", example="dsgctl access who fish2 edit")
@click.argument("dataset", type=DATASET)
@click.argument("permission", default="view")
def who(session: Session, dataset: str, permission: str) -> None:
    """Everybody who has a permission on a dataset now."""
    datasets.find(session.database, dataset)
    moment = now()

    def found() -> Any:
        with session.database.snapshot():
            for known in snapshots.read_dataset_holders(session.database, dataset):
                decision = access.decide(known, dataset, permission, moment)
                if decision.allowed and (session.delegate is None or session.delegate.oversees(dataset, known.label)):
                    yield {
                        "id": known.id,
                        "who": known.label,
                        "kind": "service account" if known.service_account else "user",
                        "holds": sorted(decision.holds),
                        "through": sorted(
                            {grant.group or "direct" for grant in decision.grants if _may_see(session, known, grant)}
                        ),
                    }

    session.output.rows(found(), ("id", "who", "kind", "holds", "through"), value="who")
