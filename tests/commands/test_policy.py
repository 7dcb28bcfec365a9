"""``dsgctl apply`` and ``dsgctl diff``: policy as a file that people review."""

import json
from pathlib import Path

import pytest

from tests.commands.conftest import World
from tests.commands.running import Quick, dump
from tests.commands.test_errors import is_one_line

FILE = """\
name: zebrafish
groups:
  lab-7:
    members: [ada@example.org, Bo@example.org]
    leads: [ada@example.org]
service-accounts:
  render:
    description: renders tiles
datasets:
  brain:
    description: A brain
    access: closed
    versions:
      1.20: {public: true}
    locations:
      - gs://brain-data/all
      - {location: gs://brain-data/1.20/, version: 1.20}
    terms:
      - name: brain terms
        text: |
          # Rules

          Be kind.
    grants:
      - {group: lab-7, permission: view}
      - {user: ada@example.org, permission: edit, expires: 2999-01-31}
      - {user: bo@example.org, permission: view, version: 1.20, scope: lab-7}
      - {service-account: render, permission: view}
"""


@pytest.fixture
def policy(filled: World) -> Path:
    path = filled.directory / "policy.yaml"
    path.write_text(FILE)
    return path


def _plan(world: World, *words: str, code: int = 1) -> list[str]:
    result = world.quick("diff", "policy.yaml", *words)
    assert result.code == code, result
    return result.out.splitlines()


def test_a_plan_reads_like_a_diff_and_a_run_does_it(filled: World, policy: Path) -> None:
    before = dump(filled.database)
    lines = _plan(filled)
    assert "+ group group:lab-7 (name: lab-7)" in lines
    assert "+ group member group:lab-7 user:ada@example.org (leads: True)" in lines
    assert "+ dataset dataset:brain (description: A brain, access: closed)" in lines
    assert any(
        line.startswith("+ grant dataset:brain user:ada@example.org (permission: edit, expires: 2999") for line in lines
    )
    assert dump(filled.database) == before
    assert filled.quick("apply", "policy.yaml", "--dry-run").ok().out.splitlines() == lines
    assert dump(filled.database) == before
    done = filled.quick("apply", "policy.yaml").ok()
    assert done.out.splitlines() == [*lines, f"zebrafish: made {len(lines)} changes"]
    for line in ("access check bo@example.org brain view", "access check render brain view"):
        filled.quick(*line.split())
    shown = json.loads(filled.quick("dataset", "show", "brain", "-o", "json").ok().out)
    assert (shown["access"], len(shown["locations"]), len(shown["versions"])) == ("closed", 2, 1)
    record = json.loads(filled.quick("audit", "list", "--target", "lab-7", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["actor"].startswith("file:zebrafish by os:")


def test_a_second_run_changes_nothing_and_says_so(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    before = dump(filled.database)
    assert filled.quick("apply", "policy.yaml").ok().out == "zebrafish: nothing to do\n"
    assert _plan(filled, code=0) == []
    assert dump(filled.database) == before


CHANGES = {
    "a level": ("permission: edit, expires", "permission: manage, expires",
                ["+ grant dataset:brain user:ada@example.org (permission: manage"]),
    "an end": (", expires: 2999-01-31", "", ["~ grant dataset:brain user:ada@example.org (expires: 2999"]),
    "open": ("access: closed", "access: public", ["~ dataset dataset:brain (access: closed -> public)"]),
    "a description": ("renders tiles", "renders all", ["~ service-account service-account:render"]),
    "a lead": ("    leads: [ada@example.org]\n", "", ["~ group member group:lab-7 user:ada@example.org (leads: True"]),
    "new words": ("Be kind.", "Be kinder.", ["+ terms terms:"]),
    "a version": ("{public: true}", "{public: false}", ["~ dataset version dataset:brain version:1.20"]),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_written_otherwise_is_changed(filled: World, policy: Path, what: str) -> None:
    filled.quick("apply", "policy.yaml").ok()
    old, new, lines = CHANGES[what]
    policy.write_text(FILE.replace(old, new))
    plan = _plan(filled)
    for line in lines:
        assert any(found.startswith(line) for found in plan), plan
    filled.quick("apply", "policy.yaml").ok()
    assert _plan(filled, code=0) == []


def test_pruning_takes_what_the_file_declared_and_nothing_else(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    filled.quick("group", "member", "add", "lab-7", "root@example.org").ok()  # by hand
    filled.quick("grant", "add", "brain", "view", "--user", "root@example.org").ok()
    text = FILE.replace(", Bo@example.org", "").replace("      - {service-account: render, permission: view}\n", "")
    text = text.replace("      - {user: bo@example.org, permission: view, version: 1.20, scope: lab-7}\n", "")
    policy.write_text(text.replace("service-accounts:\n  render:\n    description: renders tiles\n", ""))
    result = filled.quick("diff", "policy.yaml")
    assert (result.code, result.out) == (0, "")
    assert "no longer declared, and still there: member lab-7 bo@example.org; --prune takes it away" in result.err
    assert [line.partition(" (")[0] for line in _plan(filled, "--prune")] == [
        "- grant dataset:brain service-account:render",
        "- grant dataset:brain user:bo@example.org",  # scoped to the group that they are taken out of
        "- group member group:lab-7 user:bo@example.org",
        "- service-account service-account:render",
    ]
    filled.quick("apply", "policy.yaml", "--prune").ok()
    shown = json.loads(filled.quick("group", "show", "lab-7", "-o", "json").ok().out)
    assert shown["members"] == ["ada@example.org", "root@example.org"]
    assert _plan(filled, "--prune", code=0) == []


def test_what_others_hung_on_it_keeps_it(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    filled.quick("grant", "add", "brain", "view", "--user", "root@example.org").ok()
    policy.write_text("name: zebrafish\n")
    before = dump(filled.database)
    result = filled.quick("apply", "policy.yaml", "--prune")
    assert (result.code, result.out) == (2, "")
    assert "dataset brain still has grants that the file did not declare (dsgctl dataset remove brain)" in result.err
    assert dump(filled.database) == before
    filled.quick("grant", "revoke", "brain", "view", "--user", "root@example.org").ok()
    filled.quick("apply", "policy.yaml", "--prune").ok()
    assert filled.quick("dataset", "show", "brain").code == filled.quick("group", "show", "lab-7").code == 3
    assert filled.quick("dataset", "show", "fish2").code == 0


def test_two_files_do_not_undo_each_other(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    (filled.directory / "other.yaml").write_text("name: other\ngroups:\n  lab-7: {}\n")
    result = filled.quick("apply", "other.yaml")
    assert result.code == 2 and "line 3: the file zebrafish declares it too" in result.err
    (filled.directory / "other.yaml").write_text("name: other\n")
    filled.quick("apply", "other.yaml", "--prune").ok()
    assert filled.quick("group", "show", "lab-7").code == 0


BAD = {
    "no YAML": ("name: [", ["line 1: not YAML"]),
    "no YAML, later": ("name: a\ngroups:\n\t- x\n", ["line 3: not YAML"]),
    "a list": ("- a\n", ["line 1: the file is no mapping"]),
    "nothing": ("", ["it has no 'name'"]),
    "no name": ("groups: {}\n", ["it has no 'name'"]),
    "an alias": ("name: a\ngroups: &g {}\ndatasets: *g\n", ["line 3: aliases (*name) are not read"]),
    "nested": ("name: a\ngroups: " + "[" * 3000, ["line 2: not YAML"]),
    "a tag": ("name: a\ngroups: !!python/object/apply:os.system ['id']\n", ["line 2: groups is no mapping"]),
    "an unknown key": ("name: a\ngroup: {}\n", ["line 2: 'group' is not known in the file; did you mean groups?"]),
    "twice": ("name: a\nname: b\n", ["line 2: 'name' stands twice"]),
    "a group twice": ("name: a\ngroups:\n  b: {}\n  b: {}\n", ["line 4: 'b' stands twice in groups"]),
    "members that are no list": ("name: a\ngroups:\n  b: {members: ada}\n", ["line 3: members of b is no list"]),
    "access": ("name: a\ndatasets:\n  d:\n    access: open\n", ["line 4: access is 'open': say closed or public"]),
    "public": ("name: a\ndatasets:\n  d:\n    versions:\n      v: {public: maybe}\n", ["line 5: public is 'maybe'"]),
    "nobody": ("name: a\ngroups:\n  b:\n    members: [zoe@example.org]\n",
               ["line 4: there is no user 'zoe@example.org'", "dsgctl user list"]),
    "a grant to nobody": ("name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: nowhere, permission: view}\n",
                          ["line 5: there is no group 'nowhere'"]),
    "a grant of nothing": ("name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: lab-1}\n",
                           ["line 5: a grant on fish2 has no 'permission'"]),
    "a grant to two": ("name: a\ndatasets:\n  d:\n    grants:\n      - {group: a, user: b, permission: view}\n",
                       ["line 5: a grant is for one of"]),
    "grants twice": ("name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: lab-1, permission: view}\n"
                     "      - {group: lab-1, permission: view, expires: 2999-01-01}\n",
                     ["line 6: grant fish2 view group lab-1 is declared on line 5 already"]),
    "a date": ("name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: lab-1, permission: view, expires: soon}\n",
               ["line 5: 'soon'"]),
    "a location": ("name: a\ndatasets:\n  d:\n    locations: [s3://x]\n", ["line 4: 's3://x' is not a location"]),
    "terms of nothing": ("name: a\ndatasets:\n  d:\n    terms:\n      - {name: x}\n", ["line 5: terms have either"]),
    "terms of no file": ("name: a\ndatasets:\n  d:\n    terms:\n      - {name: x, file: no.md}\n",
                         ["line 5: cannot read"]),
    "a bad name": ("name: a\ndatasets:\n  a b: {}\n", ["line 3: "]),
    "an unknown version": ("name: a\ndatasets:\n  fish2:\n    locations:\n      - {location: gs://x-y/, version: v9}\n",
                           ["line 5: "]),
    "several": ("name: a\nx: 1\ny: 2\ngroups: []\n", ["line 2: 'x'", "line 3: 'y'", "line 4: groups is no mapping"]),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_wrong_is_refused_whole_with_the_line(filled: World, what: str) -> None:
    text, parts = BAD[what]
    (filled.directory / "policy.yaml").write_text(text)
    before = dump(filled.database)
    for command in ("apply", "diff"):
        result = filled.quick(command, "policy.yaml")
        assert (result.code, result.out) == (2, ""), result
        assert "policy.yaml: line " in result.err and "nothing was changed" in result.err
        assert "fault of dsgctl" not in result.err
        for part in parts:
            assert part in result.err, result
    assert dump(filled.database) == before
    told = filled.quick("apply", "policy.yaml", "-o", "json")
    assert json.loads(told.err)["exit_code"] == 2


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name: \x00", b"name: a\n" + b"# " + b"x" * 2_000_000])
def test_bytes_that_are_no_such_text_are_refused(filled: World, content: bytes) -> None:
    (filled.directory / "policy.yaml").write_bytes(content)
    result = filled.quick("apply", "policy.yaml")
    assert (result.code, is_one_line(result)) == (2, True), result


def test_a_file_that_is_not_there(filled: World) -> None:
    result = filled.quick("apply", "absent.yaml")
    assert (result.code, is_one_line(result)) == (1, True)
    assert "absent.yaml" in result.err


def test_what_is_there_can_be_written_as_such_a_file(filled: World, quick: Quick, home: Path) -> None:
    filled.quick("grant", "add", "fish2", "view", "--user", "old@example.org", "--expires", "2020-01-31")
    written = filled.quick("export", "-o", "yaml", "--dataset", "fish2", "--dataset", "fly").ok().out
    (filled.directory / "policy.yaml").write_text(written)
    assert _plan(filled, code=0) == []
    # In another gateway with the same people it gives the same permissions.
    (home / "policy.yaml").write_text(written)
    for email in ("ada", "bo", "root", "old"):
        quick("user", "add", f"{email}@example.org").ok()
    for line in ("service add clio", "user disable old@example.org"):
        quick(*line.split()).ok()
    quick("apply", "policy.yaml").ok()
    for dataset in ("fish2", "fly"):
        there, here = (each("access", "who", dataset, "-o", "json").ok().out for each in (filled.quick, quick))
        pairs = [[(row["who"], row["holds"]) for row in json.loads(text)] for text in (there, here)]
        assert pairs[0] == pairs[1]
    again = quick("export", "-o", "yaml", "--dataset", "fish2", "--dataset", "fly").ok().out
    assert again == written


@pytest.mark.parametrize("words", [["-o", "yaml"], ["-o", "yaml", "--dataset", "nothing"]])
def test_a_policy_file_is_of_datasets_that_are_there(filled: World, words: list[str]) -> None:
    result = filled.quick("export", *words)
    assert result.code in (2, 3) and result.out == "" and is_one_line(result)
