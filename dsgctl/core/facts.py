"""Reads from the store what the rules of access.py need to know."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from peewee import JOIN

from dsgctl.core.access import Dataset, Facts, Grant, Terms, VersionTerms
from dsgctl.core.buckets import Location
from dsgctl.store import Database
from dsgctl.store import models as m

_Scope = m.Group.alias("scope")
_GRANT_COLUMNS = (
    m.Grant.id, m.Dataset.name, m.Grant.permission, m.Group.name, m.Version.name, _Scope.name,
    m.Grant.expires, m.Grant.granted_by, m.Grant.source,
)  # fmt: skip
_TERMS_COLUMNS = (m.Terms.id, m.Terms.name, m.Terms.effective, m.Terms.retired)


def of_principal(
    database: Database, principal: m.Principal, *, service: str | None = None, also: str | None = None
) -> Facts:
    """All that decides what one principal may do. Call it in a `Database.snapshot`.

    Args:
        service: slug of the service that asks; an unknown one adds nothing.
        also: name of a dataset to include although no grant reaches it.
    """
    is_user = principal.kind == "user"
    memberships = list(database.tuples(
        m.Membership.select(m.Group.name, m.Membership.leads)
        .join(m.Group)
        .where(m.Membership.principal == principal.id)
    )) if is_user else []  # fmt: skip
    grants = _grants_of(database, principal)
    names = {grant.dataset for grant in grants} | ({also} if also else set())
    return _facts(
        principal,
        affiliations=tuple(name for (name,) in database.tuples(
            m.Affiliation.select(m.Affiliation.name).where(m.Affiliation.principal == principal.id)
        )),
        groups=tuple(name for name, _ in memberships),
        leads=tuple(name for name, leads in memberships if leads),
        grants=grants,
        accepted=frozenset(terms_id for (terms_id,) in database.tuples(
            m.Acceptance.select(m.Acceptance.terms).where(m.Acceptance.principal == _judged_by(principal))
        )),
        datasets=_datasets(database, names, service),
        service=service,
    )  # fmt: skip


def of_dataset(database: Database, dataset: str, *, service: str | None = None) -> Iterator[Facts]:
    """The facts, as far as one dataset is concerned, of every principal whom a grant on it reaches.

    Groups and affiliations are left out. Reads each table once, whatever the number of people.
    """
    datasets = _datasets(database, {dataset}, service)
    own, of_service = datasets[dataset].own_terms, datasets[dataset].service_terms
    concerned = [terms.id for terms in (*of_service, own) if terms]
    accepted: dict[int, set[int]] = defaultdict(set)
    for principal_id, terms_id in database.tuples(
        m.Acceptance.select(m.Acceptance.principal, m.Acceptance.terms).where(m.Acceptance.terms.in_(concerned))
    ):
        accepted[principal_id].add(terms_id)
    grants: dict[int, list[Grant]] = defaultdict(list)
    on_it = m.Dataset.name == dataset
    for principal_id, *row in database.tuples(_grant_query(m.Grant.principal).where(
        on_it, m.Grant.principal.is_null(False)
    )):  # fmt: skip
        grants[principal_id].append(Grant(*row))
    through_groups = (
        _grant_query(m.Membership.principal)
        .join_from(m.Grant, m.Membership, on=(m.Membership.group == m.Grant.group))
        .join_from(m.Membership, m.Principal)
        .where(on_it, m.Principal.kind == "user")  # a service account has only its own grants
    )
    for principal_id, *row in database.tuples(through_groups):
        grants[principal_id].append(Grant(*row))
    everybody = m.Principal.select().order_by(m.Principal.id)
    for known in database.rows(everybody):
        if known["id"] in grants:
            principal = m.Principal(**known)
            yield _facts(
                principal,
                grants=tuple(grants[principal.id]),
                accepted=frozenset(accepted[_judged_by(principal)]),
                datasets=datasets,
                service=service,
            )


def version_terms(database: Database, datasets: Collection[str]) -> tuple[VersionTerms, ...]:
    """The terms of single versions of these datasets, those of services aside."""
    query = (
        m.Terms.select(m.Dataset.name, m.Version.name, *_TERMS_COLUMNS)
        .join_from(m.Terms, m.Version, on=(m.Terms.version == m.Version.id))
        .join_from(m.Version, m.Dataset, on=(m.Version.dataset == m.Dataset.id))
        .where(m.Terms.service.is_null(), m.Dataset.name.in_(sorted(datasets)))
        .order_by(m.Dataset.name, m.Terms.id)
    )
    return tuple(VersionTerms(name, version, Terms(*terms)) for name, version, *terms in database.tuples(query))


def of_bucket(database: Database, bucket: str) -> tuple[Location, ...]:
    """What lies in a bucket; empty if no dataset is said to."""
    query = (
        m.Location.select(m.Dataset.name, m.Location.prefix, m.Version.name)
        .join_from(m.Location, m.Dataset)
        .join_from(m.Location, m.Version, JOIN.LEFT_OUTER, on=(m.Location.version == m.Version.id))
        .where(m.Location.bucket == bucket)
        .order_by(m.Location.id)
    )
    rows = list(database.tuples(query))
    of_version: dict[tuple[str, str], list[Terms]] = defaultdict(list)
    for one in version_terms(database, {dataset for dataset, _, version in rows if version is not None}):
        of_version[one.dataset, one.version].append(one.terms)
    return tuple(
        Location(dataset, prefix, version, tuple(of_version[dataset, version])) for dataset, prefix, version in rows
    )


def _facts(principal: m.Principal, **known: Any) -> Facts:
    return Facts(
        id=principal.id,
        service_account=principal.kind == "service_account",
        label=principal.label,
        name=principal.name,
        display_name=principal.display_name,
        active=principal.active,
        admin=principal.admin,
        read_only=principal.read_only,
        pi=principal.pi,
        picture_url=principal.picture_url,
        parent_id=principal.parent_id,
        **known,
    )


def _judged_by(principal: m.Principal) -> int:
    """Whose acceptances of terms count: of a child, the parent's alone (contract.md)."""
    return int(principal.parent_id or principal.id)


def _grant_query(*first: Any) -> Any:
    return (
        m.Grant.select(*first, *_GRANT_COLUMNS)
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Group, JOIN.LEFT_OUTER, on=(m.Grant.group == m.Group.id))
        .join_from(m.Grant, m.Version, JOIN.LEFT_OUTER)
        .join_from(m.Grant, _Scope, JOIN.LEFT_OUTER, on=(m.Grant.scope_group == _Scope.id))
        # The sqlite3 shell may leave a grant behind whose group or version it deleted: it gives nothing.
        .where(
            m.Grant.group.is_null() | m.Group.id.is_null(False),
            m.Grant.version.is_null() | m.Version.id.is_null(False),
        )
    )


def _grants_of(database: Database, principal: m.Principal) -> tuple[Grant, ...]:
    reached = m.Grant.principal == principal.id
    if principal.kind == "user":  # a service account has only its own grants
        own_groups = m.Membership.select(m.Membership.group).where(m.Membership.principal == principal.id)
        reached |= m.Grant.group.in_(own_groups)
    return tuple(Grant(*row) for row in database.tuples(_grant_query().where(reached).order_by(m.Grant.id)))


def _datasets(database: Database, names: set[str], service: str | None) -> dict[str, Dataset]:
    """The datasets of these names and every public one, with the terms that may hold them back."""
    wanted = (m.Dataset.access == "public") | m.Dataset.name.in_(sorted(names))
    of_service: dict[int, list[Terms]] = defaultdict(list)
    if service is not None:
        # Terms of one version do not hold back the dataset: these clients know datasets only.
        query = m.Terms.select(m.Terms.dataset, *_TERMS_COLUMNS).join(m.Service)
        query = query.where(m.Service.name == service, m.Terms.dataset.is_null(False), m.Terms.version.is_null())
        for dataset_id, *row in database.tuples(query.order_by(m.Terms.id)):
            of_service[dataset_id].append(Terms(*row))
    with_own_terms = m.Dataset.select(m.Dataset.id, m.Dataset.name, m.Dataset.access, *_TERMS_COLUMNS).join(
        m.Terms, JOIN.LEFT_OUTER, on=(m.Dataset.own_terms_id == m.Terms.id)
    )
    return {
        name: Dataset(
            id=dataset_id,
            name=name,
            public=access == "public",
            own_terms=Terms(*own) if own[0] is not None else None,
            service_terms=tuple(of_service[dataset_id]),
        )
        for dataset_id, name, access, *own in database.tuples(with_own_terms.where(wanted))
    }
