"""The permission levels as contract.md, "GET /api/v1/user/cache", and the manual have them, apart from levels.py.

The oracles of the tests read this table, so that a new level is one row here.
"""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True)
class LevelRow:
    """A level; its place in the table says which levels it includes.

    Attributes:
        number: in ``permissions`` of user/cache.
        gives: what its holder may give to others: up to this level, within a group that they lead; or anything.
    """

    name: str
    number: int
    gives: Literal["nothing", "scoped", "anything"] = "nothing"
    lost_if_read_only: bool = False


# The lowest first: each includes those above it.
TABLE: Final = (
    LevelRow("view", 1),
    LevelRow("edit", 2, lost_if_read_only=True),
    LevelRow("manage", 3, "scoped"),
    LevelRow("admin", 4, "anything"),
)

NAMES: Final = tuple(row.name for row in TABLE)
ROWS: Final = {row.name: row for row in TABLE}


def included(name: str) -> set[str]:
    """A level and those that it includes; of another name, the name alone."""
    return set(NAMES[: NAMES.index(name) + 1]) if name in NAMES else {name}
