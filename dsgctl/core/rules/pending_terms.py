"""The terms that a person is asked to accept."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dsgctl.core.rules.access import granted_permissions, is_viewable, list_missing_terms, list_viewable
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.core.rules.terms import Terms, list_missing


@dataclass(frozen=True, slots=True)
class PendingTerms:
    """Terms that a person has yet to accept.

    Attributes:
        reached: a grant gives the person what the terms withhold; otherwise only the dataset is public.
    """

    terms: Terms
    reached: bool = False


def list_pending_terms(
    snapshot: PrincipalSnapshot, version_terms: Iterable[Terms], at: datetime
) -> tuple[PendingTerms, ...]:
    """The missing terms of the visible datasets, and then those of versions that are public or that a grant reaches.

    Args:
        version_terms: the terms of single versions of the datasets of the snapshot.

    Returns:
        The terms; none for a disabled account.
    """
    if not snapshot.active:
        return ()
    granted = granted_permissions(snapshot, at)
    pending = [PendingTerms(terms, terms.dataset in granted) for terms in list_missing_terms(snapshot, at, granted)]
    viewable = list_viewable(snapshot, at)
    for terms in list_missing(snapshot, version_terms, at):
        reached = is_viewable(viewable, terms.dataset, terms.version)
        if reached or snapshot.datasets[terms.dataset].public:
            pending.append(PendingTerms(terms, reached))
    return tuple(pending)
