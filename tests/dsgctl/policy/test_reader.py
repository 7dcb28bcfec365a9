"""Policy files that are malformed, hostile or too long, and the files of terms that they name."""

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml

from dsgctl.policy.document import BadFile
from dsgctl.policy.reader import parse_policy
from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World

BAD = {
    "no YAML": ("name: [", ["line 1: not YAML"]),
    "no YAML, later": ("name: a\ngroups:\n\t- x\n", ["line 3: not YAML"]),
    "a list": ("- a\n", ["line 1: the file is not a mapping"]),
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
    "a tag": ("name: a\ngroups: !!python/object/apply:os.system ['id']\n", ["line 2: groups is not a mapping"]),
    "an unknown key": ("name: a\ngroup: {}\n", ["line 2: 'group' is not known in the file; did you mean groups?"]),
    "twice": ("name: a\nname: b\n", ["line 2: 'name' is repeated"]),
    "a group twice": ("name: a\ngroups:\n  b: {}\n  b: {}\n", ["line 4: 'b' is repeated in groups"]),
    "members that are no list": ("name: a\ngroups:\n  b: {members: ada}\n", ["line 3: members of b is not a list"]),
    "access": ("name: a\ndatasets:\n  d:\n    access: open\n", ["line 4: access is 'open': use closed or public"]),
    "public": ("name: a\ndatasets:\n  d:\n    versions:\n      v: {public: maybe}\n", ["line 5: public is 'maybe'"]),
    **{
        f"the ordinal {text}": (
            f"name: a\ndatasets:\n  d:\n    versions:\n      v: {{ordinal: {text}}}\n",
            ["line 5: ordinal is", "use a whole number from 0 to 2^63-1, or none"],
        )
        for text in ("-1", "²", "9223372036854775808", "1.0", "''", "null", "1e3", "0x1", "99999999999999999999")
    },
    "a branch that is none": (
        "name: a\ndatasets:\n  d:\n    versions:\n      v: {branch: ''}\n",
        ["line 5: '' is not a branch"],
    ),
    "the same ordinal twice": (
        "name: a\ndatasets:\n  d:\n    versions:\n      v: {ordinal: 1}\n      w: {ordinal: 1}\n",
        ["line 6: version 'v' of d has ordinal 1 on branch 'main' already"],
    ),
    "a name of no service": (
        "name: a\ndatasets:\n  d:\n    translations:\n      - {name: b}\n",
        ["line 5: a translation of d has no 'service'"],
    ),
    "no name of a service": (
        "name: a\ndatasets:\n  d:\n    translations:\n      - {service: clio}\n",
        ["line 5: a translation of d has no 'name'"],
    ),
    "a name twice": (
        "name: a\ndatasets:\n  d:\n    translations:\n      - {service: s, name: b}\n  e:\n    translations:\n"
        "      - {service: s, name: b}\n",
        ["line 8: translation s b is declared on line 5 already"],
    ),
    "a grant for no service": (
        "name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: lab-1, permission: view, service: dvd}\n",
        ["line 5: there is no service 'dvd'"],
    ),
    "a grant for an empty service": (
        "name: a\ndatasets:\n  fish2:\n    grants:\n      - {group: lab-1, permission: view, service: ''}\n",
        ["line 5: service is empty: leave it out"],
    ),
    **{
        f"an empty {name} of a grant": (
            f"name: a\ndatasets:\n  fish2:\n    grants:\n      - {{group: lab-1, permission: view, {name}: ''}}\n",
            [f"line 5: {name} is empty: leave it out"],
        )
        for name in ("version", "scope")
    },
    "an empty name-version": (
        "name: a\ndatasets:\n  fish2:\n    translations:\n      - {service: clio, name: b, name-version: ''}\n",
        ["line 5: name-version is empty: leave it out"],
    ),
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
    "several": ("name: a\nx: 1\ny: 2\ngroups: []\n", ["line 2: 'x'", "line 3: 'y'", "line 4: groups is not a mapping"]),
}


@pytest.mark.parametrize("fault", [fault for fault in BAD if "nested" in fault or "brackets" in fault])
def test_a_file_that_is_nested_too_deep_costs_little(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML goes through all open brackets at each token: 20,000 of them took more than a minute."""
    steps = 0
    fetch = yaml.SafeLoader.fetch_more_tokens

    def count_steps(loader: yaml.SafeLoader) -> None:
        nonlocal steps
        steps += 1 + len(loader.possible_simple_keys)
        fetch(loader)

    monkeypatch.setattr(yaml.SafeLoader, "fetch_more_tokens", count_steps)
    with pytest.raises(BadFile):
        parse_policy(Path("policy.yaml"), BAD[fault][0].encode(), Path())
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


@pytest.mark.parametrize("fault", BAD)
def test_a_file_that_is_wrong_is_refused_whole_with_the_line(filled: World, fault: str) -> None:
    text, parts = BAD[fault]
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
    result = filled.quick("apply", "policy.yaml", "-o", "json")
    assert json.loads(result.err)["exit_code"] == 2


@pytest.mark.parametrize("content", [b"\xff\xfe", b"name: \x00", b"name: a\n" + b"# " + b"x" * 2_000_000])
def test_bytes_that_are_no_such_text_are_refused(filled: World, content: bytes) -> None:
    (filled.directory / "policy.yaml").write_bytes(content)
    result = filled.quick("apply", "policy.yaml")
    assert (result.code, is_one_line(result)) == (2, True), result


SECRET = "DSG_SECRET_KEY=very-secret"


@pytest.fixture
def linked_world(filled: World) -> World:
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


def write_terms(world: World, name: str) -> str:
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
def test_terms_come_from_below_the_policy_and_through_no_link(linked_world: World, name: str) -> None:
    before = dump(linked_world.database)
    for words in (["diff"], ["apply", "--dry-run"], ["apply"]):
        result = linked_world.quick(words[0], write_terms(linked_world, name), *words[1:])
        assert result.code == 2 and result.out == "" and "very-secret" not in result.err
        assert "line 5: " in result.err and "nothing was changed" in result.err
    assert dump(linked_world.database) == before


def test_a_plan_shows_the_beginning_and_the_hash_of_terms(linked_world: World) -> None:
    digest = hashlib.sha256(b"\n# Rules\n\nBe kind.\n").hexdigest()
    result = linked_world.quick("diff", write_terms(linked_world, "rules.md"))
    assert result.code == 1 and f"begins: # Rules, sha256: {digest}" in result.out
    planned = json.loads(linked_world.quick("apply", "policy/policy.yaml", "--dry-run", "-o", "json").ok().out)
    assert digest in [(row["after"] or {}).get("sha256") for row in planned]
    linked_world.quick("apply", "policy/policy.yaml").ok()
    assert linked_world.quick("diff", "policy/policy.yaml").code == 0
