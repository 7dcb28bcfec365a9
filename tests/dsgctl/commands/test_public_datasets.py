"""A public dataset without terms opens to nobody: every command after which there is one says so, and what to do."""

from pathlib import Path

import pytest

from tests.dsgctl.commands.world import World

ADA, BO = "ada@example.org", "bo@example.org"
SAYS = "warning: {} is public, but has no terms"
DO = "dsgctl terms add '{0} terms' --file FILE --dataset {0}"

POLICY = "name: example\ndatasets:\n  brain:\n    access: {}\n    versions: {{v1: {{public: true}}}}\n{}"
TERMS = "    terms:\n      - {name: brain terms, file: fish2.md}\n"

# Command -> the dataset that it leaves open to nobody.
WARNED = {
    "dataset add moth --public": "moth",
    "dataset add moth --public -o json": "moth",
    "dataset set fish2 --public": "fish2",
    "terms retire 3": "fly",
    "dataset set fly --public": None,
    "dataset set fly --description X": None,
    "dataset set fish2 --closed": None,
    "dataset add moth": None,
    "terms retire 1": None,
    "dataset version add fly v1 --public": None,
    "dataset version add fly v1": None,
    "dataset version add fish2 v9": None,
}


@pytest.mark.parametrize("command", WARNED)
def test_a_command_warns_of_a_dataset_that_opens_to_nobody(filled: World, command: str) -> None:
    result = filled.quick(*command.split()).ok()
    name = WARNED[command]
    if name is None:
        assert result.err == ""
        return
    (line,) = result.err.splitlines()
    assert SAYS.format(name) in line and DO.format(name) in line
    assert "warning" not in result.out


def test_a_public_version_of_a_closed_dataset_is_warned_of(filled: World) -> None:
    (line,) = filled.quick("dataset", "version", "add", "fish2", "v3", "--public").ok().err.splitlines()
    assert "fish2 is closed" in line and "dsgctl dataset set fish2 --public" in line
    filled.quick("dataset", "set", "fish2", "--public")
    (line,) = filled.quick("dataset", "version", "add", "fish2", "v4", "--public").ok().err.splitlines()
    assert SAYS.format("fish2") in line


def test_making_a_version_public_by_set_warns_as_adding_it_does(filled: World) -> None:
    filled.quick("dataset", "version", "set", "fish2", "v1.2", "--closed").ok()
    (line,) = filled.quick("dataset", "version", "set", "fish2", "v1.2", "--public").ok().err.splitlines()
    assert "fish2 is closed" in line
    assert filled.quick("dataset", "version", "set", "fish2", "v1.2", "--branch", "side").ok().err == ""


def test_the_command_in_the_warning_opens_the_dataset(filled: World) -> None:
    filled.quick("dataset", "add", "moth", "--public").ok()
    filled.quick("terms", "add", "moth terms", "--file", "fish2.md", "--dataset", "moth").ok()
    assert filled.quick("dataset", "set", "moth", "--public").ok().err == ""
    terms_id = (
        filled.quick("dataset", "show", "moth", "-o", "json").ok().out.partition('"own_terms": ')[2].split(",")[0]
    )
    filled.quick("terms", "accept", terms_id, ADA).ok()
    assert filled.quick("access", "check", ADA, "moth", "view").code == 0


@pytest.mark.parametrize(
    ("access", "terms", "warned"), [("public", "", True), ("public", TERMS, False), ("closed", "", False)]
)
def test_a_policy_file_is_warned_of(filled: World, access: str, terms: str, warned: bool) -> None:
    (Path(filled.directory) / "brain.yaml").write_text(POLICY.format(access, terms))
    assert SAYS.format("brain") not in filled.quick("apply", "brain.yaml", "--dry-run").ok().err
    assert (SAYS.format("brain") in filled.quick("apply", "brain.yaml").ok().err) is warned


def test_explain_says_that_a_public_dataset_has_no_terms_or_the_view_was_revoked(filled: World) -> None:
    filled.quick("dataset", "add", "moth", "--public").ok()
    explained = filled.quick("access", "explain", ADA, "moth").ok().out
    assert "public, but without terms" in explained and "dsgctl terms add NAME --file FILE --dataset moth" in explained
    filled.quick("grant", "revoke", "fly", "view", "--user", BO).ok()
    explained = filled.quick("access", "explain", BO, "fly").ok().out
    assert "their view was revoked here: only a grant restores it" in explained
    assert "view is theirs" not in explained
