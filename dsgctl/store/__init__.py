"""The database: the only package that knows which engine it is."""

from dsgctl.store import queries as queries  # first: it imports peewee without its drivers

# isort: split
from dsgctl.store.database import Database
from dsgctl.store.errors import StoreError

__all__ = ["Database", "StoreError"]
