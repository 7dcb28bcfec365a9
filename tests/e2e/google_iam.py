"""The policies of buckets as Google keeps them: etags, versions, conditions, limits. A part of google.py.

https://cloud.google.com/storage/docs/json_api/v1/buckets/setIamPolicy, https://cloud.google.com/iam/docs/policies
"""

import base64
import threading
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

KINDS = ("user:", "serviceAccount:", "group:", "domain:", "projectEditor:", "projectOwner:", "deleted:")
LIMIT = 1500
Answer = tuple[int, Any]
HANG_UP = 0  # a status: closes the connection without a word


def error(status: int, message: str) -> Answer:
    return status, {"error": {"code": status, "message": message}}


@dataclass
class BucketPolicies:
    """What Google keeps, and what a test makes it do.

    Attributes:
        bindings: of each bucket that there is; ``number``: the etag's.
        unknown: accounts that there are not.
        before_write: called with the bucket when a write has come, before it is looked at: another editor.
        instead: answers to give instead of looking, for ``METHOD bucket``; the last one again and again.
        lost: buckets whose writes are done, and answered with silence.
        calls: ``METHOD bucket``, each with the status of its answer.
    """

    bindings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    number: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    before_write: Callable[[str], None] | None = None
    instead: dict[str, list[Answer]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    calls: list[tuple[str, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, bucket: str, asked: dict[str, str], body: Any) -> Answer:
        status, said = self._answer(method, bucket, asked, body)
        self.calls.append((f"{method} {bucket}", status))
        return status, said

    def _answer(self, method: str, bucket: str, asked: dict[str, str], body: Any) -> Answer:
        if method == "PUT" and self.before_write:
            self.before_write(bucket)
        if scripted := self.instead.get(f"{method} {bucket}"):
            return scripted[0] if len(scripted) == 1 else scripted.pop(0)
        with self.lock:
            if bucket not in self.bindings:
                return error(404, "The specified bucket does not exist.")
            if method == "GET":
                return 200, self._read(bucket, int(asked.get("optionsRequestedPolicyVersion", 1)))
            written = self._write(bucket, body)
            return (HANG_UP, None) if bucket in self.lost and written[0] == 200 else written

    def _read(self, bucket: str, version: int) -> dict[str, Any]:
        bindings = deepcopy(self.bindings[bucket])
        conditional = any("condition" in binding for binding in bindings)
        if version < 3:  # conditions are left out, and the role's name tells that there was one
            for binding in bindings:
                if binding.pop("condition", None):
                    binding["role"] += "_withcond_0123456789abcdef"
        return {
            "kind": "storage#policy",
            "resourceId": f"projects/_/buckets/{bucket}",
            "bindings": bindings,
            "version": 3 if conditional and version >= 3 else 1,
            "etag": self.etag(bucket),
        }

    def _write(self, bucket: str, body: Any) -> Answer:
        if "etag" in body and body["etag"] != self.etag(bucket):
            return error(412, "At least one of the pre-conditions you specified did not hold.")
        bindings = body.get("bindings", [])
        conditional = any("condition" in binding for binding in [*bindings, *self.bindings[bucket]])
        if conditional and body.get("version") != 3:
            return error(400, "Conditions need a policy of version 3.")
        merged: dict[tuple[str, str], dict[str, Any]] = {}
        for binding in bindings:
            if "_withcond_" in binding["role"]:
                return error(400, f"Role {binding['role']} is not supported for this resource.")
            known = merged.setdefault((binding["role"], repr(binding.get("condition"))), {**binding, "members": []})
            for member in binding["members"]:
                if member not in ("allUsers", "allAuthenticatedUsers") and not member.startswith(KINDS):
                    return error(400, f"The member {member} is of an unknown type.")
                spelled = member.lower() if member.startswith("user:") else member
                if spelled.removeprefix("user:") in self.unknown:
                    return error(400, f"User {spelled.removeprefix('user:')} does not exist.")
                if spelled not in known["members"]:
                    known["members"].append(spelled)
        if sum(len(binding["members"]) for binding in merged.values()) > LIMIT:
            return error(400, "The number of members in the policy is larger than the maximum allowed size 1,500.")
        self.put(bucket, [binding for binding in merged.values() if binding["members"]])
        return 200, self._read(bucket, 3)

    def put(self, bucket: str, bindings: list[dict[str, Any]]) -> None:
        """What somebody else does at Google."""
        self.bindings[bucket] = bindings
        self.number[bucket] = self.number.get(bucket, 0) + 1

    def etag(self, bucket: str) -> str:
        return base64.b64encode(bytes([8, self.number[bucket] % 256, self.number[bucket] // 256])).decode()

    def members(self, bucket: str, role: str = "roles/storage.objectViewer") -> list[str]:
        """Those of a role, without a condition."""
        return sorted(
            member
            for binding in self.bindings[bucket]
            if binding["role"] == role and "condition" not in binding
            for member in binding["members"]
        )

    def count(self, call: str) -> int:
        return sum(made == call for made, _ in self.calls)
