"""Documents of `dsgctl export` that are not as it writes them: each is refused in one line, nothing is written."""

import json
import random
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dsgctl import __version__
from dsgctl.core import (
    acceptances,
    datasets,
    grants,
    groups,
    locations,
    service_tables,
    services,
    terms,
    tokens,
    translations,
    user_queries,
    users,
    versions,
)
from dsgctl.core.errors import Invalid
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.translations import ServiceName
from dsgctl.core.versions import Position
from dsgctl.importers import export as export_importer
from dsgctl.store.migrations import LATEST
from dsgctl.transfer import export
from tests.dsgctl.core.builders import AT, DAY, Run, refused
from tests.dsgctl.importers.conftest import WHOLE

Change = Callable[[str], str]


def sub(pattern: str, new: str) -> Change:
    """Puts ``new`` in place of the first match."""

    def change(text: str) -> str:
        changed, count = re.subn(pattern, lambda _: new, text, count=1)
        assert count == 1, pattern
        return changed

    return change


def row(table: str, number: int, **values: Any) -> Change:
    """Sets values of a row of a table; None of a key that begins with ``no_`` removes it."""

    def change(text: str) -> str:
        lines = text.split("\n")
        at = lines.index(f'"{table}": [') + number
        row_values = json.loads(lines[at].removesuffix(","))
        for key, value in values.items():
            if key.startswith("no_"):
                del row_values[key.removeprefix("no_")]
            else:
                row_values[key] = value
        lines[at] = json.dumps(row_values) + ("," if lines[at].endswith(",") else "")
        return "\n".join(lines)

    return change


def repeat_row(table: str, number: int) -> Change:
    def change(text: str) -> str:
        lines = text.split("\n")
        at = lines.index(f'"{table}": [') + number
        lines.insert(at, lines[at].removesuffix(",") + ",")
        return "\n".join(lines)

    return change


BAD: dict[str, tuple[Change, list[str]]] = {
    # What is no document, or not all of one
    "empty": (lambda _: "", ["is empty"]),
    "one line of text": (lambda _: "hello", ["is not a document of dsgctl export"]),
    "an empty object": (lambda _: "{}", ["is not a document of dsgctl export"]),
    "another system's": (lambda _: '{"users": {"ada@example.org": {}}, "datasets": {}}', ["not a document of dsgctl"]),
    "another system's in lines": (lambda _: '{\n "users": {}\n}\n', ["not a document of dsgctl"]),
    "no head": (lambda text: text.partition("\n")[2], ["is not a document of dsgctl"]),
    "rewritten": (lambda text: json.dumps(json.loads(text), indent=1), ["another program has", "original"]),
    "rewritten in one line": (lambda text: json.dumps(json.loads(text)), ["line 1", "not JSON"]),
    "cut off in the head": (lambda text: text[:70], ["is cut off in line 1"]),
    "cut off after the head": (lambda text: text.partition("\n")[0] + "\n", ["is cut off after line 1"]),
    "cut off in a row": (lambda text: text[: text.index('"email"') + 30], ["is cut off in line 4"]),
    "cut off after a row": (lambda text: text[: text.index('\n{"id": 2,') + 1], ["is cut off after line 4"]),
    "cut off before the end": (lambda text: text[: text.index('"end"')], ["is cut off after line"]),
    "cut off in the end": (lambda text: text[:-10], ["is cut off in line"]),
    "more after the end": (lambda text: text + "{}\n", ["goes on after its end"]),
    "two in one": (lambda text: text + text, ["goes on after its end"]),
    "a line taken out": (sub('(?<=\n)\\{"id": 2, [^\n]*\n', ""), ["principal_id 2: there is no such row of"]),
    "a letter changed": (sub('"notes": "imported"', '"notes": "Imported"'), ["SHA-256 differs", "use the original"]),
    # Of another release
    "a later version": (sub('"version": 1', '"version": 2'), ["later release", f"'dsgctl {__version__}'", "version 2"]),
    "a later schema": (sub(f'"schema": {LATEST}', '"schema": 99'), ["later release", "schema 99"]),
    "an older schema": (sub(f'"schema": {LATEST}', '"schema": 1'), ["schema 1", "dsgctl db migrate"]),
    "a version that is none": (sub('"version": 1', '"version": true'), ["line 1", "version and schema"]),
    "a moment that is none": (sub('"exported": "[^"]*"', '"exported": "now\\ud800"'), ["line 1", "exported"]),
    # Lines that are not what they should be
    "a list for a row": (sub('(?<=\n)\\{"id": 1,[^\n]*', "[1],"), ["line 4: principals: it is not a JSON object"]),
    "deep": (sub('(?<=\n)\\{"id": 1,[^\n]*', "[" * 100_000), ["line 4: principals: it is not JSON"]),
    "an endless number": (sub('"id": 1,', f'"id": {"9" * 5000},'), ["line 4: principals: it is not JSON"]),
    "not JSON": (sub('"id": 1,', '"id": 1'), ["line 4: principals: it is not JSON"]),
    "a blank line": (sub("\n", "\n\n"), ["line 2"]),
    "next_ids without a table": (sub('"groups": [0-9]+, ', ""), ["line 2", "next_ids"]),
    "next_ids of an unknown table": (sub('"next_ids": {', '"next_ids": {"songs": 1, '), ["line 2", "next_ids"]),
    "a next id below one": (sub('"groups": [0-9]+', '"groups": 0'), ["line 2", "next_ids"]),
    "a next id without end": (sub('"groups": [0-9]+', f'"groups": {2**63}'), ["line 2", "next_ids"]),
    "next_ids without audit": (sub(', "audit": [0-9]+', ""), ["here the document must end"]),
    # Tables and columns
    "an unknown table": (sub('"groups": \\[', '"songs": ['), ["the table 'songs' is not known here"]),
    "a table too early": (sub('"affiliations": \\[', '"groups": ['), ["here the table affiliations must begin"]),
    "a table that is missing": (sub('"affiliations": \\[[^]]*\\],\n', ""), ["here the table affiliations must begin"]),
    "an unknown column": (row("groups", 1, colour="red"), ["groups row 1: the column 'colour' is not known here"]),
    "a missing column": (row("grants", 2, no_expires=None), ["grants row 2: expires is missing"]),
    "a hash for one token alone": (row("tokens", 2, hash=None), ["tokens row 2: hash is missing"]),
    # Values
    "an id that is text": (row("groups", 1, id="1"), ["groups row '1': id: '1' is not a whole number"]),
    "an id that is a fraction": (row("groups", 1, id=1.0), ["groups row 1.0: id: 1.0 is not a whole number"]),
    "an id that is true": (row("groups", 1, id=True), ["groups row True: id: True is not a whole number"]),
    "an id below one": (row("groups", 1, id=0), ["groups row 0: id: 0 is not a whole number from 1"]),
    "an id too large": (row("groups", 1, id=2**53), ["is not a whole number from 1 to"]),
    "an id that is null": (row("groups", 1, id=None), ["groups row None: id: None is not a whole number"]),
    "no id": (row("groups", 1, no_id=None), ["groups row None: id is missing"]),
    "a flag that is a number": (row("principals", 2, admin=1), ["principals row 2: admin: 1 is neither"]),
    "a text that is a list": (row("principals", 2, notes=[]), ["principals row 2: notes: [] is not text"]),
    "no email": (row("principals", 2, email=None), ["principals row 2: it must hold that", "kind = 'user'"]),
    "no email at all": (row("principals", 2, email=""), ["principals row 2: email: '' is not an email address"]),
    "a kind that is none": (row("principals", 2, kind="robot"), ["principals row 2: it must hold that kind IN"]),
    "no name": (row("groups", 1, name=None), ["groups row 1: name is missing"]),
    "a name of two lines": (row("groups", 1, name="a\nb"), ["groups row 1: name: 'a\\nb' is not a group name"]),
    "a name that moves the cursor": (row("groups", 1, name="a\x1b[2J"), ["groups row 1: name: 'a\\x1b[2J'"]),
    "half a surrogate pair": (row("principals", 2, issuer="\ud800"), ["principals row 2: issuer", "cannot be stored"]),
    "a NUL": (row("grants", 2, granted_by="os:\0"), ["grants row 2: granted_by", "cannot be stored"]),
    "a giver of two lines": (row("grants", 2, granted_by="os:a\nb"), ["grants row 2: granted_by: 'os:a\\nb' is not"]),
    "postponed terms of no number": (row("tokens", 1, postponed="1 x"), ["tokens row 1: postponed: '1 x' is not ids"]),
    "a dataset of no name": (row("datasets", 1, name=""), ["datasets row 1: name: '' is not a dataset name"]),
    "a permission with a tab": (row("grants", 3, permission="x\ty"), ["grants row 3: permission: 'x\\ty' is not"]),
    "a source that is none": (row("grants", 3, source="magic"), ["grants row 3: it must hold that source IN"]),
    "a time without a zone": (row("grants", 3, created="2026-01-31T00:00:00"), ["grants row 3: created", "not a time"]),
    "a time that is none": (
        row("grants", 3, expires="2026-13-31T00:00:00.000000Z"),
        ["grants row 3: expires", "is not a time"],
    ),
    "a hash too short": (row("tokens", 1, hash="00ff"), ["tokens row 1: hash: it is not a SHA-256"]),
    "a hash that is none": (row("tokens", 1, hash=["x"]), ["tokens row 1: hash: it is not a SHA-256"]),
    "an address that is no web address": (
        row("services", 1, url="javascript:alert(1)"),
        ["services row 1: url", "not a web address"],
    ),
    "a bucket that is none": (row("buckets", 1, name="NO"), ["buckets row 'NO': name", "is not a location"]),
    "a member in capitals": (row("iam_members", 1, member="user:Ada@x.org"), ["iam_members row", "in lower case"]),
    "a member that is a group": (row("iam_members", 1, member="group:a@example.org"), ["iam_members row", "member"]),
    "a member of no bucket": (row("iam_members", 1, bucket="nowhere"), ["bucket nowhere: there is no such row"]),
    "a state of its own": (row("iam_members", 1, state="dreamt"), ["iam_members row", "it must hold that state IN"]),
    "a prefix without its slash": (row("locations", 1, prefix="a/b"), ["locations row 1: prefix: 'a/b' is not a"]),
    "a root below zero": (row("public_roots", 1, root_id=-1), ["root_id: -1 is not a whole number from 0"]),
    "an ordinal below zero": (row("versions", 1, ordinal=-1), ["versions row 1: ordinal: -1 is not a whole number"]),
    "an ordinal without end": (
        row("versions", 1, ordinal=2**63),
        ["versions: it is not JSON that can be stored", "9223372036854775808"],
    ),
    "an ordinal that is text": (
        row("versions", 1, ordinal="²"),
        ["versions row 1: ordinal: '²' is not a whole number"],
    ),
    "an empty branch": (row("versions", 1, branch=""), ["versions row 1: branch: '' is not a branch"]),
    "a branch that is null": (row("versions", 1, branch=None), ["versions row 1: branch is missing"]),
    "a mode that is none": (row("services", 1, mode="tree"), ["services row 1: it must hold that mode IN"]),
    # Rows and each other
    "an id twice": (repeat_row("groups", 1), ["groups row 1: there is another row of the same id"]),
    "an email twice": (
        row("principals", 2, email="FIRST.last+0@example.org"),
        ["principals row 2: there is another row of the same email"],
    ),
    "a membership twice": (repeat_row("memberships", 1), ["there is another row of the same principal_id, group_id"]),
    "a grant twice": (
        lambda text: repeat_row("grants", 1)(text).replace('"grants": [\n{"id": 1,', '"grants": [\n{"id": 999,', 1),
        ["grants row 1: another row says the same"],
    ),
    "a grant for no service": (
        row("grants", 4, service_id=999),
        ["grants row 4: service_id 999: there is no such row of services"],
    ),
    "a grant on no dataset": (
        row("grants", 4, dataset_id=999, version_id=None),
        ["grants row 4: dataset_id 999: there is no such row of"],
    ),
    "a version of another dataset": (
        row("grants", 4, dataset_id=1, version_id=25),
        ["grants row 4: version_id 25, dataset_id 1: there is no such row of versions"],
    ),
    "a member that is not there": (row("memberships", 1, principal_id=999), ["memberships row 999, ", "principals"]),
    "a parent that is not there": (row("principals", 2, parent_id=999), ["principals row 2: parent_id 999: there"]),
    "a service account's parent": (row("principals", 44, parent_id=1), ["principals row 44: it must hold that"]),
    "terms that are not there": (row("datasets", 1, own_terms_id=999), ["datasets row 1: own_terms_id 999: there"]),
    "a location in no bucket": (row("locations", 1, bucket="nowhere"), ["bucket nowhere: there is no such row of buc"]),
    "an audit record that was changed": (row("audit", 3, actor="os:nobody"), ["audit row 3 was changed"]),
    "an audit record that is missing": (sub('(?<=\n)\\{"id": 7, "at"[^\n]*\n', ""), ["audit row 8 was changed"]),
    "an audit record that is no JSON": (row("audit", 3, after="{"), ["audit row 3: it must hold that after IS"]),
}


def seal(text: str) -> str:
    """The text as if it had been written so: its last line counts rows, and has no hash that gives the change away."""
    if '"end": {"rows"' not in text:
        return text
    count = sum(line.startswith("{") for line in text.split("\n")[1:])
    return re.sub(r'"end": \{"rows": \d+, "sha256": "[0-9a-f]+"\}', f'"end": {{"rows": {count}}}', text)


UNSEALED = {"a letter changed", "a line taken out", "two in one", "rewritten in one line", "rewritten"}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_document_is_refused_in_one_line_and_nothing_is_written(
    document: Path, run: Run, tmp_path: Path, name: str
) -> None:
    spoil, parts = BAD[name]
    text = spoil(document.read_text(encoding="utf-8"))
    source = tmp_path / "bad.json"
    source.write_text(text if name in UNSEALED else seal(text), encoding="utf-8")
    before = run.content()
    with refused(Invalid, "bad.json", *parts):
        run(export_importer.Importer().run, source)
    assert run.content() == before


def test_a_change_that_was_wanted_can_be_imported(document: Path, run: Run, tmp_path: Path) -> None:
    source = tmp_path / "dsg.json"
    changed = sub('"notes": "imported"', '"notes": "moved"')(document.read_text(encoding="utf-8"))
    source.write_text(seal(changed), encoding="utf-8")
    run(export_importer.Importer().run, source)
    assert user_queries.show(run.database, "First.Last+0@Example.ORG")["notes"] == "moved"


def test_line_ends_of_another_system_are_accepted(document: Path, run: Run, tmp_path: Path) -> None:
    source = tmp_path / "dsg.json"
    source.write_bytes(document.read_bytes().replace(b"\n", b"\r\n"))
    assert run(export_importer.Importer().run, source).changed


@pytest.mark.parametrize("place", [0, 1, 30, 400, 5000, 100_000, -200])
def test_a_changed_byte_is_detected(document: Path, run: Run, tmp_path: Path, place: int) -> None:
    content = bytearray(document.read_bytes())
    content[place] = 0xFF
    source = tmp_path / "bad.json"
    source.write_bytes(content)
    before = run.content()
    with refused(Invalid, "bad.json"):
        run(export_importer.Importer().run, source)
    assert run.content() == before


@pytest.mark.parametrize("lines_kept", [0, 2, 10])
def test_a_file_of_half_a_gigabyte_is_refused_without_memory_or_time(
    document: Path, run: Run, tmp_path: Path, lines_kept: int
) -> None:
    source = tmp_path / "large.json"
    source.write_bytes(b"".join(document.read_bytes().splitlines(keepends=True)[:lines_kept]))
    with source.open("r+b") as file:
        file.truncate(500 * 2**20)
    tracemalloc.start()
    with refused(Invalid, "large.json"):
        run(export_importer.Importer().run, source)
    assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
    tracemalloc.stop()


WORDS = [
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    "null",
    "true",
    "-1",
    "1e9",
    "1.5",
    "9" * 30,
    '"\\ud800"',
    "\\u0000",
    "\n",
    '""',
    "NaN",
    "0",
    "\x7f",
    "[[[[",
    '{"a": 1}',
    '"x"',
    "",
]


def test_any_edit_is_refused_or_imported_completely(other: Run, run: Run, tmp_path: Path) -> None:
    """Never a traceback, and never a part."""
    make_some_facts(run)
    text = seal(b"".join(export.build_document(run.database, AT, **WHOLE)).decode())
    values = [match.span() for match in re.finditer(r'(?<=: )("([^"\\]|\\.)*"|-?[0-9]+|null|true|false)', text)]
    chance = random.Random(7)
    source, before = tmp_path / "dsg.json", other.content()
    outcomes: Counter[str] = Counter()
    for _ in range(300):
        at = chance.randrange(len(text))
        begin, end = chance.choice(values) if chance.random() < 0.7 else (at, at + 1)
        source.write_text(text[:begin] + chance.choice(WORDS) + text[end:], encoding="utf-8")
        try:
            other(export_importer.Importer().run, source, dry_run=True)
            outcomes["imported"] += 1
        except Invalid as error:
            assert f"{error.message}; {error.hint}".isprintable()
            outcomes["refused"] += 1
    assert other.content() == before
    assert min(outcomes["imported"], outcomes["refused"]) > 0


def make_some_facts(run: Run) -> None:
    """A little of most kinds."""
    run(users.add, "ada@example.org", name="Ada", affiliations=["HHMI"])
    ada = users.find(run.database, "ada@example.org")
    run(groups.add_member, run(groups.add, "lab")[0].name, ada.email)
    run(datasets.add, "fish2")
    run(versions.add, "fish2", "v1", position=Position("side", 3))
    run(services.add, "dvid", mode="dag")
    run(translations.add, ServiceName("dvid", "ab cd", "r/1"), "fish2", version="v1")
    run(grants.add, principal_subject(ada), Target("fish2", "view", service="dvid"))
    run(locations.add, "fish2", "gs://bucket/fish2/", version="v1")
    run(terms.add, "Terms", "Be kind.", dataset="fish2")
    run(acceptances.accept, 1, ada.email)
    run(grants.add, principal_subject(ada), Target("fish2", "view", "v1"), expires=AT + DAY)
    run(service_tables.add_table, "datastack", "fish2_v1", "fish2")
    run(service_tables.add_root, "datastack", "fish2_v1", 720575940623636701)
    run(tokens.mint, ada)
