"""``dsgctl --as``: what a person who is no operator may see and change; and the shell that ssh gives them."""

import json
import re
import shlex
from pathlib import Path

import pytest

from dsgctl.commands import cli, delegated
from dsgctl.commands.session import Session
from dsgctl.commands.shell import Shell
from tests.dsgctl.commands.running import Quick, dump, execute
from tests.dsgctl.commands.terminal import on_a_terminal
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.test_nouns import COMMANDS
from tests.dsgctl.commands.world import World

ADA, BO = "ada@example.org", "bo@example.org"


@pytest.fixture
def lab_world(filled: World) -> World:
    """ada leads lab-1 and has manage on fish2; bo is a dataset admin of fly."""
    filled.quick("grant", "add", "fish2", "manage", "--user", ADA).ok()
    filled.quick("grant", "add", "fly", "admin", "--user", BO).ok()
    filled.quick("terms", "retire", "3").ok()
    filled.quick("group", "member", "add", "lab-1", ADA, "--lead").ok()
    return filled


@pytest.mark.parametrize("line", COMMANDS)
def test_a_stranger_may_run_nothing_that_is_not_about_themselves(filled: World, line: str) -> None:
    filled.quick("user", "add", "eve@example.org").ok()
    before = dump(filled.database)
    result = filled.quick("--as", "eve@example.org", *shlex.split(line), input=filled.token)
    assert (result.code, result.out, is_one_line(result)) == (5, "", True), result
    assert dump(filled.database) == before


OWN = [
    "user show {me}",
    "access show {me}",
    "access check {me} fly view",
    "access explain {me} fly",
    "token list --user {me}",
    "grant list --user {me}",
    "terms pending --user {me}",
]


@pytest.mark.parametrize("line", OWN)
def test_a_person_may_read_about_themselves_only(filled: World, line: str) -> None:
    result = filled.quick("--as", "BO@example.org", *line.format(me=BO).split())
    assert result.code in (0, 5) and "may not run" not in result.err, result
    if "check" not in line:
        assert result.code == 0
    assert filled.quick("--as", BO, *line.format(me=ADA).split()).code == 5


def test_a_dataset_admin_gives_and_takes_and_the_log_says_who(lab_world: World) -> None:
    for line in ("grant add fly edit --user cy@example.org", "grant revoke fly edit --user cy@example.org"):
        assert lab_world.quick("--as", BO, *line.split()).code == 3  # nobody of that name
    lab_world.quick("user", "add", "cy@example.org").ok()
    for line in ("grant add fly edit --user cy@example.org", "access who fly", "grant list --dataset fly"):
        lab_world.quick("--as", BO, *line.split()).ok()
    record = json.loads(lab_world.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["action"] == "grant.add"
    assert record["actor"].startswith(f"user:{BO} by os:")
    assert lab_world.quick("--as", BO, "grant", "add", "fish2", "view", "--user", "cy@example.org").code == 5


def test_a_lead_decides_who_is_in_their_group_and_what_is_scoped_to_it(lab_world: World) -> None:
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    lab_world.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1").ok()
    lab_world.quick("--as", ADA, "group", "show", "lab-1").ok()
    refused = [
        f"grant add fish2 edit --user {BO}",
        f"grant add fish2 admin --user {BO} --scope lab-1",
        "user list",
        f"group member add lab-1 {BO} --lead",
        "group remove lab-1 -y",
        "audit list",
    ]
    for line in refused:
        assert lab_world.quick("--as", ADA, *line.split()).code == 5, line


def test_a_delegate_cannot_tell_a_hidden_name_from_an_absent_one(lab_world: World) -> None:
    answers = {
        lab_world.quick("--as", BO, "grant", "add", dataset, "view", "--user", BO).err
        for dataset in ("fish2", "nothing")
    }
    assert len(answers) == 1
    answers = {lab_world.quick("--as", BO, "user", "show", email).err for email in (ADA, "nobody@example.org")}
    assert len(answers) == 1


def test_a_global_admin_manages_the_data_but_not_the_host(lab_world: World) -> None:
    root = ("--as", "root@example.org")
    lab_world.quick(*root, "user", "add", "new@example.org").ok()
    lab_world.quick(*root, "audit", "list").ok()
    lab_world.quick(*root, "terms", "add", "T", "--file", "-", "--dataset", "fly", input="be kind").ok()
    for line in (
        "db info",
        "db check",
        "import csv people.csv --dataset fly",
        "export",
        "setup",
        "doctor",
        "status",
        "bucket list",
        "terms add T --file fish2.md",
        "completion bash",
        "demo",
    ):
        result = lab_world.quick(*root, *line.split())
        assert (result.code, result.out) == (5, ""), (line, result)


@pytest.mark.parametrize("who", ["nobody@example.org", "old@example.org", "nightly-export", ""])
def test_a_delegate_without_an_active_account_is_refused_everything(filled: World, who: str) -> None:
    assert filled.quick("--as", who, "access", "show", who or ADA).code == 5


def test_every_allowed_command_exists() -> None:
    allowed = {line.rpartition(" ")[0] for line in delegated._ALLOWED} and set(delegated._ALLOWED)
    typed = {" ".join(line.split()[:size]) for line in COMMANDS for size in (2, 3)}
    assert allowed <= typed


# The shell


def test_the_shell_runs_one_command_after_the_other(lab_world: World) -> None:
    typed = [
        f"access check {ADA} fish2 view",
        "",
        "# a comment",
        f"dsgctl user show {ADA} -o value",
        "exit",
        "user list",
    ]
    result = lab_world.run("--as", ADA, "shell", input="\n".join(typed))
    assert (result.code, result.out, result.err) == (0, f"yes\n{ADA}\n", "")


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("user 'x", 2, "check the quotes"),
        ("user list", 5, "may not run"),
        ("nonsense", 2, "No such command 'nonsense'"),
        (f"access check {ADA} fish2 admin", 5, ""),
        ("--debug user list", 2, "cannot begin a line"),
        ("grant revoke fish2 view --user bo@example.org --scope lab-1", 5, "not for a member of the group"),
    ],
)
def test_a_script_of_the_shell_stops_at_the_first_failure_with_its_exit_code(
    lab_world: World, line: str, code: int, message: str
) -> None:
    before = dump(lab_world.database)
    after = f"group member add lab-1 {BO}"
    for script in (f"{line}\n{after}\n", f"access check {ADA} fish2 view\n{line}\n{after}\n"):
        result = lab_world.run("--as", ADA, "shell", input=script)
        assert result.code == code and message in result.err, result
    assert dump(lab_world.database) == before
    lines = "user show nobody@example.org\ngroup add lab-9\n"  # an operator's too
    assert lab_world.run("shell", input=lines).code == 3
    assert dump(lab_world.database) == before


@pytest.mark.parametrize(
    "line",
    ["--as root@example.org user list", "--env-file /etc/passwd user list", "shell", "--debug user list", "-o json"],
)
def test_the_shell_refuses_options_and_nested_shells(lab_world: World, line: str) -> None:
    result = lab_world.run("--as", ADA, "shell", input=line + "\n")
    assert (result.code, result.out) == (2, "")
    assert "cannot begin a line" in result.err


def test_the_shell_as_a_forced_command_runs_the_original_command_of_ssh(lab_world: World) -> None:
    environment = {"SSH_ORIGINAL_COMMAND": f"access check {ADA} fish2 manage -o json"}
    assert json.loads(lab_world.run("--as", ADA, "shell", env=environment).ok().out)["allowed"]
    for bad in ("user list; id", "$(id)", "`id`", "--as root@example.org user list", "access show 'x", "| sh"):
        result = lab_world.run("--as", ADA, "shell", env={"SSH_ORIGINAL_COMMAND": bad})
        assert result.code in (2, 5) and result.out == "", (bad, result)
        assert "uid=" not in result.err


def test_the_shell_on_a_terminal_prompts_and_ends_with_ctrl_d(lab_world: World) -> None:
    with on_a_terminal(lab_world.run, "--as", ADA, "shell") as terminal:
        terminal.wait_for("dsgctl> ")
        terminal.type(f"access check {ADA} fish2 view\r")
        terminal.wait_for("yes")
        terminal.press("\x04")
        assert terminal.end() == 0
    assert "Traceback" not in terminal.seen


def test_help_in_the_shell_lists_what_this_person_may_run(lab_world: World) -> None:
    lines = lab_world.run("--as", ADA, "shell", input="help\n").ok().out.splitlines()
    assert {line.split("  ")[0] for line in lines[:-1]} == set(delegated._ALLOWED)
    everything = lab_world.run("shell", input="help\n").ok().out
    assert "\ndb backup " in everything and "\nshell " not in everything
    grant_add = lab_world.run("--as", ADA, "shell", input="help grant add\n").ok().out
    assert grant_add.startswith("Usage: dsgctl grant add")


COMPLETED = [
    ("", "gr", ["group ", "grant "]),
    ("", "us", ["user "]),
    ("", "db", []),
    ("", "he", ["help "]),
    ("user ", "", ["show "]),
    ("user ", "l", []),
    ("group ", "", ["member ", "show "]),
    ("group member ", "a", ["add "]),
    ("dataset ", "", []),
    ("grant add ", "", ["fish2 ", "fly "]),
    ("grant add ", "sec", []),
    ("dataset show ", "", []),
    ("group show ", "", ["lab-1 "]),
    ("grant add fish2 view ", "--sc", ["--scope "]),
    ("grant add fish2 view --scope ", "l", ["lab-1 "]),
    ("", "/etc/", []),
    ("", "~roo", []),
    ("", "--", []),
    ("access show ", "/e", []),
    ("grant add fish2 view --service-account ", "", []),
    ("user show 'x ", "", []),
    ("help gr", "", []),
    ("help ", "gr", ["group ", "grant "]),
    ("help ", "to", ["token ", "tokens "]),
    ("help ", "de", ["delegation ", "developing "]),
    ("import csv ", "", []),
    ("user list ", "--", []),
]


@pytest.mark.parametrize(("line", "text", "words"), COMPLETED)
def test_tab_completes_what_this_person_may_run_and_know(
    lab_world: World, line: str, text: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab_world.quick("dataset", "add", "secret").ok()
    lab_world.quick("group", "add", "lab-2").ok()
    monkeypatch.setenv("DATABASE_PATH", str(lab_world.database))
    session = Session(None, debug=False, on_behalf=ADA)
    assert Shell(cli, session).complete(line, text) == words
    session.database.close()


def test_tab_on_a_terminal_shows_no_file_and_no_user_of_this_host(lab_world: World) -> None:
    with on_a_terminal(lab_world.run, "--as", ADA, "shell") as terminal:
        terminal.wait_for("dsgctl> ")
        terminal.type("acc\t")
        terminal.wait_for("access ")
        terminal.type(f"check {ADA} fi\t")
        terminal.wait_for("fish2 ")
        terminal.type("view\r")
        terminal.wait_for("yes")
        for keys in ("/et\t\t", "~roo\t\t", "~root\x1b&", "/etc/pass\x1b*"):
            terminal.type(f"{keys}X\x15")  # X marks the end; Ctrl-U deletes the line
            terminal.wait_for("X")
        terminal.type("exit\r")
        terminal.end()
    for word in ("passwd", "hostname", "/root", "~root/"):
        assert word not in terminal.seen


# What one may not know of


CLOSED = """
access check {me} {dataset} view
access check {me} {dataset} view --service clio
access check nobody@example.org {dataset} view
access explain {me} {dataset}
access explain {me} {dataset} view -o json
access who {dataset}
grant list --dataset {dataset}
grant list --user {me} --dataset {dataset}
grant list --group lab-1 --dataset {dataset}
grant add {dataset} view --user {me}
grant add {dataset} view --user {me} --version v1 --scope lab-1
grant revoke {dataset} view --user {me}
terms pending --dataset {dataset}
terms pending --user {me} --dataset {dataset}
""".strip().splitlines()


@pytest.mark.parametrize("line", CLOSED)
@pytest.mark.parametrize("who", [ADA, BO])
def test_a_closed_dataset_looks_absent_to_a_delegate(lab_world: World, line: str, who: str) -> None:
    """The same words and the same exit code, whether it is there, has terms or a bucket, or once was theirs."""
    for name in ("secret", "gone"):
        lab_world.quick("dataset", "add", name).ok()
        lab_world.quick("dataset", "version", "add", name, "v1").ok()
        lab_world.quick("dataset", "location", "add", name, f"gs://{name}-bucket/").ok()
        lab_world.quick("terms", "add", f"{name} terms", "--file", "fish2.md", "--dataset", name).ok()
    lab_world.quick("grant", "add", "gone", "admin", "--user", who, "--expires", "1h").ok()
    lab_world.quick("grant", "add", "gone", "view", "--group", "lab-1", "--expires", "1h").ok()
    execute(lab_world.database, "UPDATE grants SET expires = '2020-01-01T00:00:00.000000Z' WHERE expires IS NOT NULL")
    before = dump(lab_world.database)
    answers = set()
    for name in ("secret", "gone", "missing"):
        result = lab_world.quick("--as", who, *line.format(me=who, dataset=name).split())
        answers.add((result.code, result.out, result.err.replace(name, "NAME")))
    assert len(answers) == 1, answers
    assert next(iter(answers))[0] == 5
    assert dump(lab_world.database) == before


def test_no_answer_about_oneself_names_a_dataset_that_one_may_not_know_of(lab_world: World) -> None:
    lab_world.quick("dataset", "add", "secret").ok()
    lab_world.quick("dataset", "location", "add", "secret", "gs://secret-bucket/").ok()
    lab_world.quick("grant", "add", "secret", "admin", "--user", ADA, "--expires", "1h").ok()
    lab_world.quick("grant", "add", "secret", "view", "--group", "lab-1", "--expires", "1h").ok()
    lab_world.quick("group", "member", "add", "lab-1", BO).ok()
    lab_world.quick("grant", "add", "secret", "view", "--user", BO, "--scope", "lab-1").ok()
    execute(lab_world.database, "UPDATE grants SET expires = '2020-01-01T00:00:00.000000Z' WHERE expires IS NOT NULL")
    of_theirs = (
        "user show {me}",
        "grant list --user {me}",
        "access show {me}",
        "terms pending --user {me}",
        "group show lab-1",
        "grant list --group lab-1",
        "grant list --dataset fish2",
        "access who fish2",
    )
    for line in (line.format(me=ADA) for line in of_theirs):
        for form in ("table", "json", "csv"):
            result = lab_world.quick("--as", ADA, *line.split(), "-o", form).ok()
            assert "secret" not in result.out + result.err, (line, result)


def test_a_delegate_sees_no_notes(lab_world: World) -> None:
    lab_world.quick("user", "set", ADA, "--note", "on probation").ok()
    for line in (
        f"user show {ADA}",
        f"access show {ADA}",
        f"access explain {ADA} fish2",
        "group show lab-1",
        f"token list --user {ADA}",
        f"grant list --user {ADA}",
        "access who fish2",
    ):
        for form in ("table", "json", "jsonl", "csv", "value"):
            result = lab_world.quick("--as", ADA, *line.split(), "-o", form).ok()
            assert "probation" not in result.out, result
    assert "notes" not in json.loads(lab_world.quick("--as", ADA, "user", "show", ADA, "-o", "json").out)
    assert "on probation" in lab_world.quick("--as", "root@example.org", "user", "show", ADA).ok().out


OF_OTHERS = """
grant add fish2 view --user {x}
grant add fish2 view --user {x} --scope lab-1
grant revoke fish2 view --user {x} --scope lab-1
grant list --dataset fish2 --user {x}
access explain {x} fish2
access check {x} fish2 view
access show {x}
terms pending --dataset fish2 --user {x}
user show {x}
token list --user {x}
""".strip().splitlines()


@pytest.mark.parametrize("line", OF_OTHERS)
def test_a_lead_does_not_learn_who_else_is_there(lab_world: World, line: str) -> None:
    answers = set()
    for person in (BO, "old@example.org", "nobody@example.org"):
        result = lab_world.quick("--as", ADA, *line.format(x=person).split())
        answers.add((result.code, result.out, result.err.replace(person, "X")))
    assert len(answers) == 1 and next(iter(answers))[0] == 5, answers


def test_a_manager_of_a_version_sees_and_gives_that_version_alone(lab_world: World) -> None:
    lab_world.quick("dataset", "version", "add", "fish2", "v2").ok()
    lab_world.quick("dataset", "location", "add", "fish2", "gs://v2-bucket/", "--version", "v2").ok()
    lab_world.quick("grant", "revoke", "fish2", "manage", "--user", ADA).ok()
    lab_world.quick("grant", "revoke", "fish2", "edit", "--user", ADA).ok()
    lab_world.quick("grant", "add", "fish2", "manage", "--user", ADA, "--version", "v1.2", "--expires", "1h").ok()
    lab_world.quick("grant", "add", "fish2", "edit", "--user", BO, "--version", "v2", "--scope", "lab-1").ok()
    lab_world.quick("grant", "revoke", "fish2", "view", "--group", "lab-1").ok()
    lab_world.quick("group", "member", "add", "lab-1", BO).ok()
    for version in ([], ["--version", "v2"], ["--version", "v3"]):
        for verb in ("add", "revoke"):
            line = ["grant", verb, "fish2", "edit", "--user", BO, "--scope", "lab-1", *version]
            result = lab_world.quick("--as", ADA, *line)
            assert result.code == 5 and "--version v1.2" in result.err, result
    for end in ([], ["--expires", "90d"], ["--expires", "never"]):
        line = ["grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1", "--version", "v1.2", *end]
        answer = json.loads(lab_world.quick("--as", ADA, *line, "-o", "json").ok().out)
        assert answer["expires"] is not None
    assert " until 20" in lab_world.quick("--as", ADA, *line).ok().out
    rows = json.loads(lab_world.quick("--as", ADA, "grant", "list", "--dataset", "fish2", "-o", "json").ok().out)
    assert {(row["version"], row["user"]) for row in rows} == {("v1.2", ADA), ("v1.2", BO)}
    assert "v2-bucket" not in lab_world.quick("--as", ADA, "access", "explain", ADA, "fish2").ok().out
    assert lab_world.quick("--as", ADA, "access", "explain", BO, "fish2").code == 5
    lab_world.quick("grant", "revoke", "fish2", "manage", "--user", ADA, "--version", "v1.2").ok()
    left = json.loads(lab_world.quick("grant", "list", "--user", BO, "--dataset", "fish2", "-o", "json").ok().out)
    assert {(row["version"], row["permission"]) for row in left} == {("v1.2", "view"), ("v2", "edit")}  # operators'


FAILING = f"""
group member add lab-1 nobody@example.org
grant add fly edit --user nobody@example.org
grant add fly view --user x --version nope
grant revoke fly edit --user {BO}
access explain {BO} fly admin
access explain {BO} fly edit
access explain {ADA} fly edit
access explain {ADA} fish2 admin
access check {ADA} fly nonsense
user show {BO} --bad
""".strip().splitlines()


@pytest.mark.parametrize("line", FAILING)
def test_no_next_step_names_a_command_that_this_person_may_not_run(lab_world: World, line: str) -> None:
    for who in (ADA, BO):
        result = lab_world.quick("--as", who, *line.split())
        for typed in re.findall(
            r"dsgctl ([a-z-]+(?: [a-z-]+)*)", (result.out + result.err).replace("may not run 'dsgctl", "")
        ):
            words = typed.split()
            assert any(entry.split() == words[: len(entry.split())] for entry in delegated._ALLOWED), (typed, result)


DEBUGGING = ["user show -- --debug", "user show --debug", "--debug user show", "grant list --user --debug"]


@pytest.mark.parametrize("line", DEBUGGING)
def test_a_delegate_cannot_turn_on_tracebacks(lab_world: World, line: str) -> None:
    result = lab_world.run("--as", ADA, "shell", env={"SSH_ORIGINAL_COMMAND": line})
    assert "Traceback" not in result.err and is_one_line(result), result
    result = lab_world.run("user", "show", "--", "--debug")
    assert "Traceback" not in result.err and result.code == 3


def test_the_log_has_the_email_as_it_is_stored(lab_world: World) -> None:
    lab_world.quick("--as", ADA.upper(), "group", "member", "add", "lab-1", BO).ok()
    record = json.loads(lab_world.quick("audit", "list", "--limit", "1", "-o", "json").ok().out)[0]
    assert record["actor"].startswith(f"user:{ADA} by os:")
    kelvin = ADA.replace("a", "\u212a")
    assert lab_world.quick("--as", kelvin, "access", "show", ADA).code == 5


def test_a_change_reports_to_the_operator_how_many_delegated_grants_end(lab_world: World) -> None:
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    lab_world.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1").ok()
    plan = lab_world.quick("user", "offboard", ADA, "--dry-run", "-o", "json").ok()
    assert {row["target"] for row in json.loads(plan.out)} >= {f"dataset:fish2 user:{BO}", f"group:lab-1 user:{BO}"}
    result = lab_world.quick("grant", "revoke", "fish2", "manage", "--user", ADA).ok()
    label = "grants and memberships that depended on this and ended, or now end sooner"
    assert result.err == f"{label}: 3; 'dsgctl audit list' names each\n"
    assert lab_world.quick("group", "show", "lab-1", "-o", "json").ok().out.count(BO) == 0
    lab_world.quick("db", "check").ok()


def test_db_check_reports_and_mends_delegated_grants_without_support(lab_world: World) -> None:
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    execute(lab_world.database, "DELETE FROM grants WHERE permission = 'manage'")
    result = lab_world.quick("db", "check")
    assert result.code == 1 and "1 to take back or shorten" in result.err and "db check --mend" in result.err
    lab_world.quick("db", "check", "--mend").ok()
    lab_world.quick("db", "check").ok()
    assert BO not in lab_world.quick("group", "show", "lab-1", "-o", "json").ok().out


def test_an_export_and_an_import_keep_delegated_grants_with_their_delegates(
    lab_world: World, empty_database: Path
) -> None:
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", BO).ok()
    lab_world.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", BO, "--scope", "lab-1").ok()
    document = lab_world.quick("export", "--with-token-hashes").ok().out
    (lab_world.directory / "facts.json").write_text(document)
    other = lab_world.directory / "other.sqlite3"
    other.write_bytes(empty_database.read_bytes())
    there = Quick(lab_world.directory, other)
    there("import", "export", "facts.json").ok()
    there("db", "check").ok()
    for table in ("delegated_members", "grants", "memberships"):
        assert dump(other)[table] == dump(lab_world.database)[table]
    there("grant", "revoke", "fish2", "manage", "--user", ADA).ok()
    assert BO not in there("group", "show", "lab-1", "-o", "json").ok().out


def test_an_exported_policy_leaves_out_delegated_grants(lab_world: World) -> None:
    before = lab_world.quick("export", "-o", "yaml", "--dataset", "fish2").ok().out
    lab_world.quick("user", "add", "cy@example.org").ok()
    lab_world.quick("--as", ADA, "group", "member", "add", "lab-1", "cy@example.org").ok()
    lab_world.quick("--as", ADA, "grant", "add", "fish2", "edit", "--user", "cy@example.org", "--scope", "lab-1").ok()
    assert lab_world.quick("export", "-o", "yaml", "--dataset", "fish2").ok().out == before
