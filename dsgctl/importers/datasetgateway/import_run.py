"""One run of the import of the original's database: what later rows need of earlier ones."""

from dataclasses import dataclass, field

from dsgctl.core import validation
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.core.versions import Position
from dsgctl.importers.datasetgateway.source import Source
from dsgctl.importers.engine.database_run import DatabaseRun
from dsgctl.importers.engine.row import Row
from dsgctl.store.models import Client, Principal, Service


@dataclass(slots=True)
class DatasetGatewayRun(DatabaseRun[Source]):
    """What was imported, by the ids there."""

    USER_TABLE = "dsg_user"
    GROUP_TABLE = "dsg_group"
    LEADS_COLUMN = "is_admin"

    versions: dict[int, Row] = field(default_factory=dict)
    positions: dict[tuple[int, Position], Row] = field(default_factory=dict)  # by dataset; the first version of each
    buckets: dict[int, str] = field(default_factory=dict)  # names, also of rows that were left out
    services: dict[int, Service] = field(default_factory=dict)
    tables: dict[int, Row] = field(default_factory=dict)
    accounts: dict[int, Principal] = field(default_factory=dict)
    clients: dict[int, Client] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)  # tokens, which must not be stored in clear anywhere

    def service_account(self, row: Row) -> Principal:
        """The service account of a row's ``service_account_id``."""
        return self.resolve(row, "service_account_id", "service_account", self.accounts)

    def service(self, row: Row) -> Service | None:
        """The service of a row's ``service_id``; None if it has none."""
        if row.values["service_id"] is None:
            return None
        return self.resolve(row, "service_id", "service", self.services)

    def read_url(self, row: Row, column: str) -> str:
        """A web address; an unusable one is reported, and empty."""
        text = row.line(column)
        try:
            return validation.url(text)
        except Invalid as error:
            self.note(f"{row.where}: {column}: {error.message}")
            return ""

    def actor(self, user_id: int | None) -> str | None:
        """A user as audit records name them; None also for a user who was left out."""
        user = self.users.get(user_id) if user_id is not None else None
        return f"user:{user.email}" if user else None

    def version(self, row: Row, column: str = "dataset_version_id") -> Row:
        """The row of the version that a column has the id of."""
        return self.resolve(row, column, "dataset_version", self.versions)

    def version_name(self, row: Row, dataset_id: int) -> str | None:
        """The name of the version of a row's ``dataset_version_id``; None if it has none.

        Raises:
            Conflict: it is a version of another dataset.
        """
        if row.values.get("dataset_version_id") is None:  # not every table knows versions
            return None
        version = self.version(row)
        require_version_of(version, dataset_id)
        return version.text("version")


def require_version_of(version: Row, dataset_id: int) -> None:
    """Raises:
    Conflict: it is a version of another dataset.
    """
    if version.number("dataset_id") != dataset_id:
        raise Conflict(f"{version.where} is not a version of dataset row {dataset_id}", "correct it in the source")


def no_place(problem: str) -> Invalid:
    """The error of a row that would mean more here than there, or nothing: this release has no such thing."""
    return Invalid(f"{problem}, for which this release has no place", "change it there")
