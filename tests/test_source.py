"""Rules about the source that no other tool checks: printing, comparing text, names, imports, and where a test is."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DSGCTL = sorted((REPOSITORY / "dsgctl").rglob("*.py"))
PROGRAMS = [*DSGCTL, *sorted((REPOSITORY / "dsgserve").rglob("*.py"))]
COMMANDS = sorted((REPOSITORY / "dsgctl" / "commands").rglob("*.py"))


def _short_name(path: Path) -> str:
    """``store/database.py`` of dsgctl, ``dsgserve/app.py`` of the server."""
    return str(path.relative_to(REPOSITORY)).removeprefix("dsgctl/")


def _calls(path: Path) -> Iterator[tuple[int, str, ast.Call]]:
    """Each call in a file: its line, what is called as it stands there, and itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func), node


# The printers (commands/messages.py and output.py) escape what a terminal would act on. Who prints without it, and why.
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
    "commands/messages.py": "it is the printer of lines for people",
    "commands/output.py": "it is the printer of answers and errors",
    "commands/invocation.py": "a constant, before anything else is imported",
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
    ("setting_values.py", "value.upper"): "a level of logging, from a closed list",
    ("setting_values.py", "value.lower"): "yes or no, from a closed list",
    ("operations/iam_sync.py", "error.google_message.lower"): "words of a message of Google's",
    ("store/search.py", "fn.lower"): "the database's own, ASCII only",
    ("store/search.py", "char.lower"): "a search of people, for operators to look at",
    ("store/search.py", "char.upper"): "the same",
    ("core/principals.py", "fn.lower"): "the database's own, ASCII only",
    ("core/addresses.py", "fn.lower"): "the same",
    ("core/new_users.py", "fn.lower"): "the same",
    ("core/catalogue.py", "words.casefold"): "a search of datasets that the reader may see",
    ("core/catalogue.py", "f\"{name} {descriptions.get(name, '')}\".casefold"): "the same",
    ("importers/csv.py", "cell.strip().lower"): "the name of a column",
    ("guide/__init__.py", "word.casefold"): "a search of the manual",
    ("guide/__init__.py", "line.casefold"): "the same",
    ("commands/demo.py", "name.upper"): "a variable of the demonstration",
    ("commands/streams.py", "sys.getfilesystemencoding().lower"): "the name of an encoding",
    (
        "core/rules/references.py",
        "version.isdecimal",
    ): "an ordinal, in digits of every script, and no identity",
    ("commands/parameters.py", "at.isdecimal"): "bash's number of the word to complete",
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
    comparisons = []
    for path in DSGCTL:
        name = str(path.relative_to(REPOSITORY / "dsgctl"))
        for line, called, _ in _calls(path):
            if called.rpartition(".")[2] in UNICODE and "." in called and (name, _unparse(called)) not in allowed:
                comparisons.append(f"{name}:{line} {called}")
    assert not comparisons


# A name says what the value is, and not how it came about.
VAGUE_NAMES = {"asked", "found", "given", "held", "kept", "known", "made", "one", "opened", "seen", "taken", "them"}
VAGUE_NAMES |= {"said", "thing", "things", "told", "what", "whom"}
# The tests that keep to it.
NAMED_TESTS = (
    "dsgctl/*.py",
    "dsgctl/commands/**/*.py",
    "dsgctl/core/**/*.py",
    "dsgctl/operations/**/*.py",
    "dsgctl/policy/**/*.py",
    "dsgctl/store/**/*.py",
)
TESTS = sorted(path for pattern in NAMED_TESTS for path in (REPOSITORY / "tests").glob(pattern))


def _local_names(node: ast.AST) -> Iterator[tuple[int, str]]:
    """The parameters and variables of a function, each with its line."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.arg):
            yield inner.lineno, inner.arg
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.lineno, inner.id


def test_a_local_name_says_what_it_holds() -> None:
    # Fields of classes are left out: some are keys of ``-o json``.
    vague = set()
    for path in [*PROGRAMS, *TESTS]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.Lambda)):
                vague |= {
                    f"{_short_name(path)}:{line} {name}" for line, name in _local_names(node) if name in VAGUE_NAMES
                }
    assert not sorted(vague)


# What reads the host's clock without core/clock.py, which keeps a clock that is set back from reviving what has ended.
READS_THE_HOST = {("core/clock.py", "time.time"): "it is the clock"}


def test_time_comes_from_one_clock() -> None:
    readers = []
    for path in PROGRAMS:
        name = _short_name(path)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            expression = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
            reads = re.fullmatch(r"time\.(time|time_ns|gmtime|localtime|ctime)", expression)
            reads = reads or re.fullmatch(r"(datetime\.)?(datetime|date)\.(now|utcnow|today)", expression)
            if reads and (name, expression) not in READS_THE_HOST:
                readers.append(f"{name}:{node.lineno} {expression}")
            if isinstance(node, ast.ImportFrom) and node.module == "time":
                readers.append(f"{name}:{node.lineno} a name from the module time")
            # SQL has a clock of its own.
            if isinstance(node, ast.Constant) and re.search(r"'now'|current_(time|date)", str(node.value), re.I):
                readers.append(f"{name}:{node.lineno} {node.value}")
    assert not readers


# Modules that are imported in one place, and what the others import instead.
IMPORTED_IN = {
    "peewee": ("store/", "dsgctl.store.queries, which loads it without database drivers"),
    "playhouse": ("store/", "dsgctl.store"),
    "apsw": ("store/", "dsgctl.store"),
}
IMPORTED_ELSEWHERE = {
    ("importers/datasetgateway/source.py", "apsw"): "reads the SQLite file of another program",
}


def test_the_engine_is_imported_in_the_store_alone() -> None:
    strays = []
    for path in PROGRAMS:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                place, instead = IMPORTED_IN.get(module.partition(".")[0], ("", ""))
                if not _short_name(path).startswith(place) and (_short_name(path), module) not in IMPORTED_ELSEWHERE:
                    strays.append(f"{_short_name(path)}:{node.lineno} imports {module}; import {instead}")
    assert not strays


def _counts(path: Path) -> Iterator[tuple[ast.JoinedStr, str]]:
    """The f-strings of a file in which text follows a number, each with that text."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, text in zip(node.values, node.values[1:], strict=False):
            if isinstance(value, ast.FormattedValue) and isinstance(text, ast.Constant):
                named = ast.unparse(value.value)
                if re.search(r"count|len\(|size|number|^rows|^ran|lost|left_out", named):
                    yield node, str(text.value)


def test_a_number_before_a_noun_goes_through_one_function() -> None:
    """`format_count` writes "1 change"; f"{count} changes" says "1 changes"."""
    nouns = "accounts|bundles|changes|grants|groups|members|migrations|older|people|records|tokens|users|versions"
    strays = [
        f"{_short_name(path)}:{node.lineno} {ast.unparse(node)}"
        for path in DSGCTL
        for node, text in _counts(path)
        if re.match(rf" ({nouns})\b", text)
    ]
    assert not strays


def _read_imports() -> dict[str, set[str]]:
    """The modules of both programs, each with the modules that it imports anywhere: in a function, or for a type."""
    paths = {
        ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
        for package in ("dsgctl", "dsgserve")
        for path in (REPOSITORY / package).rglob("*.py")
    }
    imports: dict[str, set[str]] = {}
    for module, path in paths.items():
        names: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} imports relatively"
                # `from package import name`: the module of that name, or else the package itself.
                qualified = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= {name if name in paths else str(node.module) for name in qualified}
        imports[module] = (names & paths.keys()) - {module}
    return imports


def test_no_modules_import_each_other_in_a_circle() -> None:
    imports = _read_imports()
    assert len(imports) > 100
    assert "dsgctl.core.audit" in imports["dsgctl.core.change"]
    # What imports nothing that is left, and what nothing that is left imports, is in no circle.
    while removable := {module for module, names in imports.items() if not names} or (
        imports.keys() - set().union(*imports.values())
    ):
        imports = {module: names - removable for module, names in imports.items() if module not in removable}
    assert not imports


# Tests that belong to no one module of the package whose directory they are in, and their subject.
SPANNING = {
    "dsgctl/commands/test_asking.py": "every command that asks before it deletes",
    "dsgctl/commands/test_bad_input.py": "the arguments of every command",
    "dsgctl/commands/test_concurrent_changes.py": "changes of several commands, with another one just before or after",
    "dsgctl/commands/test_empty.py": "empty values of every option",
    "dsgctl/commands/test_errors.py": "the exit codes and messages of every command",
    "dsgctl/commands/test_foreign_names.py": "names from other systems in every command",
    "dsgctl/commands/test_manual.py": "help.py; test_help.py has the --help texts",
    "dsgctl/commands/test_nouns.py": "every noun and verb",
    "dsgctl/commands/test_public_datasets.py": "the warning that several commands give",
    "dsgctl/commands/test_secrets.py": "every command that shows a secret once",
    "dsgctl/commands/test_text_arguments.py": "text in the arguments of every command",
    "dsgctl/commands/test_trouble.py": "faults of the database, in every command",
    "dsgctl/commands/test_trouble_disk.py": "faults of the disk, in every command",
    "dsgctl/commands/test_trouble_settings.py": "wrong settings, in every command",
    "dsgctl/importers/test_any_value.py": "every importer",
    "dsgctl/importers/test_bad_export.py": "export.py and transfer/, with damaged documents",
    "dsgctl/importers/test_delegated.py": "every importer, where a delegate gave the same",
    "dsgctl/store/test_released_schemas.py": "migrations, from every released schema",
    "dsgctl/store/test_shell_writes.py": "the triggers of the schema",
    "dsgserve/login/test_logout.py": "logout, in sign_in.py and authentication.py",
    "dsgserve/test_asked_for.py": "the parameters of every route",
    "dsgserve/test_attacks.py": "the threat model",
    "dsgserve/test_bounded_work.py": "the cost of any request",
    "dsgserve/test_waitress.py": "what several modules rely on in waitress",
}


def _has_source(test: Path) -> bool:
    """Whether a test file is named after a module or package beside it in the source, or after one and a topic.

    A directory can also be named after a module: then its files are the topics. test_PACKAGE.py in the directory of a
    package tests its __init__.py.
    """
    directory = REPOSITORY / test.relative_to(REPOSITORY / "tests").parent
    name = test.stem.removeprefix("test_")
    if directory.with_suffix(".py").exists() or name == directory.name:
        return True
    words = name.split("_")
    names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
    return any((directory / f"{name}.py").exists() or (directory / name / "__init__.py").exists() for name in names)


def test_a_test_is_where_its_source_is() -> None:
    tests = [path for room in ("dsgctl", "dsgserve") for path in (REPOSITORY / "tests" / room).rglob("test_*.py")]
    without = {path.relative_to(REPOSITORY / "tests").as_posix() for path in tests if not _has_source(path)}
    assert without == SPANNING.keys()
