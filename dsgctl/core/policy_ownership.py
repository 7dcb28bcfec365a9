"""What policy files declared when they were last applied, so that each knows what is its own to take away."""

import json

from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, DsgError
from dsgctl.core.validation import quoted
from dsgctl.json_text import NotJson, parse
from dsgctl.store import Database
from dsgctl.store.models import Declared

Key = tuple[str, tuple[str, ...]]  # kind, and the names that tell one of it from another


def list_claimed(database: Database, file: str) -> set[Key]:
    """What this file declared."""
    query = Declared.select(Declared.kind, Declared.key).where(Declared.file == file)
    return {(kind, _names(key)) for kind, key in database.tuples(query)}


def _names(key: str) -> tuple[str, ...]:
    try:
        listed = parse(key)
    except NotJson:
        listed = None
    if not isinstance(listed, list):
        raise DsgError(
            f"the table declared has {quoted(key)}, which is not a list of names", "only the sqlite3 shell writes such"
        )
    return tuple(map(str, listed))


def file_of(database: Database, kind: str, key: tuple[str, ...]) -> str:
    """The file that declares this; empty if none does."""
    text = json.dumps(key, ensure_ascii=False)
    found = database.first(Declared.select().where(Declared.kind == kind, Declared.key == text))
    return found.file if found else ""


def claim(change: Change, file: str, kind: str, key: tuple[str, ...]) -> bool:
    """Note that a file declares this. Returns whether it did not before.

    Raises:
        Conflict: another file does: they would undo each other's work.
    """
    text = json.dumps(key, ensure_ascii=False)
    found = change.database.first(Declared.select().where(Declared.kind == kind, Declared.key == text))
    if found is not None and found.file != file:
        raise Conflict(
            f"the file {found.file} declares {kind} {' '.join(filter(None, key))} too",
            "take it out of one, and apply that with --prune",
        )
    if found is None:
        change.database.run(Declared.insert(kind=kind, key=text, file=file, since=change.at))
    return found is None


def release(change: Change, kind: str, key: tuple[str, ...]) -> None:
    text = json.dumps(key, ensure_ascii=False)
    change.database.run(Declared.delete().where(Declared.kind == kind, Declared.key == text))
