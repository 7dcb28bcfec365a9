"""The permission levels: one table, which everything else reads.

To add a level, add a row to `LEVELS` and a row to ``tests/level_table.py``, then run ``make guide``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Gives(StrEnum):
    """What the holder of a level may give to others with ``dsgctl --as``."""

    NOTHING = "nothing"
    SCOPED = "scoped"  # up to the level itself, to a group that the holder leads and to its members
    ANYTHING = "anything"


@dataclass(frozen=True, slots=True)
class Level:
    """A permission level.

    Attributes:
        name: in commands, policy files and responses.
        rank: a level includes all levels of a lower rank. Only the order counts.
        wire_number: stands for the level in ``permissions`` (contract.md, "GET /api/v1/user/cache"). The numbers of
            existing levels stay, since services compare with them; a level between two others has the number of the
            lower one, and a level below ``view`` has 0.
        meaning: what the holder may do: ends the sentence "The holder may …".
        gives: what the holder may give to others.
        lost_if_read_only: a read-only account does not have this level.
    """

    name: str
    rank: int
    wire_number: int
    meaning: str
    gives: Gives = Gives.NOTHING
    lost_if_read_only: bool = False


LEVELS: Final = (
    Level("view", 10, 1, "read the data"),
    Level("edit", 20, 2, "change the data", lost_if_read_only=True),
    Level("manage", 30, 3, "give this and lower levels to the members of a group that they lead", Gives.SCOPED),
    Level("admin", 40, 4, "decide about all grants on the dataset", Gives.ANYTHING),
)

VIEW: Final = "view"  # what a bucket is read with, and what accepting a public dataset's terms gives
ADMIN: Final = "admin"  # what ``datasets_admin`` requires (contract.md, "GET /api/v1/user/cache")

BY_NAME: Final[Mapping[str, Level]] = {level.name: level for level in LEVELS}
NAMES: Final = tuple(level.name for level in sorted(LEVELS, key=lambda level: level.rank))  # the lowest first
LOST_IF_READ_ONLY: Final = frozenset(level.name for level in LEVELS if level.lost_if_read_only)
GIVES_SOMETHING: Final = tuple(name for name in NAMES if BY_NAME[name].gives is not Gives.NOTHING)
GIVES_ANYTHING: Final = tuple(name for name in NAMES if BY_NAME[name].gives is Gives.ANYTHING)

_EXPANDED: Final = {
    level.name: frozenset(lower.name for lower in LEVELS if lower.rank <= level.rank) for level in LEVELS
}


INCLUDE_ADMIN: Final = frozenset(name for name, included in _EXPANDED.items() if ADMIN in included)


def expand(permission: str) -> frozenset[str]:
    """A permission and all that it includes. A name that is no level includes itself alone."""
    return _EXPANDED.get(permission) or frozenset((permission,))


def find_wire_number(permission: str) -> int:
    """The number of a permission in ``permissions``; 0 for a name that is no level."""
    level = BY_NAME.get(permission)
    return level.wire_number if level else 0


def find_highest(permissions: Iterable[str]) -> str:
    """The highest of some permissions. A name that is no level is below all levels.

    Args:
        permissions: at least one.
    """
    return max(permissions, key=lambda name: (BY_NAME[name].rank if name in BY_NAME else -1, name))


def may_give(permission_held: str, permission: str) -> bool:
    """Whether the holder of one permission may give another; version, scope and time aside."""
    holder = BY_NAME.get(permission_held)
    if holder is None or holder.gives is Gives.NOTHING:
        return False
    level = BY_NAME.get(permission)
    return holder.gives is Gives.ANYTHING or (level is not None and level.rank <= holder.rank)


def enumerate_names(conjunction: str) -> str:
    """The names in a sentence: "view, edit, manage and admin".

    Args:
        conjunction: "and" or "or".
    """
    return _enumerate(NAMES, conjunction)


def enumerate_lost_if_read_only() -> str:
    """What a read-only account does not have, in a sentence: "'edit'"."""
    return _enumerate([f"'{name}'" for name in NAMES if name in LOST_IF_READ_ONLY], "and")


def _enumerate(names: Sequence[str], conjunction: str) -> str:
    *others, last = names
    return f"{', '.join(others)} {conjunction} {last}" if others else last
