"""Reads from the store what the rules of access.py need to know."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any

from dsgctl.core import account_status
from dsgctl.core.rules.access import Dataset, Grant, PrincipalSnapshot, Terms, VersionTerms
from dsgctl.core.rules.buckets import Location
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.prepared import Prepared, parameter
from dsgctl.store.queries import JOIN

_Scope = m.Group.alias("scope")
_GRANT_COLUMNS = (
    m.Grant.id,
    m.Dataset.name,
    m.Grant.permission,
    m.Group.name,
    m.Version.name,
    _Scope.name,
    m.Grant.expires,
    m.Grant.granted_by,
    m.Grant.source,
)
_TERMS_COLUMNS = (m.Terms.id, m.Terms.name, m.Terms.effective, m.Terms.retired)


def read_principal(
    database: Database, principal: m.Principal, *, service: str | None = None, also: str | None = None
) -> PrincipalSnapshot:
    """All that decides what one principal may do. Call it in a `Database.snapshot`.

    Args:
        service: slug of the service that asks; an unknown one adds nothing.
        also: name of a dataset to include although no grant reaches it.
    """
    # A service account has only its own grants, even where the sqlite3 shell has put it into a group.
    member = principal.id if principal.kind == "user" else None
    memberships = _MEMBERSHIPS(database, member=member)
    return _build_snapshot(
        principal,
        ended_by=account_status.ended_by(database, principal),
        affiliations=tuple(name for (name,) in _AFFILIATIONS(database, principal=principal.id)),
        groups=tuple(name for _, name, _ in memberships),
        leads=tuple(name for _, name, leads in memberships if leads),
        grants=tuple(Grant(*row) for row in _GRANTS(database, principal=principal.id, member=member)),
        accepted=frozenset(terms_id for (terms_id,) in _ACCEPTED(database, principal=_find_acceptor(principal))),
        datasets=_read_datasets(database, service, principal=principal.id, member=member, also=also),
        service=service,
    )


CacheKey = tuple[int | None, int | None]  # the id of a principal, or of a group


def list_cache_keys(database: Database, principal: m.Principal) -> tuple[CacheKey, ...]:
    """Whom a change must concern to move what `of_principal` says, besides everybody (`Database.changes_since`)."""
    accounts = (principal.id, *account_status.above(database, principal))
    return (
        *((account, None) for account in accounts),
        *((None, group) for group, *_ in _MEMBERSHIPS(database, member=principal.id)),
    )


def has_terms(database: Database, dataset: str, *, service: str | None = None) -> bool:
    """Whether terms of its own, or of this service, may hold a dataset back."""
    found = _read_datasets(database, service, also=dataset)[dataset]
    return bool(found.own_terms or found.service_terms)


def read_dataset_holders(
    database: Database, dataset: str, *, service: str | None = None
) -> Iterator[PrincipalSnapshot]:
    """The facts, as far as one dataset is concerned, of every principal whom a grant on it reaches.

    Groups, affiliations and names are left out. In the order of ids, and one at a time. Call it in a
    `Database.snapshot`.
    """
    datasets = _read_datasets(database, service, also=dataset)
    own, of_service = datasets[dataset].own_terms, datasets[dataset].service_terms
    accepted = _list_accepted(database, filter(None, (*of_service, own)))
    direct = _DIRECT_HOLDERS.stream(database, dataset=dataset)
    through_groups = _GROUP_HOLDERS.stream(database, dataset=dataset)
    yield from _build_holders(database, merge(direct, through_groups, key=itemgetter(0)), datasets, accepted, service)


def _list_accepted(database: Database, terms: Iterable[Terms]) -> dict[int, set[int]]:
    """The principals who have accepted each of these terms."""
    return {
        terms_id: {principal for (principal,) in _ACCEPTED_BY(database, terms=terms_id)}
        for terms_id in {one.id for one in terms}
    }


def _build_holders(
    database: Database,
    holders: Iterable[Any],
    datasets: dict[str, Dataset],
    accepted: dict[int, set[int]],
    service: str | None,
) -> Iterator[PrincipalSnapshot]:
    for _, rows in groupby(holders, itemgetter(0)):
        found = list(rows)
        principal_id, kind, email, slug, active, admin, read_only, parent_id = found[0][:_HOLDER_COLUMNS]
        judged = parent_id or principal_id
        label = email or slug
        yield PrincipalSnapshot(
            id=principal_id,
            service_account=kind == "service_account",
            label=label,
            ended_by=account_status.ended_above(database, parent_id) if active else label,
            admin=admin,
            read_only=read_only,
            parent_id=parent_id,
            grants=tuple(Grant(*row[_HOLDER_COLUMNS:]) for row in found),
            accepted=frozenset(terms for terms, principals in accepted.items() if judged in principals),
            datasets=datasets,
            service=service,
        )


def read_version_terms(database: Database, datasets: Collection[str]) -> tuple[VersionTerms, ...]:
    """The terms of single versions of these datasets, those of services aside."""
    query = (
        m.Terms.select(m.Dataset.name, m.Version.name, *_TERMS_COLUMNS)
        .join_from(m.Terms, m.Version, on=(m.Terms.version == m.Version.id))
        .join_from(m.Version, m.Dataset, on=(m.Version.dataset == m.Dataset.id))
        .where(m.Terms.service.is_null(), m.Dataset.name.in_(sorted(datasets)))
        .order_by(m.Dataset.name, m.Terms.id)
    )
    return tuple(VersionTerms(name, version, Terms(*terms)) for name, version, *terms in database.tuples(query))


def read_bucket(database: Database, bucket: str) -> tuple[Location, ...]:
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
    for one in read_version_terms(database, {dataset for dataset, _, version in rows if version is not None}):
        of_version[one.dataset, one.version].append(one.terms)
    return tuple(
        Location(dataset, prefix, version, tuple(of_version[dataset, version]), bucket)
        for dataset, prefix, version in rows
    )


def read_bucket_holders(database: Database, bucket: str) -> Iterator[PrincipalSnapshot]:
    """The facts, as far as one bucket is concerned, of every principal whom a grant on a dataset in it reaches.

    `buckets.bucket_access` decides by them as by those of `of_principal`. In the order of ids, and one at a time.
    Call it in a `Database.snapshot`.
    """
    datasets = {row[1]: _build_dataset(row) for row in _BUCKET_DATASETS(database, bucket=bucket)}
    terms = [dataset.own_terms for dataset in datasets.values() if dataset.own_terms]
    terms += [terms for location in read_bucket(database, bucket) for terms in location.terms]
    holders = merge(
        _BUCKET_DIRECT_HOLDERS.stream(database, bucket=bucket),
        _BUCKET_GROUP_HOLDERS.stream(database, bucket=bucket),
        key=itemgetter(0),
    )
    yield from _build_holders(database, holders, datasets, _list_accepted(database, terms), None)


def _build_snapshot(principal: m.Principal, **known: Any) -> PrincipalSnapshot:
    return PrincipalSnapshot(
        id=principal.id,
        service_account=principal.kind == "service_account",
        label=principal.label,
        name=principal.name,
        display_name=principal.display_name,
        admin=principal.admin,
        read_only=principal.read_only,
        pi=principal.pi,
        picture_url=principal.picture_url,
        parent_id=principal.parent_id,
        **known,
    )


def _find_acceptor(principal: m.Principal) -> int:
    """Whose acceptances of terms count: of a child, the parent's alone (contract.md, "GET /api/v1/user/cache")."""
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


_REACHED = (m.Grant.principal == parameter("principal")) | m.Grant.group.in_(
    m.Membership.select(m.Membership.group).where(m.Membership.principal == parameter("member"))
)
_GRANTS = Prepared(_grant_query().where(_REACHED).order_by(m.Grant.id))
_MEMBERSHIPS = Prepared(
    m.Membership.select(m.Membership.group, m.Group.name, m.Membership.leads)
    .join(m.Group)
    .where(m.Membership.principal == parameter("member"))
)
_AFFILIATIONS = Prepared(
    m.Affiliation.select(m.Affiliation.name).where(m.Affiliation.principal == parameter("principal"))
)
_ACCEPTED = Prepared(m.Acceptance.select(m.Acceptance.terms).where(m.Acceptance.principal == parameter("principal")))
_HOLDER = (
    m.Principal.id,
    m.Principal.kind,
    m.Principal.email,
    m.Principal.slug,
    m.Principal.active,
    m.Principal.admin,
    m.Principal.read_only,
    m.Principal.parent,
)
_HOLDER_COLUMNS = len(_HOLDER)
_DIRECT = (
    _grant_query(*_HOLDER)
    .join_from(m.Grant, m.Principal, on=(m.Grant.principal == m.Principal.id))
    .order_by(m.Principal.id)
)
_THROUGH_GROUPS = (
    _grant_query(*_HOLDER)
    .join_from(m.Grant, m.Membership, on=(m.Membership.group == m.Grant.group))
    .join_from(m.Membership, m.Principal)
    .where(m.Principal.kind == "user")  # a service account has only its own grants
    .order_by(m.Principal.id)
)
_ONE_DATASET = m.Dataset.name == parameter("dataset")
_IN_BUCKET = m.Dataset.id.in_(m.Location.select(m.Location.dataset).where(m.Location.bucket == parameter("bucket")))
_DIRECT_HOLDERS = Prepared(_DIRECT.where(_ONE_DATASET))
_GROUP_HOLDERS = Prepared(_THROUGH_GROUPS.where(_ONE_DATASET))
_BUCKET_DIRECT_HOLDERS = Prepared(_DIRECT.where(_IN_BUCKET))
_BUCKET_GROUP_HOLDERS = Prepared(_THROUGH_GROUPS.where(_IN_BUCKET))
_ACCEPTED_BY = Prepared(m.Acceptance.select(m.Acceptance.principal).where(m.Acceptance.terms == parameter("terms")))
_DATASET_ROWS = m.Dataset.select(m.Dataset.id, m.Dataset.name, m.Dataset.access, *_TERMS_COLUMNS).join(
    m.Terms, JOIN.LEFT_OUTER, on=(m.Dataset.own_terms_id == m.Terms.id)
)
_BUCKET_DATASETS = Prepared(_DATASET_ROWS.where(_IN_BUCKET))
_DATASETS = Prepared(
    _DATASET_ROWS.where(
        (m.Dataset.access == "public")
        | (m.Dataset.name == parameter("also"))
        | m.Dataset.id.in_(m.Grant.select(m.Grant.dataset).where(_REACHED))
    )
)
# Terms of one version do not hold back the dataset: these clients know datasets only.
_SERVICE_TERMS = Prepared(
    m.Terms.select(m.Terms.dataset, *_TERMS_COLUMNS)
    .join(m.Service)
    .where(m.Service.name == parameter("service"), m.Terms.dataset.is_null(False), m.Terms.version.is_null())
    .order_by(m.Terms.id)
)


def _read_datasets(
    database: Database,
    service: str | None,
    *,
    principal: int | None = None,
    member: int | None = None,
    also: str | None = None,
) -> dict[str, Dataset]:
    """Every public dataset and those that a grant reaches, with the terms that may hold them back.

    Args:
        principal: whose own grants; ``member``: whose groups' grants.
        also: name of one more.
    """
    of_service: dict[int, list[Terms]] = defaultdict(list)
    if service is not None:
        for dataset_id, *row in _SERVICE_TERMS(database, service=service):
            of_service[dataset_id].append(Terms(*row))
    return {
        row[1]: _build_dataset(row, tuple(of_service[row[0]]))
        for row in _DATASETS(database, principal=principal, member=member, also=also)
    }


def _build_dataset(row: Any, service_terms: tuple[Terms, ...] = ()) -> Dataset:
    dataset_id, name, access, *own = row
    own_terms = Terms(*own) if own[0] is not None else None
    return Dataset(dataset_id, name, access == "public", own_terms, service_terms)
