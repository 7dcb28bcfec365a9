"""The queries of dsgctl/core/snapshots.py."""

from typing import Any

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
    m.Service.name,
)
TERMS_COLUMNS = (m.Terms.id, m.Terms.name, m.Terms.effective, m.Terms.retired)
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


def _select_grants(*more_columns: Any) -> Any:
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
_REACHES_PRINCIPAL = (m.Grant.principal == parameter("principal")) | m.Grant.group.in_(
    m.Membership.select(m.Membership.group).where(m.Membership.principal == parameter("member"))
)
GRANTS = Prepared(_select_grants().where(_REACHES_PRINCIPAL).order_by(m.Grant.id))
MEMBERSHIPS = Prepared(
    m.Membership.select(m.Membership.group, m.Group.name, m.Membership.leads)
    .join(m.Group)
    .where(m.Membership.principal == parameter("member"))
)
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
    _select_grants(*HOLDER_COLUMNS)
    .join_from(m.Grant, m.Principal, on=(m.Grant.principal == m.Principal.id))
    .order_by(m.Principal.id)
)
_THROUGH_GROUPS = (
    _select_grants(*HOLDER_COLUMNS)
    .join_from(m.Grant, m.Membership, on=(m.Membership.group == m.Grant.group))
    .join_from(m.Membership, m.Principal)
    .where(m.Principal.kind == "user")
    .order_by(m.Principal.id)
)
_OF_DATASET = m.Dataset.name == parameter("dataset")
_IN_BUCKET = m.Dataset.id.in_(m.Location.select(m.Location.dataset).where(m.Location.bucket == parameter("bucket")))
DIRECT_HOLDERS = Prepared(_DIRECT.where(_OF_DATASET))
GROUP_HOLDERS = Prepared(_THROUGH_GROUPS.where(_OF_DATASET))
BUCKET_DIRECT_HOLDERS = Prepared(_DIRECT.where(_IN_BUCKET))
BUCKET_GROUP_HOLDERS = Prepared(_THROUGH_GROUPS.where(_IN_BUCKET))

# Datasets with their own terms.
_DATASET_ROWS = m.Dataset.select(m.Dataset.id, m.Dataset.name, m.Dataset.access, *TERMS_COLUMNS).join(
    m.Terms, JOIN.LEFT_OUTER, on=(m.Dataset.own_terms_id == m.Terms.id)
)
BUCKET_DATASETS = Prepared(_DATASET_ROWS.where(_IN_BUCKET))
DATASETS = Prepared(
    _DATASET_ROWS.where(
        (m.Dataset.access == "public")
        | (m.Dataset.name == parameter("also"))
        | m.Dataset.id.in_(m.Grant.select(m.Grant.dataset).where(_REACHES_PRINCIPAL))
    )
)
# Without the terms of versions, which do not withhold the dataset: these clients know datasets only.
SERVICE_TERMS = Prepared(
    m.Terms.select(m.Terms.dataset, *TERMS_COLUMNS)
    .join(m.Service)
    .where(m.Service.name == parameter("service"), m.Terms.dataset.is_null(False), m.Terms.version.is_null())
    .order_by(m.Terms.id)
)
