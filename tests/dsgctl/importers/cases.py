"""A sound source for each importer: `CASES`, which a new importer adds its row to."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dsgctl.core import users
from dsgctl.core.transaction import begin_change
from dsgctl.importers import clio, csv, datasetgateway, middle_auth, neuprint
from dsgctl.importers import export as export_importer
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.store.migrations import migrate, open_current
from dsgctl.store.times import utc_text
from dsgctl.transfer import export
from tests.conftest import FIXTURES
from tests.dsgctl.core.builders import AT
from tests.dsgctl.importers.cave_dumps import copy_dumps

ADA = "ada@example.org"


@dataclass(frozen=True)
class Case:
    """
    Attributes:
        importer: makes an importer with its options, which may name the dataset fish2.
        write: writes the source to a path.
        email: a user in the source.
    """

    importer: Callable[[], BaseImporter]
    write: Callable[[Path], object]
    email: str = ADA


def _write_database(path: Path) -> None:
    shutil.copy(FIXTURES / "datasetgateway.sqlite3", path)


def _write_document(path: Path) -> None:
    database_path = path.with_name("exported.sqlite3")
    migrate(database_path, now=utc_text(AT))
    database = open_current(database_path)
    with begin_change(database, "os:test", at=AT) as change:
        users.add(change, ADA)
    path.write_bytes(b"".join(export.build_document(database, AT)))
    database.close()


CASES = {
    "clio": Case(
        clio.Importer, lambda path: path.write_text(json.dumps({"users": {ADA: {}}, "datasets": {"vnc": {}}}))
    ),
    "csv": Case(lambda: csv.Importer("fish2"), lambda path: path.write_text(f"email\n{ADA}\n")),
    "datasetgateway": Case(datasetgateway.Importer, _write_database, "first.last+0@example.org"),
    "export": Case(export_importer.Importer, _write_document),
    "middle-auth": Case(middle_auth.Importer, lambda path: copy_dumps(path, whole=True), "kelkel0@example.org"),
    "neuprint": Case(
        lambda: neuprint.Importer(("fish2",)), lambda path: path.write_text(json.dumps({ADA: "readonly"}))
    ),
}
