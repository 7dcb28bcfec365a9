"""Who may read terms, and which datasets they concern."""

from dataclasses import dataclass
from datetime import datetime

from dsgctl.core.rules import access
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Terms
from dsgctl.store.prepared import Prepared, parameter
from dsgctl.store.queries import JOIN

# The datasets that terms concern, each once for each of its public versions: the one that they are for, and those whose
# own terms they are.
_CONCERNED = (
    Terms.select(Terms.id, m.Dataset.name, m.Version.public)
    .join_from(
        Terms, m.Dataset, JOIN.LEFT_OUTER, on=(m.Dataset.id == Terms.dataset) | (m.Dataset.own_terms_id == Terms.id)
    )
    .join_from(m.Dataset, m.Version, JOIN.LEFT_OUTER, on=(m.Version.dataset == m.Dataset.id) & m.Version.public)
    .order_by(m.Dataset.name)
)
_CONCERNED_BY_ID = Prepared(_CONCERNED.where(Terms.id == parameter("id")))
_CONCERNED_BY_INVITE = Prepared(_CONCERNED.where(Terms.invite_token == parameter("invite")))


def list_datasets_of(database: Database, terms_id: int) -> list[str]:
    """The names of the datasets that terms concern: the one that they are for, and those whose own terms they are."""
    rows = _CONCERNED_BY_ID(database, id=terms_id)
    return list(dict.fromkeys(name for _, name, _ in rows if name is not None))


@dataclass(frozen=True, slots=True)
class Readable:
    """Terms that a person may read.

    Attributes:
        datasets: the datasets that they concern and that the person may know of.
    """

    id: int
    datasets: tuple[str, ...]


def find_readable(
    database: Database, snapshot: PrincipalSnapshot, at: datetime, *, terms_id: int = 0, invite: str | None = None
) -> Readable | None:
    """Terms, if a person may read them. Call it in a `Database.snapshot`.

    A person may read the terms of a closed dataset if a grant on it reaches them, if they have accepted the terms, or
    if a version of the dataset is public.
    For everybody else the result is that for unknown terms, after the same work: one query that does not read the
    text.

    Args:
        snapshot: the person.
        terms_id, invite: the id of the terms, or their invitation.
    """
    if terms_id > m.MAX_NUMBER:  # ids come from URLs too
        terms_id = 0
    rows = _CONCERNED_BY_ID(database, id=terms_id) if invite is None else _CONCERNED_BY_INVITE(database, invite=invite)
    if not rows:
        return None
    document_id = rows[0][0]
    concerned = {name: bool(has_public_version) for _, name, has_public_version in rows if name is not None}
    visible = tuple(
        name for name, is_public in concerned.items() if access.may_know_of(snapshot, name, at, is_public=is_public)
    )
    if concerned and not visible and document_id not in snapshot.accepted:
        return None
    return Readable(document_id, visible)
