"""The table of permission levels has the rows of tests/level_table.py, and what follows from each."""

import pytest

from dsgctl.core.rules import levels
from tests.level_table import FOREIGN, NAMES, ROWS, TABLE, LevelRow, included_levels


def test_the_levels_are_those_of_the_table_in_its_order() -> None:
    assert levels.NAMES == NAMES
    assert len(levels.LEVELS) == len({level.rank for level in levels.LEVELS}) == len(NAMES)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_level_is_as_the_table_has_it(row: LevelRow) -> None:
    level = levels.BY_NAME[row.name]
    assert (level.wire_number, str(level.gives), level.lost_if_read_only) == (
        row.number,
        row.gives,
        row.lost_if_read_only,
    )
    assert level.meaning
    assert levels.expand(row.name) == included_levels(row.name)
    assert levels.find_wire_number(row.name) == row.number


def test_a_higher_level_never_has_a_lower_number() -> None:
    numbers = [row.number for row in TABLE]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("name", [*NAMES, FOREIGN])
def test_the_number_is_0_without_view(name: str) -> None:
    """Services that read ``permissions`` let everybody with 1 or more view the dataset."""
    assert (levels.find_wire_number(name) > 0) == ("view" in included_levels(name))


@pytest.mark.parametrize("permission", [*NAMES, FOREIGN])
@pytest.mark.parametrize("level", [*NAMES, FOREIGN])
def test_a_level_may_give_the_permissions_of_the_table(level: str, permission: str) -> None:
    gives = ROWS[level].gives if level in ROWS else "nothing"
    expected = gives == "anything" or (gives == "scoped" and permission in included_levels(level) & set(NAMES))
    assert levels.may_give(level, permission) is expected


def test_a_name_that_is_no_level_includes_itself_alone_and_is_the_lowest() -> None:
    assert levels.expand(FOREIGN) == {FOREIGN}
    for name in NAMES:
        assert levels.find_highest((FOREIGN, name)) == levels.find_highest((name, FOREIGN)) == name
    assert levels.find_highest((FOREIGN, "zoom")) == "zoom"


def test_the_highest_of_all_levels_is_the_last() -> None:
    assert levels.find_highest(reversed(NAMES)) == NAMES[-1]


def test_names_in_a_sentence() -> None:
    *others, last = NAMES
    assert levels.enumerate_names("and") == f"{', '.join(others)} and {last}"
    assert levels.enumerate_lost_if_read_only() == " and ".join(
        f"'{row.name}'" for row in TABLE if row.lost_if_read_only
    )
