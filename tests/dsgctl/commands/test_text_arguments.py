"""Text in the arguments of every command: control characters, injections, and every script."""

import pytest

from tests.dsgctl.commands.running import Process, dump
from tests.dsgctl.commands.test_bad_input import to_words
from tests.dsgctl.commands.test_errors import is_one_line
from tests.dsgctl.commands.world import World

# Every argument and option that takes text is in one of these three.

# A name or text that would be kept, or a value of some form: refused.
KEPT = """
user add {x}
user add cy@example.org --name {x}
user add cy@example.org --display-name {x}
user add cy@example.org --pi {x}
user add cy@example.org --affiliation {x}
user add cy@example.org --note {x}
user set ada@example.org --email {x}
user set ada@example.org --name {x}
user set ada@example.org --display-name {x}
user set ada@example.org --pi {x}
user set ada@example.org --affiliation {x}
user set ada@example.org --note {x}
group add {x}
dataset add {x}
dataset add mouse --description {x}
dataset set fish2 --description {x}
dataset version add fish2 {x}
dataset location add fish2 gs://bucket/{x}
dataset location add fish2 {x}
grant add fish2 {x} --user ada@example.org
grant add fish2 view --user ada@example.org --expires {x}
terms add {x} --file fish2.md
terms add T --file fish2.md --dataset fly --service clio --effective {x}
terms retire 2 --on {x}
service add {x}
service add cave --display-name {x}
service add cave --url {x}
service table add {x} table fish2
service table add datastack {x} fish2
service root add datastack fish2_v1 {x}
service-account add {x}
service-account add weekly --description {x}
token mint --user ada@example.org --description {x}
token mint --user ada@example.org --expires {x}
token rotate 17 --overlap {x}
token prune -y --older-than {x}
token show {x}
token revoke {x}
user list --search {x}
user list --inactive-for {x}
user list --limit {x}
audit list --since {x}
audit list --limit {x}
audit show {x}
terms show {x}
grant list --expiring {x}
completion {x}
user list -o {x}
{x}
user {x}
user list --{x}
user list {x}
""".strip().splitlines()


# A name that is looked up: nothing has it.
SOUGHT = """
user show {x}
user set {x} --name Ada
user disable {x}
user enable {x}
user remove {x} -y
user list --group {x}
group show {x}
group remove {x} -y
group member add {x} ada@example.org
group member add lab-1 {x}
group member remove {x} ada@example.org
group member remove lab-1 {x}
dataset show {x}
dataset set {x} --public
dataset remove {x} -y
dataset version add {x} v1
dataset version list {x}
dataset version remove {x} v1.2 -y
dataset version remove fish2 {x} -y
dataset location add {x} gs://bucket
dataset location add fish2 gs://bucket --version {x}
dataset location list {x}
iam plan --dataset {x}
iam sync --dataset {x}
iam show --dataset {x}
dataset location remove {x} gs://lab-data/fish2/
dataset location remove fish2 gs://lab-data/fish2/ --version {x}
grant add {x} view --user ada@example.org
grant add fish2 view --user {x}
grant add fish2 view --group {x}
grant add fish2 view --service-account {x}
grant add fish2 view --user ada@example.org --version {x}
grant add fish2 view --user ada@example.org --scope {x}
grant revoke {x} view --user ada@example.org
grant revoke fish2 {x} --user ada@example.org
grant revoke fish2 view --user {x}
grant revoke fish2 view --group {x}
grant revoke fish2 view --service-account {x}
grant revoke fish2 edit --user ada@example.org --version {x}
grant revoke fish2 edit --user ada@example.org --scope {x}
grant list --dataset {x}
grant list --user {x}
grant list --group {x}
grant list --service-account {x}
terms add T --file fish2.md --dataset {x}
terms add T --file fish2.md --dataset fish2 --version {x}
terms add T --file fish2.md --dataset fish2 --service {x}
terms accept 3 {x}
terms pending --user {x}
terms pending --dataset {x}
service remove {x} -y
service table add datastack table {x}
service table remove {x} fish2_v1 -y
service table remove datastack {x} -y
service root add {x} fish2_v1 5
service root add datastack {x} 5
service root list {x} fish2_v1
service root list datastack {x}
service root remove {x} fish2_v1 5
service root remove datastack {x} 5
service-account show {x}
service-account disable {x}
service-account enable {x}
service-account remove {x} -y
token mint --user {x}
token mint --service-account {x}
token list --user {x}
token list --service-account {x}
access show {x}
access check {x} fish2 view
access check ada@example.org {x} view
access explain {x} fish2
access who {x}
""".strip().splitlines()


# A filter, which matches nothing.
FILTERS = """
audit list --actor {x}
audit list --target {x}
service table list --service {x}
access show ada@example.org --service {x}
access check ada@example.org fish2 {x}
access who fish2 {x}
""".strip().splitlines()


# Colours, a new line, delete, C1, text from right to left, a line separator, a byte that is not UTF-8.
CONTROL = ["a\x1b[31mb", "a\nb", "a\rb", "a\x7f", "a\x9b1mb", "a\u202eb", "a\u2028b", "a\udcffb"]


TEXTS = ("--note {x}", "--description {x}")  # several lines are allowed there


@pytest.mark.parametrize("template", [*KEPT, *SOUGHT])
def test_control_characters_are_refused_and_never_reach_the_terminal(filled: World, template: str) -> None:
    before = dump(filled.database)
    allowed = (2,) if template in KEPT else (2, 3)
    for text in CONTROL:
        if text == "a\nb" and template.endswith(TEXTS) and "token" not in template and "account" not in template:
            continue
        result = filled.quick(*to_words(template, text))
        assert result.code in allowed, (text, result)
        assert (result.out, is_one_line(result)) == ("", True), (text, result)
    assert dump(filled.database) == before


# SQL, its wildcards, a path, a shell, a template, a format: as a name, each is the text that it is.
INJECTED = [
    "x'; DROP TABLE tokens; --",
    'x" OR 1=1 --',
    "x' UNION SELECT hash FROM tokens --",
    "%",
    "_",
    "*",
    "?",
    "../../../etc/passwd",
    "/dev/zero",
    "$(id)",
    "`id`",
    "{{7*7}}",
    "{0.__class__}",
    "%s%n",
    "file:x?mode=rw",
]


@pytest.mark.parametrize("template", KEPT)
def test_commands_that_store_text_do_not_interpret_it(filled: World, template: str) -> None:
    before = dump(filled.database)
    for text in INJECTED:
        result = filled.quick(*to_words(template, text))
        assert result.code in (0, 2, 4), (text, result)
        assert "fault of dsgctl" not in result.err
    after = dump(filled.database)
    assert after.keys() == before.keys()
    assert all(len(after[table]) >= len(before[table]) for table in before if table != "changes")
    assert after["tokens"][: len(before["tokens"])] == before["tokens"]
    filled.quick("db", "check").ok()


@pytest.mark.parametrize("template", SOUGHT)
def test_commands_that_look_up_text_do_not_interpret_it(filled: World, template: str) -> None:
    before = dump(filled.database)
    for text in INJECTED:
        result = filled.quick(*to_words(template, text))
        assert result.code in (2, 3), (text, result)
        assert (result.out, is_one_line(result)) == ("", True), (text, result)
    assert dump(filled.database) == before


@pytest.mark.parametrize("template", FILTERS)
def test_a_filter_matches_what_it_says_and_no_more(filled: World, template: str) -> None:
    nothing = filled.quick(*to_words(template, "no such text"), "-o", "jsonl").out
    for text in INJECTED:
        if text == "_" and template.startswith("audit"):
            continue  # which is in a name
        assert filled.quick(*to_words(template, text), "-o", "jsonl").out == nothing, text


@pytest.mark.parametrize("template", FILTERS)
def test_a_filter_with_control_characters_prints_none_of_them(filled: World, template: str) -> None:
    for text in CONTROL:
        result = filled.quick(*to_words(template, text))
        assert result.code in (0, 2, 5), (text, result)
        assert text not in result.out + result.err
        assert "fault of dsgctl" not in result.err


def test_bytes_that_are_not_utf8_are_refused_by_the_process(dsgctl: Process) -> None:
    for line in ("dsgctl user add $'ada\\xff@b.org'", "dsgctl user show $'ada\\xff'", "dsgctl group add $'\\xff'"):
        for locale in ("C", "C.UTF-8"):
            result = dsgctl.shell(line, LC_ALL=locale)
            assert result.code in (2, 3), result
            assert is_one_line(result), result


def test_names_in_every_script_are_stored_as_typed(filled: World) -> None:
    for name in (
        "Zoë",
        "李明",
        "محمد",
        "🐟 people",
        "O'Brien; DROP TABLE",
        '"quoted"',
        "[bold]x[/bold]",
        "%s {0} $HOME",
    ):
        filled.quick("group", "add", name).ok()
        assert name in filled.quick("group", "list").ok().out
        assert (
            f'"name": "{name}"'.replace('""quoted""', '"\\"quoted\\""')
            in filled.quick("group", "list", "-o", "json").out
        )


@pytest.mark.parametrize(
    "text", ['"', "'", "*", "a*b", 'a"b', "AND", "NOT x", "(", "%", "_", "ada OR bo", "\\", "é", ":"]
)
def test_search_takes_any_text_as_text(filled: World, text: str) -> None:
    filled.quick("user", "add", "odd@example.org", "--name", f"x{text}y").ok()
    filled.quick("user", "add", "other@example.org", "--name", "entirely different").ok()
    assert filled.quick("user", "list", "--search", f"x{text}y", "-o", "value").ok().out == "odd@example.org\n"
    assert "other@example.org" not in filled.quick("user", "list", "--search", f"x{text}", "-o", "value").ok().out
