"""Rows that a caller reads one at a time, although their query was checked at once."""

from collections.abc import Iterator
from itertools import chain, islice
from typing import TypeVar

Row = TypeVar("Row")


def start_reading(rows: Iterator[Row]) -> Iterator[Row]:
    """Run a generator as far as its first row, and return all its rows.

    What the generator looks up, and what it refuses, then belongs to the call, and not to the first use of the result.
    A generator that reads in a `Database.snapshot` can so look names up in the same snapshot.
    """
    first = list(islice(rows, 1))
    return chain(first, rows)
