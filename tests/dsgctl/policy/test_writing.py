"""Policy files that are written from the database."""

import json
from pathlib import Path

import pytest

from tests.dsgctl.commands.running import Quick
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World
from tests.dsgctl.policy.conftest import FILE, read_plan


def test_an_exported_policy_can_be_applied_beside_the_file_that_declared_it(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    written = filled.quick("export", "-o", "yaml", "--dataset", "brain").ok().out
    (filled.directory / "written.yaml").write_text(written)
    assert filled.quick("apply", "written.yaml").ok().out == "zebrafish: nothing to do\n"
    assert filled.quick("apply", "written.yaml", "--prune").ok().out == "zebrafish: nothing to do\n"
    assert read_plan(filled, code=0) == []
    # Where the file declares more than was exported, it keeps a name of its own: --prune must not take the rest.
    policy.write_text(FILE.replace("groups:\n", "groups:\n  other: {}\n"))
    filled.quick("apply", "policy.yaml").ok()
    assert filled.quick("export", "-o", "yaml", "--dataset", "brain").ok().out.startswith("name: brain\n")


def test_an_exported_policy_declares_the_present_state(filled: World, quick: Quick, home: Path) -> None:
    filled.quick("grant", "add", "fish2", "view", "--user", "old@example.org", "--expires", "2020-01-31")
    filled.quick("dataset", "version", "add", "fish2", "v2", "--branch", "side", "--ordinal", "4").ok()
    filled.quick("service", "translation", "add", "clio", " a'b/ö ", "fish2").ok()
    written = filled.quick("export", "-o", "yaml", "--dataset", "fish2", "--dataset", "fly").ok().out
    (filled.directory / "policy.yaml").write_text(written)
    assert read_plan(filled, code=0) == []
    # In another gateway with the same people it gives the same permissions.
    (home / "policy.yaml").write_text(written)
    for email in ("ada", "bo", "root", "old"):
        quick("user", "add", f"{email}@example.org").ok()
    for line in ("service add clio", "service add neuprint", "user disable old@example.org"):
        quick(*line.split()).ok()
    quick("apply", "policy.yaml").ok()
    for dataset in ("fish2", "fly"):
        there, here = (each("access", "who", dataset, "-o", "json").ok().out for each in (filled.quick, quick))
        pairs = [[(row["who"], row["holds"]) for row in json.loads(text)] for text in (there, here)]
        assert pairs[0] == pairs[1]
    listings = ["grant list -o json", "service translation list -o json", "dataset version list fish2 -o json"]
    for listing in listings:
        there, here = (each(*listing.split()).ok().out for each in (filled.quick, quick))
        columns = ("dataset", "service", "name", "name_version", "version", "branch", "ordinal")
        there_rows, here_rows = (
            sorted(repr([row.get(column) for column in columns]) for row in json.loads(text)) for text in (there, here)
        )
        assert set(here_rows) <= set(there_rows) and here_rows
    again = quick("export", "-o", "yaml", "--dataset", "fish2", "--dataset", "fly").ok().out
    assert again == written


@pytest.mark.parametrize("words", [["-o", "yaml"], ["-o", "yaml", "--dataset", "nothing"]])
def test_a_policy_file_is_of_datasets_that_are_there(filled: World, words: list[str]) -> None:
    result = filled.quick("export", *words)
    assert result.code in (2, 3) and result.out == "" and is_one_line(result)
