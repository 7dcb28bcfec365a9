"""A bucket's policy as Google has it, and what the gateway would change in it.

https://cloud.google.com/iam/docs/reference/rest/v1/Policy: JSON with ``version``, ``etag`` and ``bindings``, each a
``role``, its ``members`` and perhaps a ``condition``. What is not ours to change goes back as it came.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from dsgctl.core import validation
from dsgctl.core.errors import Conflict

ROLE = "roles/storage.objectViewer"
LIMIT = 1500  # principals in one policy, each counted wherever it stands: https://cloud.google.com/iam/quotas
VERSIONS = (0, 1, 3)  # 3: with conditions

Policy = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is to be done about a policy; members in lower case, sorted.

    Attributes:
        add, remove: in the policy.
        found: intended before, and now seen in the policy; ``gone``: in the ledger, and neither there nor wanted.
        stay: how many of ours stay.
    """

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    stay: int = 0


class UnknownPolicy(Conflict):
    """A policy that this program does not understand, and so must not write."""


def require_policy(answer: object) -> Policy:
    """The policy in an answer of Google's.

    Raises:
        UnknownPolicy: it is not of a form that can be changed and sent back without a loss.
    """
    if not isinstance(answer, dict):
        raise UnknownPolicy("Google's answer is no policy", "try again; look at the network between")
    version = answer.get("version", 0)
    if type(version) is not int or version not in VERSIONS:
        raise UnknownPolicy(
            f"the policy is of version {str(version)[:20]!r}, which this release does not know",
            "nothing was changed: a newer dsgctl may know it",
        )
    bindings = answer.get("bindings", [])
    if not (isinstance(answer.get("etag"), str) and answer["etag"] and isinstance(bindings, list)):
        raise UnknownPolicy("Google's answer is no policy", "try again; look at the network between")
    for binding in bindings:
        well_formed = (
            isinstance(binding, dict)
            and isinstance(binding.get("role"), str)
            and isinstance(binding.get("members", []), list)
            and all(isinstance(member, str) for member in binding.get("members", []))
        )
        if not well_formed:
            raise UnknownPolicy("Google's answer is no policy", "try again; look at the network between")
    return answer


def compare(policy: Policy, wanted: Iterable[str], ledger: Mapping[str, str]) -> Difference:
    """What to do so that those who are wanted can read, and those of ours who are not can not.

    A member that is there, and not in the ledger, was put there by somebody else: nothing is done about it.

    Args:
        ledger: member -> ``intended`` or ``held`` (core/iam_ledger.py).
    """
    there, wanted = viewers(policy), frozenset(wanted)
    return Difference(
        add=tuple(sorted(wanted - there)),
        remove=tuple(sorted((ledger.keys() & there) - wanted)),
        found=tuple(sorted(member for member, state in ledger.items() if state == "intended" and member in there)),
        gone=tuple(sorted(ledger.keys() - there - wanted)),
        stay=len(ledger.keys() & there & wanted),
    )


def viewers(policy: Policy) -> frozenset[str]:
    """Who may read all objects without a condition, in lower case."""
    return frozenset(
        validation.email_key(member)
        for binding in policy.get("bindings", [])
        if _ours(binding)
        for member in _members(binding)
    )


def apply_difference(policy: Policy, difference: Difference) -> Policy:
    """The policy to write: the one that was read, with its etag, and other members of the one role."""
    remove = frozenset(difference.remove)
    bindings = []
    place: dict[str, Any] | None = None  # where to add: a binding of the role that is there, else a new one
    for binding in policy.get("bindings", []):
        new = binding
        if _ours(binding):
            kept = [member for member in _members(binding) if validation.email_key(member) not in remove]
            new = binding | {"members": kept}
            place = new if place is None else place
        bindings.append(new)
    if place is None:
        place = {"role": ROLE, "members": []}
        bindings.append(place)
    place["members"] = [*place["members"], *difference.add]
    # A binding of nobody is refused, or dropped; one of the others is not ours to drop.
    return policy | {"bindings": [one for one in bindings if not _ours(one) or one["members"]]}


def principals(policy: Policy) -> int:
    """How many members Google counts in a policy."""
    return sum(len(_members(binding)) for binding in policy.get("bindings", []))


def _ours(binding: dict[str, Any]) -> bool:
    return binding["role"] == ROLE and not binding.get("condition")


def _members(binding: dict[str, Any]) -> list[str]:
    return binding.get("members", [])  # type: ignore[no-any-return]
