"""Decisions about a user or a service account that is named: reads the principal, and applies the rules."""

from dataclasses import dataclass
from datetime import datetime

from dsgctl.core import datasets, service_accounts, snapshots
from dsgctl.core.rules import access
from dsgctl.core.rules.access import Decision, Reason
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot
from dsgctl.store import Database


@dataclass(frozen=True, slots=True)
class PrincipalDecision:
    """A decision, and the principal as they were read for it."""

    principal: PrincipalSnapshot
    decision: Decision


def read_principal(
    database: Database, who: str, *, service: str | None = None, also: str | None = None
) -> PrincipalSnapshot:
    """A user by email, or a service account by name, as the rules see them.

    Args:
        service, also: as of `snapshots.read_principal`.

    Raises:
        NotFound: there is no such user or service account.
    """
    with database.snapshot():
        principal = service_accounts.find_principal(database, who)
        return snapshots.read_principal(database, principal, service=service, also=also)


def decide(
    database: Database, who: str, dataset: str, permission: str, at: datetime, *, service: str | None = None
) -> PrincipalDecision:
    """Decide whether a user or a service account has a permission. A dataset that does not exist gives nothing.

    Args:
        service: for requests of this service; None for those of no service.

    Raises:
        NotFound: there is no such user or service account.
    """
    principal = read_principal(database, who, service=service, also=dataset)
    return PrincipalDecision(principal, access.decide(principal, dataset, permission, at))


def check(
    database: Database, who: str, dataset: str, permission: str, at: datetime, *, service: str | None = None
) -> PrincipalDecision:
    """The same as `decide`, but the dataset has to exist.

    Raises:
        NotFound: there is no such user, service account or dataset.
    """
    result = decide(database, who, dataset, permission, at, service=service)
    if result.decision.reason is Reason.NO_SUCH_DATASET:
        raise datasets.no_such_dataset(dataset)
    return result
