"""The datasets and versions that somebody may know of, under the names of the service that asks.

contract-services.md, "Lists".
"""

from datetime import datetime
from typing import TypedDict

from dsgctl.core import snapshot_queries as queries
from dsgctl.core import snapshots
from dsgctl.core.reference_decisions import read_catalogue
from dsgctl.core.rules import access
from dsgctl.core.rules.references import Reference, UnknownDataset, UnknownVersion, resolve
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from dsgctl.store.prepared import Prepared, parameter

_IN_PART_PUBLIC = m.Version.select(m.Version.dataset).where(m.Version.public).distinct()
_WITH_PUBLIC_VERSIONS = Prepared(_IN_PART_PUBLIC)
_LISTED = Prepared(
    m.Dataset.select(m.Dataset.id, m.Dataset.name, m.Dataset.access)
    .where(
        (parameter("all") == 1)
        | (m.Dataset.access == "public")
        | m.Dataset.id.in_(_IN_PART_PUBLIC)
        | m.Dataset.id.in_(m.Grant.select(m.Grant.dataset).where(queries.REACHES_PRINCIPAL))
    )
    .order_by(m.Dataset.name)
)
# Of several names, the first in their order counts: it is the last row here.
_NAMES = Prepared(
    m.Translation.select(m.Translation.dataset, m.Translation.client_name)
    .join(m.Service)
    .where(
        m.Service.name == parameter("service"), m.Translation.client_version.is_null(), m.Translation.version.is_null()
    )
    .order_by(m.Translation.client_name.desc())
)
_VERSIONS = Prepared(
    m.Version.select(m.Version.id, m.Version.name, m.Version.branch, m.Version.ordinal, m.Version.public)
    .join(m.Dataset)
    .where(m.Dataset.name == parameter("dataset"))
    .order_by(m.Version.branch, m.Version.ordinal.asc(nulls="first"), m.Version.name)
)
_VERSION_NAMES = Prepared(
    m.Translation.select(m.Translation.version, m.Translation.client_version)
    .join_from(m.Translation, m.Service)
    .join_from(m.Translation, m.Dataset)
    .where(
        m.Service.name == parameter("service"),
        m.Dataset.name == parameter("dataset"),
        m.Translation.client_version.is_null(False),
        m.Translation.version.is_null(False),
    )
    .order_by(m.Translation.client_name.desc(), m.Translation.client_version.desc())
)


class ListedDataset(TypedDict):
    """A dataset in the list of the native API; ``access_mode`` is ``closed`` or ``public``."""

    name: str
    access_mode: str
    has_public_versions: bool


class ListedVersion(TypedDict):
    """A version in the list of the native API."""

    version: str
    branch: str
    ordinal: int | None
    is_public: bool


def list_datasets(
    database: Database, principal: Principal, at: datetime, *, service: str | None = None
) -> list[ListedDataset]:
    """The datasets that a principal may know of, an admin of all, in the order of their names here.

    Call it in a `Database.snapshot`.

    Args:
        service: the name of the service whose names to use; an unknown one has none.
    """
    known_names = access.list_known_datasets(snapshots.read_account(database, principal), at)
    names = dict(_NAMES(database, service=service)) if service is not None else {}
    in_part_public = {dataset_id for (dataset_id,) in _WITH_PUBLIC_VERSIONS(database)}
    member = principal.id if principal.kind == "user" else None
    return [
        {"name": names.get(dataset_id, name), "access_mode": mode, "has_public_versions": dataset_id in in_part_public}
        for dataset_id, name, mode in _LISTED(database, all=int(principal.admin), principal=principal.id, member=member)
        if principal.admin or mode == "public" or dataset_id in in_part_public or name in known_names
    ]


def list_versions(
    database: Database, principal: Principal, name: str, at: datetime, *, service: str | None = None
) -> list[ListedVersion] | None:
    """The versions of a dataset, by branch, ordinal and name; None if the principal may not know of it.

    Call it in a `Database.snapshot`.

    Args:
        name: as the service that asks has it.
        service: the name of that service; an unknown one has no names of its own.
    """
    try:
        dataset = resolve(read_catalogue(database, [Reference(name)], service), Reference(name)).dataset
    except (UnknownDataset, UnknownVersion):
        return None
    snapshot = snapshots.read_account(database, principal)
    if not principal.admin and not access.may_know_of(snapshot, dataset.name, at, is_public=dataset.is_public_in_part):
        return None
    names = dict(_VERSION_NAMES(database, service=service, dataset=dataset.name)) if service is not None else {}
    return [
        {"version": names.get(version_id, version), "branch": branch, "ordinal": ordinal, "is_public": public}
        for version_id, version, branch, ordinal, public in _VERSIONS(database, dataset=dataset.name)
    ]
