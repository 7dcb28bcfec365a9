"""Restores the rows of an export document into an empty database, with their ids."""

import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from dsgctl.core import audit_chain, validation
from dsgctl.core.audit import Record
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.store import Database
from dsgctl.store.raw_rows import RowRefused, insert_rows, set_references
from dsgctl.transfer import transfer_schema
from dsgctl.transfer.transfer_schema import Row, Values


class BadRow(Invalid):
    """A row that cannot be restored.

    Attributes:
        index: its position in the list that was passed to `Restore.add`.
    """

    def __init__(self, index: int, table: str, row: Row, problem: str) -> None:
        super().__init__(
            f"{table} row {_describe_key(table, row)}: {problem}", "nothing was imported; correct it there first"
        )
        self.index = index


def has_rows(database: Database) -> bool:
    """Whether any table of an export has rows."""
    return bool(_count_rows(database))


def require_empty(database: Database) -> None:
    """Raises:
    Conflict: there are rows, whose ids may be those of the document.
    """
    if counts := _count_rows(database):
        words = ", ".join(f"{count} {table.replace('_', ' ')}" for table, count in counts.items())
        raise Conflict(
            f"{database.path} is not empty: it has {words}",
            "all ids can only be kept in an empty one: set DATABASE_PATH to a new file, run 'dsgctl db migrate', "
            "and import there",
        )


def _count_rows(database: Database) -> dict[str, int]:
    """Table -> rows, of the tables that have any."""
    return {
        table: count for table, count in database.table_sizes().items() if table in transfer_schema.TABLES and count
    }


class Restore:
    """One restore, in the transaction of a change: `add` each table in the order of `transfer_schema.TABLES`, then
    `finish`.

    Attributes:
        counts: table -> restored rows.
        left_out: number of tokens without a hash, which are not restored.
        new_invitations: number of terms without an invitation, which got a new one.
    """

    def __init__(self, change: Change) -> None:
        """Raises:
        Conflict: the database is not empty.
        """
        require_empty(change.database)
        self._change = change
        self._forms = {table: transfer_schema.forms(table) for table in transfer_schema.TABLES}
        self._references: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.left_out = 0
        self.new_invitations = 0

    def add(self, table: str, rows: list[Row]) -> None:
        """Check and insert rows of a table, in the form of `transfer_schema.export_rows`; at most some thousands.

        The hash of a token and the invitation to terms may be missing.

        Raises:
            BadRow: a row has a wrong form, or breaks a rule of the schema.
        """
        checked: list[Values] = []
        positions: list[int] = []
        for index, row in enumerate(rows):
            complete = self._complete_row(table, row)
            if complete is None:
                self.left_out += 1
                continue
            try:
                checked.append(self._check_row(table, complete))
            except Invalid as error:
                raise BadRow(index, table, row, error.message) from None
            positions.append(index)
        try:
            insert_rows(self._change.database, transfer_schema.TABLES[table], checked)
        except RowRefused as refused:
            index = positions[refused.index]
            raise BadRow(index, table, rows[index], refused.reason) from None
        self.counts[table] += len(checked)

    def _complete_row(self, table: str, row: Row) -> Row | None:
        """The row with the columns that an export may leave out; None for a token without a hash."""
        if table == "tokens" and "hash" not in row:
            return None
        if table == "terms" and "invite_token" not in row:
            self.new_invitations += 1
            return {**row, "invite_token": secrets.token_urlsafe(32)}
        return row

    def _check_row(self, table: str, row: Row) -> Values:
        """The values of a row by fields.

        Raises:
            Invalid: a column is unknown or missing, or a value has a wrong form.
        """
        forms = self._forms[table]
        if row.keys() != forms.keys():
            unknown = [name for name in row if name not in forms]
            missing = [name for name in forms if name not in row]
            problem = f"the column {unknown[0]!a} is not known here" if unknown else f"{missing[0]} is missing"
            raise Invalid(problem)
        values: Values = {field: check(row[name]) for name, (field, check) in forms.items()}
        if later := transfer_schema.LATER.get(table):
            field = forms[later][0]
            if values[field] is not None:
                self._references[table].append((values["id"], values[field]))
                values[field] = None
        return values

    def finish(self, next_ids: Mapping[str, int], source: str, about: Mapping[str, Any]) -> None:
        """Set the references of `LATER`, reserve the ids that were ever used, and write the audit record.

        Args:
            next_ids: table -> the id of its next row.
            source: identifies the document: `audit.Record.imported_from`.
            about: for the audit record, as JSON.

        Raises:
            Invalid: a reference names no row, or the chain of the audit log is broken.
        """
        database = self._change.database
        for table, references in self._references.items():
            column = transfer_schema.LATER[table]
            try:
                set_references(database, transfer_schema.TABLES[table], self._forms[table][column][0], references)
            except RowRefused as refused:
                row_id = references[refused.index][0]
                raise BadRow(refused.index, table, {"id": row_id}, refused.reason) from None
        for table in transfer_schema.list_numbered_tables():
            if table != transfer_schema.AUDIT or self.counts[table]:  # a log that was left out begins again
                database.reserve_ids(transfer_schema.TABLES[table], next_ids[table] - 1)
        broken = audit_chain.verify(database)
        if broken is not None:
            raise Invalid(
                f"audit row {broken} was changed there, or is missing: it does not follow from the one before",
                "nothing was imported; 'dsgctl db check' there says the same; --without-audit exports the rest",
            )
        target = f"export:{source.partition(':')[2][:12]}"
        after = {**about, "rows": dict(self.counts)}
        self._change.add_record(
            Record(self._change.at, self._change.actor, "import.export", target, None, after, source)
        )


def _describe_key(table: str, row: Row) -> str:
    """The primary key of a row, in words."""
    key = transfer_schema.TABLES[table]._meta.primary_key
    fields = [
        transfer_schema.TABLES[table]._meta.fields[name] for name in getattr(key, "field_names", None) or [key.name]
    ]
    values = [row.get(field.column_name) for field in fields]
    return ", ".join(validation.quote(value) if isinstance(value, str) else str(value)[:30] for value in values)
