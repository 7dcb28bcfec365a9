"""The export of clio-store: its users with their roles, and its datasets, which are made if they are not here.

Everybody joins the group ``user``, which may view what is public there. A dataset on which somebody has a role and
that the export does not list is made too, closed, as the original's own import does.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsgctl.core import datasets, grant_import, groups, validation
from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_targets import Target, group_subject
from dsgctl.core.validation import Foreign, quoted
from dsgctl.importers.engine import people
from dsgctl.importers.engine.import_run import ImportRun
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.importers.engine.json_file import JsonFile
from dsgctl.importers.engine.people import Emails, RoleHolder
from dsgctl.importers.engine.report import Progress, Report
from dsgctl.importers.engine.row import Damaged, Row, paragraph, words

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
                f"{path} has {quoted(strange[0])}, which is not known here",
                "it is of another system, or of a newer release than can be read here",
            )

    def rows(self, table: str) -> Iterator[Row]:
        for (key, value), line in zip(self.content[table].items(), self.lines(table), strict=True):
            yield Row(table, {"key": key, "value": value}, f"{table}, line {line}")

    def total(self) -> int:
        return sum(len(self.content[table]) for table in _KEYS)


@dataclass
class Importer(BaseImporter):
    """Import the JSON of clio-store's export: users with their roles and groups, and datasets.

    A global role 'admin' makes an admin; clio_general and clio_write give 'view' and 'edit' on all datasets of the
    file. On one dataset, clio_read and clio_general give 'view', clio_write 'edit', dataset_admin 'admin'. Everybody
    joins the group 'user', which may view the public datasets. Other roles are left out and named.
    """

    example = "dsgctl import clio clio.json --dry-run"

    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        taking = ImportRun(change, _Export(Path(source)), progress, skip_conflicts)
        _, new = groups.add(change, _EVERYBODY)
        taking.count("groups", new)
        _import_users(taking, _import_datasets(taking))
        taking.finish()
        return taking.report


class _Datasets:
    """The datasets of an export, by name.

    Attributes:
        listed: those that are here now.
    """

    def __init__(self, taking: ImportRun[_Export]) -> None:
        self._taking = taking
        self._there = taking.source.content["datasets"]
        self.listed: dict[str, Foreign] = {}
        self._unlisted: dict[str, Foreign] = {}

    def add(self, name: Foreign, *, description: str = "") -> None:
        change = self._taking.change
        new = datasets.by_name(change.database, name) is None
        if new:
            datasets.add(change, name, description=description)
        self._taking.count("datasets", new)

    def find(self, name: str, row: Row) -> Foreign | None:
        """The dataset on which a row has a role; None if it was left out.

        Raises:
            Invalid: the export does not list it, and it cannot be made either.
        """
        if name in self._there:
            return self.listed.get(name)
        if name not in self._unlisted:
            called = validation.foreign(name, "dataset name")
            self.add(called)
            self._unlisted[name] = called
            self._taking.remark(f"{row.where}: the export does not list {quoted(name)}; it is here, and closed if new")
        return self._unlisted[name]


def _import_datasets(taking: ImportRun[_Export]) -> _Datasets:
    change, found = taking.change, _Datasets(taking)
    subject = group_subject(change.database, _EVERYBODY)
    lost: set[str] = set()

    def take(row: Row) -> None:
        key, value = row.text("key"), row.values["value"]
        # Older exports have only the flag.
        entry = _Entry(quoted(key), {"public": value} if isinstance(value, bool) else value)
        public: bool = entry.get("public", bool, False, "public is neither true nor false")
        description = paragraph(entry.get("description", str, "", "description is not text"), "description")
        name = row.name("key", "dataset name")
        lost.update(entry.values.keys() - {"public", "description"})
        found.add(name, description=description)
        found.listed[name] = name
        if public:
            kept = ImportedGrant(subject, Target(name, "view"), "import", change.actor, change.at)
            taking.count("grants", bool(grant_import.import_grants(change, [kept])))

    taking.each("datasets", take)
    for key in sorted(lost):
        taking.note(f"{quoted(key)} of datasets: there is no place for it here")
    return found


def _import_users(taking: ImportRun[_Export], known: _Datasets) -> None:
    emails = Emails()
    made: set[str] = {_EVERYBODY}
    lost: set[str] = set()

    def read(row: Row) -> RoleHolder:
        email = emails.once(row.text("key"), row.where)
        user = _User(email, row)
        lost.update(user.lost)
        given = [Target(name, permission) for permission in user.everywhere(taking) for name in known.listed.values()]
        for name in user.roles:
            permissions = user.on(taking, name)
            dataset = known.find(name, row)
            if dataset is not None:
                given += [Target(dataset, permission) for permission in permissions]
            else:
                taking.leave_out(f"{row.where}: the roles of {email} on {quoted(name)}, which was left out")
        addition = RoleHolder(
            email,
            user.name,
            admin=_ADMIN in user.global_roles,
            active=not user.disabled,
            groups=tuple(dict.fromkeys((_EVERYBODY, *user.groups))),
            grants=tuple(dict.fromkeys(given)),
        )
        people.check(addition)
        for group in user.groups:
            if group not in made:
                taking.count("groups", groups.add(taking.change, group)[1])
                made.add(group)
        return addition

    taking.batches("users", read, lambda batch: people.import_role_holders(taking, batch))
    for key in sorted(lost):
        taking.note(f"{quoted(key)} of users: there is no place for it here")


class _Entry:
    """An object of the export; a field that is null is as good as none.

    Attributes:
        name: for messages.
    """

    def __init__(self, name: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise Damaged(f"{name} is {'null' if value is None else 'no object'}")
        self.name = name
        self.values: dict[str, Any] = value

    def get(self, key: str, kind: type, default: Any, problem: str = "") -> Any:
        """The value of a key, which is of this type.

        Args:
            problem: what is wrong with one that is not.
        """
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise Damaged(f"{self.name}: {problem or f'{quoted(key)} is not as it should be'}")
        return value

    def texts(self, key: str) -> list[str]:
        found: list[Any] = self.get(key, list, [])
        if not all(isinstance(text, str) for text in found):
            raise Damaged(f"{self.name}: {quoted(key)} is not a list of texts")
        return found


class _User:
    """An entry of ``users``, checked.

    Attributes:
        global_roles: on all datasets; ``roles``: by dataset.
        lost: keys that have no place here.
    """

    def __init__(self, email: str, row: Row) -> None:
        self._email, self._row = email, row
        entry = _Entry(email, row.values["value"])
        strange = sorted(entry.values.keys() - _OF_USER - _LEFT_OUT)
        if strange:
            raise Damaged(
                f"{email} has {quoted(strange[0])}, which is not known here",
                "it is of a newer release than can be read here",
            )
        self.lost = entry.values.keys() & (_LEFT_OUT - {"email"})
        self.name = words(entry.get("name", str, ""), "name")
        self.disabled: bool = entry.get("disabled", bool, False)
        self.groups = [validation.foreign(name, "group name") for name in entry.texts("groups")]
        self.global_roles = entry.texts("global_roles")
        on = _Entry(email, entry.get("datasets", dict, {}))
        self.roles = {name: on.texts(name) for name in on.values}

    def everywhere(self, taking: ImportRun[_Export]) -> list[str]:
        """The permissions on all datasets that roles stand for; others are reported and left out."""
        return self._known(taking, self.global_roles, _GLOBAL, "all datasets", passed_over=_ADMIN)

    def on(self, taking: ImportRun[_Export], dataset: str) -> list[str]:
        """The same on one dataset."""
        return self._known(taking, self.roles[dataset], _ROLES, quoted(dataset))

    def _known(
        self, taking: ImportRun[_Export], roles: list[str], permissions: dict[str, str], on: str, passed_over: str = ""
    ) -> list[str]:
        for role in roles:
            if role not in permissions and role != passed_over:
                taking.leave_out(
                    f"{self._row.where}: {self._email} has the role {quoted(role)} on {on}, which is not known here"
                )
        return [permissions[role] for role in roles if role in permissions]
