"""Where the facts are kept. Nothing outside this package may assume SQLite."""

from dsgctl.store.database import Database
from dsgctl.store.errors import StoreError

__all__ = ["Database", "StoreError"]
