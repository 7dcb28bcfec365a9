"""The permission levels as contract.md, "GET /api/v1/user/cache", and the manual have them, apart from levels.py.

The oracles of the tests read this table, so that a new level is one row here, wherever it stands among the others.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal


@dataclass(frozen=True)
class LevelRow:
    """A level; its place in the table says which levels it includes.

    Attributes:
        number: in ``permissions`` of user/cache; 0 below ``view``.
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
FOREIGN: Final = "legacy"  # a permission of another system, which is no level here; not for a row of the table

# The levels of the servers whose answers are in tests/fixtures. A new level is not among them.
RECORDED: Final = ("view", "edit", "manage", "admin")


def included_levels(name: str) -> set[str]:
    """A level and those that it includes; of another name, the name alone."""
    return set(NAMES[: NAMES.index(name) + 1]) if name in NAMES else {name}


def included_in_order(name: str) -> tuple[str, ...]:
    """A level and those that it includes, the lowest first."""
    return NAMES[: NAMES.index(name) + 1]


def leave_out_unrecorded_roles(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of authorize, with its anchors, without the levels that the servers of `RECORDED` did not have."""
    newer = set(NAMES) - set(RECORDED)
    roles = {"roles": [name for name in entry["roles"] if name not in newer]} if "roles" in entry else {}
    anchors = [leave_out_unrecorded_roles(anchor) for anchor in entry.get("anchors", ())]
    return {**entry, **roles, **({"anchors": anchors} if anchors else {})}


def leave_out_unrecorded(body: dict[str, Any]) -> dict[str, Any]:
    """A body of user/cache without the levels that the servers of `RECORDED` did not have."""
    newer = set(NAMES) - set(RECORDED)
    lists = ("permissions_v2", "permissions_v2_ignore_tos")
    return body | {
        key: {dataset: [name for name in names if name not in newer] for dataset, names in body[key].items()}
        for key in lists
    }
