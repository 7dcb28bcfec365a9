"""Puts all facts of another gateway into a database that has none, under the ids that they have there."""

import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from dsgctl.core import audit, validation
from dsgctl.core.audit import Record
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.store import Database
from dsgctl.store.raw_rows import RowRefused, insert_rows, set_references
from dsgctl.transfer import transfer_schema


class BadRow(Invalid):
    """A row that cannot be kept.

    Attributes:
        index: which of those that were given to `Loading.add`.
    """

    def __init__(self, index: int, table: str, row: Mapping[str, Any], problem: str) -> None:
        super().__init__(f"{table} row {_key(table, row)}: {problem}", "nothing was imported; mend it there first")
        self.index = index


def has_facts(database: Database) -> bool:
    return bool(_held(database))


def refuse_facts(database: Database) -> None:
    """Raises:
    Conflict: there are facts, so that ids may be taken.
    """
    if there := _held(database):
        what = ", ".join(f"{count} {table.replace('_', ' ')}" for table, count in there.items())
        raise Conflict(
            f"{database.path} is not empty: it has {what}",
            "all ids can only be kept in an empty one: set DATABASE_PATH to a new file, run 'dsgctl db migrate', "
            "and import there",
        )


def _held(database: Database) -> dict[str, int]:
    """The tables of facts that have rows, and how many."""
    return {
        table: count for table, count in database.table_sizes().items() if table in transfer_schema.TABLES and count
    }


class Restore:
    """One load, in the transaction of a change: all tables in the order of `rows.TABLES`, then `finish`.

    Attributes:
        counts: table -> rows loaded.
        left_out: tokens of which the hash is not known.
        invited_anew: terms that got a new invitation, since the former one is not known.
    """

    def __init__(self, change: Change) -> None:
        """Raises:
        Conflict: there are facts already.
        """
        refuse_facts(change.database)
        self._change = change
        self._forms = {table: transfer_schema.forms(table) for table in transfer_schema.TABLES}
        self._later: dict[str, list[tuple[int, int]]] = defaultdict(list)
        self.counts: Counter[str] = Counter()
        self.left_out = 0
        self.invited_anew = 0

    def add(self, table: str, found: list[dict[str, Any]]) -> None:
        """Check and keep some rows of a table, as `rows.exported` gives them. At most some thousands at once.

        The hash of a token and the invitation to terms may be missing, for they may have been left out there.

        Raises:
            BadRow: one of them is not of its form, or stands against the others.
        """
        kept: list[dict[str, Any]] = []
        places: list[int] = []
        for index, row in enumerate(found):
            complete = self._completed(table, row)
            if complete is None:
                self.left_out += 1
                continue
            try:
                kept.append(self._checked(table, complete))
            except Invalid as error:
                raise BadRow(index, table, row, error.message) from None
            places.append(index)
        try:
            insert_rows(self._change.database, transfer_schema.TABLES[table], kept)
        except RowRefused as refused:
            index = places[refused.index]
            raise BadRow(index, table, found[index], refused.reason) from None
        self.counts[table] += len(kept)

    def _completed(self, table: str, row: dict[str, Any]) -> dict[str, Any] | None:
        """The row with what may be missing in it; None for a token that nobody could present."""
        if table == "tokens" and "hash" not in row:
            return None
        if table == "terms" and "invite_token" not in row:
            self.invited_anew += 1
            return {**row, "invite_token": secrets.token_urlsafe(32)}
        return row

    def _checked(self, table: str, row: dict[str, Any]) -> dict[str, Any]:
        """The row by fields instead of columns."""
        forms = self._forms[table]
        if row.keys() != forms.keys():
            strange = [name for name in row if name not in forms]
            missing = [name for name in forms if name not in row]
            problem = f"the column {strange[0]!a} is not known here" if strange else f"{missing[0]} is missing"
            raise Invalid(problem)
        values = {field: check(row[name]) for name, (field, check) in forms.items()}
        if later := transfer_schema.LATER.get(table):
            field = forms[later][0]
            if values[field] is not None:
                self._later[table].append((values["id"], values[field]))
                values[field] = None
        return values

    def finish(self, next_ids: Mapping[str, int], source: str, about: Mapping[str, Any]) -> None:
        """Set what refers to rows further down, number new rows above all that there ever were, write the audit record.

        Args:
            next_ids: table -> the id that its next row gets there.
            source: identifies what was loaded, as `audit.Record.imported_from` has it.
            about: what the audit record says of it.

        Raises:
            Invalid: a reference names nothing, or the audit log was changed there.
        """
        database = self._change.database
        for table, references in self._later.items():
            column = transfer_schema.LATER[table]
            try:
                set_references(database, transfer_schema.TABLES[table], self._forms[table][column][0], references)
            except RowRefused as refused:
                row_id = references[refused.index][0]
                raise BadRow(refused.index, table, {"id": row_id}, refused.reason) from None
        for table in transfer_schema.list_numbered_tables():
            if table != transfer_schema.AUDIT or self.counts[table]:  # a log that was left behind begins anew
                database.reserve_ids(transfer_schema.TABLES[table], next_ids[table] - 1)
        broken = audit.verify(database)
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


def _key(table: str, row: Mapping[str, Any]) -> str:
    """What a row is known by."""
    key = transfer_schema.TABLES[table]._meta.primary_key
    fields = [
        transfer_schema.TABLES[table]._meta.fields[name] for name in getattr(key, "field_names", None) or [key.name]
    ]
    values = [row.get(field.column_name) for field in fields]
    return ", ".join(validation.quoted(value) if isinstance(value, str) else str(value)[:30] for value in values)
