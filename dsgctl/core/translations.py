"""What a service calls datasets and versions: its own names, each translated to a dataset, or to one version of it."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypedDict

from dsgctl.core import datasets, services, validation, versions
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Translation
from dsgctl.store.queries import JOIN


@dataclass(frozen=True, slots=True)
class ServiceName:
    """A name that a service uses.

    Attributes:
        name: compared exactly, in whatever form the service has it.
        version: the service's own name of a version; None: the name stands for every version.
    """

    service: str
    name: str
    version: str | None = None

    def __str__(self) -> str:
        version = f" version {validation.quote(self.version)}" if self.version is not None else ""
        return f"{self.service} {validation.quote(self.name)}{version}"

    @property
    def arguments(self) -> str:
        """The name as the arguments of ``service translation remove``."""
        version = ["--name-version", self.version] if self.version is not None else []
        return shlex.join([self.service, self.name, *version])


class TranslationRow(TypedDict):
    """A row of `list_translations`: ``name`` and ``name_version`` are the service's, the others are ours."""

    id: int
    service: str
    name: str
    name_version: str | None
    dataset: str
    version: str | None


def add(change: Change, name: ServiceName, dataset_name: str, *, version: str | None = None) -> bool:
    """Translate a name of a service to a dataset, or to one version of it.

    Returns:
        Whether anything changed.

    Raises:
        NotFound: there is no such service, dataset or version.
        Conflict: the name is translated to something else.
        Invalid: the name is empty or cannot be stored.
    """
    service = services.find(change.database, name.service)
    dataset = datasets.find(change.database, dataset_name)
    version_id = versions.find(change.database, dataset, version).id if version is not None else None
    validation.foreign(name.name, "name")
    if name.version is not None:
        validation.foreign(name.version, "version name")
    row = find_by_name(change.database, name)
    if row is not None:
        if (row["dataset"], row["version"]) == (dataset.name, version):
            return False
        meaning = f"{row['dataset']} version {row['version']}" if row["version"] else row["dataset"]
        raise Conflict(
            f"{name} stands for {meaning} already",
            f"dsgctl service translation remove {name.arguments}",
        )
    change.database.run(
        Translation.insert(
            service=service.id,
            client_name=name.name,
            client_version=name.version,
            dataset=dataset.id,
            version=version_id,
        )
    )
    change.record("service.translation.add", f"service:{service.name}", after=_describe(name, dataset.name, version))
    return True


def remove(change: Change, name: ServiceName) -> None:
    """Delete the translation of a name.

    Raises:
        NotFound: there is no such service, or the name has no translation.
    """
    row = find(change.database, name)
    change.database.run(Translation.delete().where(Translation.id == row["id"]))
    before = _describe(name, row["dataset"], row["version"])
    change.record("service.translation.remove", f"service:{name.service}", before)


def _describe(name: ServiceName, dataset: str, version: str | None) -> dict[str, str]:
    """A translation in an audit record."""
    values = {"name": name.name, "name_version": name.version, "dataset": dataset, "version": version}
    return {key: value for key, value in values.items() if value is not None}


def find(database: Database, name: ServiceName) -> TranslationRow:
    """The translation of exactly this name.

    Raises:
        NotFound: there is no such service, or the name has no translation.
    """
    services.find(database, name.service)
    row = find_by_name(database, name)
    if row is None:
        raise NotFound(
            f"{name} has no translation", f"dsgctl service translation list --service {shlex.quote(name.service)}"
        )
    return row


def find_by_name(database: Database, name: ServiceName) -> TranslationRow | None:
    """The translation of exactly this name; None for an unknown service or name."""
    if not (validation.is_storable(name.name) and validation.is_storable(name.version or "")):
        return None
    versioned = Translation.client_version
    of_version = versioned.is_null() if name.version is None else versioned == name.version
    query = _select().where(m.Service.name == name.service, Translation.client_name == name.name, of_version)
    return next(database.rows(query, TranslationRow), None)


def list_translations(
    database: Database, *, service: str | None = None, dataset: str | None = None
) -> Iterator[TranslationRow]:
    """Translations by service, name and version.

    Args:
        service, dataset: only those of this service, or to this dataset.

    Raises:
        NotFound: there is no such service or dataset.
    """
    query = _select()
    if service is not None:
        query = query.where(Translation.service == services.find(database, service).id)
    if dataset is not None:
        query = query.where(Translation.dataset == datasets.find(database, dataset).id)
    return database.rows(query, TranslationRow)


def _select() -> Any:
    return (
        Translation.select(
            Translation.id,
            m.Service.name.alias("service"),
            Translation.client_name.alias("name"),
            Translation.client_version.alias("name_version"),
            m.Dataset.name.alias("dataset"),
            m.Version.name.alias("version"),
        )
        .join_from(Translation, m.Service)
        .join_from(Translation, m.Dataset)
        .join_from(Translation, m.Version, JOIN.LEFT_OUTER, on=(Translation.version == m.Version.id))
        .order_by(m.Service.name, Translation.client_name, Translation.client_version)
    )
