"""``dsgctl apply`` and ``dsgctl diff``: policy as a file that people review."""

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
import yaml

from dsgctl.policy import document
from tests.dsgctl.commands.running import Quick, dump
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World

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
    assert "+ group member group:lab-7 user:ada@example.org (leads: yes)" in lines
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
    "a level": (
        "permission: edit, expires",
        "permission: manage, expires",
        ["+ grant dataset:brain user:ada@example.org (permission: manage"],
    ),
    "an end": (", expires: 2999-01-31", "", ["~ grant dataset:brain user:ada@example.org (expires: 2999"]),
    "open": ("access: closed", "access: public", ["~ dataset dataset:brain (access: closed -> public)"]),
    "a description": ("renders tiles", "renders all", ["~ service-account service-account:render"]),
    "a lead": (
        "    leads: [ada@example.org]\n",
        "",
        ["~ group member group:lab-7 user:ada@example.org (leads: yes -> no"],
    ),
    "new words": ("Be kind.", "Be kinder.", ["+ terms terms:"]),
    "a version": ("{public: true}", "{public: false}", ["~ dataset version dataset:brain version:1.20"]),
}


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
    asked = filled.quick("apply", "policy.yaml", "--prune")
    assert (asked.code, asked.out) == (2, "")
    assert "- service-account service-account:render" in asked.err and "things that it no longer declares" in asked.err
    assert "say -y" in asked.err
    assert len(_plan(filled, "--prune")) >= 3
    filled.quick("apply", "policy.yaml", "--prune", "-y").ok()
    shown = json.loads(filled.quick("group", "show", "lab-7", "-o", "json").ok().out)
    assert shown["members"] == ["ada@example.org", "root@example.org"]
    assert _plan(filled, "--prune", code=0) == []


def test_what_others_hung_on_it_keeps_it(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    filled.quick("grant", "add", "brain", "view", "--user", "root@example.org").ok()
    policy.write_text("name: zebrafish\n")
    before = dump(filled.database)
    result = filled.quick("apply", "policy.yaml", "--prune", "-y")
    assert (result.code, result.out) == (2, "")
    assert "dataset brain still has grants that the file did not declare (dsgctl dataset remove brain)" in result.err
    assert dump(filled.database) == before
    filled.quick("grant", "revoke", "brain", "view", "--user", "root@example.org").ok()
    filled.quick("apply", "policy.yaml", "--prune", "-y").ok()
    assert filled.quick("dataset", "show", "brain").code == filled.quick("group", "show", "lab-7").code == 3
    assert filled.quick("dataset", "show", "fish2").code == 0


def test_two_files_do_not_undo_each_other(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    (filled.directory / "other.yaml").write_text("name: other\ngroups:\n  lab-7: {}\n")
    result = filled.quick("apply", "other.yaml")
    assert result.code == 2 and "line 3: the file zebrafish declares group lab-7 too" in result.err
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
    "nested": ("name: a\ngroups: " + "[" * 3000, ["line 2: not YAML", "nested more than 32 deep"]),
    "nested, 20,000": ("name: a\ngroups: " + "[" * 20_000, ["line 2: not YAML", "nested more than"]),
    "nested and closed": ("name: a\ngroups: " + "[" * 20_000 + "]" * 20_000, ["line 2: not YAML", "nested more"]),
    "nested mappings": ("name: a\ngroups: " + "{a: " * 20_000, ["line 2: not YAML", "nested more than"]),
    "nested keys": ("name: a\ngroups: " + "? " * 20_000, ["line 2: not YAML"]),
    "nested entries": ("name: a\ngroups:\n" + "- " * 20_000, ["line 3: not YAML", "nested more than"]),
    "nested a line each": (
        "name: a\ngroups:\n" + "\n".join(" " * n + "a:" for n in range(1, 900)),
        ["nested more than"],
    ),
    "brackets a line each": (
        "name: a\ngroups:\n" + "\n".join(" " * 2 + "[" for n in range(20_000)),
        ["nested more than"],
    ),
    "a billion laughs": ("name: a\na: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", ["line 3: aliases (*name)"]),
    "an alias of itself": ("name: a\ngroups: &a [*a]\n", ["line 2: aliases (*name) are not read"]),
    "two documents": ("name: a\n---\nname: b\n", ["not YAML"]),
    "a tag": ("name: a\ngroups: !!python/object/apply:os.system ['id']\n", ["line 2: groups is no mapping"]),
    "an unknown key": ("name: a\ngroup: {}\n", ["line 2: 'group' is not known in the file; did you mean groups?"]),
    "twice": ("name: a\nname: b\n", ["line 2: 'name' stands twice"]),
    "a group twice": ("name: a\ngroups:\n  b: {}\n  b: {}\n", ["line 4: 'b' stands twice in groups"]),
    "members that are no list": ("name: a\ngroups:\n  b: {members: ada}\n", ["line 3: members of b is no list"]),
    "access": ("name: a\ndatasets:\n  d:\n    access: open\n", ["line 4: access is 'open': say closed or public"]),
    "public": ("name: a\ndatasets:\n  d:\n    versions:\n      v: {public: maybe}\n", ["line 5: public is 'maybe'"]),
    "nobody": (
        "name: a\ngroups:\n  b:\n    members: [zoe@example.org]\n",
        ["line 4: there is no user 'zoe@example.org'", "dsgctl user list"],
    ),
    "a grant to nobody": (
        "name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: nowhere, permission: view}\n",
        ["line 5: there is no group 'nowhere'"],
    ),
    "a grant of nothing": (
        "name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: lab-1}\n",
        ["line 5: a grant on fish2 has no 'permission'"],
    ),
    "a grant to two": (
        "name: a\ndatasets:\n  d:\n    grants:\n      - {group: a, user: b, permission: view}\n",
        ["line 5: a grant is for one of"],
    ),
    "grants twice": (
        "name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: lab-1, permission: view}\n"
        "      - {group: lab-1, permission: view, expires: 2999-01-01}\n",
        ["line 6: grant fish2 view group lab-1 is declared on line 5 already"],
    ),
    "a date": (
        "name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: lab-1, permission: view, expires: soon}\n",
        ["line 5: 'soon'"],
    ),
    "a location": ("name: a\ndatasets:\n  d:\n    locations: [s3://x]\n", ["line 4: 's3://x' is not a location"]),
    "terms of nothing": ("name: a\ndatasets:\n  d:\n    terms:\n      - {name: x}\n", ["line 5: terms have either"]),
    "terms of no file": (
        "name: a\ndatasets:\n  d:\n    terms:\n      - {name: x, file: no.md}\n",
        ["line 5: cannot read"],
    ),
    "a bad name": ("name: a\ndatasets:\n  a b: {}\n", ["line 3: "]),
    "an unknown version": (
        "name: a\ndatasets:\n  fish2:\n    locations:\n      - {location: gs://x-y/, version: v9}\n",
        ["line 5: "],
    ),
    "several": ("name: a\nx: 1\ny: 2\ngroups: []\n", ["line 2: 'x'", "line 3: 'y'", "line 4: groups is no mapping"]),
}


@pytest.mark.parametrize("what", [what for what in BAD if "nested" in what or "brackets" in what])
def test_a_file_that_is_nested_too_deep_costs_little(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML goes through all open brackets at each token: 20,000 of them took more than a minute."""
    steps = 0
    fetch = yaml.SafeLoader.fetch_more_tokens

    def counting(loader: yaml.SafeLoader) -> None:
        nonlocal steps
        steps += 1 + len(loader.possible_simple_keys)
        fetch(loader)

    monkeypatch.setattr(yaml.SafeLoader, "fetch_more_tokens", counting)
    with pytest.raises(document.BadFile):
        document.parse(Path("policy.yaml"), BAD[what][0].encode(), Path())
    assert 0 < steps < 1_000_000  # a key may be 1,024 characters long: so far the scanner looks ahead


@pytest.mark.parametrize(
    "text",
    [
        "x" * 900_000,
        '"' + "x" * 900_000 + '"',
        "|\n" + "      x\n" * 120_000,
        "x " * 400_000,
        "# " + "x" * 900_000,
    ],
    ids=["plain", "quoted", "literal", "words", "comment"],
)
def test_a_long_text_is_read_or_refused_in_one_line(filled: World, text: str) -> None:
    (filled.directory / "policy.yaml").write_text(f"name: a\ndatasets:\n  d:\n    description: {text}\n")
    result = filled.quick("diff", "policy.yaml")
    assert result.code in (1, 2) and "fault of dsgctl" not in result.err and len(result.err) < 1000


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


def test_each_fault_is_told_once(filled: World, policy: Path) -> None:
    policy.write_text("name: a\nx: 1\ny: 2\n")
    told = filled.quick("apply", "policy.yaml").err.splitlines()
    assert [line.partition(";")[0] for line in told] == [
        "policy.yaml: line 2: 'x' is not known in the file",
        "policy.yaml: line 3: 'y' is not known in the file",
        "dsgctl: policy.yaml has 2 faults",
    ]
    assert told[-1] == "dsgctl: policy.yaml has 2 faults; nothing was changed; see 'dsgctl help policy-files'"
    policy.write_text("name: a\nx: 1\n")
    assert filled.quick("apply", "policy.yaml").err.count("\n") == 1


@pytest.mark.parametrize("command", ["diff", "apply"])
def test_a_policy_is_read_from_standard_input(filled: World, policy: Path, command: str) -> None:
    text = policy.read_text()
    policy.unlink()
    result = filled.run(command, "-", input=text)
    assert result.code == (1 if command == "diff" else 0) and "+ group group:lab-7 (name: lab-7)" in result.out
    result = filled.run(command, "-", input="name: a\nx: 1\n")
    assert result.code == 2 and "standard input: line 2" in result.err


def test_a_plan_has_no_words_of_python(filled: World, policy: Path) -> None:
    for line in _plan(filled):
        assert not re.search(r"True|False|None|datetime|\+00:00|\[\]|'", line), line
    assert any("expires: 2999-01-31" in line and "2999-01-31 " not in line for line in _plan(filled))


# Files of terms

SECRET = "DSG_SECRET_KEY=very-secret"


@pytest.fixture
def tempting(filled: World) -> World:
    """A policy's directory with every way out of it to a file of settings."""
    (filled.directory.parent / "dsg.env").write_text(SECRET)
    place = filled.directory / "policy"
    (place / "sub").mkdir(parents=True)
    (place / "rules.md").write_text("\n# Rules\n\nBe kind.\n")
    (place / "link.md").symlink_to(filled.directory.parent / "dsg.env")
    (place / "near.md").symlink_to("rules.md")
    (place / "out").symlink_to(filled.directory.parent)
    (place / "loop").symlink_to("loop")
    (place / "sub" / "deep.md").symlink_to("../../../dsg.env")
    (place / "binary").write_bytes(b"\xff\xfe")
    (place / "long").write_text("x" * 500_000)
    os.mkfifo(place / "pipe")
    return filled


def _terms_of(world: World, name: str) -> str:
    text = f"name: a\ndatasets:\n  fish2:\n    terms:\n      - {{name: x, file: {json.dumps(name)}}}\n"
    (world.directory / "policy" / "policy.yaml").write_text(text)
    return "policy/policy.yaml"


@pytest.mark.parametrize(
    "name",
    [
        "../dsg.env",
        "../../dsg.env",
        "sub/../../../dsg.env",
        "link.md",
        "near.md",
        "out/dsg.env",
        "sub/deep.md",
        "loop",
        "/etc/passwd",
        "/proc/self/environ",
        "..",
        ".",
        "",
        "pipe",
        "absent.md",
        "binary",
        "long",
        "rules.md\0",
        "sub",
    ],
)
def test_terms_come_from_below_the_policy_and_through_no_link(tempting: World, name: str) -> None:
    before = dump(tempting.database)
    for words in (["diff"], ["apply", "--dry-run"], ["apply"]):
        result = tempting.quick(words[0], _terms_of(tempting, name), *words[1:])
        assert result.code == 2 and result.out == "" and "very-secret" not in result.err
        assert "line 5: " in result.err and "nothing was changed" in result.err
    assert dump(tempting.database) == before


def test_a_plan_shows_which_words_they_are(tempting: World) -> None:
    digest = hashlib.sha256(b"\n# Rules\n\nBe kind.\n").hexdigest()
    result = tempting.quick("diff", _terms_of(tempting, "rules.md"))
    assert result.code == 1 and f"begins: # Rules, sha256: {digest}" in result.out
    planned = json.loads(tempting.quick("apply", "policy/policy.yaml", "--dry-run", "-o", "json").ok().out)
    assert digest in [(row["after"] or {}).get("sha256") for row in planned]
    tempting.quick("apply", "policy/policy.yaml").ok()
    assert tempting.quick("diff", "policy/policy.yaml").code == 0


def test_what_was_exported_can_be_applied_beside_the_file_that_declared_it(filled: World, policy: Path) -> None:
    filled.quick("apply", "policy.yaml").ok()
    written = filled.quick("export", "-o", "yaml", "--dataset", "brain").ok().out
    (filled.directory / "written.yaml").write_text(written)
    assert filled.quick("apply", "written.yaml").ok().out == "zebrafish: nothing to do\n"
    assert filled.quick("apply", "written.yaml", "--prune").ok().out == "zebrafish: nothing to do\n"
    assert _plan(filled, code=0) == []
    # Where the file declares more than was exported, it keeps a name of its own: --prune must not take the rest.
    policy.write_text(FILE.replace("groups:\n", "groups:\n  other: {}\n"))
    filled.quick("apply", "policy.yaml").ok()
    assert filled.quick("export", "-o", "yaml", "--dataset", "brain").ok().out.startswith("name: brain\n")


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
