"""Reads users and their tokens.

There, a service account is a user who has a parent. It becomes the same here, with its id, and services get the same
answers about it.
"""

from collections import Counter
from collections.abc import Iterator

from dsgctl.core import new_users, tokens, validation
from dsgctl.core.new_users import Attributes, ForeignAccount, NewUser
from dsgctl.importers.engine.record_importer import Accounts, Rows, Step
from dsgctl.importers.engine.records import Record
from dsgctl.importers.engine.row import Row
from dsgctl.importers.middle_auth.import_run import MiddleAuthRun


def read_users(run: MiddleAuthRun) -> Iterator[Step]:
    """With their ids, the names that they chose themselves, and their affiliations."""
    # Before anything gets an id here: ids of users who were deleted there must not name somebody else either.
    new_users.reserve_ids(run.change, run.source.last_user_id())
    institutes: dict[int, str] = {}
    affiliations: dict[int, list[str]] = {}
    display_names: dict[int, str] = {}
    ignored: Counter[str] = Counter()
    places: dict[int, str] = {}  # id of a user -> the first earlier row that refers to it

    def read_user_id(row: Row) -> int:
        number = row.number("user_id")
        places.setdefault(number, row.where)
        return number

    def read_institute(row: Row) -> None:
        institutes[row.id] = row.words("name")

    def read_affiliation(row: Row) -> None:
        name = run.resolve(row, "affiliation_id", "affiliation", institutes)
        user = read_user_id(row)
        if name:
            affiliations.setdefault(user, []).append(name)
        for column in ("start", "end"):
            ignored[f"user_affiliation: {column}"] += row.moment_or_none(column) is not None

    def read_display_name(row: Row) -> None:
        if row.flag("active"):
            display_names[read_user_id(row)] = row.words("name")
        else:
            ignored["user_custom_name: the name"] += 1

    def read_user(row: Row) -> NewUser:
        return _read_user(run, row, display_names.pop(row.id, ""), affiliations.pop(row.id, []))

    yield Rows("affiliation", read_institute)
    yield Rows("user_affiliation", read_affiliation)
    yield Rows("user_custom_name", read_display_name)
    yield Accounts("user", read_user, run.users)
    run.note_ignored(+ignored)
    run.refuse_missing("user_id", "user", run.users, places)


def _read_user(run: MiddleAuthRun, row: Row, display_name: str, affiliations: list[str]) -> NewUser:
    texts = {column: row.words(column) for column in ("name", "pi")}
    for column, text in texts.items():
        if text != row.text(column).strip():
            run.remark(f"{row.where}: {column} is kept as {validation.quote(text)}")
    attributes = Attributes(
        name=texts["name"],
        display_name=display_name,
        pi=texts["pi"],
        admin=row.flag("admin"),
        read_only=row.flag("read_only"),
    )
    foreign = ForeignAccount(
        id=row.id,
        active=True,
        parent=row.number_or_none("parent_id"),
        created=row.moment_or_none("created") or run.change.at,
    )
    return NewUser(validation.foreign_email(row.text("email")), attributes, tuple(dict.fromkeys(affiliations)), foreign)


def read_tokens(run: MiddleAuthRun) -> Iterator[Step]:
    """As hashes, so that they keep working. There they do not expire."""

    def read_token(row: Row) -> Iterator[Record]:
        yield tokens.hash_imported(
            run.user(row),
            row.text("key"),
            kind="api",
            description=row.words("description"),
            created=row.moment_or_none("created") or run.change.at,
            last_used=row.moment_or_none("last_used"),
            expires=None,
        )

    yield Rows("api_key", read_token, counts="tokens")
