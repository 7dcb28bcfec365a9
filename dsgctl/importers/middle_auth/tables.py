"""The tables of middle_auth, as far as they are read here, and what all sources of them have in common."""

from collections.abc import Collection, Iterator
from typing import Any, Protocol

from dsgctl.core.errors import Invalid
from dsgctl.core.validation import quoted
from dsgctl.importers.engine.row import Row

# Table -> its columns, each with its kind; "?" where there may be none.
# A source that lacks one is of another program or another release of it.
NEEDED: dict[str, dict[str, str]] = {
    table: dict(column.split(":") for column in columns.split())
    for table, columns in {
        "user": "id:int name:text email:text admin:bool pi:text created:time? parent_id:int? read_only:bool",
        "user_custom_name": "id:int user_id:int name:text active:bool",
        "affiliation": "id:int name:text",
        "user_affiliation": "id:int user_id:int affiliation_id:int start:time? end:time?",
        "group": "id:int name:text",
        "user_group": "id:int user_id:int group_id:int admin:bool",
        "tos": "id:int name:text text:text created:time?",
        "dataset": "id:int name:text tos_id:int?",
        "permission": "id:int name:text",
        "group_dataset_permission": "id:int group_id:int dataset_id:int permission_id:int",
        "dataset_admin": "id:int user_id:int dataset_id:int",
        "user_tos": "id:int user_id:int tos_id:int created:time?",
        "api_key": "id:int user_id:int key:text description:text last_used:time? created:time?",
        "service_table": "id:int service_name:text table_name:text dataset_id:int",
        "cell_temp": "id:int table_id:text root_id:int public:bool",
    }.items()
}
# Columns that decide nothing here. Any other is of a release that knows more than we do: to leave out, say, a
# date on which a permission ends would give away more than that server does.
_LEFT_OUT = {
    "user": {"gdpr_consent"},
    "user_custom_name": {"created", "updated"},
    "affiliation": {"contact_name", "contact_email"},
    "tos": {"updated"},
    "user_tos": {"updated"},
    "api_key": {"updated"},
}
NO_PLACE = ("gdpr_consent of user", "contact_name and contact_email of affiliation")
_ALSO_CALLED = {("user_group", "admin"): "is_admin"}
APP = "app"  # addresses that a login may lead to: a setting here
NO_MATTER = {APP, "alembic_version"}


class Tables(Protocol):
    """Where the tables are read from: CSV dumps or a database; all of one moment."""

    @property
    def name(self) -> str:
        """As messages name it; no secret is in it."""

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table of `NEEDED`, one at a time."""

    def total(self) -> int:
        """How many there are in all, or a little more."""

    def unknown(self) -> list[str]:
        """Names of tables that are there and not known here."""

    def last_user_id(self) -> int:
        """The highest id that a user ever had, as far as the source can tell; 0 if it cannot."""

    def check_unchanged(self) -> None:
        """Raises:
        Invalid: it was written to while it was read.
        """


def spelling(where: str, table: str, there: Collection[str]) -> dict[str, str]:
    """How the columns of a table are called there: our name -> theirs.

    Args:
        where: the source and the table, for messages.
        there: the columns that it has.

    Raises:
        Invalid: it lacks one, or has one that is not known.
    """
    found: dict[str, str] = {}
    for column in NEEDED[table]:
        name = column if column in there else _ALSO_CALLED.get((table, column), column)
        if name not in there:
            raise Invalid(
                f"{where} has no column {column}",
                "it is not middle_auth's, or of an older release; run that server's own migrations first",
            )
        found[column] = name
    strange = [name for name in there if name not in found.values() and name not in _LEFT_OUT.get(table, ())]
    if strange:
        raise Invalid(
            f"{where} has a column {quoted(strange[0])} that is not known here",
            "it is not middle_auth's, or of a newer release than can be read here",
        )
    return found


def value(kind: str, found: Any) -> Any:
    """A value of a database as a `Row` keeps it: no text is empty text, as CSV cannot tell them apart."""
    return "" if found is None and kind == "text" else found
