"""``import`` as it is typed: what it prints, its exit codes, and that a dry run or a bad file changes nothing."""

import json
import shutil
import sqlite3

import pytest

from tests.conftest import FIXTURES
from tests.dsgctl.commands.running import Process, dump
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World
from tests.dsgctl.importers.cave_dumps import DUMPS, copy_dumps

CSV = ("import", "csv", "people.csv", "--dataset", "fish2")
GATEWAY = ("import", "datasetgateway", "db.sqlite3")
CAVE = ("import", "middle-auth", "dumps")
KEYS = ["source", "changed", "added", "unchanged", "skipped"]
PEOPLE = "Email,NAME,Affiliation,notes\ncy@example.org,Cy,HHMI,\nada@example.org,,Janelia,met in Oslo\n"


@pytest.fixture
def people(filled: World) -> World:
    (filled.directory / "people.csv").write_text(PEOPLE)
    return filled


@pytest.fixture
def gateway(filled: World, dsgctl: Process) -> World:
    """The files of the examples, and an empty database: ids are kept, so none may be taken."""
    shutil.copy(FIXTURES / "datasetgateway.sqlite3", filled.directory / "db.sqlite3")
    return World(dsgctl.database, filled.directory, filled.token)


@pytest.fixture
def cave(filled: World, dsgctl: Process) -> World:
    """Dumps of middle_auth of which nothing need be left out, and an empty database."""
    copy_dumps(filled.directory / "dumps", whole=True)
    return World(dsgctl.database, filled.directory, filled.token)


def test_importing_a_csv_file_twice_changes_nothing_the_second_time(people: World) -> None:
    first = json.loads(people.run(*CSV, "-o", "json").ok().out)
    assert list(first) == KEYS
    assert first["changed"] is True
    assert first["added"]["users"] == 1
    people.quick("access", "check", "cy@example.org", "fish2", "view").ok()
    ada = json.loads(people.quick("user", "show", "ada@example.org", "-o", "json").ok().out)
    assert (ada["name"], ada["notes"], ada["affiliations"]) == ("Ada Lovelace", "met in Oslo", ["HHMI", "Janelia"])
    before = dump(people.database)
    again = people.quick(*CSV).ok()
    assert "nothing to do, all of it exists already" in again.out
    assert json.loads(people.quick(*CSV, "-o", "json").ok().out)["changed"] is False
    assert dump(people.database) == before


@pytest.mark.parametrize("source", [CSV, GATEWAY, CAVE], ids=["csv", "datasetgateway", "middle-auth"])
def test_a_dry_run_shows_each_change_and_makes_none(
    people: World, gateway: World, cave: World, source: tuple[str, ...]
) -> None:
    here = people if source == CSV else gateway
    before = dump(here.database)
    plan = json.loads(here.quick(*source, "--dry-run", "-o", "json").ok().out)
    shown = here.quick(*source, "--dry-run").ok()
    assert f"a run would make {len(plan)} changes" in shown.err
    assert dump(here.database) == before
    here.quick(*source).ok()
    records = [row[3:5] for row in dump(here.database)["audit"]][len(before["audit"]) :]
    assert [(change["action"], change["target"]) for change in plan] == records


def test_importing_a_gateways_database_twice_changes_nothing_the_second_time(gateway: World) -> None:
    first = json.loads(gateway.run(*GATEWAY, "-o", "json").ok().out)
    assert list(first) == KEYS
    before = dump(gateway.database)
    assert "nothing to do, all of it exists already" in gateway.quick(*GATEWAY).ok().out
    assert dump(gateway.database) == before
    gateway.quick("db", "check").ok()


def test_the_log_names_the_file_and_who_imported_it(people: World) -> None:
    people.quick(*CSV).ok()
    record = json.loads(people.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["actor"].startswith("import:people.csv by os:")


def test_bad_rows_are_all_named_by_line_and_nothing_is_imported(people: World) -> None:
    (people.directory / "people.csv").write_text(
        PEOPLE + "nobody,N,,\nbo@example.org,B\x1b[31mo,,\nx@example.org,too,few\n"
    )
    before = dump(people.database)
    result = people.quick(*CSV)
    assert (result.code, result.out) == (2, "")
    for number in (4, 5, 6):
        assert f"line {number}: " in result.err
    assert "\x1b" not in result.err
    assert "nothing was imported" in result.err
    error = json.loads(people.quick(*CSV, "-o", "json").err)
    assert error["exit_code"] == 2
    assert dump(people.database) == before


@pytest.mark.parametrize(
    ("text", "code", "part"),
    [
        ("", 2, "the first line must name the columns"),
        ("name,notes\nx,y\n", 2, "the first line must name the columns"),
        ("email,phone\nx@example.org,1\n", 2, "the column 'phone' is unknown"),
        ('email\n"x@example.org\n', 2, "not CSV"),
    ],
)
def test_a_file_that_is_not_such_a_csv_is_refused(people: World, text: str, code: int, part: str) -> None:
    (people.directory / "people.csv").write_text(text)
    before = dump(people.database)
    result = people.quick(*CSV)
    assert (result.code, result.out, is_one_line(result)) == (code, "", True)
    assert part in result.err
    assert "people.csv" in result.err
    assert dump(people.database) == before


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("import", "csv", "people.csv"), 2, "Missing option '--dataset'"),
        (("import", "csv", "people.csv", "--dataset", "fish9"), 3, "there is no dataset 'fish9'; dsgctl dataset list"),
        (("import", "csv", "missing.csv", "--dataset", "fish2"), 1, "missing.csv: No such file or directory"),
        (("import", "csv", ".", "--dataset", "fish2"), 1, ".: Is a directory"),
        (("import", "csv", "db.sqlite3", "--dataset", "fish2"), 2, "db.sqlite3 is not UTF-8 text"),
        (("import", "excel", "people.csv"), 2, "No such command 'excel'"),
    ],
)
def test_an_import_that_cannot_begin_says_why(people: World, words: tuple[str, ...], code: int, part: str) -> None:
    shutil.copy(FIXTURES / "datasetgateway.sqlite3", people.directory / "db.sqlite3")
    before = dump(people.database)
    result = people.quick(*words)
    assert (result.code, result.out, is_one_line(result)) == (code, "", True)
    assert part in result.err
    assert dump(people.database) == before


@pytest.mark.parametrize("damage", ["missing", "text", "empty", "cut off", "foreign", "our own"])
def test_a_file_that_is_not_a_gateway_s_is_refused(gateway: World, damage: str) -> None:
    source = gateway.directory / "db.sqlite3"
    match damage:
        case "missing":
            source.unlink()
        case "text":
            source.write_text("not a database" * 100)
        case "empty":
            source.write_bytes(b"")
        case "cut off":
            source.write_bytes(source.read_bytes()[:50_000])
        case "foreign":
            source.unlink()
            connection = sqlite3.connect(source)
            connection.execute("CREATE TABLE songs (title TEXT)")
            connection.commit()
            connection.close()
        case "our own":
            source.write_bytes(gateway.database.read_bytes())
    before = dump(gateway.database)
    result = gateway.quick(*GATEWAY)
    assert result.code in (1, 2, 3), result
    assert (result.out, is_one_line(result)) == ("", True)
    assert "fault of dsgctl" not in result.err
    assert "db.sqlite3" in result.err
    assert dump(gateway.database) == before


def test_an_import_on_a_terminal_shows_a_bar_and_then_the_answer(people: World) -> None:
    with on_a_terminal(people.run, *CSV) as terminal:
        assert terminal.end() == 0
    assert "people.csv: added" in terminal.seen


TWINS = {
    "googlemail": ("ken@googlemail.com", "ken@gmail.com"),
    "dots": ("k.en@gmail.com", "ken@gmail.com"),
    "a tag": ("ken+lab@example.org", "ken@example.org"),
}


@pytest.mark.parametrize(("here", "there"), TWINS.values(), ids=TWINS)
def test_likely_twins_are_reported_once(people: World, here: str, there: str) -> None:
    people.quick("user", "add", here).ok()
    (people.directory / "people.csv").write_text(f"email\n{there}\n")
    line = f"note: {here} and {there} most likely reach the same person, and are 2 accounts"
    assert line in people.quick(*CSV, "--dry-run").ok().err
    assert line in people.quick(*CSV).ok().err
    (people.directory / "people.csv").write_text("email\nsomebody@example.org\n")
    assert "same person" not in people.quick(*CSV).ok().err


def test_a_file_as_a_spreadsheet_writes_it(people: World) -> None:
    """A byte-order mark, carriage returns, quotes, columns in another order, blank lines."""
    (people.directory / "people.csv").write_bytes(
        b'\xef\xbb\xbfNotes,EMAIL,Name\r\n"two, three",cy@example.org,"Cy ""the"" Twombly"\r\n\r\n,,\r\n'
    )
    people.quick(*CSV).ok()
    answer = json.loads(people.quick("user", "show", "cy@example.org", "-o", "json").ok().out)
    assert (answer["name"], answer["notes"]) == ('Cy "the" Twombly', "two, three")


def test_importing_middle_auths_tables_twice_changes_nothing_the_second_time(cave: World) -> None:
    first = json.loads(cave.run(*CAVE, "-o", "json").ok().out)
    assert list(first) == KEYS
    assert first["added"]["users"] == 42
    before = dump(cave.database)
    assert "nothing to do, all of it exists already" in cave.quick(*CAVE).ok().out
    assert dump(cave.database) == before
    cave.quick("db", "check").ok()
    cave.quick("access", "check", "sched uler@serviceaccount", "Kite Retina", "edit").ok()


def test_conflicts_are_refused_a_line_each_before_anything_is_written(gateway: World) -> None:
    shutil.copytree(DUMPS, gateway.directory / "dumps")
    gateway.quick("dataset", "add", "zebra_hindbrain").ok()
    before = dump(gateway.database)
    result = gateway.quick(*CAVE)
    assert (result.code, result.out) == (4, "")
    assert "user.csv line 8: 'case.twin@example.org' is the email of" in result.err
    assert "dataset.csv line 5: dataset zebra_hindbrain has id 4 there, but here zebra_hindbrain has id 1" in result.err
    assert "--skip-conflicts" in result.err.splitlines()[-1]
    assert json.loads(gateway.quick(*CAVE, "-o", "json").err)["exit_code"] == 4
    assert dump(gateway.database) == before


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_skipped_rows_are_listed_and_the_exit_code_says_so(gateway: World, more: tuple[str, ...]) -> None:
    shutil.copytree(DUMPS, gateway.directory / "dumps")
    result = gateway.quick(*CAVE, "--skip-conflicts", *more, "-o", "json")
    assert result.code == 4
    assert "left out: user.csv line 8: 'case.twin@example.org'" in result.err
    assert "left out: api_key: 4 rows" in result.err
    answer = json.loads(result.out)
    if not more:
        assert answer["changed"] is True
        assert (
            "user.csv line 8: 'case.twin@example.org' is the email of user.csv line 7 too, case aside"
            in (answer["skipped"])
        )


CLIO = {
    "users": {"cy@example.org": {"name": "Cy", "global_roles": ["clio_general"], "datasets": {"vnc": ["janitor"]}}},
    "datasets": {"vnc": {"public": True}},
}


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_an_export_of_clio_is_imported_except_for_an_unknown_role(people: World, more: tuple[str, ...]) -> None:
    (people.directory / "clio.json").write_text(json.dumps(CLIO))
    before = dump(people.database)
    result = people.quick("import", "clio", "clio.json", *more)
    assert result.code == 4
    assert "left out: users, line 1: cy@example.org has the role 'janitor' on 'vnc'" in result.err
    if more:
        assert dump(people.database) == before
    else:
        assert "clio.json: added" in result.out
        people.quick("access", "check", "cy@example.org", "vnc", "view").ok()
        assert people.quick("import", "clio", "clio.json").code == 4  # it is left out still
        (people.directory / "clio.json").write_text(json.dumps(CLIO).replace("janitor", "clio_write"))
        people.quick("import", "clio", "clio.json").ok()


def test_levels_of_neuprint_are_imported_for_the_named_datasets(people: World) -> None:
    (people.directory / "authorized.json").write_text('{"cy@example.org": "readwrite", "dee@example.org": "noauth"}')
    words = ("import", "neuprint", "authorized.json", "--dataset", "fish2", "--dataset", "fly")
    result = people.quick(*words)
    assert result.code == 4
    assert "left out: line 1: dee@example.org has 'noauth'" in result.err
    shown = json.loads(people.quick("user", "show", "cy@example.org", "-o", "json").ok().out)
    assert shown["grants"] == ["fish2 edit", "fly edit"]
    assert people.quick("import", "neuprint", "authorized.json", "--dataset", "fish9").code == 3
    assert people.quick("import", "neuprint", "authorized.json").code == 2
