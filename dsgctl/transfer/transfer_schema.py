"""The tables and columns of an export document, and the form of each value."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from dsgctl.core import policy_ownership, validation, web_origins
from dsgctl.core.errors import DsgError, Invalid
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import MAX_NUMBER, TimeField
from dsgctl.store.queries import AutoField, BlobField, BooleanField, Field, ForeignKeyField, IntegerField
from dsgctl.store.raw_rows import read_rows
from dsgctl.store.times import utc_datetime, utc_text

# A row of a document, column -> value. Until its form is checked, a value is whatever JSON has there.
Row = dict[str, Any]
Values = dict[str, Any]  # of a row, field -> value as the table stores it; the field decides the type
Form = Callable[[Any], Any]  # takes a value of a document; returns it as the table stores it, or raises Invalid

# In the order in which rows refer to each other, the columns of `LATER` aside.
TABLES: Final[Mapping[str, Any]] = {model._meta.table_name: model for model in m.TABLES}
# References that may name a later row: they are set when all rows are inserted.
LATER: Final[Mapping[str, str]] = {"principals": "parent_id", "datasets": "own_terms_id"}
AUDIT: Final = "audit"
MAX_ID: Final = 2**53  # the largest id: some readers of JSON have no whole number above this


def columns(table: str) -> dict[str, Field]:
    """Column -> field, in the order of the table."""
    return {field.column_name: field for field in TABLES[table]._meta.sorted_fields}


def list_numbered_tables() -> list[str]:
    """The tables whose ids are never used again."""
    return [table for table, model in TABLES.items() if isinstance(model._meta.primary_key, AutoField)]


def next_ids(database: Database) -> dict[str, int]:
    """Table -> the id of its next row."""
    return {table: database.next_id(TABLES[table]) for table in list_numbered_tables()}


def export_rows(database: Database, table: str, *, without: str | None = None) -> Iterator[Row]:
    """The rows of a table, in the order of their keys. Call it in a `Database.snapshot`.

    Args:
        without: a column to leave out.
    """
    fields = columns(table)
    exported = [(at, name) for at, name in enumerate(fields) if name != without]
    flags = [name for name, field in fields.items() if isinstance(field, BooleanField)]
    blobs = [name for name, field in fields.items() if isinstance(field, BlobField) and name != without]
    last = None
    try:
        for values in read_rows(database, TABLES[table]):
            row = {name: values[at] for at, name in exported}
            for name in flags:
                row[name] = bool(row[name])
            for name in blobs:
                row[name] = row[name].hex()
            last = values[0]
            yield row
    except UnicodeDecodeError:
        raise DsgError(
            f"{table}: the row after {last} has text that is not UTF-8", "correct it with the sqlite3 shell"
        ) from None


def forms(table: str) -> dict[str, tuple[str, Form]]:
    """Column -> the name of its field, and the form of its values."""
    special = _FORMS.get(table, {})
    return {
        name: (field.name, _form(name, field, special.get(name) or _default_form(field)))
        for name, field in columns(table).items()
    }


def _default_form(field: Field) -> Form:
    """The form of a column that `_FORMS` does not have: text of one line, or any value of another type."""
    return _line("text of one line") if _of_type(field) is _text else _accept_any


def _form(column: str, field: Field, special: Form) -> Form:
    """The form of a column. None is left to the schema, but refused for an id: the engine would choose one."""
    of_type = _of_type(field)
    may_be_none = not isinstance(field, AutoField)

    def check(value: Any) -> Any:
        if value is None and may_be_none:
            return None
        try:
            return special(of_type(value))
        except Invalid as error:
            raise Invalid(f"{column}: {error.message}", error.hint) from None

    return check


def _of_type(field: Field) -> Form:
    if isinstance(field, (AutoField, ForeignKeyField)):
        return lambda value: _number(value, 1, MAX_ID - 1)
    if isinstance(field, BooleanField):
        return _flag
    if isinstance(field, IntegerField):
        return lambda value: _number(value, 0, MAX_NUMBER)
    if isinstance(field, TimeField):
        return moment
    if isinstance(field, BlobField):
        return _sha256
    return _text


def _quote(value: Any) -> str:
    return validation.quote(value) if isinstance(value, str) else validation.quote(repr(value)).strip("'")


def _number(value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:  # not isinstance: True is an int
        raise Invalid(f"{_quote(value)} is not a whole number from {least} to {most}")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Invalid(f"{_quote(value)} is neither true nor false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid(f"{_quote(value)} is not text")
    # Many programs end a text at NUL; half a surrogate pair cannot be stored as UTF-8.
    if not value.isprintable() and ("\0" in value or any("\ud800" <= char <= "\udfff" for char in value)):
        raise Invalid(f"{_quote(value)} has a character that cannot be stored")
    return value


def moment(value: Any) -> str:
    """The form of a time: exactly this one, so that times compare as text."""
    try:
        if isinstance(value, str) and utc_text(utc_datetime(value)) == value:
            return value
    except (ValueError, OverflowError):
        pass
    raise Invalid(f"{_quote(value)} is not a time like 2027-01-31T12:00:00.000000Z")


def _sha256(value: Any) -> bytes:
    try:
        digest = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise Invalid("it is not a SHA-256 in 64 hexadecimal digits")
    return digest


def _accept_any(value: Any) -> Any:
    return value


def _line(noun: str, *, empty: bool = True) -> Form:
    return lambda text: validation.foreign(text, noun, empty=empty)


def _paragraph(noun: str) -> Form:
    return lambda text: validation.foreign_paragraph(text, noun)


def _prefix(text: str) -> str:
    if text and (text.startswith("/") or not text.endswith("/")):
        raise Invalid(f"{validation.quote(text)} is not a prefix that ends with '/'")
    validation.gs_url(f"gs://any/{text[:-1]}")  # without the slash, which may exceed the greatest length
    return text


def _bucket(text: str) -> str:
    if validation.gs_url(f"gs://{text}") != (text, ""):
        raise Invalid(f"{validation.quote(text)} is not a bucket")
    return text


def _member(text: str) -> str:
    """A member of a bucket's policy, as `dsgctl.core.iam_ledger.member_of` builds it."""
    address = validation.email(text.removeprefix("user:"))
    if text != f"user:{validation.email_key(address)}":
        raise Invalid(f"{validation.quote(text)} is not a member like user:name@example.org, in lower case")
    return text


def _ids(text: str) -> str:
    """Ids as `dsgctl.core.logins.postpone_terms` writes them."""
    numbers = text.split(" ") if text else []
    if not all(re.fullmatch("[1-9][0-9]{0,15}", number) for number in numbers):
        raise Invalid(f"{validation.quote(text)} is not ids with single spaces between them")
    return text


def _policy_key(text: str) -> str:
    policy_ownership.parse_key(text)
    return text


# The forms of columns that accept less than their type or, if it is text, something else than any line. They allow the
# names that importers take from other systems.
_FORMS: Final[Mapping[str, Mapping[str, Form]]] = {
    "principals": {
        "email": validation.foreign_email,
        "slug": lambda text: validation.slug(text, "service account"),
        "name": _line("name"),
        "display_name": _line("display name"),
        "description": _line("description"),
        "pi": _line("PI"),
        "notes": _paragraph("note"),
        "picture_url": validation.url,
        "seen_email": validation.foreign_email,
    },
    "affiliations": {"name": _line("affiliation", empty=False)},
    "groups": {"name": _line("group name", empty=False)},
    "delegated_members": {
        "principal_id": lambda value: _number(value, 1, MAX_ID - 1),
        "group_id": lambda value: _number(value, 1, MAX_ID - 1),
    },
    "datasets": {
        "name": _line("dataset name", empty=False),
        "description": _paragraph("description"),
        "own_terms_id": lambda value: _number(value, 1, MAX_ID - 1),
    },
    "versions": {"name": _line("version name", empty=False), "branch": _line("branch", empty=False)},
    "buckets": {"name": _bucket, "credential": validation.credential, "project": validation.project},
    "iam_members": {"bucket": _bucket, "member": _member},
    "locations": {"bucket": _bucket, "prefix": _prefix},
    "grants": {
        "permission": _line("permission", empty=False),
        "delegate_id": lambda value: _number(value, 1, MAX_ID - 1),
    },
    "services": {
        "name": _line("service name", empty=False),
        "display_name": _line("display name"),
        "url": validation.url,
    },
    "translations": {
        "client_name": _line("name of a service", empty=False),
        "client_version": _line("version of a service", empty=False),
    },
    "terms": {
        "name": _line("name for terms", empty=False),
        "text": _paragraph("text of the terms"),
        "invite_token": _line("invitation", empty=False),
    },
    "service_tables": {"service": _line("service name", empty=False), "name": _line("table name", empty=False)},
    "clients": {"name": _line("client name", empty=False), "origin": web_origins.require_canonical},
    "client_app_urls": {"url": web_origins.require_canonical},
    "tokens": {"description": _line("description"), "postponed": _ids},
    "declared": {"key": _policy_key, "file": _paragraph("name of a policy file")},
    # Its chain of hashes shows whether a value is that which was written.
    "audit": dict.fromkeys(("actor", "action", "target", "before", "after", "imported_from"), _accept_any),
}
