"""One run of the import of the original's database: what it has found so far."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dsgctl.core.errors import Conflict, Invalid
from dsgctl.importers.datasetgateway.source import Source
from dsgctl.importers.engine import import_run
from dsgctl.importers.engine.import_run import Found, SkippedParent
from dsgctl.importers.engine.row import Row
from dsgctl.store.models import Principal


@dataclass(slots=True)
class DatasetGatewayRun(import_run.ImportRun[Source]):
    """What later steps need of the rows of earlier ones, by the ids that they have there."""

    users: dict[int, Principal] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    datasets: dict[int, str] = field(default_factory=dict)
    versions: dict[int, Row] = field(default_factory=dict)
    permissions: dict[int, str] = field(default_factory=dict)
    services: dict[int, int] = field(default_factory=dict)  # id there -> id here
    terms: dict[int, int] = field(default_factory=dict)  # id there -> id here, which is the same
    tables: dict[int, Row] = field(default_factory=dict)
    accounts: dict[int, Principal] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)  # tokens, which must not be kept in clear anywhere

    def actor(self, user_id: int | None) -> str | None:
        """As audit records name that user; None also for one who was left out."""
        user = self.users.get(user_id) if user_id is not None else None
        return f"user:{user.email}" if user else None

    def version(self, version_id: int | None, dataset_id: int) -> str | None:
        """The name of a version, which must be one of that dataset.

        Raises:
            Conflict: it is one of another.
        """
        if version_id is None:
            return None
        version = start_run(self.versions, version_id)
        if version.number("dataset_id") != dataset_id:
            raise Conflict(f"{version.where} is not a version of dataset row {dataset_id}", "mend it there first")
        return version.text("version")


def no_place(what: str) -> Invalid:
    """A row that would mean more here than there, or nothing: this release knows no such thing."""
    return Invalid(f"{what}, for which this release has no place", "change it there")


def start_run(found: Mapping[int, Found], there: int) -> Found:
    """What was taken over from the row of this id. It is there: the file's references were checked."""
    if there not in found:
        raise SkippedParent
    return found[there]
