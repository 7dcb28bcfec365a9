"""Decides about references, the names that services use for datasets and versions: reads the data, and decides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dsgctl.core import snapshot_queries as queries
from dsgctl.core import snapshots
from dsgctl.core.errors import Invalid
from dsgctl.core.rules import levels, reference_access
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.reference_access import ReferenceDecision, Rule
from dsgctl.core.rules.references import Catalogue, Reference, Translation, Version, VersionedDataset
from dsgctl.core.rules.terms import Terms
from dsgctl.store import Database
from dsgctl.store.models import Principal

MAX_ANCHORS = 100_000  # of one call: each reference can have one for each public version
MAX_COMPARISONS = 500_000  # of one call: each reference is compared with every grant on its dataset


@dataclass(frozen=True, slots=True)
class Decisions:
    """Some decisions in one state of the database.

    Attributes:
        principal: None for a caller without a token.
        decisions: one for each request, in order.
        until: the next moment at which one of them differs by itself; None for never.
    """

    principal: PrincipalSnapshot | None
    catalogue: Catalogue
    decisions: tuple[ReferenceDecision, ...]
    until: datetime | None


def decide(
    database: Database,
    principal: Principal | None,
    reference: Reference,
    permission: str,
    at: datetime,
    *,
    service: str | None = None,
) -> tuple[ReferenceDecision, datetime | None]:
    """Decide about one reference. Call it in a `Database.snapshot`.

    Args:
        principal: None for a caller without a token.
        service: the name of the service that asks; an unknown one counts as none.

    Returns:
        The decision, and the next moment at which it differs by itself; None for never.
    """
    answer = decide_all(database, principal, ((reference, permission),), at, service=service)
    return answer.decisions[0], answer.until


def decide_all(
    database: Database,
    principal: Principal | None,
    requests: Sequence[tuple[Reference, str]],
    at: datetime,
    *,
    service: str | None = None,
) -> Decisions:
    """Decide about references, each with the permission that is asked for. Call it in a `Database.snapshot`.

    Args:
        principal, service: as of `decide`.

    Raises:
        Invalid: the decisions have more than `MAX_ANCHORS` anchors between them, or take more than `MAX_COMPARISONS`.
    """
    catalogue = read_catalogue(database, (reference for reference, _ in requests), service)
    snapshot = snapshots.read_account(database, principal) if principal is not None else None
    grants = reference_access.group_grants(snapshot, catalogue.service)
    decisions: list[ReferenceDecision] = []
    anchors = comparisons = 0
    for reference, permission in requests:
        decisions.append(reference_access.decide(snapshot, catalogue, reference, permission, at, grants=grants))
        anchors += len(decisions[-1].anchors)
        if decisions[-1].rule is not Rule.ADMIN:
            comparisons += len(grants.get(decisions[-1].dataset, ()))
        if comparisons > MAX_COMPARISONS:
            raise Invalid(f"this takes more than {MAX_COMPARISONS} comparisons with grants; ask about fewer at once")
        if anchors > MAX_ANCHORS:
            raise Invalid(f"there are more than {MAX_ANCHORS} anchors; ask about fewer versions at once")
    return Decisions(snapshot, catalogue, tuple(decisions), reference_access.next_change(snapshot, catalogue, at))


def list_missing_terms(
    database: Database, principal: Principal, reference: Reference, at: datetime, *, service: str | None = None
) -> tuple[tuple[Terms, ...], bool]:
    """The terms that withhold a dataset, or a version, from a principal. Call it in a `Database.snapshot`.

    Args:
        reference: by the names here, which are not translated.
        service: as of `decide`.

    Returns:
        The terms, and whether a grant gives what they withhold; otherwise it is public.
    """
    catalogue = replace(read_catalogue(database, (reference,), service), translations={})
    snapshot = snapshots.read_account(database, principal)
    grants = (*snapshot.grants, *snapshot.service_grants)
    permissions = {levels.VIEW, *(grant.permission for grant in grants if grant.dataset == reference.name)}
    decisions = [
        reference_access.decide(snapshot, catalogue, reference, permission, at) for permission in sorted(permissions)
    ]
    missing = {terms.id: terms for decision in decisions for terms in decision.missing}
    return tuple(missing.values()), any(decision.missing and decision.grants for decision in decisions)


def read_catalogue(database: Database, references: Iterable[Reference], service: str | None) -> Catalogue:
    """What is known of the datasets that references can stand for. Call it in a `Database.snapshot`.

    Args:
        service: the name of the service that asks; an unknown one counts as none.
    """
    row = next(iter(queries.SERVICE(database, service=service)), None) if service is not None else None
    service_id, mode = row or (None, "")
    asking = service if row else None
    names: set[str] = set()
    translations: dict[tuple[str, str | None], Translation] = {}
    for name, version in {(reference.name, reference.version) for reference in references}:
        names.add(name)
        if service_id is not None:
            for client_version, dataset, target in queries.TRANSLATIONS(
                database, service=service_id, name=name, version=version
            ):
                translations[name, client_version] = Translation(dataset, target)
                names.add(dataset)
    datasets = {
        row[1]: _read_dataset(database, row, service_id, asking)
        for name in names
        for row in queries.DATASET(database, dataset=name)
    }
    return Catalogue(asking, mode == "dag", translations, datasets)


def _read_dataset(
    database: Database, row: tuple[Any, ...], service_id: int | None, service: str | None
) -> VersionedDataset:
    dataset_id, name, access, *own = row
    versions = queries.VERSIONS(database, dataset=dataset_id)
    version_names = {version_id: version for version_id, version, *_ in versions}
    of_dataset = [snapshots.build_terms(own, name, own=True)] if own[0] is not None else []
    of_versions: dict[int, list[Terms]] = {}
    for version_id, of_service, *columns in queries.REFERENCED_TERMS(database, dataset=dataset_id, service=service_id):
        version, asking = version_names.get(version_id), service if of_service is not None else None
        terms = snapshots.build_terms(columns, name, version=version, service=asking)
        (of_dataset if version_id is None else of_versions.setdefault(version_id, [])).append(terms)
    return VersionedDataset(
        name,
        access == "public",
        tuple(of_dataset),
        {
            version: Version(version, branch, ordinal, public, tuple(of_versions.get(version_id, ())))
            for version_id, version, branch, ordinal, public in versions
        },
    )
