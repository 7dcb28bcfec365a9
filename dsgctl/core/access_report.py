"""Reports of access to datasets: who has a permission now, and every grant with the principals that it reaches."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TypedDict

from dsgctl.core import dataset_holders, dataset_list, datasets, services, snapshots
from dsgctl.core.dataset_holders import Way
from dsgctl.core.delegation import Delegate
from dsgctl.core.row_streams import start_reading
from dsgctl.core.rules import access
from dsgctl.core.rules.access import Decision
from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.store import Database
from dsgctl.wording import format_grant

_WAYS_KEPT = 10_000  # ways in which grants reach people, of which a decision is kept


class AccessRow(TypedDict):
    """A row of `list_access`: a grant and a principal that it reaches.

    ``through`` is a group or ``direct``. ``state`` is an `access.Reason`: why this permission counts or does not; for a
    grant for one service, at that service.
    """

    dataset: str
    id: int
    who: str
    kind: str
    permission: str
    version: str | None
    through: str
    until: datetime | None
    state: str
    granted_by: str
    service: str | None


class HolderRow(TypedDict):
    """A row of `list_holders`: ``holds`` are permissions, ``through`` groups or ``direct``, and ``for SERVICE``."""

    id: int
    who: str
    kind: str
    holds: list[str]
    through: list[str]


def list_access(database: Database, at: datetime, *, names: Sequence[str] = ()) -> Iterator[AccessRow]:
    """A row for each grant that has not ended and each principal that it reaches, in one state of the database.

    The order is that of the datasets' names, the principals' ids and the grants' ids.

    Args:
        names: of datasets; empty for all.

    Raises:
        NotFound: there is no dataset of one of these names.
    """
    return start_reading(_read_access(database, at, names))


def _read_access(database: Database, at: datetime, names: Sequence[str]) -> Iterator[AccessRow]:
    with database.snapshot():
        chosen = {datasets.find(database, name).name for name in names}
        for name in sorted(chosen or (row["name"] for row in dataset_list.list_datasets(database))):
            for principal in snapshots.read_dataset_holders(database, name):
                decisions: dict[tuple[str, str | None], Decision] = {}
                for grant in sorted((*principal.grants, *principal.service_grants), key=lambda grant: grant.id):
                    if not grant.is_active(at):
                        continue  # it gives nothing; 'dsgctl grant list' has it
                    key = grant.permission, grant.service
                    if key not in decisions:
                        holder = principal.with_grants_for(grant.service) if grant.service else principal
                        decisions[key] = access.decide(holder, name, grant.permission, at)
                    yield {
                        "dataset": name,
                        "id": principal.id,
                        "who": principal.label,
                        "kind": _kind(principal),
                        "permission": grant.permission,
                        "version": grant.version,
                        "through": grant.group or "direct",
                        "until": grant.expires,
                        "state": str(decisions[key].reason),
                        "granted_by": grant.granted_by,
                        "service": grant.service,
                    }


def list_holders(
    database: Database,
    dataset: str,
    permission: str,
    at: datetime,
    *,
    service: str | None = None,
    delegate: Delegate | None = None,
) -> Iterator[HolderRow]:
    """Everybody who has a permission on a dataset, by id, in one state of the database.

    Args:
        service: grants for this service count too.
        delegate: only the people, and the grants, that this person may see.

    Raises:
        NotFound: there is no such dataset or service.
    """
    return start_reading(_read_holders(database, dataset, permission, at, service=service, delegate=delegate))


def _read_holders(
    database: Database, name: str, permission: str, at: datetime, *, service: str | None, delegate: Delegate | None
) -> Iterator[HolderRow]:
    with database.snapshot():
        dataset = snapshots.read_dataset(database, datasets.find(database, name).name)
        if service is not None:
            services.find(database, service)

        @lru_cache(maxsize=_WAYS_KEPT)
        def decide(way: Way, label: str) -> tuple[list[str], list[str]] | None:
            """``holds`` and ``through``; None for those who have not the permission."""
            principal = dataset_holders.build_snapshot(way, dataset, at)
            if service is not None:
                principal = principal.with_grants_for(service)
            decision = access.decide(principal, dataset.name, permission, at)
            if not decision.allowed:
                return None
            visible = [grant for grant in decision.grants if may_see(delegate, label, grant)]
            through = {format_grant(grant.group or "direct", service=grant.service) for grant in visible}
            return sorted(decision.holds), sorted(through)

        for principal_id, label, way in dataset_holders.list_holders(database, dataset, at):
            # Only what a delegate sees depends on whose grants they are.
            rights = decide(way, "" if delegate is None else label)
            if rights is not None and (delegate is None or delegate.oversees(dataset.name, label)):
                holds, through = rights
                yield {"id": principal_id, "who": label, "kind": _kind(way), "holds": holds, "through": through}


def may_see(delegate: Delegate | None, label: str, grant: Grant) -> bool:
    """Whether a delegate may see a grant that reaches a principal; None for an operator, who sees all."""
    return delegate is None or delegate.may_see(
        {
            "dataset": grant.dataset,
            "version": grant.version,
            "permission": grant.permission,
            "user": label if grant.group is None else None,
            "group": grant.group,
            "scope": grant.scope,
            "service": grant.service,
        }
    )


def _kind(principal: PrincipalSnapshot | Way) -> str:
    return "service account" if principal.service_account else "user"
