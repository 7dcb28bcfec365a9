"""Finds datasets, versions, services and terms that cannot be imported, before any of them is written.

A dataset without some of its terms would be open here to people who have not accepted them. So rows that depend on
each other are left out together.
"""

from collections.abc import Callable
from functools import partial

from dsgctl.core import datasets, terms, validation, versions
from dsgctl.core.errors import Conflict
from dsgctl.core.services import MODES, Mode
from dsgctl.core.versions import Position
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun, no_place
from dsgctl.importers.engine.row import Damaged, Row
from dsgctl.importers.engine.writers import refuse_other_dataset

PUBLIC = {"public": True, "closed": False}
Key = tuple[str, int]  # table and id


def lose_unusable(run: DatasetGatewayRun) -> None:
    """Lose every row of these tables that cannot be imported, and every row that must not be here without it."""
    rows: dict[Key, Row] = {}
    dependencies: list[tuple[Key, Key]] = []  # a row, and the row that it must not be without

    def examine(row: Row, check: Callable[[DatasetGatewayRun, Row], None]) -> None:
        rows[row.table, row.id] = row
        dependencies.extend(_list_dependencies(row))
        check(run, row)

    for table, check in _CHECKS.items():
        for row in run.source.rows(table):
            run.attempt(row, partial(examine, check=check))
    while lost := {
        key: parent for key, parent in dependencies if key in rows and run.was_lost(*parent) and not run.was_lost(*key)
    }:
        for key, parent in lost.items():
            run.attempt(rows[key], partial(_lose, run, parent))


def _list_dependencies(row: Row) -> list[tuple[Key, Key]]:
    key = row.table, row.id
    parents = [(table, row.number_or_none(column)) for table, column in _REFERENCES[row.table].items()]
    dependencies = [(key, (table, number)) for table, number in parents if number is not None]
    if row.table == "tos_document":
        version, dataset = row.number_or_none("dataset_version_id"), row.number_or_none("dataset_id")
        if version is not None:  # terms of a version hold back that version alone
            dependencies.append((("dataset_version", version), key))
        elif dataset is not None:
            dependencies.append((("dataset", dataset), key))
    return dependencies


def _lose(run: DatasetGatewayRun, parent: Key, row: Row) -> None:
    table, number = parent
    if row.table == "dataset":
        run.leave_out(f"{row.where}: {validation.quote(row.text('name'))} goes with its terms, {table} row {number}")
        run.lose(row)
    else:
        run.lose_dependent(row)


def _check_dataset(run: DatasetGatewayRun, row: Row) -> None:
    name, mode = row.name("name", "dataset name"), row.text("access_mode")
    row.paragraph("description")
    if mode not in PUBLIC:
        raise Damaged(f"access_mode {validation.quote(mode)} is neither closed nor public")
    refuse_other_dataset(run, name, row.id)


def _check_version(run: DatasetGatewayRun, row: Row) -> None:
    name, position = row.name("version", "version name"), read_position(row)
    versions.validate_position(position)
    if position.ordinal is None:
        return
    dataset_id = row.number("dataset_id")
    first = run.positions.setdefault((dataset_id, position), row)
    if first is not row:
        raise Conflict(f"{first.where} has the same branch and ordinal", "correct it in the source")
    database = run.change.database
    dataset = datasets.find_by_id(database, dataset_id)
    if dataset is not None and versions.find_by_name(database, dataset, name) is None:
        versions.require_free(database, dataset, position)


def read_position(row: Row) -> Position:
    """The position of a version in a row of ``dataset_version``."""
    return Position(row.name("branch", "branch"), row.number_or_none("ordinal"))


def _check_service(run: DatasetGatewayRun, row: Row) -> None:
    row.name("name", "service name")
    read_mode(row)


def read_mode(row: Row) -> Mode:
    """The mode of a row of ``service``.

    Raises:
        Invalid: there is no such mode here.
    """
    for mode in MODES:
        if mode == row.text("version_eval_mode"):
            return mode
    raise no_place(f"it compares versions in the mode {validation.quote(row.text('version_eval_mode'))}")


def _check_terms(run: DatasetGatewayRun, row: Row) -> None:
    database, name = run.change.database, row.title("name", "name for terms")
    row.paragraph("text")
    invite = validation.single_line(row.text("invite_token"), "invitation")
    existing = terms.find_by_id(database, row.id)
    if existing is not None and existing.invite_token != invite:
        raise Conflict(
            f"the terms of id {row.id} are {validation.quote(name)} there, but here {validation.quote(existing.name)}",
            "import into an empty database",
        )
    if existing is None and terms.find_by_invite(database, invite):
        raise Conflict("its invite_token is that of other terms here", "import into an empty database")


# In the order in which they refer to each other, but for a dataset's own terms.
_CHECKS: dict[str, Callable[[DatasetGatewayRun, Row], None]] = {
    "dataset": _check_dataset,
    "dataset_version": _check_version,
    "service": _check_service,
    "tos_document": _check_terms,
}
_REFERENCES = {
    "dataset": {"tos_document": "tos_id"},
    "dataset_version": {"dataset": "dataset_id"},
    "service": {},
    "tos_document": {"dataset": "dataset_id", "dataset_version": "dataset_version_id", "service": "service_id"},
}
