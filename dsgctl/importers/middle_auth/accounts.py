"""Takes over people and programs, their groups and their tokens.

There a service account is a user who has a parent. It becomes the same here: its id and its answers stay.
"""

from collections import Counter

from dsgctl.core import groups, new_users, tokens, validation
from dsgctl.core.new_users import Attributes, ForeignAccount, NewUser
from dsgctl.importers.engine import accounts
from dsgctl.importers.engine.row import Damaged, Row
from dsgctl.importers.middle_auth.import_run import MiddleAuthRun
from dsgctl.store.models import Principal


def import_users(taking: MiddleAuthRun) -> None:
    """With their ids, the names that they chose themselves, and their affiliations."""
    # Before anything gets an id here: also those of people who were deleted there must not name somebody else.
    new_users.reserve_ids(taking.change, taking.source.last_user_id())
    institutes: dict[int, str] = {}
    affiliations: dict[int, list[str]] = {}
    chosen: dict[int, str] = {}
    lost: Counter[str] = Counter()
    places: dict[int, str] = {}  # id of a user who was named -> where first

    def named_user(row: Row) -> int:
        number = row.number("user_id")
        places.setdefault(number, row.where)
        return number

    def institute(row: Row) -> None:
        institutes[row.id] = row.words("name")

    def affiliation(row: Row) -> None:
        name = taking.named(row, "affiliation_id", "affiliation", institutes)
        user = named_user(row)
        if name:
            affiliations.setdefault(user, []).append(name)
        for column in ("start", "end"):
            lost[f"user_affiliation: {column}"] += row.moment_or_none(column) is not None

    def choose(row: Row) -> None:
        if row.flag("active"):
            chosen[named_user(row)] = row.words("name")
        else:
            lost["user_custom_name: the name"] += 1

    def person(row: Row) -> NewUser:
        return _person(taking, row, chosen.pop(row.id, ""), affiliations.pop(row.id, []))

    taking.each("affiliation", institute)
    taking.each("user_affiliation", affiliation)
    taking.each("user_custom_name", choose)
    accounts.import_accounts(taking, "user", taking.users, person)
    taking.note_counted(+lost)
    taking.refuse_strangers("user_id", "user", taking.users, places)


def _person(taking: MiddleAuthRun, row: Row, display_name: str, affiliations: list[str]) -> NewUser:
    texts = {column: row.words(column) for column in ("name", "pi")}
    for column, text in texts.items():
        if text != row.text(column).strip():
            taking.remark(f"{row.where}: {column} is kept as {validation.quoted(text)}")
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
        created=row.moment_or_none("created") or taking.change.at,
    )
    return NewUser(validation.foreign_email(row.text("email")), attributes, tuple(dict.fromkeys(affiliations)), foreign)


def import_groups(taking: MiddleAuthRun) -> None:
    seen: set[str] = set()

    def take(row: Row) -> None:
        name = row.name("name", "group name")
        if name in seen:
            raise Damaged(f"the group {validation.quoted(name)} stands twice: whose rights are whose, nobody can say")
        seen.add(name)
        _, added = groups.add(taking.change, name)
        taking.groups[row.id] = name
        taking.count("groups", added)

    def member(row: Row) -> tuple[str, Principal, bool]:
        return taking.named(row, "group_id", "group", taking.groups), taking.user(row), row.flag("admin")

    def join(members: list[tuple[str, Principal, bool]]) -> None:
        by_group: dict[str, dict[int, tuple[Principal, bool]]] = {}
        for group, user, leads in members:
            by_group.setdefault(group, {})[user.id] = (user, leads)
        for group, joining in by_group.items():
            accounts.join(taking, groups.find(taking.change.database, group), joining)

    taking.each("group", take)
    taking.batches("user_group", member, join)


def import_tokens(taking: MiddleAuthRun) -> None:
    """Kept by their hashes, so that they keep working. There they do not expire."""

    def kept(row: Row) -> tokens.ImportedToken:
        return tokens.hash_imported(
            taking.user(row),
            row.text("key"),
            kind="api",
            description=row.words("description"),
            created=row.moment_or_none("created") or taking.change.at,
            last_used=row.moment_or_none("last_used"),
            expires=None,
        )

    def keep(batch: list[tokens.ImportedToken]) -> None:
        taking.report.counts("tokens", new=tokens.import_tokens(taking.change, batch), of=len(batch))

    taking.batches("api_key", kept, keep)
