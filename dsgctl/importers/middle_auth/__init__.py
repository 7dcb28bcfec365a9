"""CAVE's own server, middle_auth: ids of users, datasets and terms stay, tokens keep working.

tables.py      which tables and columns are read
csv_source.py  them as CSV dumps; sql_source.py: in the database itself
accounts.py    people, groups, tokens
rules.py       terms, permissions, who accepted and who administers what
data.py        datasets, service tables, public roots
"""

from dataclasses import dataclass
from pathlib import Path

from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.importers.engine.importer import BaseImporter
from dsgctl.importers.engine.report import Progress, Report
from dsgctl.importers.middle_auth.accounts import import_groups, import_tokens, import_users
from dsgctl.importers.middle_auth.csv_source import CsvDumps
from dsgctl.importers.middle_auth.data import import_datasets, import_public_roots, import_service_tables
from dsgctl.importers.middle_auth.import_run import MiddleAuthRun
from dsgctl.importers.middle_auth.rules import import_acceptances, import_grants, import_terms
from dsgctl.importers.middle_auth.tables import APP, NO_PLACE, Tables

__all__ = ["Importer"]

# In the order in which facts refer to each other.
_STEPS = (
    import_users,
    import_groups,
    import_terms,
    import_datasets,
    import_grants,
    import_acceptances,
    import_tokens,
    import_service_tables,
    import_public_roots,
)


@dataclass
class Importer(BaseImporter):
    """Import from middle_auth, CAVE's own server: ids are kept, and tokens keep working.

    SOURCE is a directory with a CSV dump of each of its tables (PostgreSQL's COPY, with header), or the URL of its
    database, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE, which is only read. Keep the password out
    of the URL: PGPASSWORD, ~/.pgpass or MYSQL_PWD.
    """

    example = "dsgctl import middle-auth dumps --dry-run"
    metavar = "SOURCE"

    @staticmethod
    def label(source: str) -> str:
        """A URL without its password."""
        if "://" not in source:
            return source
        # Not at the top: only needed for a database.
        from dsgctl.importers.middle_auth import drivers

        return drivers.address(source)

    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        if "://" in source:
            # Not at the top: only needed for a database.
            from dsgctl.importers.middle_auth import drivers, sql_source

            with sql_source.open_source(source) as tables:
                report = _run(change, tables, skip_conflicts, progress)
            if drivers.has_password(source):
                report.remarks.append(
                    "the password in the URL was in the list of processes: use PGPASSWORD or MYSQL_PWD"
                )
            return report
        path = Path(source)
        if not path.is_dir():
            what = "is not a directory" if path.exists() else "is not there"
            raise Invalid(
                f"{source} {what}", "name a directory with a CSV dump of each table, or a database by its URL"
            )
        return _run(change, CsvDumps(path), skip_conflicts, progress)


def _run(change: Change, found: Tables, skip_conflicts: bool, progress: Progress | None) -> Report:
    taking = MiddleAuthRun(change, found, progress, skip_conflicts)
    for step in _STEPS:
        step(taking)
    for what in NO_PLACE:
        taking.note(f"{what}: there is no place for it here")
    for table in found.unknown():
        hint = "see the setting DSG_ALLOWED_REDIRECTS" if table == APP else "it is not known here"
        taking.note(f"the table {table}: {hint}")
    found.check_unchanged()
    taking.finish()
    return taking.report
