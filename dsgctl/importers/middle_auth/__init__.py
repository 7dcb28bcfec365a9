"""CAVE's own server, middle_auth: ids of users, datasets and terms are kept, and tokens keep working.

tables.py      which tables and columns are read
csv_source.py  the tables as CSV dumps; sql_source.py: in the database itself
accounts.py    users, tokens; the engine's database_run.py reads groups
rules.py       terms, acceptances, permissions
data.py        datasets, service tables, public roots
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from dsgctl.core.change import Change
from dsgctl.core.errors import Invalid
from dsgctl.importers.engine.database_run import read_groups
from dsgctl.importers.engine.record_importer import RecordImporter, Step
from dsgctl.importers.engine.report import Progress, Report
from dsgctl.importers.middle_auth.accounts import read_tokens, read_users
from dsgctl.importers.middle_auth.csv_source import CsvDumps
from dsgctl.importers.middle_auth.data import read_datasets, read_public_roots, read_service_tables
from dsgctl.importers.middle_auth.import_run import MiddleAuthRun
from dsgctl.importers.middle_auth.rules import read_acceptances, read_grants, read_terms
from dsgctl.importers.middle_auth.tables import APP, NO_PLACE, Tables

__all__ = ["Importer"]


@dataclass
class Importer(RecordImporter[MiddleAuthRun]):
    """Import from middle_auth, CAVE's own server: ids are kept, and tokens keep working.

    SOURCE is a directory with a CSV dump of each of its tables (PostgreSQL's COPY, with header), or the URL of its
    database, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE, which is only read. Keep the password out
    of the URL: PGPASSWORD, ~/.pgpass or MYSQL_PWD.
    """

    example = "dsgctl import middle-auth dumps --dry-run"
    metavar = "SOURCE"
    run_type = MiddleAuthRun

    @staticmethod
    def label(source: str) -> str:
        """A URL without its password."""
        if "://" not in source:
            return source
        # Not at the top: only needed for a database.
        from dsgctl.importers.middle_auth import drivers

        return drivers.address(source)

    def open(self, source: str) -> AbstractContextManager[Tables]:
        if "://" in source:
            # Not at the top: only needed for a database.
            from dsgctl.importers.middle_auth import sql_source

            return sql_source.open_source(source)
        path = Path(source)
        if not path.is_dir():
            problem = "is not a directory" if path.exists() else "is not there"
            raise Invalid(
                f"{source} {problem}", "name a directory with a CSV dump of each table, or a database by its URL"
            )
        return nullcontext(CsvDumps(path))

    def read(self, run: MiddleAuthRun) -> Iterator[Step]:
        yield from read_users(run)
        yield from read_groups(run)
        yield from read_terms(run)
        yield from read_datasets(run)
        yield from read_grants(run)
        yield from read_acceptances(run)
        yield from read_tokens(run)
        yield from read_service_tables(run)
        yield from read_public_roots(run)
        for detail in NO_PLACE:
            run.note(f"{detail}: there is no place for it here")
        for table in run.source.unknown():
            hint = "see the setting DSG_ALLOWED_REDIRECTS" if table == APP else "it is not known here"
            run.note(f"the table {table}: {hint}")
        run.source.check_unchanged()

    def run(
        self, change: Change, source: str, *, skip_conflicts: bool = False, progress: Progress | None = None
    ) -> Report:
        report = super().run(change, source, skip_conflicts=skip_conflicts, progress=progress)
        if "://" in source:
            # Not at the top: only needed for a database.
            from dsgctl.importers.middle_auth import drivers

            if drivers.has_password(source):
                report.remarks.append(
                    "the password in the URL was in the list of processes: use PGPASSWORD or MYSQL_PWD"
                )
        return report
