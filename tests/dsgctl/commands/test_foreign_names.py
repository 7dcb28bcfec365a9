"""Names that CAVE holds and nobody could be given here: taken over as they are, and usable everywhere."""

import csv
import io
import json
import shlex
from pathlib import Path

import pytest
import yaml

from tests.dsgctl.commands.running import Process, Quick
from tests.dsgctl.commands.world import World
from tests.dsgctl.importers.cave_dumps import copy_dumps

GROUPS = ["trailing ", "trailing", "Trailing", " ", "a,b;c", "zw\u200bsp", "\u202egroup"]
DATASETS = [
    " lead",
    "lead",
    "Lead",
    "lead ",
    "slash/ed",
    "../up",
    "-dash",
    "quo\"te's",
    "p%2Fct",
    "a&b=c#d?e",
    "魚 の脳 ✓",
    "$HOME `id`",
    "[red]x[/]",
    "=1+1",
    "true",
    "1.2",
    "*",
    "x" * 300,
]
PERMISSIONS = ["éditer ✓", "edit ", "view all"]
PERSON = "kelkel0@example.org"  # user 1 there


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def write_dumps(to: Path) -> None:
    """Everybody's group of each name has every permission on the dataset of each name."""
    copy_dumps(to, whole=True)

    def add(table: str, rows: list[str]) -> None:
        with (to / f"{table}.csv").open("a", encoding="utf-8") as file:
            file.writelines(f"{row}\n" for row in rows)

    add("group", [f"{1000 + at},{_cell(name)}" for at, name in enumerate(GROUPS)])
    add("user_group", [f"{1000 + at},1,{1000 + at},t" for at in range(len(GROUPS))])
    add("dataset", [f"{1000 + at},{_cell(name)}," for at, name in enumerate(DATASETS)])
    add("permission", [f"{1000 + at},{_cell(name)}" for at, name in enumerate(PERMISSIONS)])
    pairs = [(dataset, permission) for dataset in range(len(DATASETS)) for permission in range(len(PERMISSIONS))]
    add(
        "group_dataset_permission",
        [f"{1000 + at},1000,{1000 + dataset},{1000 + permission}" for at, (dataset, permission) in enumerate(pairs)],
    )
    add("service_table", [f'{1000 + at},"svc {at}",{_cell(name)},{1000 + at}' for at, name in enumerate(DATASETS)])


@pytest.fixture(scope="module")
def imported_world(empty_database: Path, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A database with all of them; not to be written to."""
    directory = tmp_path_factory.mktemp("foreign")
    database = directory / "dsg.sqlite3"
    database.write_bytes(empty_database.read_bytes())
    write_dumps(directory / "dumps")
    world = World(database, directory, "")
    world.quick("import", "middle-auth", "dumps").ok()
    return world


@pytest.fixture
def world(imported_world: World, tmp_path: Path) -> World:
    database = tmp_path / "dsg.sqlite3"
    for end in ("", "-wal"):  # what was written last may stand in the second alone
        if (part := Path(f"{imported_world.database}{end}")).exists():
            Path(f"{database}{end}").write_bytes(part.read_bytes())
    return World(database, tmp_path, "")


def answer(quick: Quick, *words: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(quick(*words, "-o", "json").ok().out)
    return document


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_of_any_name_can_be_shown_granted_and_explained(world: World, name: str) -> None:
    quick = world.quick
    assert json.loads(quick("dataset", "show", "-o", "json", "--", name).ok().out)["name"] == name
    quick("grant", "add", "--user", PERSON, "--", name, "view").ok()
    quick("access", "check", "--", PERSON, name, "view").ok()
    quick("dataset", "set", "--description", "d", "--", name).ok()
    quick("dataset", "version", "add", "--", name, "v1").ok()
    quick("dataset", "location", "add", "--", name, "gs://any-bucket/p").ok()
    (world.directory / "terms.md").write_text("# Be kind")
    quick("terms", "add", "T", "--file", "terms.md", "--dataset", name).ok()
    assert quick("access", "check", "--", PERSON, name, "view").code != 0
    quick("grant", "revoke", "--user", PERSON, "--", name, "view").ok()
    quick("export", "--grants", "--dataset", name, "-o", "csv").ok()
    quick("dataset", "remove", "-y", "--", name).ok()
    assert quick("dataset", "show", "--", name).code == 3
    assert {row["name"] for row in json.loads(quick("dataset", "list", "-o", "json").ok().out)} >= {*DATASETS} - {name}


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_of_any_name_can_be_shown_and_joined_and_granted(world: World, name: str) -> None:
    quick = world.quick
    assert answer(quick, "group", "show", name)["leads"] == [PERSON]
    quick("group", "member", "remove", name, PERSON).ok()
    quick("group", "member", "add", name, PERSON).ok()
    quick("grant", "add", "kelp", "view", "--group", name).ok()
    quick("group", "remove", "-y", name).ok()
    assert quick("group", "show", name).code == 3
    left = {row["name"] for row in json.loads(quick("group", "list", "-o", "json").ok().out)}
    assert left >= {*GROUPS} - {name}


def test_lists_have_every_name_exactly_in_every_format_for_programs(imported_world: World) -> None:
    quick = imported_world.quick
    for noun, names in (("group", GROUPS), ("dataset", DATASETS)):
        assert {row["name"] for row in json.loads(quick(noun, "list", "-o", "json").ok().out)} >= {*names}
        lines = quick(noun, "list", "-o", "jsonl").ok().out.split("\n")
        assert {json.loads(line)["name"] for line in lines if line} >= {*names}
        rows = csv.DictReader(io.StringIO(quick(noun, "list", "-o", "csv").ok().out, newline=""))
        listed_names = {row["name"] for row in rows}
        for name in names:
            if name.isprintable() and not name.startswith(("=", "-", " ")):
                assert name in listed_names
    table = quick("group", "list").ok().out
    assert "\u202e" not in table and "\u200b" not in table


def test_user_cache_returns_foreign_names_exactly(imported_world: World) -> None:
    cache = answer(imported_world.quick, "user", "show", PERSON)
    assert set(GROUPS) <= set(cache["groups"])  # type: ignore[call-overload]


def test_a_policy_file_exported_with_foreign_names_changes_nothing(world: World) -> None:
    words = [word for name in DATASETS for word in ("--dataset", name)]
    written = world.quick("export", *words, "-o", "yaml").ok().out
    (world.directory / "policy.yaml").write_text(written, encoding="utf-8")
    assert {*yaml.safe_load(written)["datasets"]} == {*DATASETS}
    assert world.quick("diff", "policy.yaml").ok().out == ""
    world.quick("apply", "policy.yaml").ok()


def test_an_export_and_its_import_keep_foreign_names(
    imported_world: World, empty_database: Path, tmp_path: Path
) -> None:
    document = imported_world.quick("export", "--with-token-hashes", "--with-invitations").ok().out
    (tmp_path / "dsg.json").write_text(document, encoding="utf-8")
    other = tmp_path / "other.sqlite3"
    other.write_bytes(empty_database.read_bytes())
    Quick(tmp_path, other)("import", "export", "dsg.json").ok()
    again = Quick(tmp_path, other)("export", "--with-token-hashes", "--with-invitations").ok().out
    rows = [line for line in document.splitlines() if '"import.export"' not in line]
    assert [line for line in rows[2:-1] if line in set(again.splitlines())] == [
        line for line in rows[2:-1] if '"audit"' in line or line in set(again.splitlines())
    ]
    assert {row["name"] for row in json.loads(Quick(tmp_path, other)("dataset", "list", "-o", "json").ok().out)} >= {
        *DATASETS
    }


@pytest.mark.parametrize("name", [name for name in DATASETS if "\\" not in name])
def test_bash_completion_quotes_foreign_names_so_that_the_line_runs(imported_world: World, name: str) -> None:
    typed = name[0] if name[0].isalnum() else f"\\{name[0]}"
    line = (
        f"source <(dsgctl completion bash) && COMP_WORDS=(dsgctl dataset show -- {shlex.quote(typed)}) COMP_CWORD=4 && "
        '_dsgctl_completion dsgctl x show && printf "%s\\n" "${COMPREPLY[@]}"'
    )
    replies = Process(imported_world.directory, imported_world.database).shell(line).ok().out.splitlines()
    assert name in [shlex.split(reply)[0] for reply in replies]


@pytest.mark.parametrize("name", ["group list", "dataset list"])
def test_a_table_shows_a_leading_or_trailing_space(imported_world: World, name: str) -> None:
    """Two names that differ only in it are not told apart otherwise."""
    table = imported_world.quick(*name.split()).ok().out
    shown = {"group list": "'trailing '", "dataset list": "' lead'"}[name]
    assert shown in table
