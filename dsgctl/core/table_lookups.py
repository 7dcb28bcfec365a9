"""What CAVE's services ask about their tables at every request of their own: by index, and never a whole list."""

from collections.abc import Iterable

from dsgctl.core.service_tables import MAX_ROOT
from dsgctl.store import Database
from dsgctl.store.models import Dataset, PublicRoot, ServiceTable
from dsgctl.store.prepared import Prepared, parameter
from dsgctl.store.queries import fn

_DATASET = Prepared(
    Dataset.select(Dataset.name)
    .join(ServiceTable)
    .where(ServiceTable.service == parameter("service"), ServiceTable.name == parameter("table"))
)
_TABLES = Prepared(ServiceTable.select(ServiceTable.id).where(ServiceTable.name == parameter("table")))
_ROOTS_OF_TABLE = (
    PublicRoot.select(PublicRoot.root_id).join(ServiceTable).where(ServiceTable.name == parameter("table"))
)
_ANY_ROOT = Prepared(_ROOTS_OF_TABLE.limit(1))
_ROOT = Prepared(_ROOTS_OF_TABLE.where(PublicRoot.root_id == parameter("root")).limit(1))
_BATCH = 500


def find_dataset(database: Database, service: str, table: str) -> str | None:
    """The name of the dataset of a table of a service; None if there is no such table."""
    for (name,) in _DATASET(database, service=service, table=table):
        return str(name)
    return None


# A root is public in a table of this name, whatever the service: the routes name none (contract-services.md, "CAVE").


def has_public_root(database: Database, table: str) -> bool:
    """Whether any root of a table is public."""
    return bool(_ANY_ROOT(database, table=table))


def is_public_root(database: Database, table: str, root_id: int) -> bool:
    """Whether a root is public in a table; false for a number that cannot be a root's."""
    return 0 <= root_id <= MAX_ROOT and bool(_ROOT(database, table=table, root=root_id))


def are_public_roots(database: Database, table: str, root_ids: Iterable[int]) -> bool:
    """Whether all of these roots are public in a table; repeated ones count once."""
    distinct = sorted(set(root_ids))
    if distinct and not 0 <= distinct[0] <= distinct[-1] <= MAX_ROOT:
        return False
    tables = [table_id for (table_id,) in _TABLES(database, table=table)]
    for start in range(0, len(distinct), _BATCH):
        batch = distinct[start : start + _BATCH]
        query = PublicRoot.select(fn.COUNT(fn.DISTINCT(PublicRoot.root_id))).where(
            PublicRoot.service_table.in_(tables), PublicRoot.root_id.in_(batch)
        )
        ((count,),) = database.tuples(query)
        if count != len(batch):
            return False
    return True
