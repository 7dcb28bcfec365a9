"""Changes the database to match a policy file: all of it in the caller's transaction, or nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from dsgctl.core import policy_ownership
from dsgctl.core.change import Change
from dsgctl.core.errors import DsgError, NotAllowed
from dsgctl.core.validation import quote
from dsgctl.policy.document import BadFile, Document
from dsgctl.policy.resource_types import RESOURCE_TYPES, remove_resource

_ORDER = list(RESOURCE_TYPES)


@dataclass(slots=True)
class ApplyResult:
    """The result of applying a file, beside the changes that are in the audit log.

    Attributes:
        undeclared: resources that the file no longer declares and that were not removed: kind and key.
    """

    undeclared: list[str] = field(default_factory=list)


def apply_policy(change: Change, document: Document, *, prune: bool) -> ApplyResult:
    """Apply every declaration, in the order of `RESOURCE_TYPES`.

    Args:
        prune: remove what the file declared earlier and no longer does.

    Raises:
        BadFile: a declaration cannot be applied; the error names every one.
        NotAllowed: with ``--as``, the delegate may not do this.
        DsgError: the database has what another release declared with this file, of a kind that is not known here.
    """
    claimed = policy_ownership.list_claimed(change.database, document.name)
    _require_known(kind for kind, _ in claimed)
    problems: list[str] = []
    recorded = False
    for declaration in sorted(document.declarations, key=lambda declaration: _ORDER.index(declaration.kind)):
        kind, key = declaration.kind, declaration.key
        try:
            RESOURCE_TYPES[kind].apply(change, key, declaration.values)
            recorded = policy_ownership.claim(change, document.name, kind, key) or recorded
        except NotAllowed:
            raise
        except DsgError as error:
            hint = f" ({error.hint})" if error.hint else ""
            problems.append(f"line {declaration.line}: {error.message}{hint}")
    surplus = claimed - {(declaration.kind, declaration.key) for declaration in document.declarations}
    result = ApplyResult()
    for kind, key in sorted(surplus, key=lambda resource: (-_ORDER.index(resource[0]), resource[1])):
        if not prune:
            result.undeclared.append(f"{kind} {' '.join(filter(None, key))}")
            continue
        try:
            remove_resource(change, kind, key)
        except DsgError as error:
            problems.append(f"line 1: {error.message} ({error.hint})")
        policy_ownership.release(change, kind, key)
        recorded = True
    if problems:
        raise BadFile(document.path, problems)
    if recorded:
        change.record("file.apply", f"file:{document.name}", after={"declares": len(document.declarations)})
    return result


def _require_known(kinds: Iterable[str]) -> None:
    if unknown := sorted(set(kinds) - RESOURCE_TYPES.keys()):
        raise DsgError(
            f"the file declared {quote(unknown[0])} once, a kind of resource that this release does not know",
            "apply it with the release that did so",
        )
