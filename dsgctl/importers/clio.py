"""The export of clio-store: users with their roles, and datasets, which are created if they do not exist.

Everybody joins the group ``user``, which may view the public datasets. A dataset on which a user has a role but that
the export does not list is created too, closed, as the original's own import does.
"""

from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dsgctl.core import validation
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_targets import Target, group_subject
from dsgctl.core.validation import Foreign, quote
from dsgctl.importers.engine.import_run import ImportRun
from dsgctl.importers.engine.json_file import JsonFile
from dsgctl.importers.engine.people import Emails
from dsgctl.importers.engine.record_importer import RecordImporter, Rows, Step
from dsgctl.importers.engine.records import Dataset, Group, Membership, Person, PersonGrant, Record
from dsgctl.importers.engine.row import Damaged, Row, paragraph, words

_EVERYBODY = "user"
_ADMIN = "admin"  # the global role
_GLOBAL = {"clio_general": "view", "clio_write": "edit"}  # on all datasets
_ROLES = {"clio_read": "view", "clio_general": "view", "clio_write": "edit", "dataset_admin": "admin"}
_KEYS = {"users", "datasets"}
_OF_USER = {"name", "global_roles", "datasets", "groups", "disabled"}
_LEFT_OUT = {"email", "org", "picture", "created", "updated"}  # without meaning here


class _Export(JsonFile):
    """The rows of the document: of ``users`` with an ``email``, of ``datasets`` with a ``name``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        for key in sorted(_KEYS):
            if not isinstance(self.content.get(key), dict):
                raise Invalid(f"{path} has no object {key!r}", "is it an export of clio-store?")
        unknown_keys = sorted(self.content.keys() - _KEYS)
        if unknown_keys:
            raise Invalid(
                f"{path} has {quote(unknown_keys[0])}, which is not known here",
                "it is from another system, or from a newer release than this one can read",
            )

    def rows(self, table: str) -> Iterator[Row]:
        for (key, value), line in zip(self.content[table].items(), self.lines(table), strict=True):
            yield Row(table, {"key": key, "value": value}, f"{table}, line {line}")

    def total(self) -> int:
        return sum(len(self.content[table]) for table in _KEYS)


@dataclass
class Importer(RecordImporter[ImportRun[_Export]]):
    """Import the JSON of clio-store's export: users with their roles and groups, and datasets.

    A global role 'admin' makes an admin; clio_general and clio_write give 'view' and 'edit' on all datasets of the
    file. On one dataset, clio_read and clio_general give 'view', clio_write 'edit', dataset_admin 'admin'. Everybody
    joins the group 'user', which may view the public datasets. Other roles are left out and named.
    """

    example = "dsgctl import clio clio.json --dry-run"

    def open(self, source: str) -> AbstractContextManager[_Export]:
        return nullcontext(_Export(Path(source)))

    def read(self, run: ImportRun[_Export]) -> Iterator[Step]:
        names = _DatasetNames(run)
        yield from _read_datasets(run, names)
        yield from _read_users(run, names)


class _DatasetNames:
    """The names of the export's datasets.

    Attributes:
        listed: datasets that are listed and were imported, by name.
    """

    def __init__(self, run: ImportRun[_Export]) -> None:
        self._run = run
        self.listed: dict[str, Foreign] = {}
        self._unlisted: dict[str, Foreign] = {}

    def find(self, name: str, row: Row) -> Generator[Record, None, Foreign | None]:
        """The dataset on which a row has a role; None if it was left out. Yields an unlisted one as a new record.

        Raises:
            Invalid: the export does not list it, and its name cannot be stored.
        """
        if name in self._run.source.content["datasets"]:
            return self.listed.get(name)
        if name not in self._unlisted:
            unlisted = validation.foreign(name, "dataset name")
            yield Dataset(unlisted)
            self._unlisted[name] = unlisted
            self._run.remark(f"{row.where}: the export does not list {quote(name)}; it is here, and closed if new")
        return self._unlisted[name]


def _read_datasets(run: ImportRun[_Export], names: _DatasetNames) -> Iterator[Step]:
    ignored: set[str] = set()

    def read_dataset(row: Row) -> Iterator[Record]:
        key, value = row.text("key"), row.values["value"]
        # Older exports have only the flag.
        entry = _Entry(quote(key), {"public": value} if isinstance(value, bool) else value)
        public: bool = entry.get("public", bool, False, "public is neither true nor false")
        description = paragraph(entry.get("description", str, "", "description is not text"), "description")
        name = row.name("key", "dataset name")
        ignored.update(entry.values.keys() - {"public", "description"})
        yield Dataset(name, description=description)
        names.listed[name] = name
        if public:
            subject = group_subject(run.change.database, _EVERYBODY)
            yield ImportedGrant(subject, Target(name, "view"), "import", run.change.actor, run.change.at)

    yield Group(_EVERYBODY)
    yield Rows("datasets", read_dataset, batch=1)  # the grant on a dataset follows it in the audit log
    for key in sorted(ignored):
        run.note(f"{quote(key)} of datasets: there is no place for it here")


def _read_users(run: ImportRun[_Export], names: _DatasetNames) -> Iterator[Step]:
    emails = Emails()
    groups = {_EVERYBODY}
    ignored: set[str] = set()

    def read_user(row: Row) -> Iterator[Record]:
        email = emails.require_unique(row.text("key"), row.where)
        user = _User(email, row)
        ignored.update(user.ignored)
        targets = [
            Target(name, permission)
            for permission in user.permissions_everywhere(run)
            for name in names.listed.values()
        ]
        for name in user.roles:
            permissions = user.permissions_on(run, name)
            dataset = yield from names.find(name, row)
            if dataset is not None:
                targets += [Target(dataset, permission) for permission in permissions]
            else:
                run.leave_out(f"{row.where}: the roles of {email} on {quote(name)}, which was left out")
        person = Person(email, user.name, admin=_ADMIN in user.global_roles, active=not user.disabled)
        yield person
        for group in dict.fromkeys((_EVERYBODY, *user.groups)):
            if group not in groups:
                yield Group(group)
                groups.add(group)
            yield Membership(group, person)
        for target in dict.fromkeys(targets):
            yield PersonGrant(person, target)

    yield Rows("users", read_user, counts="users")
    for key in sorted(ignored):
        run.note(f"{quote(key)} of users: there is no place for it here")


class _Entry:
    """An object of the export. A field that is null counts as missing.

    Attributes:
        name: for messages.
    """

    def __init__(self, name: str, value: Any) -> None:
        if not isinstance(value, dict):
            raise Damaged(f"{name} is {'null' if value is None else 'not an object'}")
        self.name = name
        self.values: dict[str, Any] = value

    def get(self, key: str, kind: type, default: Any, problem: str = "") -> Any:
        """The value of a key, or a default.

        Args:
            problem: the message for a value of another type.

        Raises:
            Damaged: the value is of another type.
        """
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise Damaged(f"{self.name}: {problem or f'{quote(key)} is of another type'}")
        return value

    def texts(self, key: str) -> list[str]:
        texts: list[Any] = self.get(key, list, [])
        if not all(isinstance(text, str) for text in texts):
            raise Damaged(f"{self.name}: {quote(key)} is not a list of texts")
        return texts


class _User:
    """A checked entry of ``users``.

    Attributes:
        global_roles: on all datasets; ``roles``: by dataset.
        ignored: keys that have no place here.
    """

    def __init__(self, email: str, row: Row) -> None:
        self._email, self._row = email, row
        entry = _Entry(email, row.values["value"])
        unknown_keys = sorted(entry.values.keys() - _OF_USER - _LEFT_OUT)
        if unknown_keys:
            raise Damaged(
                f"{email} has {quote(unknown_keys[0])}, which is not known here",
                "it is from a newer release than this one can read",
            )
        self.ignored = entry.values.keys() & (_LEFT_OUT - {"email"})
        self.name = words(entry.get("name", str, ""), "name")
        self.disabled: bool = entry.get("disabled", bool, False)
        self.groups = [validation.foreign(name, "group name") for name in entry.texts("groups")]
        self.global_roles = entry.texts("global_roles")
        datasets = _Entry(email, entry.get("datasets", dict, {}))
        self.roles = {name: datasets.texts(name) for name in datasets.values}

    def permissions_everywhere(self, run: ImportRun[_Export]) -> list[str]:
        """The permissions on all datasets that roles stand for; other roles are reported and left out."""
        return self._to_permissions(run, self.global_roles, _GLOBAL, "all datasets", passed_over=_ADMIN)

    def permissions_on(self, run: ImportRun[_Export], dataset: str) -> list[str]:
        """The same on one dataset."""
        return self._to_permissions(run, self.roles[dataset], _ROLES, quote(dataset))

    def _to_permissions(
        self, run: ImportRun[_Export], roles: list[str], permissions: dict[str, str], on: str, passed_over: str = ""
    ) -> list[str]:
        for role in roles:
            if role not in permissions and role != passed_over:
                run.leave_out(
                    f"{self._row.where}: {self._email} has the role {quote(role)} on {on}, which is not known here"
                )
        return [permissions[role] for role in roles if role in permissions]
