"""The export of clio-store: its users with their roles, and its datasets, which are made if they are not here.

Everybody joins the group ``user``, which may view what is public there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dsgctl.core import datasets, grants, groups
from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.core.grants import Kept, Target
from dsgctl.core.names import line, shown
from dsgctl.importers import Progress, Report, additions
from dsgctl.importers.additions import Addition, Emails
from dsgctl.importers.json_file import JsonFile
from dsgctl.importers.rows import MEND, Row
from dsgctl.importers.taking import Taking

_EVERYBODY = "user"
_ADMIN = "admin"  # the global role
_GLOBAL = {"clio_general": "view", "clio_write": "edit"}  # on all datasets
_ROLES = {"clio_read": "view", "clio_general": "view", "clio_write": "edit", "dataset_admin": "admin"}
_KEYS = {"users", "datasets"}
_OF_USER = {"name", "global_roles", "datasets", "groups", "disabled"}
_LEFT_OUT = {"email", "org", "picture", "created", "updated"}  # decide nothing


class _Export(JsonFile):
    """The rows of the document: of ``users`` with an ``email``, of ``datasets`` with a ``name``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for key in sorted(_KEYS):
            if not isinstance(self.content.get(key), dict):
                raise Invalid(f"{path} has no object {key!r}", "is it an export of clio-store?")
        strange = sorted(self.content.keys() - _KEYS)
        if strange:
            raise Invalid(
                f"{path} has {shown(strange[0])}, which is not known here",
                "it is of another system, or of a newer release than can be read here",
            )

    def rows(self, table: str) -> Iterator[Row]:
        self.begin()
        self.line_of(table)
        for key, value in self.content[table].items():
            yield Row(table, {"key": key, "value": value}, f"{table}, {self.line_of(key)}")

    def total(self) -> int:
        return sum(len(self.content[table]) for table in _KEYS)


def run(change: Change, source: Path, *, skip_conflicts: bool = False, progress: Progress | None = None) -> Report:
    """Take over the people and datasets of an export, in the caller's transaction.

    Raises:
        Invalid, BadRows: the file is no such export, or has bad entries.
        Conflicts: two emails differ only by case.
        OSError: the file cannot be read.
    """
    taking = Taking(change, _Export(source), progress, skip_conflicts)
    _, new = groups.add(change, _EVERYBODY)
    taking.count("groups", new)
    _take_datasets(taking)
    _take_users(taking)
    taking.finish()
    return taking.report


def _take_datasets(taking: Taking[_Export]) -> None:
    change = taking.change
    subject = grants.group_subject(change.database, _EVERYBODY)

    lost: set[str] = set()

    def take(row: Row) -> None:
        name, value = row.text("key"), row.values["value"]
        entry = value if isinstance(value, dict) else {"public": value}
        public, description = entry.get("public", False), entry.get("description") or ""
        lost.update(entry.keys() - {"public", "description"})
        if not isinstance(public, bool):
            raise Invalid(f"{shown(name)}: public is neither true nor false", MEND)
        if not isinstance(description, str):
            raise Invalid(f"{shown(name)}: description is not text", MEND)
        new = datasets.by_name(change.database, name) is None
        if new:
            text = description.replace("\r\n", "\n").replace("\r", "\n")
            datasets.add(change, name, description=text, any_name=True)
        taking.count("datasets", new)
        if public:
            kept = Kept(subject, Target(name, "view"), "import", change.actor, change.at)
            taking.count("grants", bool(grants.keep_all(change, [kept])))

    taking.each("datasets", take)
    for key in sorted(lost):
        taking.note(f"{shown(key)} of datasets: there is no place for it here")


def _take_users(taking: Taking[_Export]) -> None:
    every = list(taking.source.content["datasets"])
    emails = Emails()
    made: set[str] = {_EVERYBODY}
    lost: set[str] = set()

    def read(row: Row) -> Addition:
        email = emails.once(row.text("key"), row.where)
        user = _User(email, row)
        lost.update(user.lost)
        for name in user.groups:
            if name not in made:
                taking.count("groups", groups.add(taking.change, name)[1])
                made.add(name)
        given = [Target(name, permission) for permission in user.known(taking, "", _GLOBAL) for name in every]
        for name in user.datasets:
            if name not in taking.source.content["datasets"]:
                raise Invalid(f"{email} has roles on {shown(name)}, which is none of its datasets", MEND)
            given += [Target(name, permission) for permission in user.known(taking, name, _ROLES)]
        return Addition(
            email, user.name, admin=_ADMIN in user.roles[""], active=not user.disabled,
            groups=tuple(dict.fromkeys((_EVERYBODY, *user.groups))), grants=tuple(dict.fromkeys(given)),
        )  # fmt: skip

    taking.batches("users", read, lambda batch: additions.add(taking, batch))
    for key in sorted(lost):
        taking.note(f"{shown(key)} of users: there is no place for it here")


class _User:
    """An entry of ``users``, checked.

    Attributes:
        roles: dataset -> roles; "" for all datasets.
        lost: keys that have no place here.
    """

    def __init__(self, email: str, row: Row) -> None:
        self._email, self._row = email, row
        entry = row.values["value"]
        if not isinstance(entry, dict):
            raise Invalid(f"{email} is no object", MEND)
        strange = sorted(entry.keys() - _OF_USER - _LEFT_OUT)
        if strange:
            raise Invalid(
                f"{email} has {shown(strange[0])}, which is not known here",
                "it is of a newer release than can be read here",
            )
        self.lost = entry.keys() & (_LEFT_OUT - {"email"})
        self.name = " ".join(self._of(entry, "name", str, "").split())
        self.disabled = self._of(entry, "disabled", bool, False)
        self.groups = [line(name, "group name") for name in self._texts(entry, "groups")]
        self.datasets = self._of(entry, "datasets", dict, {})
        self.roles = {"": self._texts(entry, "global_roles")}
        self.roles |= {name: self._texts(self.datasets, name) for name in self.datasets}

    def known(self, taking: Taking[_Export], dataset: str, permissions: dict[str, str]) -> list[str]:
        """The permissions that roles stand for; others are told and left out."""
        found = []
        for role in self.roles[dataset]:
            if role in permissions:
                found.append(permissions[role])
            elif dataset or role != _ADMIN:
                on = f"on {shown(dataset)}" if dataset else "on all datasets"
                taking.leave_out(
                    f"{self._row.where}: {self._email} has the role {shown(role)} {on}, which is not known here"
                )
        return found

    def _of(self, entry: dict[str, Any], key: str, kind: type, default: Any) -> Any:
        value = entry.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise Invalid(f"{self._email}: {shown(key)} is not as it should be", MEND)
        return value

    def _texts(self, entry: dict[str, Any], key: str) -> list[str]:
        found: list[Any] = self._of(entry, key, list, [])
        if not all(isinstance(text, str) for text in found):
            raise Invalid(f"{self._email}: {shown(key)} is not a list of texts", MEND)
        return found
