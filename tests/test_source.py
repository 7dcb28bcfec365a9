"""Rules about the source that no other tool checks: what may be printed by whom, and what compares text."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
DSGCTL = sorted((REPOSITORY / "dsgctl").rglob("*.py"))
COMMANDS = sorted((REPOSITORY / "dsgctl" / "commands").rglob("*.py"))


def _calls(path: Path) -> Iterator[tuple[int, str, ast.Call]]:
    """Each call in a file: its line, what is called as it stands there, and itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node


# The one printer (commands/output.py) escapes what a terminal would act on. Who prints without it, and why.
PRINTERS = {
    "click.echo",
    "click.secho",
    "click.prompt",
    "click.confirm",
    "print",
    "sys.stdout.write",
    "sys.stderr.write",
    "sys.stdout.buffer.write",
    "sys.stdout.writelines",
}
MAY_PRINT = {
    "commands/output.py": "it is the printer",
    "commands/__init__.py": "a constant, before anything else is imported",
    "commands/exports.py": "a document for programs: its writer escapes as JSON and YAML have it",
    "commands/help.py": "a page of our own manual, with the colours that rich gave it",
    "commands/setup.py": "a question with a default of its own, which is a constant",
}


def test_whatever_reaches_a_terminal_goes_through_one_printer() -> None:
    printing = {
        f"commands/{path.relative_to(REPOSITORY / 'dsgctl' / 'commands')}"
        for path in COMMANDS
        for _, called, _ in _calls(path)
        if called in PRINTERS
    }
    assert printing <= MAY_PRINT.keys()


# Functions that know the case and the digits of every script: str.lower() makes "k" of the Kelvin sign. An address
# is compared by names.email_key alone. Elsewhere, by file: the expression, and why it is nobody's name.
UNICODE = {
    "lower",
    "upper",
    "casefold",
    "swapcase",
    "capitalize",
    "isdigit",
    "isalnum",
    "isalpha",
    "isnumeric",
    "isdecimal",
}
NO_IDENTITY = {
    (
        "core/validation.py",
        "text.encode('utf-8', 'surrogatepass').lower",
    ): "bytes, so ASCII only: it is the one function",
    ("config.py", "value.upper"): "a level of logging, from a closed list",
    ("config.py", "value.lower"): "yes or no, from a closed list",
    ("operations/iam_sync.py", "error.google_message.lower"): "words of a message of Google's",
    ("store/models.py", "fn.lower"): "the database's own, ASCII only",
    ("store/models.py", "char.lower"): "a search of people, for operators to look at",
    ("store/models.py", "char.upper"): "the same",
    ("core/users.py", "fn.lower"): "the database's own, ASCII only",
    ("core/catalogue.py", "words.casefold"): "a search of datasets that the reader may see",
    ("core/catalogue.py", "f\"{name} {described.get(name, '')}\".casefold"): "the same",
    ("importers/csv_file.py", "cell.strip().lower"): "the name of a column",
    ("guide/__init__.py", "word.casefold"): "a search of the manual",
    ("guide/__init__.py", "line.casefold"): "the same",
    ("commands/demo.py", "name.upper"): "a variable of the demonstration",
    ("commands/streams.py", "sys.getfilesystemencoding().lower"): "the name of an encoding",
    ("commands/session.py", "at.isdecimal"): "bash's number of the word to complete",
    ("operations/doctor/proxy.py", "value.upper"): "a header of a cache, read for HIT",
    (
        "operations/doctor/viewers.py",
        "f'{parts.scheme}://{parts.netloc}'.lower",
    ): "an origin, to point out capitals in a pattern",
    ("operations/doctor/viewers.py", "text.lower"): "the same",
    ("probe.py", "moment.isdigit"): "ASCII digits, asked for beside it",
    ("operations/setup.py", "(match[1] or 'https').lower"): "the scheme of an origin",
    ("operations/setup.py", "match[2].lower"): "the host of an origin, ASCII by the pattern",
}


def _unparse(text: str) -> str:
    """As this Python writes it: quotes within f-strings differ between releases."""
    return ast.unparse(ast.parse(text, mode="eval"))


def test_nobody_is_compared_by_the_case_of_every_script() -> None:
    allowed = {(name, _unparse(called)) for name, called in NO_IDENTITY}
    found = []
    for path in DSGCTL:
        name = str(path.relative_to(REPOSITORY / "dsgctl"))
        for line, called, _ in _calls(path):
            if called.rpartition(".")[2] in UNICODE and "." in called and (name, _unparse(called)) not in allowed:
                found.append(f"{name}:{line} {called}")
    assert not found


@pytest.mark.parametrize("path", DSGCTL, ids=lambda path: str(path.relative_to(REPOSITORY / "dsgctl")))
def test_a_number_before_a_noun_goes_through_one_function(path: Path) -> None:
    """`counted` says "1 change"; f"{count} changes" says "1 changes"."""
    nouns = "accounts|bundles|changes|grants|groups|members|migrations|older|people|records|tokens|users|versions"
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                named = ast.unparse(value.value)
                if re.search(r"count|len\(|size|number|^rows|^ran|lost|left_out", named):
                    assert not re.match(rf" ({nouns})\b", str(text.value)), f"line {node.lineno}: {ast.unparse(node)}"
