"""The import from middle_auth's own database: the same as from its dumps, from a real server."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from dsgctl.core import groups, users
from dsgctl.core.errors import Conflict, Invalid
from dsgctl.importers import middle_auth
from dsgctl.importers.middle_auth import sql_source
from dsgctl.store.migrations import open_current
from tests.dsgctl.commands.running import REPOSITORY, Process
from tests.dsgctl.core.builders import Run, refused
from tests.dsgctl.importers import cave_dumps as there
from tests.dsgctl.importers import postgresql
from tests.patience import PATIENCE

_NUMBERS = count()
WORDS = ("import", "middle-auth", "postgresql://ada@127.0.0.1:1/auth")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Where a command runs."""
    directory = tmp_path / "home"
    directory.mkdir()
    return directory


@pytest.fixture(scope="module")
def server() -> Iterator[postgresql.Server]:
    if not (postgresql.PROGRAMS / "initdb").is_file():
        pytest.skip("Debian's postgresql is not installed")
    with postgresql.running() as running:
        running.psql("postgres", "-c", "CREATE DATABASE auth")
        running.psql("postgres", "-c", "CREATE DATABASE pristine")
        for database in ("auth", "pristine"):
            running.psql(database, "-f", str(there.DUMPS / "middle_auth.sql"))
        yield running


@pytest.fixture
def url(server: postgresql.Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The database as it was dumped; not to be written to."""
    monkeypatch.setenv("PGPASSWORD", postgresql.PASSWORD)
    return server.url("auth")


@pytest.fixture
def copy(server: postgresql.Server, url: str) -> Callable[..., str]:
    """Makes a database to be spoilt, in which nothing stands against anything."""

    def make(*sql: str) -> str:
        name = f"auth{next(_NUMBERS)}"
        server.psql("postgres", "-c", f"CREATE DATABASE {name} TEMPLATE pristine")
        server.psql(name, "-c", "UPDATE \"user\" SET email = 'other.twin@example.org' WHERE id = 7")
        for statement in sql:
            server.psql(name, "-c", statement)
        return server.url(name)

    return make


def test_the_database_gives_the_same_rows_as_the_dumps(
    run: Run, url: str, tmp_path: Path, empty_database: Path
) -> None:
    other = tmp_path / "other.sqlite3"
    other.write_bytes(empty_database.read_bytes())
    from_dumps = Run(open_current(other))
    first = run(middle_auth.Importer().run, url, skip_conflicts=True)
    second = from_dumps(middle_auth.Importer().run, str(there.DUMPS), skip_conflicts=True)
    assert (first.added, first.unchanged) == (second.added, second.unchanged)
    assert len(first.skipped) == len(second.skipped) - 1  # the table app is known to be of no matter there
    mine, theirs = run.content(), from_dumps.content()
    random = {"terms": 6, "audit": 8, "sqlite_sequence": 0}  # an invitation, hashes, ids of tokens that were left out
    for table, rows in theirs.items():
        if not table.startswith("principals_search") and table not in random:
            assert mine[table] == rows, table
    assert not run(middle_auth.Importer().run, str(there.DUMPS), skip_conflicts=True).changed
    from_dumps.database.close()


def test_a_second_run_changes_nothing(run: Run, copy: Callable[..., str]) -> None:
    url = copy()
    assert run(middle_auth.Importer().run, url).changed
    before = run.content()
    assert not run(middle_auth.Importer().run, url).changed
    assert run.content() == before


def test_a_conflict_names_the_row(run: Run, url: str) -> None:
    before = run.content()
    with refused(Conflict, "/auth: user row 7: 'case.twin@example.org'", "user row 6"):
        run(middle_auth.Importer().run, url)
    assert run.content() == before


def test_an_id_of_somebody_who_was_deleted_there_is_not_given_again(run: Run, copy: Callable[..., str]) -> None:
    run(middle_auth.Importer().run, copy("SELECT setval(pg_get_serial_sequence('\"user\"', 'id'), 5000)"))
    assert run(users.add, "next@example.org")[0].id == 5001


def test_long_tables_are_read_a_part_at_a_time(run: Run, copy: Callable[..., str]) -> None:
    url = copy(
        'INSERT INTO "user" (id, name, email, admin, gdpr_consent, pi, read_only)'
        " SELECT n, 'N', 'p' || n || '@example.org', false, false, '', false FROM generate_series(100, 5099) n"
    )
    assert run(middle_auth.Importer().run, url).added["users"] == 5042


SPOILT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a table is missing": (("DROP TABLE api_key",), ("no table api_key",)),
    "of an older release": (('ALTER TABLE "user" DROP COLUMN read_only',), ("table user", "no column read_only")),
    "of a later release": (
        ("ALTER TABLE group_dataset_permission ADD COLUMN expires timestamp",),
        ("group_dataset_permission", "'expires'", "newer"),
    ),
    "a row names what is not there": (
        (
            "ALTER TABLE user_group DROP CONSTRAINT user_group_user_id_fkey",
            "UPDATE user_group SET user_id = 4711 WHERE id = 3",
        ),
        ("user_group row 3", "4711"),
    ),
    "an email that is none": (("UPDATE \"user\" SET email = 'nobody' WHERE id = 3",), ("user row 3", "'nobody'")),
    "a permission that has no name": (("UPDATE permission SET name = '' WHERE id = 3",), ("permission row 3",)),
}


@pytest.mark.parametrize(("sql", "parts"), SPOILT.values(), ids=SPOILT)
def test_a_spoilt_database_is_refused_with_table_and_row(
    run: Run, copy: Callable[..., str], sql: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    url = copy(*sql)
    before = run.content()
    with refused(Invalid, url, *parts):
        run(middle_auth.Importer().run, url)
    assert run.content() == before


def test_a_database_that_is_being_written_to_is_read_as_a_snapshot(
    run: Run, server: postgresql.Server, url: str
) -> None:
    """Or refused, if a table is locked altogether."""
    sql = "BEGIN; UPDATE \"user\" SET name = 'Half'; SELECT 'ready'"
    assert run(middle_auth.Importer().run, _while(server, sql, url), skip_conflicts=True).added["users"] == 40
    assert users.find(run.database, "mirgax1@example.org").name == "Wemvofer Lopshubra"


def test_a_locked_database_is_refused_after_a_timeout(
    run: Run, server: postgresql.Server, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "dsgctl.importers.middle_auth.drivers._POSTGRESQL",
        (
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            "SET LOCAL lock_timeout = '200ms'",
        ),
    )
    before = run.content()
    with refused(Invalid, "/auth: ", "it is being written to"):
        run(middle_auth.Importer().run, _while(server, "BEGIN; LOCK TABLE api_key; SELECT 'ready'", url))
    assert run.content() == before


_SESSIONS: "list[subprocess.Popen[str]]" = []


@pytest.fixture(autouse=True)
def no_sessions() -> Iterator[None]:
    yield
    for session in _SESSIONS:
        session.kill()
        session.communicate()
    _SESSIONS.clear()


def _while(server: postgresql.Server, sql: str, url: str) -> str:
    """The URL, once a session has done ``sql``; it stays as it is then until the test ends."""
    session = subprocess.Popen(
        [postgresql.PROGRAMS / "psql", "-qAtX", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    _SESSIONS.append(session)
    assert session.stdin
    assert session.stdout
    session.stdin.write(sql.replace("; ", ";\n") + ";\n")
    session.stdin.flush()
    assert session.stdout.readline() == "ready\n"
    return url


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("postgresql://nobody:{secret}@127.0.0.1:{port}/auth", ("postgresql://nobody@127.0.0.1", "authentication")),
        ("postgresql://postgres@127.0.0.1:{port}/none", ("/none", "does not exist")),
        ("postgresql://postgres@127.0.0.1:{port}/postgres", ("/postgres", "no table user")),
    ],
)
def test_a_database_that_cannot_be_opened_is_refused_without_the_password(
    run: Run, server: postgresql.Server, url: str, source: str, parts: tuple[str, ...]
) -> None:
    with refused(Invalid, *parts):
        try:
            run(middle_auth.Importer().run, source.format(secret="hunter2", port=server.port))
        except Invalid as error:
            assert "hunter2" not in error.message
            raise


class TestUrls:
    @pytest.mark.parametrize(
        ("source", "part"),
        [
            ("oracle://ada@db/auth", "'oracle' is not a kind of database"),
            ("https://auth.example.org/x", "'https' is not a kind"),
            ("postgresql://ada@db", "names no database"),
            ("postgresql://ada@db:port/auth", "not the URL of a database"),
            ("mysql://ada@db/auth?ssl=1", "'ssl'"),
        ],
    )
    def test_an_invalid_url_is_refused(self, run: Run, source: str, part: str) -> None:
        with refused(Invalid, part):
            run(middle_auth.Importer().run, source)

    @pytest.mark.parametrize("engine", ["postgresql", "mysql"])
    def test_an_unreachable_server_is_reported_in_one_line(self, run: Run, engine: str) -> None:
        with refused(Invalid, f"{engine}://ada@127.0.0.1:1/auth", "check the URL"):
            run(middle_auth.Importer().run, f"{engine}://ada:hunter2@127.0.0.1:1/auth")

    @pytest.mark.parametrize(
        ("source", "label"),
        [
            ("postgresql://ada:hunter2@db:5433/auth?sslmode=require", "postgresql://ada@db:5433/auth"),
            ("mysql+pymysql://ada:hunter2@[::1]/auth", "mysql://ada@[::1]/auth"),
            ("postgres:///auth?host=/run/postgresql&password=hunter2", "postgresql:///auth"),
            ("dumps/of/today", "dumps/of/today"),
        ],
    )
    def test_a_url_is_shown_without_its_password(self, source: str, label: str) -> None:
        assert middle_auth.Importer.label(source) == label


def test_a_driver_is_loaded_only_when_it_is_asked_for() -> None:
    """It takes longer than all the rest of a start."""
    code = (
        "import sys, dsgctl.commands.imports, dsgctl.importers.middle_auth.drivers\n"
        "print('peewee' in sys.modules, *(name for name in ('psycopg', 'pymysql') if name in sys.modules))\n"
        "import psycopg, pymysql  # nothing stands in the way of whoever wants one\n"
        "print(psycopg.__name__, pymysql.__name__)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE)
    assert process.stdout == "True\npsycopg pymysql\n"


def test_without_the_driver_it_says_what_to_install(home: Path, path: Path, tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("raise ImportError")  # found first, it is as good as none
    result = Process(home, path)(*WORDS, env={"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"})
    assert (result.code, result.out) == (2, "")
    assert "psycopg" in result.err
    assert "-m pip install 'psycopg[binary]'" in result.err


def test_the_log_names_the_database_without_the_password(server: postgresql.Server, home: Path, path: Path) -> None:
    dsgctl = Process(home, path)
    result = dsgctl("import", "middle-auth", server.url("auth", postgresql.PASSWORD), "--skip-conflicts")
    assert result.code == 4
    record = json.loads(dsgctl("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["actor"].startswith(f"import:{server.url('auth')} by os:")
    assert postgresql.PASSWORD not in result.out + result.err
    assert "note: the password in the URL was in the list of processes" in result.err


def test_a_part_is_not_all_of_a_table() -> None:
    assert sql_source._PART_ROWS < 5000  # or the test of long tables would not try it


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_a_database_of_another_encoding_gives_the_same_names(
    run: Run, server: postgresql.Server, url: str, encoding: str
) -> None:
    name = f"auth{next(_NUMBERS)}"
    locale = "TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    server.psql("postgres", "-c", f"CREATE DATABASE {name} ENCODING '{encoding}' {locale}")
    server.psql(name, "-f", str(_ascii_dump(there.DUMPS / "middle_auth.sql", Path(run.database.path).parent)))
    group = {"LATIN1": "équipe ", "SQL_ASCII": "équipe ✓", "EUC_JP": "日本 "}[encoding]
    server.psql(name, "-c", "UPDATE \"user\" SET email = 'other.twin@example.org' WHERE id = 7")
    utf8 = ("-c", "SET client_encoding = 'UTF8'")
    server.psql(name, *utf8, "-c", f"UPDATE \"group\" SET name = '{group}' WHERE id = 2")
    report = run(middle_auth.Importer().run, server.url(name), skip_conflicts=True)
    assert report.added["users"] > 30
    assert group in {row["name"] for row in groups.list_groups(run.database)}


def _ascii_dump(dump: Path, directory: Path) -> Path:
    """The dump with a letter in place of each that not every encoding has."""
    text = dump.read_text(encoding="utf-8")
    path = directory / "ascii.sql"
    path.write_text("".join(char if char.isascii() else "x" for char in text))
    path.chmod(0o644)
    return path
