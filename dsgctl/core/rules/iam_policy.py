"""The IAM policy of a bucket, and the changes that the gateway makes in it.

A policy is JSON with ``version``, ``etag`` and ``bindings``; a binding has a ``role``, its ``members`` and possibly a
``condition`` (https://cloud.google.com/iam/docs/reference/rest/v1/Policy). Everything that is not the gateway's goes
back unchanged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dsgctl.core import validation
from dsgctl.core.errors import Conflict

ROLE = "roles/storage.objectViewer"
MAX_PRINCIPALS = 1500  # in one policy, each counted as often as it occurs: https://cloud.google.com/iam/quotas
VERSIONS = (0, 1, 3)  # 3: with conditions

Policy = dict[str, Any]  # as Google sends it: members that this program does not know must not be lost


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes to a policy and to the ledger. Members are in lower case and sorted.

    Attributes:
        add: members to add to the policy; ``remove``: members to remove from it.
        confirmed: members whose addition was intended and that the policy has.
        vanished: members in the ledger that the policy does not have and that are not wanted.
        unchanged: how many of the gateway's members stay.
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    confirmed: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    unchanged: int = 0


class UnknownPolicy(Conflict):
    """A policy that this program does not understand, and so must not write."""


def require_policy(answer: object) -> Policy:
    """The policy in a response of Google's.

    Raises:
        UnknownPolicy: it has a form that cannot be changed and sent back without a loss.
    """
    if not isinstance(answer, dict):
        raise UnknownPolicy("Google's answer is not a policy", "try again; check the network in between")
    version = answer.get("version", 0)
    if type(version) is not int or version not in VERSIONS:
        raise UnknownPolicy(
            f"the policy is of version {str(version)[:20]!r}, which this release does not know",
            "nothing was changed: a newer dsgctl may know it",
        )
    bindings = answer.get("bindings", [])
    if not (isinstance(answer.get("etag"), str) and answer["etag"] and isinstance(bindings, list)):
        raise UnknownPolicy("Google's answer is not a policy", "try again; check the network in between")
    for binding in bindings:
        well_formed = (
            isinstance(binding, dict)
            and isinstance(binding.get("role"), str)
            and isinstance(binding.get("members", []), list)
            and all(isinstance(member, str) for member in binding.get("members", []))
        )
        if not well_formed:
            raise UnknownPolicy("Google's answer is not a policy", "try again; check the network in between")
    return answer


def compare(policy: Policy, wanted: Iterable[str], ledger: Mapping[str, str]) -> Difference:
    """The changes after which the wanted members can read, and the gateway's other members cannot.

    A member of the policy that is not in the ledger was added by somebody else, and is left unchanged.

    Args:
        ledger: the state of each of the gateway's members: ``intended`` or ``held`` (core/iam_ledger.py).
    """
    present, wanted = list_viewers(policy), frozenset(wanted)
    return Difference(
        add=tuple(sorted(wanted - present)),
        remove=tuple(sorted((ledger.keys() & present) - wanted)),
        confirmed=tuple(sorted(member for member in ledger.keys() & present if ledger[member] == "intended")),
        vanished=tuple(sorted(ledger.keys() - present - wanted)),
        unchanged=len(ledger.keys() & present & wanted),
    )


def list_viewers(policy: Policy) -> frozenset[str]:
    """The members that may read all objects without a condition, in lower case."""
    return frozenset(
        validation.email_key(member)
        for binding in policy.get("bindings", [])
        if _is_ours(binding)
        for member in _members(binding)
    )


def apply_difference(policy: Policy, difference: Difference) -> Policy:
    """The policy to write: the one that was read, with its etag, and with other members of the one role."""
    remove = frozenset(difference.remove)
    bindings = []
    target: Policy | None = None  # the binding to add to: the first of the role, else a new one
    for binding in policy.get("bindings", []):
        new_binding = binding
        if _is_ours(binding):
            members = [member for member in _members(binding) if validation.email_key(member) not in remove]
            new_binding = binding | {"members": members}
            target = new_binding if target is None else target
        bindings.append(new_binding)
    if target is None:
        target = {"role": ROLE, "members": []}
        bindings.append(target)
    target["members"] = [*target["members"], *difference.add]
    # Google refuses or drops a binding without members; those of others are not ours to drop.
    return policy | {"bindings": [binding for binding in bindings if not _is_ours(binding) or binding["members"]]}


def count_principals(policy: Policy) -> int:
    """The number of members of a policy as Google counts them."""
    return sum(len(_members(binding)) for binding in policy.get("bindings", []))


def _is_ours(binding: Policy) -> bool:
    return binding["role"] == ROLE and not binding.get("condition")


def _members(binding: Policy) -> list[str]:
    return binding.get("members", [])  # type: ignore[no-any-return]
