"""peewee, which builds the queries. Modules outside this package import it from here.

peewee imports every installed database driver, and psycopg and pymysql take three times as long as peewee itself. Here
it is imported without them. A module that needs a driver imports it itself (importers/middle_auth/drivers.py).
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_DRIVERS = ("psycopg2cffi", "psycopg2", "psycopg", "pymysql", "MySQLdb")  # what peewee tries to import


@contextmanager
def _without_drivers() -> Iterator[None]:
    """Inside, an import of a driver fails, as if it was not installed."""
    hidden = [name for name in _DRIVERS if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # so that an import of it raises ImportError
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


with _without_drivers():
    importlib.import_module("peewee")

import peewee  # noqa: E402  only from here on is it loaded
from peewee import (  # noqa: E402
    JOIN,
    AutoField,
    BlobField,
    BooleanField,
    CompositeKey,
    Expression,
    Field,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
    Value,
    fn,
)

__all__ = [
    "JOIN",
    "AutoField",
    "BlobField",
    "BooleanField",
    "CompositeKey",
    "Expression",
    "Field",
    "ForeignKeyField",
    "IntegerField",
    "Model",
    "TextField",
    "Value",
    "fn",
    "peewee",
]

# Fields whose values are stored unchanged.
UNCONVERTED = (AutoField, BlobField, ForeignKeyField, IntegerField, TextField)
