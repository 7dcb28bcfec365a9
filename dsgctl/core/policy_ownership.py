"""Claims: which policy file declared what when it was last applied, and so may remove it again."""

import json

from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, DsgError, Invalid
from dsgctl.core.validation import quote
from dsgctl.json_text import NotJson, parse
from dsgctl.store import Database
from dsgctl.store.models import PolicyClaim

Key = tuple[str, tuple[str, ...]]  # a kind of resource, and the names that identify one of it


def list_claimed(database: Database, file: str) -> set[Key]:
    """The resources that this file declared.

    Args:
        file: the name in the file.

    Raises:
        DsgError: the table was written by hand, and has a key that is not a list of names.
    """
    query = PolicyClaim.select(PolicyClaim.kind, PolicyClaim.key).where(PolicyClaim.file == file)
    try:
        return {(kind, parse_key(key)) for kind, key in database.tuples(query)}
    except Invalid as error:
        raise DsgError(
            f"the table declared: {error.message}", "only the sqlite3 shell can write such a row: correct it there"
        ) from None


def parse_key(text: str) -> tuple[str, ...]:
    """The names that identify a resource, from the text that the table has.

    Raises:
        Invalid: it is not what `claim` writes.
    """
    try:
        names = parse(text)
    except NotJson:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Invalid(f"{quote(text)} is not a list of names")
    return tuple(names)


def _find(database: Database, kind: str, key: tuple[str, ...]) -> PolicyClaim | None:
    return database.first(PolicyClaim.select().where(PolicyClaim.kind == kind, PolicyClaim.key == _format_key(key)))


def _format_key(key: tuple[str, ...]) -> str:
    return json.dumps(key, ensure_ascii=False)


def file_of(database: Database, kind: str, key: tuple[str, ...]) -> str:
    """The name of the file that declares this resource; empty if none does."""
    row = _find(database, kind, key)
    return row.file if row is not None else ""


def claim(change: Change, file: str, kind: str, key: tuple[str, ...]) -> bool:
    """Record that a file declares this resource. Returns whether it did not before.

    Raises:
        Conflict: another file declares it; the two would undo each other's changes.
    """
    row = _find(change.database, kind, key)
    if row is None:
        change.database.run(PolicyClaim.insert(kind=kind, key=_format_key(key), file=file, since=change.at))
        return True
    if row.file != file:
        raise Conflict(
            f"the file {row.file} declares {kind} {' '.join(filter(None, key))} too",
            "remove it from one of the files, and apply that file with --prune",
        )
    return False


def release(change: Change, kind: str, key: tuple[str, ...]) -> None:
    """Record that no file declares this resource any more."""
    change.database.run(PolicyClaim.delete().where(PolicyClaim.kind == kind, PolicyClaim.key == _format_key(key)))
