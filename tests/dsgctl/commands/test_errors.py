"""What goes wrong: the exit code says of what kind, one line on stderr says what, and nothing changes."""

import json
import shlex

import pytest

from dsgctl.commands import NOUNS
from dsgctl.core.hidden_characters import has_control
from dsgctl.core.rules import levels
from tests.dsgctl.commands.running import Process, Quick, Result, dump
from tests.dsgctl.commands.world import World

# Exit code, command -> a part of the line on stderr that names the thing, and one that says what to do.
ERRORS: list[tuple[int, str, str, str]] = [
    (2, "user add nobody", "'nobody' is not an email address", "write it like name@example.org"),
    (2, "user add", "Missing argument 'EMAIL'", "see 'dsgctl user add --help'"),
    (2, "user list extra", "unexpected extra argument (extra)", "see 'dsgctl user list --help'"),
    (2, "user list --limit 0", "'0' is not a whole number from 1 to 2^63-1", "see 'dsgctl user list --help'"),
    (2, "user list --limit", "Option '--limit' requires an argument", ""),
    (2, "user list -o xml", "'xml' is not one of 'table', 'json', 'jsonl', 'csv', 'value'", "--help"),
    (2, "user list --frobnicate", "No such option '--frobnicate'", "see 'dsgctl user list --help'"),
    (
        2,
        "user remove ada@example.org",
        "not confirmed: ada@example.org will be deleted, with 1 grant, 1 group and 1 token",
        "use -y",
    ),
    (2, "grant add fish2 peek --user ada@example.org", "'peek' is not a permission", levels.enumerate_names("and")),
    (
        2,
        "grant add fish2 view",
        "the grant has no subject",
        "use one of --user EMAIL, --group NAME and --service-account NAME",
    ),
    (2, "grant add fish2 view --user ada@example.org --group lab-1", "a grant has one subject", "use only one of"),
    (2, "grant revoke fish2 view", "the grant has no subject", "use one of --user EMAIL"),
    (2, "grant add fish2 view --user ada@example.org --expires 2001-01-01", "is in the past", "a date in the future"),
    (2, "token mint", "the token has no owner", "use --user EMAIL or --service-account NAME"),
    (2, "token mint --user ada@example.org --service-account nightly-export", "a token has one owner", "use only one"),
    (2, "token list --user ada@example.org --service-account nightly-export", "a token has one owner", "use only one"),
    (2, "terms add T --file fish2.md --version v1.2", "terms of a version or of a service need a dataset", "--dataset"),
    (2, "terms add T", "Missing option '--file'", "see 'dsgctl terms add --help'"),
    (2, "terms add T --file /dev/null", "the text of the terms is empty", "Markdown"),
    (2, "dataset location add fish2 s3://b/x", "'s3://b/x' is not a location", "write gs://BUCKET"),
    (2, "completion tcsh", "'tcsh' is not one of 'bash', 'zsh', 'fish'", "see 'dsgctl completion --help'"),
    (2, "--env-file /no/such/file user list", "the settings file /no/such/file does not exist", "check --env-file"),
    (3, "user show eve@example.org", "there is no user 'eve@example.org'", "dsgctl user list --search TEXT"),
    (3, "user remove eve@example.org -y", "there is no user 'eve@example.org'", "dsgctl user list"),
    (3, "group show lab-9", "there is no group 'lab-9'", "dsgctl group list"),
    (3, "group show LAB-1", "there is no group 'LAB-1'", "dsgctl group list"),
    (3, "user list --group lab-9", "there is no group 'lab-9'", "dsgctl group list"),
    (3, "group member add lab-1 eve@example.org", "there is no user 'eve@example.org'", "dsgctl user list"),
    (3, "dataset show FISH2", "there is no dataset 'FISH2'", "dsgctl dataset list"),
    (3, "dataset version remove fish2 v9 -y", "fish2 has no version 'v9'", "dsgctl dataset version list fish2"),
    (3, "dataset location add fish2 gs://bucket --version v9", "no version 'v9'", "dsgctl dataset version list fish2"),
    (3, "dataset location remove fish2 gs://bucket", "fish2 has no location gs://bucket/", "dsgctl dataset location"),
    (3, "grant add fish9 view --group lab-1", "there is no dataset 'fish9'", "dsgctl dataset list"),
    (3, "grant add fish2 view --group lab-9", "there is no group 'lab-9'", "dsgctl group list"),
    (3, "grant add fish2 view --service-account nobody", "no service account 'nobody'", "dsgctl service-account list"),
    (3, "grant add fish2 view --group lab-1 --scope lab-9", "there is no group 'lab-9'", "dsgctl group list"),
    (3, "grant revoke fish2 admin --user ada@example.org", "user:ada@example.org has no such grant: admin", "edit"),
    (3, "grant list --dataset fish9", "there is no dataset 'fish9'", "dsgctl dataset list"),
    (3, "dataset version list fish9", "there is no dataset 'fish9'", "dsgctl dataset list"),
    (3, "dataset location list fish9", "there is no dataset 'fish9'", "dsgctl dataset list"),
    (3, "terms pending --dataset fish9", "there is no dataset 'fish9'", "dsgctl dataset list"),
    (3, "export --grants --dataset fish9", "there is no dataset 'fish9'", "dsgctl dataset list"),
    (3, "terms show 99", "there are no terms 99", "dsgctl terms list"),
    (3, "terms add T --file fish2.md --dataset fish2 --service nope", "there is no service 'nope'", "dsgctl service"),
    (3, "service remove nope -y", "there is no service 'nope'", "dsgctl service list"),
    (3, "service table remove datastack nope -y", "there is no table 'nope' of 'datastack'", "dsgctl service table"),
    (3, "service root remove datastack fish2_v1 5", "5 is not a public root", "dsgctl service root list datastack"),
    (3, "service-account disable nope", "there is no service account 'nope'", "dsgctl service-account list"),
    (3, "token revoke 999", "there is no token 999", "dsgctl token list"),
    (3, "access show eve@example.org", "there is no user 'eve@example.org'", "dsgctl user list"),
    (3, "access check ada@example.org fish9 view", "there is no dataset 'fish9'", "dsgctl dataset list"),
    (3, "access who fish9", "there is no dataset 'fish9'", "dsgctl dataset list"),
    (3, "audit show 9999", "there is no audit record 9999", "dsgctl audit list"),
    (4, "user add ada@example.org --name Other", "ada@example.org is a user already, with another name", "user set"),
    (4, "user set ada@example.org --email bo@example.org", "bo@example.org is another user already", "user show"),
    (4, "dataset add fish2 --description Other", "dataset fish2 exists, with another description", "dataset set fish2"),
    (4, "service add clio --display-name Other", "service clio exists", "dsgctl service remove clio"),
    (4, "service-account add nightly-export", "exists, with another description", "service-account show"),
    (4, "service table add datastack fish2_v1 fly", "belongs to another dataset", "service table remove datastack"),
    (4, "terms retire 3 --on 2999-01-31", "terms 3 are fly's own", "retire them on the day"),
    (4, "token mint --user old@example.org", "old@example.org is disabled", "enable the account"),
    (5, "user remove root@example.org -y", "root@example.org is the last admin", "--last-admin"),
    (5, "user disable root@example.org", "root@example.org is the last admin", "--last-admin"),
    (5, "user set root@example.org --no-admin", "root@example.org is the last admin", "--last-admin"),
    (5, "terms accept 1 old@example.org", "old@example.org is disabled", "dsgctl user enable old@example.org"),
]


def is_one_line(result: Result) -> bool:
    """Whether an error is one printable line that names the program."""
    return (
        result.err.startswith("dsgctl: ")
        and result.err.count("\n") == 1
        and result.err.endswith("\n")
        and not has_control(result.err[:-1])
        and "Traceback" not in result.err
    )


@pytest.mark.parametrize(("code", "line", "problem", "todo"), ERRORS, ids=[line for _, line, _, _ in ERRORS])
def test_an_error_is_one_line_that_says_what_to_do(
    filled: World, code: int, line: str, problem: str, todo: str
) -> None:
    before = dump(filled.database)
    result = filled.quick(*shlex.split(line))
    assert result.code == code, result
    assert result.out == ""
    assert is_one_line(result), result
    assert problem in result.err
    assert todo in result.err.split(problem)[1]
    assert "fault of dsgctl" not in result.err
    assert dump(filled.database) == before


@pytest.mark.parametrize(("code", "line"), [(code, line) for code, line, _, _ in ERRORS if "-o" not in line])
def test_with_json_the_error_is_json_too(filled: World, code: int, line: str) -> None:
    result = filled.quick(*shlex.split(line), "-o", "json")
    if line == "completion tcsh":  # it prints a script, in no other form
        assert result.code == 2
        return
    assert (result.code, result.out) == (code, "")
    if line.endswith("--limit"):  # "-o" is what --limit gets
        return
    error = json.loads(result.err)
    assert list(error) == ["error", "hint", "exit_code"]
    assert error["exit_code"] == code
    assert error["error"]


@pytest.mark.parametrize("words", [["-o", "jsonl"], ["--output", "json"], ["--output=json"]])
def test_json_can_be_asked_for_in_every_spelling(filled: World, words: list[str]) -> None:
    assert json.loads(filled.quick("user", "show", "eve@example.org", *words).err)["exit_code"] == 3


# One process for each exit code: what a script sees is what the tables above say.
@pytest.mark.parametrize(
    ("code", "line"),
    [
        (0, "user list"),
        (1, "terms add T --file missing.md"),
        (2, "user add nobody"),
        (3, "dataset show nope"),
        (4, "user add ada@example.org --name Other"),
        (5, "user disable root@example.org"),
    ],
)
def test_a_process_ends_with_the_exit_code(filled: World, code: int, line: str) -> None:
    result = filled.run(*line.split())
    assert result.code == code
    if code:
        assert (result.out, is_one_line(result)) == ("", True)


def test_a_file_that_cannot_be_read_is_named(filled: World) -> None:
    for file, why in (("missing.md", "No such file"), (".", "Is a directory")):
        result = filled.quick("terms", "add", "T", "--file", file)
        assert result.code == 1
        assert file in result.err
        assert why in result.err
    (filled.directory / "latin1.md").write_bytes(b"caf\xe9")
    result = filled.quick("terms", "add", "T", "--file", "latin1.md")
    assert (result.code, is_one_line(result)) == (2, True)
    assert "latin1.md is not UTF-8 text; save it as UTF-8" in result.err


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("users", "user"),
        ("usr", "user"),
        ("datasets", "dataset"),
        ("grants", "grant"),
        ("tokens", "token"),
        ("service_account", "service-account"),
        ("serviceaccount", "service-account"),
        ("acess", "access"),
    ],
)
def test_a_mistyped_noun_is_answered_with_the_right_one(quick: Quick, typed: str, meant: str) -> None:
    result = quick(typed, "list")
    assert (result.code, is_one_line(result)) == (2, True)
    assert f"Did you mean {meant}?" in result.err


@pytest.mark.parametrize(("typed", "meant"), [("lst", "list"), ("shwo", "show"), ("ad", "add"), ("remvoe", "remove")])
def test_a_mistyped_verb_is_answered_with_the_right_one(quick: Quick, typed: str, meant: str) -> None:
    result = quick("user", typed, "x")
    assert (result.code, is_one_line(result)) == (2, True)
    assert f"'{meant}'" in result.err


def test_a_mistyped_option_is_answered_with_the_right_one(quick: Quick) -> None:
    assert "--search" in quick("user", "list", "--serach", "x").err


@pytest.mark.parametrize("words", [["frobnicate"], ["user", "frobnicate"], ["--frobnicate"], [""], ["user", ""]])
def test_an_unknown_word_is_wrong_usage(quick: Quick, words: list[str]) -> None:
    result = quick(*words)
    assert (result.code, result.out, is_one_line(result)) == (2, "", True)
    assert "--help'" in result.err


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_is_accepted_in_its_exact_spelling_only(quick: Quick, noun: str) -> None:
    assert quick(noun.upper()).code == 2
    assert quick(noun + "s" if noun != "terms" else "term").code == 2


def test_a_fault_shows_its_traceback_only_when_asked_for(dsgctl: Process) -> None:
    quiet = dsgctl("user", "show", "eve@example.org")
    assert is_one_line(quiet)
    loud = dsgctl("--debug", "user", "show", "eve@example.org")
    assert loud.code == 1
    assert "Traceback" in loud.err
    assert is_one_line(dsgctl("user", "show", "--debug"))  # not where the option belongs
