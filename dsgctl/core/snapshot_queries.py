"""The queries of dsgctl/core/snapshots.py."""

from typing import Any

from dsgctl.store import models as m
from dsgctl.store.prepared import Prepared, parameter
from dsgctl.store.queries import JOIN, fn

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
    m.Service.name,
)
TERMS_COLUMNS = (m.Terms.id, m.Terms.name, m.Terms.effective, m.Terms.retired)
DATASET_COLUMNS = (m.Dataset.id, m.Dataset.name, m.Dataset.access, *TERMS_COLUMNS)
_OWN_TERMS = m.Dataset.own_terms_id == m.Terms.id
HOLDER_COLUMNS = (
    m.Principal.id,
    m.Principal.kind,
    m.Principal.email,
    m.Principal.slug,
    m.Principal.active,
    m.Principal.admin,
    m.Principal.read_only,
    m.Principal.parent,
)


def select_grants(*more_columns: Any) -> Any:
    """Grants that give something, as columns before those of `principal_snapshot.Grant`."""
    return (
        m.Grant.select(*more_columns, *_GRANT_COLUMNS)
        .join_from(m.Grant, m.Dataset)
        .join_from(m.Grant, m.Group, JOIN.LEFT_OUTER, on=(m.Grant.group == m.Group.id))
        .join_from(m.Grant, m.Version, JOIN.LEFT_OUTER)
        .join_from(m.Grant, _Scope, JOIN.LEFT_OUTER, on=(m.Grant.scope_group == _Scope.id))
        .join_from(m.Grant, m.Service, JOIN.LEFT_OUTER)
        # A grant whose group, version or service was deleted with the sqlite3 shell gives nothing.
        .where(
            m.Grant.group.is_null() | m.Group.id.is_null(False),
            m.Grant.version.is_null() | m.Version.id.is_null(False),
            m.Grant.service.is_null() | m.Service.id.is_null(False),
        )
    )


# One principal. ``member`` is the id of a user, and None for a service account: it has only its own grants, even if the
# sqlite3 shell has put it into a group.
REACHES_PRINCIPAL = (m.Grant.principal == parameter("principal")) | m.Grant.group.in_(
    m.Membership.select(m.Membership.group).where(m.Membership.principal == parameter("member"))
)
GRANTS = Prepared(select_grants().where(REACHES_PRINCIPAL).order_by(m.Grant.id))
# The same after the columns of the datasets, with their own terms.
GRANTS_ON_DATASETS = Prepared(
    select_grants(*DATASET_COLUMNS)
    .join_from(m.Dataset, m.Terms, JOIN.LEFT_OUTER, on=_OWN_TERMS)
    .where(REACHES_PRINCIPAL)
)
MEMBERSHIPS = Prepared(
    m.Membership.select(m.Group.name, m.Membership.leads)
    .join(m.Group)
    .where(m.Membership.principal == parameter("member"))
)
GROUP_IDS = Prepared(m.Membership.select(m.Membership.group).where(m.Membership.principal == parameter("member")))
AFFILIATIONS = Prepared(
    m.Affiliation.select(m.Affiliation.name).where(m.Affiliation.principal == parameter("principal"))
)
ACCEPTED_BY = Prepared(
    m.Acceptance.select(m.Acceptance.terms, m.Acceptance.accepted).where(
        m.Acceptance.principal == parameter("principal")
    )
)

# Everybody that a grant reaches.
ACCEPTORS_OF = Prepared(
    m.Acceptance.select(m.Acceptance.principal, m.Acceptance.accepted).where(m.Acceptance.terms == parameter("terms"))
)
_DIRECT = (
    select_grants(*HOLDER_COLUMNS)
    .join_from(m.Grant, m.Principal, on=(m.Grant.principal == m.Principal.id))
    .order_by(m.Principal.id)
)
_THROUGH_GROUPS = (
    select_grants(*HOLDER_COLUMNS)
    .join_from(m.Grant, m.Membership, on=(m.Membership.group == m.Grant.group))
    .join_from(m.Membership, m.Principal)
    .where(m.Principal.kind == "user")
    .order_by(m.Principal.id)
)
_OF_DATASET = m.Dataset.name == parameter("dataset")
_IN_BUCKET = m.Dataset.id.in_(m.Location.select(m.Location.dataset).where(m.Location.bucket == parameter("bucket")))
DIRECT_HOLDERS = Prepared(_DIRECT.where(_OF_DATASET))
GROUP_HOLDERS = Prepared(_THROUGH_GROUPS.where(_OF_DATASET))
# With the acceptance of the own terms by the principal, or its parent (contract.md, "GET /api/v1/user/cache").
_ACCEPTOR = fn.coalesce(m.Principal.parent, m.Principal.id)
_ACCEPTED = (m.Acceptance.terms == m.Dataset.own_terms_id) & (m.Acceptance.principal == _ACCEPTOR)
DIRECT_HOLDERS_ACCEPTED, GROUP_HOLDERS_ACCEPTED = (
    Prepared(
        query.where(_OF_DATASET)
        .join_from(m.Grant, m.Acceptance, JOIN.LEFT_OUTER, on=_ACCEPTED)
        .select_extend(m.Acceptance.accepted)
    )
    for query in (_DIRECT, _THROUGH_GROUPS)
)
BUCKET_DIRECT_HOLDERS = Prepared(_DIRECT.where(_IN_BUCKET))
BUCKET_GROUP_HOLDERS = Prepared(_THROUGH_GROUPS.where(_IN_BUCKET))

# Datasets with their own terms.
_DATASET_ROWS = m.Dataset.select(*DATASET_COLUMNS).join(m.Terms, JOIN.LEFT_OUTER, on=_OWN_TERMS)
BUCKET_DATASETS = Prepared(_DATASET_ROWS.where(_IN_BUCKET))
PUBLIC_DATASETS = Prepared(_DATASET_ROWS.where(m.Dataset.access == "public"))
# Without the terms of versions, which do not withhold the dataset: these clients know datasets only.
SERVICE_TERMS = Prepared(
    m.Terms.select(m.Dataset.name, *TERMS_COLUMNS)
    .join_from(m.Terms, m.Service)
    .join_from(m.Terms, m.Dataset, on=(m.Terms.dataset == m.Dataset.id))
    .where(m.Service.name == parameter("service"), m.Terms.version.is_null())
    .order_by(m.Terms.id)
)

# What references stand for (reference_decisions.py).
SERVICE = Prepared(m.Service.select(m.Service.id, m.Service.mode).where(m.Service.name == parameter("service")))
TRANSLATIONS = Prepared(
    m.Translation.select(m.Translation.client_version, m.Dataset.name, m.Version.name)
    .join_from(m.Translation, m.Dataset)
    .join_from(m.Translation, m.Version, JOIN.LEFT_OUTER, on=(m.Translation.version == m.Version.id))
    .where(
        m.Translation.service == parameter("service"),
        m.Translation.client_name == parameter("name"),
        m.Translation.client_version.is_null() | (m.Translation.client_version == parameter("version")),
        # One whose version was deleted with the sqlite3 shell stands for nothing.
        m.Translation.version.is_null() | m.Version.id.is_null(False),
    )
)
DATASET = Prepared(_DATASET_ROWS.where(_OF_DATASET))
VERSIONS = Prepared(
    m.Version.select(m.Version.id, m.Version.name, m.Version.branch, m.Version.ordinal, m.Version.public).where(
        m.Version.dataset == parameter("dataset")
    )
)
# Of a dataset and of its versions, for the service that asks, and those of versions for none.
REFERENCED_TERMS = Prepared(
    m.Terms.select(m.Terms.version, m.Terms.service, *TERMS_COLUMNS)
    .where(
        (m.Terms.service == parameter("service")) | m.Terms.service.is_null(),
        (m.Terms.dataset == parameter("dataset"))
        | m.Terms.version.in_(m.Version.select(m.Version.id).where(m.Version.dataset == parameter("dataset"))),
        m.Terms.version.is_null(False) | m.Terms.service.is_null(False),
    )
    .order_by(m.Terms.id)
)
