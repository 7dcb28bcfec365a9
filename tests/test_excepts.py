"""No fault of ours is reported as a fault of the data: which handlers are broad, why, and that no other is."""

import ast
import json
import shlex
import tarfile
from pathlib import Path

import pytest

from tests.dsgctl.commands.world import World
from tests.dsgctl.conftest import built_world, filled, new_world  # noqa: F401  fixtures

ROOT = Path(__file__).parent.parent

# Classes that a mistake in the program raises too.
BROAD = {
    "Exception",
    "BaseException",
    "StandardError",
    "TypeError",
    "AttributeError",
    "LookupError",
    "KeyError",
    "IndexError",
    "NameError",
    "UnboundLocalError",
    "RuntimeError",
    "AssertionError",
    "NotImplementedError",
    "MALFORMED_RESPONSE",
}
_NOBODY = "the system knows nobody of that number or name"
_LIBRARY = "what libraries raise of another server's answer; our own code is not called in it"
# (file, function) -> why it may catch such a class. Nothing else may.
ALLOWED = {
    ("dsgctl/commands/invocation.py", "run_once"): "reports every error; an unexpected one as 'a fault of dsgctl'",
    ("dsgctl/commands/actor.py", "_user_name"): _NOBODY,
    ("dsgctl/commands/parameters.py", "shell_complete"): "a shell that completes a word must never show an error",
    ("dsgctl/operations/doctor/account.py", "describe"): _NOBODY,
    ("dsgctl/operations/doctor/account.py", "find_account"): _NOBODY,
    ("dsgctl/operations/doctor/account.py", "find_owner"): _NOBODY,
    ("dsgctl/operations/doctor/sign_in.py", "_check_clock"): "a date without a zone, in another server's header",
    ("dsgctl/env_file.py", "hint_about_readers"): _NOBODY,
    ("dsgctl/gcs/policies.py", "_request"): _LIBRARY,
    ("dsgctl/files.py", "owner_name"): _NOBODY,
    ("dsgserve/app.py", "_answer"): "answers 500, and logs where it comes from",
    ("dsgserve/short_cut.py", "begin"): "takes the long way, which logs it",
    ("dsgserve/short_cut.py", "answer"): "takes the long way, which logs it",
    ("dsgserve/user_cache/token_filter.py", "_read"): "raises it again, after noting that the tokens are not read",
    ("dsgserve/ngauth/token_exchange.py", "exchange"): _LIBRARY,
    ("dsgserve/login/oidc.py", "identify"): _LIBRARY,
    ("dsgserve/login/oidc.py", "_verify"): _LIBRARY,
    ("dsgserve/login/oidc.py", "_parse_keys"): _LIBRARY,
    ("dsgserve/process/outbound.py", "run"): "hands it on to all who wait for the same call",
    ("dsgserve/process/metrics.py", "add"): "the first count of a thread",
}


def _names(node: ast.expr | None) -> set[str]:
    match node:
        case None:
            return {"BaseException"}
        case ast.Tuple(elts=parts):
            return set().union(*map(_names, parts))
        case ast.Starred(value=part):
            return _names(part)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return {name}
    return {"BaseException"}  # made at run time: it may be anything


def _broad_handlers(tree: ast.AST, function: str = "") -> set[str]:
    """The innermost functions that have one, ``except`` or ``suppress``."""
    functions: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) else function
        caught: set[str] = set()
        if isinstance(node, ast.ExceptHandler):
            caught = _names(node.type)
        elif isinstance(node, ast.Call) and _names(node.func) == {"suppress"}:
            caught = set().union(*map(_names, node.args))
        if caught & BROAD:
            functions.add(function)
        functions |= _broad_handlers(node, inside)
    return functions


def test_no_handler_is_broad_but_those_that_say_why() -> None:
    handlers = {
        (str(path.relative_to(ROOT)), function)
        for top in ("dsgctl", "dsgserve")
        for path in (ROOT / top).rglob("*.py")
        for function in _broad_handlers(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert handlers == ALLOWED.keys()


@pytest.mark.parametrize(
    "code",
    [
        "try: a()\nexcept: pass",
        "try: a()\nexcept Exception: pass",
        "try: a()\nexcept (ValueError, TypeError): pass",
        "try: a()\nexcept (ValueError, *MALFORMED_RESPONSE): pass",
        "try: a()\nexcept builtins.KeyError: pass",
        "with suppress(Exception): a()",
        "with contextlib.suppress(OSError, TypeError): a()",
        "try: a()\nexcept kinds(): pass",
    ],
)
def test_a_broad_handler_is_recognized(code: str) -> None:
    indented = "".join(f"  {line}\n" for line in code.splitlines())
    assert _broad_handlers(ast.parse(f"def f():\n{indented}")) == {"f"}
    assert _broad_handlers(ast.parse("try: a()\nexcept (OSError, ValueError): pass")) == set()


# What is broken, and the command that meets it
PLACES = {
    "dsgctl.operations.backup.archive._read_manifest": "db restore bundle.tar.gz",
    "dsgctl.operations.backup.archive._copy": "db restore bundle.tar.gz",
    "dsgctl.operations.backup.archive.hash_file": "db restore bundle.tar.gz",
    "dsgctl.operations.backup.restore._verify_database": "db restore bundle.tar.gz",
    "dsgctl.operations.backup.restore.replace_database": "db restore bundle.tar.gz --apply -y",
    "dsgctl.operations.backup.staging.schema_problems": "db backup --in-clear --to .",
    "dsgctl.operations.backup.create.pack": "db backup --in-clear --to .",
    "dsgctl.operations.backup.create.write_file": "db backup --in-clear --to .",
    "dsgctl.operations.backup.bundles.Tiers.assign": "backup list --dir .",
    "dsgctl.store.migrations.list_differences": "db check",
    "dsgctl.core.audit_chain.hash_text": "db check",
    "dsgctl.store.sqlite.shell._unique_names": "db shell 'SELECT 1'",
    "dsgctl.store.process_registry._read": "status",
    "dsgctl.json_text._decode": "import clio clio.json",
    "dsgctl.importers.engine.json_file.JsonFile._parse": "import neuprint authorized.json --dataset fish2",
    "dsgctl.transfer.transfer_schema.moment": "import export dsg.json",
    "dsgctl.policy.reader._PolicyReader.read_root": "diff policy.yaml",
    "dsgctl.policy.yaml_nodes._Loader.compose_node": "diff policy.yaml",
    "dsgctl.policy.reader.open_below": "diff terms.yaml",
    "dsgctl.policy.applying.policy_ownership.claim": "apply policy.yaml",
    "dsgctl.policy.writing._dump": "export -o yaml --dataset fish2",
    "dsgctl.core.validation.email": "user add cy@example.org",
    "dsgctl.core.locations.validation.gs_url": "dataset location add fish2 gs://lab-bucket/a",
}


@pytest.mark.parametrize("kind", [TypeError, AttributeError, KeyError, ValueError, IndexError, RuntimeError])
@pytest.mark.parametrize("place", PLACES)
def test_a_mistake_in_the_program_is_told_as_one(
    filled: World,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    kind: type[Exception],
) -> None:
    def raise_mistake(*arguments: object, **options: object) -> None:
        raise kind("a mistake")

    here = filled.directory
    if "bundle" in PLACES[place]:
        with tarfile.open(here / "bundle.tar.gz", "w:gz"):
            pass
        bundle = Path(filled.quick("db", "backup", "--in-clear", "--to", ".", "-o", "value").ok().out.strip())
        (here / bundle).rename(here / "bundle.tar.gz")
    (here / "clio.json").write_text('{"users": {}, "datasets": {}}')
    (here / "authorized.json").write_text("{}")
    (here / "terms.yaml").write_text("name: t\ndatasets:\n  fish2:\n    terms:\n      - {name: x, file: fish2.md}\n")
    if "export dsg.json" in PLACES[place]:
        (here / "dsg.json").write_text(filled.quick("export", "--with-token-hashes").ok().out)
    if place == "dsgctl.store.process_registry._read":
        filled.database.with_name(f"{filled.database.name}.server-1.json").write_text(json.dumps({"pid": 1}))
    monkeypatch.setattr(place, raise_mistake)
    result = filled.quick(*shlex.split(PLACES[place]))
    assert result.code == 1
    assert result.err == f"dsgctl: this is a fault of dsgctl: {kind.__name__}; report what 'dsgctl --debug ...' shows\n"
