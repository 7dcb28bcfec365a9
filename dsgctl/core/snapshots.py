"""Reads from the database what the rules of dsgctl/core/rules need."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache, partial
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from dsgctl.core import account_status
from dsgctl.core import snapshot_queries as queries
from dsgctl.core.rules.buckets import Location
from dsgctl.core.rules.principal_snapshot import Dataset, Grant, PrincipalSnapshot
from dsgctl.core.rules.terms import Terms
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.queries import JOIN

CacheKey = tuple[int | None, int | None]  # the id of a principal, or of a group

# Of a row of `snapshot_queries.GRANTS_ON_DATASETS`: the columns of the dataset, and those of the grant.
_OF_DATASET = itemgetter(slice(len(queries.DATASET_COLUMNS)))
_OF_GRANT = itemgetter(slice(len(queries.DATASET_COLUMNS), None))


_make_grant = partial(tuple.__new__, Grant)  # as `Grant._make` does, without a call of Python's for each row


def read_principal(
    database: Database, principal: m.Principal, *, service: str | None = None, also: str | None = None
) -> PrincipalSnapshot:
    """The snapshot of one principal. Call it in a `Database.snapshot`.

    Args:
        service: the name of the service that asks; an unknown one adds nothing.
        also: the name of a dataset to include although no grant reaches it.
    """
    rows = queries.GRANTS_ON_DATASETS(database, principal=principal.id, member=_find_member(principal))
    datasets = _read_datasets(database, service, map(_OF_DATASET, rows), also=also)
    return _read_account(database, principal, sorted(map(_OF_GRANT, rows)), datasets)


def read_account(database: Database, principal: m.Principal) -> PrincipalSnapshot:
    """The snapshot of one principal without datasets. Call it in a `Database.snapshot`."""
    rows = queries.GRANTS(database, principal=principal.id, member=_find_member(principal))
    return _read_account(database, principal, rows, {})


def read_identity(database: Database, principal: m.Principal) -> PrincipalSnapshot:
    """Who a principal is, with its groups, without what decides its permissions. Call it in a `Database.snapshot`."""
    return _build_account(database, principal)


def _read_account(
    database: Database, principal: m.Principal, grant_rows: Iterable[Any], datasets: dict[str, Dataset]
) -> PrincipalSnapshot:
    acceptor = principal.parent_id or principal.id  # contract.md, "GET /api/v1/user/cache"
    grants, service_grants = _split_grants(grant_rows)
    return _build_account(
        database,
        principal,
        affiliations=tuple(name for (name,) in queries.AFFILIATIONS(database, principal=principal.id)),
        grants=grants,
        service_grants=service_grants,
        accepted=dict(queries.ACCEPTED_BY(database, principal=acceptor)),
        datasets=datasets,
    )


def _build_account(database: Database, principal: m.Principal, **others: Any) -> PrincipalSnapshot:
    memberships = queries.MEMBERSHIPS(database, member=_find_member(principal))
    return PrincipalSnapshot(
        id=principal.id,
        service_account=principal.kind == "service_account",
        label=principal.label,
        name=principal.name,
        display_name=principal.display_name,
        ended_by=account_status.find_disabled(database, principal),
        admin=principal.admin,
        read_only=principal.read_only,
        pi=principal.pi,
        picture_url=principal.picture_url,
        parent_id=principal.parent_id,
        groups=tuple(name for name, _ in memberships),
        leads=tuple(name for name, leads in memberships if leads),
        **others,
    )


def _find_member(principal: m.Principal) -> int | None:
    """Whose memberships count: a service account has only its own grants."""
    return principal.id if principal.kind == "user" else None


def read_people(database: Database, accounts: Sequence[m.Principal]) -> dict[int, PrincipalSnapshot]:
    """Who some accounts are, by id: names, affiliations and direct grants alone. Call it in a `Database.snapshot`.

    The number of queries does not grow with that of the accounts.
    """
    ids = [account.id for account in accounts]
    affiliations: dict[int, list[str]] = defaultdict(list)
    query = m.Affiliation.select(m.Affiliation.principal, m.Affiliation.name).order_by(m.Affiliation.name)
    for principal_id, name in database.tuples(query.where(m.Affiliation.principal.in_(ids))):
        affiliations[principal_id].append(name)
    grants: dict[int, list[Any]] = defaultdict(list)
    direct = queries.select_grants(m.Grant.principal).where(m.Grant.principal.in_(ids)).order_by(m.Grant.id)
    for principal_id, *columns in database.tuples(direct):
        grants[principal_id].append(columns)
    people: dict[int, PrincipalSnapshot] = {}
    for account in accounts:
        for_every_service, for_services = _split_grants(grants[account.id])
        people[account.id] = PrincipalSnapshot(
            id=account.id,
            service_account=account.kind == "service_account",
            label=account.label,
            name=account.name,
            display_name=account.display_name,
            affiliations=tuple(affiliations[account.id]),
            grants=for_every_service,
            service_grants=for_services,
        )
    return people


def list_cache_keys(database: Database, principal: m.Principal) -> tuple[CacheKey, ...]:
    """The principals and groups whose changes can alter the snapshot of a principal (`Database.changes_since`).

    A change that concerns everybody can alter it too.
    """
    accounts = (principal.id, *account_status.list_above(database, principal))
    return (
        *((account, None) for account in accounts),
        *((None, group_id) for (group_id,) in queries.GROUP_IDS(database, member=principal.id)),
    )


def has_terms(database: Database, dataset: str, *, service: str | None = None) -> bool:
    """Whether a dataset has terms of its own, or of a service."""
    return bool(_read_datasets(database, service, also=dataset)[dataset].terms)


def read_dataset(database: Database, name: str) -> Dataset:
    """A dataset, which must exist, with its own terms."""
    (row,) = queries.DATASET(database, dataset=name)
    return _build_dataset(row)


def read_dataset_holders(
    database: Database, dataset: str, *, service: str | None = None
) -> Iterator[PrincipalSnapshot]:
    """The snapshots of all principals that a grant on a dataset reaches, in the order of their ids, one at a time.

    Grants on other datasets, groups, affiliations and names are left out. Call it in a `Database.snapshot`.
    """
    datasets = _read_datasets(database, service, also=dataset)
    accepted = _read_acceptors(database, datasets[dataset].terms)
    direct = queries.DIRECT_HOLDERS.stream(database, dataset=dataset)
    through_groups = queries.GROUP_HOLDERS.stream(database, dataset=dataset)
    yield from _build_holders(database, merge(direct, through_groups, key=itemgetter(0)), datasets, accepted)


def read_bucket_holders(database: Database, bucket: str) -> Iterator[PrincipalSnapshot]:
    """The snapshots of all principals that a grant on a dataset in a bucket reaches, as in `read_dataset_holders`.

    The rule for buckets decides by them as by those of `read_principal`.
    """
    datasets = {row[1]: _build_dataset(row) for row in queries.BUCKET_DATASETS(database, bucket=bucket)}
    terms = [terms for dataset in datasets.values() for terms in dataset.terms]
    terms += [terms for location in read_bucket(database, bucket) for terms in location.terms]
    direct = queries.BUCKET_DIRECT_HOLDERS.stream(database, bucket=bucket)
    through_groups = queries.BUCKET_GROUP_HOLDERS.stream(database, bucket=bucket)
    holders = merge(direct, through_groups, key=itemgetter(0))
    yield from _build_holders(database, holders, datasets, _read_acceptors(database, terms))


def _read_acceptors(database: Database, documents: Iterable[Terms]) -> dict[int, dict[int, datetime]]:
    """When each principal accepted each of these terms, by the ids of the terms and of the principals."""
    return {
        terms_id: dict(queries.ACCEPTORS_OF.stream(database, terms=terms_id))
        for terms_id in {terms.id for terms in documents}
    }


def _build_holders(
    database: Database,
    holders: Iterable[Any],
    datasets: dict[str, Dataset],
    accepted: dict[int, dict[int, datetime]],
) -> Iterator[PrincipalSnapshot]:
    """Snapshots from rows of a principal and a grant, sorted by principal."""
    columns = len(queries.HOLDER_COLUMNS)
    for _, group in groupby(holders, itemgetter(0)):
        rows = list(group)
        principal_id, kind, email, slug, enabled, admin, read_only, parent_id = rows[0][:columns]
        acceptor = parent_id or principal_id
        label = email or slug
        grants, service_grants = _split_grants(row[columns:] for row in rows)
        yield PrincipalSnapshot(
            id=principal_id,
            service_account=kind == "service_account",
            label=label,
            ended_by=account_status.find_disabled_above(database, parent_id) if enabled else label,
            admin=admin,
            read_only=read_only,
            parent_id=parent_id,
            grants=grants,
            service_grants=service_grants,
            accepted={terms_id: moments[acceptor] for terms_id, moments in accepted.items() if acceptor in moments},
            datasets=datasets,
        )


def _split_grants(rows: Iterable[Any]) -> tuple[tuple[Grant, ...], tuple[Grant, ...]]:
    """The grants for every service, and those for one service each."""
    grants = tuple(map(_make_grant, rows))
    for_services = tuple([grant for grant in grants if grant.service is not None])
    return tuple([grant for grant in grants if grant.service is None]) if for_services else grants, for_services


def read_version_terms(database: Database, datasets: Collection[str]) -> tuple[Terms, ...]:
    """The terms of single versions of these datasets, without those of services; by dataset and id."""
    query = (
        m.Terms.select(m.Dataset.name, m.Version.name, *queries.TERMS_COLUMNS)
        .join_from(m.Terms, m.Version, on=(m.Terms.version == m.Version.id))
        .join_from(m.Version, m.Dataset, on=(m.Version.dataset == m.Dataset.id))
        .where(m.Terms.service.is_null(), m.Dataset.name.in_(sorted(datasets)))
        .order_by(m.Dataset.name, m.Terms.id)
    )
    return tuple(
        build_terms(columns, dataset, version=version) for dataset, version, *columns in database.tuples(query)
    )


def read_bucket(database: Database, bucket: str) -> tuple[Location, ...]:
    """The locations in a bucket, by id; none for an unknown bucket."""
    query = (
        m.Location.select(m.Dataset.name, m.Location.prefix, m.Version.name)
        .join_from(m.Location, m.Dataset)
        .join_from(m.Location, m.Version, JOIN.LEFT_OUTER, on=(m.Location.version == m.Version.id))
        .where(m.Location.bucket == bucket)
        .order_by(m.Location.id)
    )
    rows = list(database.tuples(query))
    terms_of_versions: dict[tuple[str, str | None], list[Terms]] = defaultdict(list)
    for terms in read_version_terms(database, {dataset for dataset, _, version in rows if version is not None}):
        terms_of_versions[terms.dataset, terms.version].append(terms)
    return tuple(
        Location(dataset, prefix, version, tuple(terms_of_versions[dataset, version]), bucket)
        for dataset, prefix, version in rows
    )


def _read_datasets(
    database: Database, service: str | None, rows: Iterable[Any] = (), *, also: str | None = None
) -> dict[str, Dataset]:
    """The public datasets, and some others, by name.

    Args:
        service: the service whose terms to include.
        rows: `snapshot_queries.DATASET_COLUMNS` of the others; they may repeat.
        also: the name of one more dataset.
    """
    named = queries.DATASET(database, dataset=also) if also is not None else ()
    datasets = {row[1]: _build_dataset(row) for row in chain(rows, named, queries.PUBLIC_DATASETS(database))}
    if service is not None:
        for name, *columns in queries.SERVICE_TERMS(database, service=service):
            if dataset := datasets.get(name):
                terms = build_terms(columns, name, service=service)
                datasets[name] = dataset._replace(terms=(*dataset.terms, terms))
    return datasets


@lru_cache(maxsize=4096)  # by the whole row: most answers are about the same datasets
def _build_dataset(row: tuple[Any, ...]) -> Dataset:
    dataset_id, name, access, *own = row
    terms = (build_terms(own, name, own=True),) if own[0] is not None else ()
    return Dataset(dataset_id, name, access == "public", terms)


def build_terms(
    columns: Sequence[Any], dataset: str, *, own: bool = False, version: str | None = None, service: str | None = None
) -> Terms:
    """Terms as the rules see them.

    Args:
        columns: `snapshot_queries.TERMS_COLUMNS`.
    """
    terms_id, name, effective, retired = columns
    return Terms(terms_id, name, effective, retired, dataset, own, version, service)
