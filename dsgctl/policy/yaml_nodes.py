"""Reads YAML within bounds, and its nodes as texts, lists and mappings; every problem is reported with its line.

Scalars are read as they are written: ``1.2`` is the name of a version, and no number.
"""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

import yaml

from dsgctl.core import validation
from dsgctl.policy.document import Document

LONGEST = 2**20  # characters
DEEPEST = 32  # nested nodes; a policy file needs seven

Node = yaml.Node | None


class _Loader(yaml.SafeLoader):
    """Composes nodes within bounds: PyYAML's time grows with the square of the depth."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):  # a few of them can stand for any amount of text
            raise _refuse(event, "aliases (*name) are not read; write it out")
        if self._depth >= DEEPEST:
            raise _refuse(event, f"not YAML that is read here: it is nested more than {DEEPEST} deep")
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Refused(yaml.MarkedYAMLError):
    """YAML that this reader does not accept."""


def _refuse(event: Any, problem: str) -> _Refused:
    return _Refused(problem=problem, problem_mark=event.start_mark)


def compose(document: Document, content: bytes) -> Node:
    """The root node of a text; None if it is empty, or not YAML, which is noted as a problem."""
    try:
        text = content.decode("utf-8-sig")
        if len(text) > LONGEST:
            document.add_problem(1, f"the file is longer than {LONGEST} characters")
            return None
        loader = _Loader(text)
        try:
            return loader.get_single_node()
        finally:
            loader.dispose()
    except UnicodeDecodeError:
        document.add_problem(1, "it is not UTF-8 text")
    except _Refused as error:
        document.add_problem(error.problem_mark.line + 1 if error.problem_mark else 1, str(error.problem))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.add_problem(mark.line + 1 if mark else 1, f"not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        document.add_problem(1, f"not YAML: {' '.join(str(error).split())[:200]}")
    return None


def line_of(node: Node) -> int:
    return int(node.start_mark.line) + 1 if node is not None else 1


# What limits the resource that names it: an empty one must not mean no limit.
_LIMITS = frozenset({"version", "name-version", "service", "scope", "expires"})


class NodeReader:
    """Reads nodes of the expected type; any other node is a problem, and an empty value in its place.

    ``label`` names the node in messages.
    """

    def __init__(self, document: Document) -> None:
        self._document = document

    def problem(self, node: Node, text: str) -> None:
        self._document.add_problem(line_of(node), text)

    def mapping(self, node: Node, label: str, allowed: set[str] | None = None) -> dict[str, yaml.Node]:
        """Name -> node.

        Args:
            allowed: the names that it may have; None for any.
        """
        entries: dict[str, yaml.Node] = {}
        if node is None or (isinstance(node, yaml.ScalarNode) and node.tag.endswith(":null")):
            return entries
        if not isinstance(node, yaml.MappingNode):
            self.problem(node, f"{label} is not a mapping of names to values")
            return entries
        for key, value in node.value:
            name = self.text(key, "a name")
            if name in entries:
                self.problem(key, f"{validation.quote(name)} is repeated in {label}")
            elif allowed is not None and name not in allowed:
                near = get_close_matches(name, allowed, 1)
                hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(sorted(allowed))}"
                self.problem(key, f"{validation.quote(name)} is not known in {label}; {hint}")
            else:
                entries[name] = value
        return entries

    def sequence(self, node: Node, label: str) -> list[yaml.Node]:
        if node is None:
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.problem(node, f"{label} is not a list: begin each line with '-'")
            return []
        return list(node.value)

    def text_list(self, node: Node, label: str) -> Iterator[tuple[str, yaml.Node]]:
        """Each text of a list, with its node."""
        for entry in self.sequence(node, label):
            yield self.text(entry, label), entry

    def text_mapping(self, node: Node, label: str, allowed: set[str], *, needed: str = "") -> dict[str, str]:
        """Name -> text.

        Args:
            needed: a name that must be there.
        """
        entries = self.mapping(node, label, allowed)
        if needed and needed not in entries:
            self.problem(node, f"{label} has no {needed!r}")
        texts = {name: self.text(entry, name) for name, entry in entries.items()}
        for name in _LIMITS & texts.keys():
            if not texts[name]:
                self.problem(entries[name], f"{name} is empty: leave it out")
        return texts

    def text(self, node: Node, label: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            self.problem(node, f"{label} is not text")
            return ""
        return str(node.value)

    def flag(self, node: Node, label: str) -> bool:
        text = self.text(node, label)
        if text not in ("true", "false"):
            self.problem(node, f"{label} is {validation.quote(text)}: use true or false")
        return text == "true"
