"""The list of all datasets. Scripts ask for it often, so its query is text, and it starts without peewee."""

from collections.abc import Iterator
from typing import TypedDict

from dsgctl.store import Database


class DatasetRow(TypedDict):
    """A row of `list_datasets`; ``access`` is closed or public, ``terms`` the name of the dataset's own terms."""

    id: int
    name: str
    access: str
    terms: str | None
    description: str


_QUERY = """
SELECT datasets.id, datasets.name, datasets.access, terms.name, datasets.description
FROM datasets LEFT JOIN terms ON terms.id = datasets.own_terms_id
ORDER BY datasets.name
"""


def list_datasets(database: Database) -> Iterator[DatasetRow]:
    """Every dataset, by name."""
    return database.rows(_QUERY, DatasetRow)
