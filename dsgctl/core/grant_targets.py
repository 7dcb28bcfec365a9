"""The subject and the target of a grant: what the arguments of ``grant add`` and ``grant revoke`` name."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dsgctl.core import datasets, groups, principals, services, validation, versions
from dsgctl.core.errors import Invalid
from dsgctl.core.rules import levels
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Grant


@dataclass(frozen=True, slots=True)
class Subject:
    """The holder of a grant: a principal (``principal_id``) or a group (``group_id``)."""

    label: str  # as in audit records
    principal_id: int | None = None
    group_id: int | None = None


def group_subject(database: Database, name: str) -> Subject:
    """The subject that is this group.

    Raises:
        NotFound: there is no such group.
    """
    return Subject(f"group:{name}", group_id=groups.find(database, name).id)


def principal_subject(principal: m.Principal) -> Subject:
    """The subject that is this user or service account."""
    return Subject(principals.format_label(principal), principal_id=principal.id)


@dataclass(frozen=True, slots=True)
class Target:
    """What a grant is for, by names: the arguments of ``grant add`` and ``grant revoke``."""

    dataset: str
    permission: str
    version: str | None = None
    scope: str | None = None
    service: str | None = None

    def __str__(self) -> str:
        version = f" version {self.version}" if self.version is not None else ""
        service = f" for {self.service}" if self.service is not None else ""
        return f"{self.permission} on {self.dataset}{version}{service}"


@dataclass(frozen=True, slots=True)
class ResolvedTarget:
    """A target whose dataset, version, scoping group and service exist."""

    target: Target
    dataset: m.Dataset
    version_id: int | None
    scope_id: int | None
    service_id: int | None

    @property
    def is_whole(self) -> bool:
        """Whether it is for the whole dataset, and for every service."""
        return self.version_id is None and self.service_id is None

    def select(self, *columns: Any) -> Any:
        """A select of the grants with this target, of every subject."""
        query = Grant.select(*columns).where(Grant.permission == self.target.permission)
        ids = (self.dataset.id, self.version_id, self.scope_id, self.service_id)
        for column, value in zip((Grant.dataset, Grant.version, Grant.scope_group, Grant.service), ids, strict=True):
            query = query.where(column.is_null() if value is None else column == value)
        return query

    def find(self, database: Database, subject: Subject) -> Grant | None:
        """The grant of this subject."""
        query = self.select(Grant)
        for column, value in ((Grant.principal, subject.principal_id), (Grant.group, subject.group_id)):
            query = query.where(column.is_null() if value is None else column == value)
        return database.first(query)

    @property
    def state(self) -> dict[str, str]:
        """The target, without the dataset, in an audit record."""
        values = {
            "permission": self.target.permission,
            "version": self.target.version,
            "scope": self.target.scope,
            "service": self.target.service,
        }
        return {key: value for key, value in values.items() if value is not None}

    def label(self, subject: Subject) -> str:
        """The target of the audit records of this subject's grant."""
        return f"dataset:{self.dataset.name} {subject.label}"


def resolve(database: Database, target: Target) -> ResolvedTarget:
    """Look up the dataset, the version, the scoping group and the service of a target.

    Raises:
        NotFound: there is no such dataset, version, scoping group or service.
    """
    dataset = datasets.find(database, target.dataset)
    version_id = versions.find(database, dataset, target.version).id if target.version is not None else None
    scope_id = groups.find(database, target.scope).id if target.scope is not None else None
    service_id = services.find(database, target.service).id if target.service is not None else None
    return ResolvedTarget(target, dataset, version_id, scope_id, service_id)


def belongs_to(subjects: Iterable[Subject]) -> Any:
    """The condition that a grant is one of these subjects'."""
    subjects = list(subjects)
    return Grant.principal.in_(list_principal_ids(subjects)) | Grant.group.in_(
        [subject.group_id for subject in subjects if subject.group_id is not None]
    )


def list_principal_ids(subjects: Iterable[Subject]) -> list[int]:
    """The ids of those of the subjects that are principals."""
    return [subject.principal_id for subject in subjects if subject.principal_id is not None]


def require_level(name: str) -> str:
    """Return the name of a level: a permission that a person may grant. Imports may bring others.

    Raises:
        Invalid: there is no such level.
    """
    if name not in levels.BY_NAME:
        raise Invalid(
            f"{validation.quote(name)} is not a permission", f"the permissions are {levels.enumerate_names('and')}"
        )
    return name
