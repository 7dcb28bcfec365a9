"""The tables and columns of middle_auth that are read, and the protocol of their sources."""

from collections.abc import Collection, Iterator
from typing import Any, Protocol

from dsgctl.core.errors import Invalid
from dsgctl.core.validation import quote
from dsgctl.importers.engine.row import Row

# Table -> its columns, each with its kind; "?" if it may be null. A source without one of them is of another program or
# another release.
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
# Columns without meaning here. Any other column is of a later release and is refused: to ignore, say, the end of a
# permission would give more than that server does.
_IGNORED_COLUMNS = {
    "user": {"gdpr_consent"},
    "user_custom_name": {"created", "updated"},
    "affiliation": {"contact_name", "contact_email"},
    "tos": {"updated"},
    "user_tos": {"updated"},
    "api_key": {"updated"},
}
NO_PLACE = ("gdpr_consent of user", "contact_name and contact_email of affiliation")
_OTHER_NAMES = {("user_group", "admin"): "is_admin"}
APP = "app"  # the addresses that a login may redirect to: a setting here
IGNORED = {APP, "alembic_version"}


class Tables(Protocol):
    """The tables, all of one moment: CSV dumps or a database."""

    @property
    def name(self) -> str:
        """The source as messages name it, without secrets."""

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table of `NEEDED`, one at a time."""

    def total(self) -> int:
        """The number of all rows, or a little more."""

    def unknown(self) -> list[str]:
        """Names of tables of the source that are not known here."""

    def last_user_id(self) -> int:
        """The highest id that a user ever had; 0 if the source does not know it."""

    def check_unchanged(self) -> None:
        """Raises:
        Invalid: the source was written to while it was read.
        """


def map_columns(label: str, table: str, columns: Collection[str]) -> dict[str, str]:
    """Match the columns of a table: name in `NEEDED` -> name in the source.

    Args:
        label: the source and the table, for messages.
        columns: the columns of the source.

    Raises:
        Invalid: a column is missing or not known.
    """
    names: dict[str, str] = {}
    for column in NEEDED[table]:
        name = column if column in columns else _OTHER_NAMES.get((table, column), column)
        if name not in columns:
            raise Invalid(
                f"{label} has no column {column}",
                "it is not middle_auth's, or of an older release; run that server's own migrations first",
            )
        names[column] = name
    unknown = [name for name in columns if name not in names.values() and name not in _IGNORED_COLUMNS.get(table, ())]
    if unknown:
        raise Invalid(
            f"{label} has a column {quote(unknown[0])} that is not known here",
            "it is not middle_auth's, or it is from a newer release than this one can read",
        )
    return names


def convert_value(kind: str, value: Any) -> Any:
    """A value of a database as a `Row` has it. A null text is empty, since CSV has no difference between them."""
    return "" if value is None and kind == "text" else value
