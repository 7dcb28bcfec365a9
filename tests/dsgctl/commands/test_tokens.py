"""``dsgctl token``: a token is printed once, never taken as an argument, and inspected from standard input."""

import json
import re

import pytest

from tests.dsgctl.commands.lines import read_records, run_line
from tests.dsgctl.commands.running import dump
from tests.dsgctl.commands.world import World


def test_a_token_is_shown_when_it_is_made_and_never_again(filled: World) -> None:
    answer = json.loads(run_line(filled, "token mint --user ada@example.org --description new -o json").out)
    secret = answer["token"]
    inspected = filled.quick("token", "inspect", "-o", "json", input=secret + "\n").ok()
    assert json.loads(inspected.out)["id"] == answer["id"]
    results = [inspected]
    for line in ("token list --all", f"token show {answer['id']}", "audit list", "user show ada@example.org"):
        results += [run_line(filled, line, "-o", format_) for format_ in ("table", "json", "csv")]
    last = read_records(run_line(filled, "audit list --limit 1 -o json").out)[0]["id"]
    results.append(run_line(filled, f"audit show {last} -o json"))
    assert not any(secret in answer.out + answer.err for answer in results)
    for file in filled.database.parent.glob(filled.database.name + "*"):
        assert secret.encode() not in file.read_bytes()
        assert secret[8:].encode() not in file.read_bytes()


def test_minting_prints_the_token_alone_on_stdout(filled: World) -> None:
    answer = run_line(filled, "token mint --service-account nightly-export")
    assert re.fullmatch(r"dsgt[0-9A-Za-z]{39}\n", answer.out)
    assert "not shown again" in answer.err
    assert answer.out.strip() not in answer.err
    for format_ in ("value", "json", "jsonl", "csv"):
        assert run_line(filled, "token mint --service-account nightly-export", "-o", format_).err == ""


@pytest.mark.parametrize(
    "words",
    [
        ["inspect"],
        ["show"],
        ["revoke"],
        ["rotate"],
        ["list"],
        ["prune"],
        ["mint", "--user", "ada@example.org"],
        ["mint", "--token"],
    ],
)
def test_a_token_is_not_accepted_as_an_argument_nor_repeated(filled: World, words: list[str]) -> None:
    """What is repeated ends in the log of whatever ran the command."""
    before = dump(filled.database)
    result = filled.quick("token", *words, filled.token)
    assert result.code == 2
    assert filled.token not in result.out + result.err
    assert dump(filled.database) == before


def test_a_rotated_token_works_for_the_overlap_and_not_without(filled: World) -> None:
    run_line(filled, "token rotate 17 --overlap 7d")
    assert run_line(filled, "token show 17 -o value").out == "valid\n"
    run_line(filled, "token rotate 18")
    assert run_line(filled, "token show 18 -o value").out == "revoked\n"


@pytest.mark.parametrize(
    ("presented", "state"),
    [
        ("dsgt" + "x" * 39, "mistyped"),
        ("dsg_" + "x" * 38, "mistyped"),
        ("abc", "unknown"),
        ("é" * 50, "unknown"),
        ("x" * 9000, "mistyped"),
    ],
)
def test_inspect_says_why_a_token_is_invalid(filled: World, presented: str, state: str) -> None:
    result = filled.quick("token", "inspect", "-o", "json", input=presented + "\n")
    assert result.code == 5
    assert json.loads(result.out) == {"state": state}
    assert "not valid" in json.loads(result.err)["error"]
    assert presented not in result.out + result.err


def test_inspect_reads_only_standard_input_and_needs_it(filled: World) -> None:
    result = filled.quick("token", "inspect")
    assert (result.code, result.out) == (2, "")
    assert "dsgctl token inspect < FILE" in result.err
