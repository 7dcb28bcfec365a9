"""Brings the facts up to a policy file: all of it in the caller's transaction, or nothing."""

from dataclasses import dataclass, field

from dsgctl.core import policy_ownership
from dsgctl.core.change import Change
from dsgctl.core.errors import DsgError, NotAllowed
from dsgctl.policy.document import BadFile, Document
from dsgctl.policy.resource_types import APPLY, remove

_ORDER = list(APPLY)


@dataclass(slots=True)
class ApplyResult:
    """What became of a file, beside the changes that the log has.

    Attributes:
        undeclared: what it declared before, no longer does, and still stays: kind and names.
    """

    undeclared: list[str] = field(default_factory=list)


def apply(change: Change, document: Document, *, prune: bool) -> ApplyResult:
    """
    Args:
        prune: take away what the file declared before and no longer does.

    Raises:
        BadFile: something in it cannot be; every such line is told.
    """
    before = policy_ownership.list_claimed(change.database, document.name)
    problems: list[str] = []
    noted = False
    for one in sorted(document.declared, key=lambda one: _ORDER.index(one.kind)):
        try:
            APPLY[one.kind](change, one.key, one.values)
            noted = policy_ownership.claim(change, document.name, one.kind, one.key) or noted
        except NotAllowed:
            raise
        except DsgError as error:
            problems.append(f"line {one.line}: {error.message}{f' ({error.hint})' if error.hint else ''}")
    gone = before - {(one.kind, one.key) for one in document.declared}
    result = ApplyResult()
    for kind, key in sorted(gone, key=lambda one: (-_ORDER.index(one[0]), one[1])):
        if not prune:
            result.undeclared.append(f"{kind} {' '.join(filter(None, key))}")
            continue
        try:
            remove(change, kind, key)
        except DsgError as error:
            problems.append(f"line 1: {error.message} ({error.hint})")
        policy_ownership.release(change, kind, key)
        noted = True
    if problems:
        raise BadFile(document.path, problems)
    if noted:
        change.record("file.apply", f"file:{document.name}", after={"declares": len(document.declared)})
    return result
