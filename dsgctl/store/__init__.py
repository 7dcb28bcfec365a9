"""The database: the only package that knows which engine it is."""

from dsgctl.store.database import Database
from dsgctl.store.errors import StoreError

__all__ = ["Database", "StoreError"]
