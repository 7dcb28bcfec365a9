"""One run of the import of another gateway's database: what later rows need of earlier ones, and its groups."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from dsgctl.core import validation
from dsgctl.importers.engine.import_run import ImportRun, SourceType
from dsgctl.importers.engine.record_importer import Rows, Step
from dsgctl.importers.engine.records import Group, Membership, Record
from dsgctl.importers.engine.row import Damaged, Row
from dsgctl.store.models import Principal


@dataclass(slots=True)
class DatabaseRun(ImportRun[SourceType]):
    """What was imported, by the ids there.

    Attributes:
        USER_TABLE, GROUP_TABLE: how the source names these tables.
        LEADS_COLUMN: the column of its table ``user_group`` that says whether a member leads the group.
    """

    USER_TABLE: ClassVar[str]
    GROUP_TABLE: ClassVar[str]
    LEADS_COLUMN: ClassVar[str]

    users: dict[int, Principal] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    datasets: dict[int, str] = field(default_factory=dict)
    permissions: dict[int, str] = field(default_factory=dict)
    terms: dict[int, int] = field(default_factory=dict)  # id there -> id here, which is the same

    def user(self, row: Row) -> Principal:
        """The user of a row's ``user_id``."""
        return self.resolve(row, "user_id", self.USER_TABLE, self.users)

    def group(self, row: Row) -> str:
        """The name of the group of a row's ``group_id``."""
        return self.resolve(row, "group_id", self.GROUP_TABLE, self.groups)

    def dataset(self, row: Row) -> str:
        """The name of the dataset of a row's ``dataset_id``."""
        return self.resolve(row, "dataset_id", "dataset", self.datasets)


def read_groups(run: DatabaseRun[SourceType]) -> Iterator[Step]:
    """The groups and their members."""
    names: set[str] = set()

    def read_group(row: Row) -> Iterator[Record]:
        name = row.name("name", "group name")
        if name in names:
            raise Damaged(f"the group {validation.quote(name)} is repeated: it is unclear whose rights are whose")
        names.add(name)
        yield Group(name)
        run.groups[row.id] = name

    def read_member(row: Row) -> Iterator[Record]:
        yield Membership(run.group(row), run.user(row), row.flag(run.LEADS_COLUMN))

    yield Rows(run.GROUP_TABLE, read_group)
    yield Rows("user_group", read_member)
