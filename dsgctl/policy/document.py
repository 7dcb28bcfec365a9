"""Reads a policy file: YAML of the form in policy-files.md, "Write a policy". Every fault is told with its line.

Names are taken as they are written: ``1.2`` is the name of a version, and no number.
"""

import errno
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from dsgctl.core import validation
from dsgctl.core.errors import Invalid
from dsgctl.files import open_below

LONGEST = 2**20  # characters
DEEPEST = 32  # of one node in another; the form above needs seven
MOST = 20  # faults told at once
STDIN = Path("-")
_CHECK = "see 'dsgctl help policy-files'"


@dataclass(frozen=True, slots=True)
class Declared:
    """One thing that a file declares.

    Attributes:
        kind, key: which it is; two with the same are the same thing (resource_types.py).
        values: what else is said of it; what is not said is left as it is.
        line: where.
    """

    kind: str
    key: tuple[str, ...]
    values: Mapping[str, Any]
    line: int


@dataclass(slots=True)
class Document:
    """A file.

    Attributes:
        path: as messages name it; ``directory``: of the files that it names.
        name: what it calls itself; what it declared before goes by this name.
        problems: faults, a line each; a document with any is not applied.
    """

    path: Path
    directory: Path = Path()
    name: str = ""
    declared: list[Declared] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def problem(self, line: int, text: str) -> None:
        self.problems.append(f"line {line}: {text}")

    def require_sound(self) -> None:
        """Raises:
        BadFile: there are faults.
        """
        if self.problems:
            raise BadFile(self.path, self.problems)


class BadFile(Invalid):
    """A file that is refused whole.

    Attributes:
        path: as messages name it.
        problems: what is wrong, each with its line; the first `MOST` of ``count``.
    """

    def __init__(self, path: Path, problems: list[str]) -> None:
        self.path = path
        self.count = len(problems)
        self.problems = sorted(problems, key=lambda text: int(text.split()[1].rstrip(":")))[:MOST]
        more = f"; and {len(problems) - MOST} more" if len(problems) > MOST else ""
        super().__init__(f"{path}: {'; '.join(self.problems)}{more}", f"nothing was changed; {_CHECK}")


def read(path: Path) -> Document:
    """Read a file, or standard input for ``-``; the files of terms that it names are below its directory, or below
    the current one.

    Raises:
        BadFile: it is not YAML, or not of this form; every fault is told.
        OSError: it cannot be read.
    """
    if path == STDIN:
        return parse(Path("standard input"), sys.stdin.buffer.read(4 * LONGEST + 1), Path())
    with path.open("rb") as file:
        return parse(path, file.read(4 * LONGEST + 1), path.parent)


def parse(path: Path, content: bytes, directory: Path) -> Document:
    """The same, of what a file holds.

    Args:
        path: as messages name it.
        directory: of the files of terms.

    Raises:
        BadFile: it is not YAML, or not of this form; every fault is told.
    """
    found = Document(path, directory)
    root = _compose(found, content)
    found.require_sound()
    _Reader(found).root(root)
    found.require_sound()
    return found


class _Loader(yaml.SafeLoader):
    """Composes nodes within bounds: PyYAML's time grows with the square of the depth."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):  # a few of them can stand for any amount
            raise _refusal(event, "aliases (*name) are not read; write it out")
        if self._depth >= DEEPEST:
            raise _refusal(event, f"not YAML that is read here: it is nested more than {DEEPEST} deep")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Refused(yaml.MarkedYAMLError):
    """YAML, but of a kind that is not read here."""


def _refusal(event: Any, problem: str) -> _Refused:
    return _Refused(problem=problem, problem_mark=event.start_mark)


def _compose(found: Document, content: bytes) -> Any:
    try:
        text = content.decode("utf-8-sig")
        if len(text) > LONGEST:
            found.problem(1, f"the file is longer than {LONGEST} characters")
            return None
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except UnicodeDecodeError:
        found.problem(1, "it is not UTF-8 text")
    except _Refused as error:
        found.problem(error.problem_mark.line + 1 if error.problem_mark else 1, str(error.problem))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        found.problem(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        found.problem(1, f"not YAML: {' '.join(str(error).split())[:200]}")
    return None


class _Reader:
    """Goes through the nodes of a document, and notes what it declares."""

    def __init__(self, found: Document) -> None:
        self._found = found
        self._lines: dict[tuple[str, tuple[str, ...]], int] = {}

    def root(self, node: Any) -> None:
        known = {"name", "groups", "service-accounts", "datasets"}
        parts = self._mapping(node, "the file", known)
        self._found.name = self._text(parts.get("name"), "name") if "name" in parts else ""
        if not self._found.name:
            self._found.problem(1, "it has no 'name': what it declares goes by that")
        for name, part in self._named(parts.get("groups"), "groups"):
            self._group(name, part)
        for name, part in self._named(parts.get("service-accounts"), "service-accounts"):
            values = self._texts(part, f"service account {name}", {"description"})
            self._declare("service-account", (name,), values, part)
        for name, part in self._named(parts.get("datasets"), "datasets"):
            self._dataset(name, part)

    def _group(self, name: str, node: Any) -> None:
        parts = self._mapping(node, f"group {name}", {"members", "leads"})
        self._declare("group", (name,), {}, node)
        leads = {
            validation.email_key(email) for email, _ in self._list_of_texts(parts.get("leads"), f"leads of {name}")
        }
        listed = [*self._list_of_texts(parts.get("members"), f"members of {name}")]
        members = {validation.email_key(email) for email, _ in listed}
        for email, at in self._list_of_texts(parts.get("leads"), f"leads of {name}"):
            if validation.email_key(email) not in members:
                listed.append((email, at))
        for email, at in listed:
            key = validation.email_key(email)
            self._declare("member", (name, key), {"leads": key in leads}, at)

    def _dataset(self, name: str, node: Any) -> None:
        parts = self._mapping(
            node, f"dataset {name}", {"description", "access", "versions", "locations", "terms", "grants"}
        )
        values: dict[str, Any] = {}
        if "description" in parts:
            values["description"] = self._text(parts["description"], "description")
        if "access" in parts:
            access = self._text(parts["access"], "access")
            if access not in ("closed", "public"):
                self._found.problem(
                    _line(parts["access"]), f"access is {validation.quoted(access)}: say closed or public"
                )
            values["public"] = access == "public"
        self._declare("dataset", (name,), values, node)
        for version, part in self._named(parts.get("versions"), f"versions of {name}"):
            more = self._mapping(part, f"version {version}", {"public"})
            public = self._flag(more["public"]) if "public" in more else False
            self._declare("version", (name, version), {"public": public}, part)
        for part in self._list(parts.get("locations"), f"locations of {name}"):
            self._location(name, part)
        for part in self._list(parts.get("terms"), f"terms of {name}"):
            self._terms(name, part)
        for part in self._list(parts.get("grants"), f"grants of {name}"):
            self._grant(name, part)

    def _location(self, dataset: str, node: Any) -> None:
        if isinstance(node, yaml.ScalarNode):
            found = {"location": node.value}
        else:
            found = self._texts(node, f"a location of {dataset}", {"location", "version"}, needed="location")
        try:
            bucket, prefix = validation.gs_url(found.get("location", ""))
        except Invalid as error:
            self._found.problem(_line(node), error.message)
            return
        key = (dataset, f"gs://{bucket}/{prefix}", found.get("version", ""))
        self._declare("location", key, {}, node)

    def _terms(self, dataset: str, node: Any) -> None:
        found = self._texts(node, f"terms of {dataset}", {"name", "text", "file", "version", "service"}, needed="name")
        if ("text" in found) == ("file" in found):
            self._found.problem(_line(node), "terms have either a text or a file")
            return
        key = (dataset, found.get("version", ""), found.get("service", ""), found.get("name", ""))
        text = found.get("text", "")
        if "file" in found:
            try:
                with open_below(self._found.directory, found["file"]) as file:
                    content = file.read(4 * validation.MAX_TEXT + 1)
                if len(content) > 4 * validation.MAX_TEXT:
                    raise OSError(errno.EFBIG, f"it is longer than {validation.MAX_TEXT} characters")
                text = content.decode("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                self._found.problem(_line(node), f"cannot read {validation.quoted(found['file'])}: {why}")
                return
        self._declare("terms", key, {"text": text}, node)

    def _grant(self, dataset: str, node: Any) -> None:
        subjects = ("user", "group", "service-account")
        found = self._texts(
            node, f"a grant on {dataset}", {*subjects, "permission", "version", "scope", "expires"}, needed="permission"
        )
        given = [kind for kind in subjects if kind in found]
        if len(given) != 1:
            self._found.problem(_line(node), "a grant is for one of user, group and service-account")
            return
        who = validation.email_key(found[given[0]]) if given[0] == "user" else found[given[0]]
        key = (dataset, found.get("version", ""), found.get("permission", ""), found.get("scope", ""), given[0], who)
        expires = None
        if found.get("expires", "never") != "never":
            try:
                expires = validation.date(found["expires"])
            except Invalid as error:
                self._found.problem(_line(node), error.message)
        self._declare("grant", key, {"expires": expires}, node)

    def _declare(self, kind: str, key: tuple[str, ...], values: Mapping[str, Any], at: Any) -> None:
        line = _line(at)
        first = self._lines.setdefault((kind, key), line)
        if first != line:
            what = " ".join(filter(None, key))
            self._found.problem(line, f"{kind} {what} is declared on line {first} already")
            return
        self._found.declared.append(Declared(kind, key, values, line))

    # Nodes of YAML, each of the type that stands there or a fault

    def _mapping(self, node: Any, what: str, known: set[str] | None = None) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
            return found
        if not isinstance(node, yaml.MappingNode):
            self._found.problem(_line(node), f"{what} is no mapping of names to values")
            return found
        for key, value in node.value:
            name = self._text(key, "a name")
            if name in found:
                self._found.problem(_line(key), f"{validation.quoted(name)} stands twice in {what}")
            elif known is not None and name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
                self._found.problem(_line(key), f"{validation.quoted(name)} is not known in {what}; {hint}")
            else:
                found[name] = value
        return found

    def _named(self, node: Any, what: str) -> Iterator[tuple[str, Any]]:
        yield from self._mapping(node, what).items()

    def _list(self, node: Any, what: str) -> list[Any]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self._found.problem(_line(node), f"{what} is no list: begin each line with '-'")
            return []
        return list(node.value)

    def _list_of_texts(self, node: Any, what: str) -> list[tuple[str, Any]]:
        return [(self._text(one, what), one) for one in self._list(node, what)]

    def _texts(self, node: Any, what: str, known: set[str], *, needed: str = "") -> dict[str, str]:
        parts = self._mapping(node, what, known)
        if needed and needed not in parts:
            self._found.problem(_line(node), f"{what} has no {needed!r}")
        return {key: self._text(value, key) for key, value in parts.items()}

    def _text(self, node: Any, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self._found.problem(_line(node), f"{what} is no text")
            return ""
        return str(node.value)

    def _flag(self, node: Any) -> bool:
        text = self._text(node, "public")
        if text not in ("true", "false"):
            self._found.problem(_line(node), f"public is {validation.quoted(text)}: say true or false")
        return text == "true"


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1 if node is not None else 1
