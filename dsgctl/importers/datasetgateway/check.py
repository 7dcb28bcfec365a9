"""Finds what cannot be taken over of datasets, versions, services and terms, before any of it is written.

A dataset without some of its terms would be open here to people who have not accepted them. So what hangs together is
found first, and left out together.
"""

from collections.abc import Callable
from functools import partial

from dsgctl.core import datasets, terms, validation
from dsgctl.core.errors import Conflict
from dsgctl.importers.datasetgateway.import_run import DatasetGatewayRun, no_place
from dsgctl.importers.engine.row import Damaged, Row

PUBLIC = {"public": True, "closed": False}
_MAIN = "main"  # the branch of a version of which nobody has said another

Key = tuple[str, int]  # table and id


def check(taking: DatasetGatewayRun) -> None:
    """Lose every row of these tables that cannot be taken over, and every row that must not be here without it."""
    rows: dict[Key, Row] = {}
    hanging: list[tuple[Key, Key]] = []  # what must not be without what

    def look_at(row: Row, refuse: Callable[[DatasetGatewayRun, Row], None]) -> None:
        rows[row.table, row.id] = row
        hanging.extend(_hanging(row))
        refuse(taking, row)

    for table, refuse in _CHECKS.items():
        for row in taking.source.rows(table):
            taking.attempt(row, partial(look_at, refuse=refuse))
    while lost := {
        one: on for one, on in hanging if one in rows and taking.was_lost(*on) and not taking.was_lost(*one)
    }:
        for one, on in lost.items():
            taking.attempt(rows[one], partial(_lose, taking, on=on))


def _hanging(row: Row) -> list[tuple[Key, Key]]:
    here = row.table, row.id
    on = [(table, row.number_or_none(column)) for table, column in _REFERENCES[row.table].items()]
    found = [(here, (table, number)) for table, number in on if number is not None]
    if row.table == "tos_document":
        version, dataset = row.number_or_none("dataset_version_id"), row.number_or_none("dataset_id")
        if version is not None:  # terms of a version hold back that version alone
            found.append((("dataset_version", version), here))
        elif dataset is not None:
            found.append((("dataset", dataset), here))
    return found


def _lose(taking: DatasetGatewayRun, row: Row, on: Key) -> None:
    table, number = on
    if row.table == "dataset":
        taking.leave_out(
            f"{row.where}: {validation.quoted(row.text('name'))} goes with its terms, {table} row {number}"
        )
        taking.lose(row)
    else:
        taking.lose_dependent(row)


def _dataset(taking: DatasetGatewayRun, row: Row) -> None:
    name, mode = row.name("name", "dataset name"), row.text("access_mode")
    row.paragraph("description")
    if mode not in PUBLIC:
        raise Damaged(f"access_mode {validation.quoted(mode)} is neither closed nor public")
    database = taking.change.database
    for known in (datasets.by_name(database, name), datasets.by_id(database, row.id)):
        if known and (known.id != row.id or known.name != name):
            raise Conflict(
                f"dataset {name} has id {row.id} there, but here {known.name} has id {known.id}",
                "import into an empty database, or remove the dataset here first",
            )


def _version(taking: DatasetGatewayRun, row: Row) -> None:
    name = row.name("version", "version name")
    if row.text("branch") != _MAIN:
        raise no_place(f"version {validation.quoted(name)} is on the branch {validation.quoted(row.text('branch'))}")
    if (ordinal := row.number_or_none("ordinal")) is not None:
        raise no_place(f"version {validation.quoted(name)} has the ordinal {ordinal}")


def _service(taking: DatasetGatewayRun, row: Row) -> None:
    row.name("name", "service name")


def _terms(taking: DatasetGatewayRun, row: Row) -> None:
    database, name = taking.change.database, row.title("name", "name for terms")
    row.paragraph("text")
    invite = validation.single_line(row.text("invite_token"), "invitation")
    known = terms.by_id(database, row.id)
    if known is not None and known.invite_token != invite:
        raise Conflict(
            f"the terms of id {row.id} are {validation.quoted(name)} there, but here {validation.quoted(known.name)}",
            "import into an empty database",
        )
    if known is None and terms.by_invite(database, invite):
        raise Conflict("its invite_token is that of other terms here", "import into an empty database")


# In the order in which they refer to each other, but for a dataset's own terms.
_CHECKS: dict[str, Callable[[DatasetGatewayRun, Row], None]] = {
    "dataset": _dataset,
    "dataset_version": _version,
    "service": _service,
    "tos_document": _terms,
}
_REFERENCES = {
    "dataset": {"tos_document": "tos_id"},
    "dataset_version": {"dataset": "dataset_id"},
    "service": {},
    "tos_document": {"dataset": "dataset_id", "dataset_version": "dataset_version_id", "service": "service_id"},
}
