"""Reads a policy file: YAML of the form in policy-files.md, "Write a policy"."""

import errno
import re
import sys
from pathlib import Path

import yaml

from dsgctl.core import validation
from dsgctl.core.errors import Invalid
from dsgctl.files import open_below
from dsgctl.policy.document import Declaration, Document, Values
from dsgctl.policy.yaml_nodes import LONGEST, Node, NodeReader, compose, line_of
from dsgctl.store.models import MAX_NUMBER

STDIN = Path("-")
_MOST_BYTES = 4 * LONGEST + 1  # of UTF-8 that may be a text of the greatest length


def read_policy(path: Path) -> Document:
    """Read a file, or standard input for ``-``. Files of terms that it names are below its directory; those that
    standard input names, below the current directory.

    Raises:
        BadFile: it is not YAML, or not of this form; the error names every problem.
        OSError: it cannot be read.
    """
    if path == STDIN:
        return parse_policy(Path("standard input"), sys.stdin.buffer.read(_MOST_BYTES), Path())
    with path.open("rb") as file:
        return parse_policy(path, file.read(_MOST_BYTES), path.parent)


def parse_policy(path: Path, content: bytes, directory: Path) -> Document:
    """Parse the content of a file.

    Args:
        path: as messages name it.
        directory: of the files of terms.

    Raises:
        BadFile: as `read_policy`.
    """
    document = Document(path, directory)
    root = compose(document, content)
    document.require_sound()
    _PolicyReader(document).read_root(root)
    document.require_sound()
    return document


class _PolicyReader(NodeReader):
    """Adds the declarations of a file to its document, part by part."""

    def __init__(self, document: Document) -> None:
        super().__init__(document)
        self._lines: dict[tuple[str, tuple[str, ...]], int] = {}

    def read_root(self, node: Node) -> None:
        parts = self.mapping(node, "the file", {"name", "groups", "service-accounts", "datasets"})
        self._document.name = self.text(parts["name"], "name") if "name" in parts else ""
        if not self._document.name:
            self._document.add_problem(1, "it has no 'name': what it declares goes by that")
        for name, part in self.mapping(parts.get("groups"), "groups").items():
            self._read_group(name, part)
        for name, part in self.mapping(parts.get("service-accounts"), "service-accounts").items():
            texts = self.text_mapping(part, f"service account {name}", {"description"})
            values: Values = {"description": texts["description"]} if "description" in texts else {}
            self._declare("service-account", (name,), values, part)
        for name, part in self.mapping(parts.get("datasets"), "datasets").items():
            self._read_dataset(name, part)

    def _read_group(self, name: str, node: yaml.Node) -> None:
        parts = self.mapping(node, f"group {name}", {"members", "leads"})
        self._declare("group", (name,), {}, node)
        leads = [*self.text_list(parts.get("leads"), f"leads of {name}")]
        members = [*self.text_list(parts.get("members"), f"members of {name}")]
        lead_keys, member_keys = ({validation.email_key(email) for email, _ in people} for people in (leads, members))
        members += [(email, entry) for email, entry in leads if validation.email_key(email) not in member_keys]
        for email, entry in members:
            key = validation.email_key(email)
            self._declare("member", (name, key), {"leads": key in lead_keys}, entry)

    def _read_dataset(self, name: str, node: yaml.Node) -> None:
        allowed = {"description", "access", "versions", "locations", "translations", "terms", "grants"}
        parts = self.mapping(node, f"dataset {name}", allowed)
        values: Values = {}
        if "description" in parts:
            values["description"] = self.text(parts["description"], "description")
        if "access" in parts:
            access = self.text(parts["access"], "access")
            if access not in ("closed", "public"):
                self.problem(parts["access"], f"access is {validation.quote(access)}: use closed or public")
            values["public"] = access == "public"
        self._declare("dataset", (name,), values, node)
        for version, part in self.mapping(parts.get("versions"), f"versions of {name}").items():
            self._read_version(name, version, part)
        for part in self.sequence(parts.get("locations"), f"locations of {name}"):
            self._read_location(name, part)
        for part in self.sequence(parts.get("translations"), f"translations of {name}"):
            self._read_translation(name, part)
        for part in self.sequence(parts.get("terms"), f"terms of {name}"):
            self._read_terms(name, part)
        for part in self.sequence(parts.get("grants"), f"grants of {name}"):
            self._read_grant(name, part)

    def _read_version(self, dataset: str, name: str, node: yaml.Node) -> None:
        parts = self.mapping(node, f"version {name}", {"public", "branch", "ordinal"})
        values: Values = {"public": self.flag(parts["public"], "public") if "public" in parts else False}
        if "branch" in parts:
            values["branch"] = self.text(parts["branch"], "branch")
        if "ordinal" in parts:
            values["ordinal"] = self._read_ordinal(parts["ordinal"])
        self._declare("version", (dataset, name), values, node)

    def _read_ordinal(self, node: yaml.Node) -> int | None:
        text = self.text(node, "ordinal")
        if text == "none":
            return None
        if not re.fullmatch("[0-9]{1,19}", text) or int(text) > MAX_NUMBER:
            self.problem(node, f"ordinal is {validation.quote(text)}: use a whole number from 0 to 2^63-1, or none")
            return None
        return int(text)

    def _read_translation(self, dataset: str, node: yaml.Node) -> None:
        allowed = {"service", "name", "name-version", "version"}
        texts = self.text_mapping(node, f"a translation of {dataset}", allowed, needed="service")
        if not texts.get("name"):
            self.problem(node, f"a translation of {dataset} has no 'name'")
            return
        values: Values = {"dataset": dataset}
        if "version" in texts:
            values["version"] = texts["version"]
        key = (texts.get("service", ""), texts["name"], texts.get("name-version", ""))
        self._declare("translation", key, values, node)

    def _read_location(self, dataset: str, node: yaml.Node) -> None:
        if isinstance(node, yaml.ScalarNode):
            texts = {"location": str(node.value)}
        else:
            texts = self.text_mapping(node, f"a location of {dataset}", {"location", "version"}, needed="location")
        try:
            bucket, prefix = validation.gs_url(texts.get("location", ""))
        except Invalid as error:
            self.problem(node, error.message)
            return
        self._declare("location", (dataset, f"gs://{bucket}/{prefix}", texts.get("version", "")), {}, node)

    def _read_terms(self, dataset: str, node: yaml.Node) -> None:
        allowed = {"name", "text", "file", "version", "service"}
        texts = self.text_mapping(node, f"terms of {dataset}", allowed, needed="name")
        if ("text" in texts) == ("file" in texts):
            self.problem(node, "terms have either a text or a file")
            return
        key = (dataset, texts.get("version", ""), texts.get("service", ""), texts.get("name", ""))
        text = texts.get("text", "")
        if "file" in texts:
            try:
                text = self._read_terms_file(texts["file"])
            except (OSError, UnicodeDecodeError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                self.problem(node, f"cannot read {validation.quote(texts['file'])}: {why}")
                return
        self._declare("terms", key, {"text": text}, node)

    def _read_terms_file(self, name: str) -> str:
        """Raises:
        OSError: it is not below the directory of the policy file, cannot be read, or is too long.
        UnicodeDecodeError: it is not UTF-8.
        """
        with open_below(self._document.directory, name) as file:
            content = file.read(4 * validation.MAX_TEXT + 1)
        if len(content) > 4 * validation.MAX_TEXT:
            raise OSError(errno.EFBIG, f"it is longer than {validation.MAX_TEXT} characters")
        return content.decode("utf-8")

    def _read_grant(self, dataset: str, node: yaml.Node) -> None:
        subject_kinds = ("user", "group", "service-account")
        allowed = {*subject_kinds, "permission", "version", "service", "scope", "expires"}
        texts = self.text_mapping(node, f"a grant on {dataset}", allowed, needed="permission")
        kinds = [kind for kind in subject_kinds if kind in texts]
        if len(kinds) != 1:
            self.problem(node, "a grant is for one of user, group and service-account")
            return
        subject = validation.email_key(texts["user"]) if kinds == ["user"] else texts[kinds[0]]
        version, permission, scope = (texts.get(name, "") for name in ("version", "permission", "scope"))
        expires = None
        if texts.get("expires", "never") != "never":
            try:
                expires = validation.date(texts["expires"])
            except Invalid as error:
                self.problem(node, error.message)
        key = (dataset, version, permission, scope, kinds[0], subject)
        # A grant for every service has the key that it had before there were others.
        self._declare("grant", (*key, texts["service"]) if "service" in texts else key, {"expires": expires}, node)

    def _declare(self, kind: str, key: tuple[str, ...], values: Values, node: Node) -> None:
        line = line_of(node)
        first = self._lines.setdefault((kind, key), line)
        if first != line:
            name = " ".join(filter(None, key))
            self.problem(node, f"{kind} {name} is declared on line {first} already")
            return
        self._document.declarations.append(Declaration(kind, key, values, line))
