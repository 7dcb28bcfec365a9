"""Everybody whom grants on a dataset reach, and the way in which they do.

A dataset can have a million people, but its grants reach them in few ways. A decision depends on the way alone, so a
list of everybody needs one for each way, and not for each person.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from dsgctl.core import account_status
from dsgctl.core import snapshot_queries as queries
from dsgctl.core.rules.principal_snapshot import Dataset, Grant, PrincipalSnapshot
from dsgctl.store import Database
from dsgctl.store.times import utc_datetime, utc_text

_COLUMNS = len(queries.HOLDER_COLUMNS)
_EXPIRES = _COLUMNS + Grant._fields.index("expires")
_GRANT_FIELDS = ("permission", "group", "version", "scope", "service")
_read_grant = itemgetter(*(_COLUMNS + Grant._fields.index(name) for name in _GRANT_FIELDS))


class Way(NamedTuple):
    """All that a decision about somebody and one dataset depends on, but for who it is.

    Attributes:
        has_accepted: whether an acceptance of the dataset's own terms counts.
        grants: of each the values of `_GRANT_FIELDS`, and whether it is active.
    """

    service_account: bool
    enabled: bool
    admin: int
    read_only: int
    has_accepted: bool
    grants: tuple[tuple[tuple[Any, ...], bool], ...]


def list_holders(database: Database, dataset: Dataset, at: datetime) -> Iterator[tuple[int, str, Way]]:
    """The id and label of everybody whom a grant reaches, and the way in which it does; by id, one at a time.

    Call it in a `Database.snapshot`.

    Args:
        dataset: with its own terms, as `snapshots.read_dataset` returns it.
    """
    now = utc_text(at)
    counts = _acceptance_rule(dataset, at)
    direct = queries.DIRECT_HOLDERS_ACCEPTED.stream_stored(database, dataset=dataset.name)
    through_groups = queries.GROUP_HOLDERS_ACCEPTED.stream_stored(database, dataset=dataset.name)
    for _, group in groupby(merge(direct, through_groups, key=itemgetter(0)), itemgetter(0)):
        rows = list(group)
        principal_id, kind, email, slug, active, admin, read_only, parent_id = rows[0][:_COLUMNS]
        enabled = bool(active) and account_status.find_disabled_above(database, parent_id) is None
        grants = tuple([(_read_grant(row), row[_EXPIRES] is None or now < row[_EXPIRES]) for row in rows])
        yield (
            principal_id,
            email or slug,
            Way(kind == "service_account", enabled, admin, read_only, counts(rows[0][-1]), grants),
        )


def _acceptance_rule(dataset: Dataset, at: datetime) -> Callable[[str | None], bool]:
    """Whether an acceptance of the dataset's own terms, as stored, counts."""
    own = dataset.own_terms
    if own is None:
        return lambda accepted: False
    return lambda accepted: own.counts(utc_datetime(accepted) if accepted is not None else None, at)


def build_snapshot(way: Way, dataset: Dataset, at: datetime) -> PrincipalSnapshot:
    """Somebody without a name whom grants reach in this way; a decision about them holds for all others."""
    grants = [
        Grant(0, dataset.name, expires=None if is_active else at, **dict(zip(_GRANT_FIELDS, values, strict=True)))
        for values, is_active in way.grants
    ]
    own = dataset.own_terms
    return PrincipalSnapshot(
        id=0,
        service_account=way.service_account,
        label="",
        ended_by=None if way.enabled else "",
        admin=bool(way.admin),
        read_only=bool(way.read_only),
        grants=tuple(grant for grant in grants if grant.service is None),
        service_grants=tuple(grant for grant in grants if grant.service is not None),
        accepted={own.id: at} if own is not None and way.has_accepted else {},
        datasets={dataset.name: dataset},
    )
