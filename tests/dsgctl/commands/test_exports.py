"""``export`` and ``import export`` as they are typed: moving out of one gateway and into another."""

import csv
import io
import json

import pytest

from tests.dsgctl.commands.running import Process, dump, execute
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World

COLUMNS = ["dataset", "who", "kind", "permission", "version", "through", "until", "state", "granted_by", "service"]
IMPORT = ("import", "export", "dsg.json")


@pytest.fixture
def new(filled: World, dsgctl: Process) -> World:
    """Another gateway without facts, whose operator has the document of the filled one."""
    words = "export --with-token-hashes --with-invitations"
    (filled.directory / "dsg.json").write_text(filled.quick(*words.split()).ok().out, encoding="utf-8")
    return World(dsgctl.database, filled.directory, filled.token)


def test_an_export_and_import_move_a_gateway_with_all_its_tokens(filled: World, new: World) -> None:
    first = json.loads(new.run(*IMPORT, "-o", "json").ok().out)
    assert first["changed"] is True
    assert first["skipped"] == []
    for words in (
        "token inspect",
        "access show nightly-export -o json",
        "access who fish2 -o json",
        "terms show 1",
        "user list -o csv",
        "grant list -o csv",
        "token list -o csv",
    ):
        answers = [here.run(*words.split(), input=filled.token) for here in (filled, new)]
        assert answers[0].ok().out == answers[1].ok().out
    new.quick("db", "check").ok()


def test_a_second_import_changes_nothing_and_says_so(new: World) -> None:
    new.quick(*IMPORT).ok()
    before = dump(new.database)
    assert "nothing to do, all of it exists already" in new.quick(*IMPORT).ok().out
    assert json.loads(new.quick(*IMPORT, "-o", "json").ok().out)["changed"] is False
    assert dump(new.database) == before


def test_a_document_can_be_imported_from_a_pipe(filled: World, new: World) -> None:
    line = f"DATABASE_PATH={filled.database} dsgctl export | dsgctl import export /dev/stdin"
    result = new.run.shell(line)
    assert (result.code, "added 6 principals" in result.out) == (4, True), result
    assert "left out: 22 tokens: the document has no hashes" in result.err
    assert "not imported: invitations to 3 terms" in result.err


def test_a_dry_run_shows_what_would_come_and_changes_nothing(new: World) -> None:
    before = dump(new.database)
    plan = json.loads(new.quick(*IMPORT, "--dry-run", "-o", "json").ok().out)
    assert [change["action"] for change in plan] == ["import.export"]
    assert plan[0]["after"]["rows"]["principals"] == 6
    assert dump(new.database) == before


def test_the_log_names_the_file_and_who_imported_it(new: World) -> None:
    new.quick(*IMPORT).ok()
    record = json.loads(new.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["actor"].startswith("import:dsg.json by os:")
    assert record["action"] == "import.export"


def test_a_database_with_facts_is_left_alone(filled: World, new: World) -> None:
    before = dump(filled.database)
    result = filled.quick(*IMPORT)
    assert (result.code, result.out, is_one_line(result)) == (4, "", True)
    assert "is not empty" in result.err
    assert "dsgctl db migrate" in result.err
    assert dump(filled.database) == before


@pytest.mark.parametrize("damage", ["missing", "empty", "cut off", "foreign", "garbage", "a directory"])
def test_a_file_that_is_no_document_is_refused(new: World, damage: str) -> None:
    source = new.directory / "dsg.json"
    match damage:
        case "missing":
            source.unlink()
        case "empty":
            source.write_bytes(b"")
        case "cut off":
            source.write_bytes(source.read_bytes()[:2000])
        case "foreign":
            source.write_text('{"ada@example.org": "readwrite"}')
        case "garbage":
            source.write_bytes(source.read_bytes().replace(b"Ada", b"A\xffa"))
        case "a directory":
            source.unlink()
            source.mkdir()
    before = dump(new.database)
    result = new.quick(*IMPORT)
    assert result.code in (1, 2), result
    assert (result.out, is_one_line(result)) == ("", True)
    assert "fault of dsgctl" not in result.err
    assert "dsg.json" in result.err
    assert dump(new.database) == before


def test_the_document_is_utf_8_whatever_the_locale(filled: World) -> None:
    filled.quick("user", "add", "zoe@example.org", "--name", "Zoë 李明").ok()
    result = filled.run("export", env={"PYTHONIOENCODING": "ascii"}).ok()
    assert "Zoë 李明" in [row["name"] for row in json.loads(result.out)["principals"]]


def test_the_document_names_no_token_and_no_invitation(filled: World) -> None:
    plain = filled.quick("export").ok().out
    invitation = execute(filled.database, "SELECT invite_token FROM terms WHERE id = 1")[0][0]
    assert filled.token not in plain
    assert invitation not in plain
    assert all("hash" not in row for row in json.loads(plain)["tokens"])
    assert filled.token not in filled.quick("export", "--with-token-hashes", "--with-invitations").ok().out


def test_an_export_changes_nothing(filled: World) -> None:
    before = dump(filled.database)
    filled.quick("export", "--with-token-hashes").ok()
    filled.quick("export", "--grants").ok()
    assert dump(filled.database) == before


def test_grants_are_listed_for_people(filled: World) -> None:
    rows = list(csv.DictReader(io.StringIO(filled.run("export", "--grants", "-o", "csv").ok().out)))
    assert list(rows[0]) == COLUMNS
    grants = [(row["dataset"], row["who"], row["permission"], row["version"], row["through"]) for row in rows]
    assert ("fish2", "ada@example.org", "view", "", "lab-1") in grants
    assert ("fish2", "ada@example.org", "edit", "", "direct") in grants
    assert ("fish2", "bo@example.org", "view", "v1.2", "direct") in grants
    of_fly = [(row["who"], row["service"], row["state"]) for row in rows if row["dataset"] == "fly"]
    assert of_fly == [("bo@example.org", "", "terms_missing"), ("nightly-export", "clio", "granted")]
    assert {bool(row["until"]) for row in rows if row["version"]} == {True}
    assert {row["kind"] for row in rows} == {"user", "service account"}


def test_grants_of_some_datasets_are_listed_in_every_format(filled: World) -> None:
    words = ("export", "--grants", "--dataset", "fly")
    assert [list(row) for row in json.loads(filled.quick(*words, "-o", "json").ok().out)] == [COLUMNS, COLUMNS]
    assert filled.quick(*words, "-o", "value").ok().out == "bo@example.org\nnightly-export\n"
    assert "fish2" in filled.quick(*words, "--dataset", "fish2", "-o", "csv").ok().out
    assert "terms_missing" in filled.quick(*words).ok().out


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("--grants", "--dataset", "mouse"), 3, "mouse"),
        (("--dataset", "fish2"), 2, "--dataset needs --grants"),
        (("--grants", "--with-token-hashes"), 2, "--grants lists grants"),
        (("--grants", "--without-audit"), 2, "--grants lists grants"),
        (("-o", "csv"), 2, "the document is JSON, not csv"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    filled: World, words: tuple[str, ...], code: int, part: str
) -> None:
    result = filled.quick("export", *words)
    assert (result.code, result.out, is_one_line(result)) == (code, "", True)
    assert part in result.err


def test_an_import_on_a_terminal_shows_a_bar_and_then_the_answer(new: World) -> None:
    with on_a_terminal(new.run, *IMPORT) as terminal:
        assert terminal.end() == 0
    assert "dsg.json: added" in terminal.seen


def test_a_reader_that_stops_early_is_no_error(filled: World) -> None:
    result = filled.run.shell("set +o pipefail; dsgctl export | head -1")
    assert (result.code, result.err) == (0, "")
