"""Stands in for Google's bucket policies: etags, versions, conditions, limits. A part of google.py.

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
HANG_UP = 0  # a status: close the connection without a response


def error(status: int, message: str) -> Answer:
    return status, {"error": {"code": status, "message": message}}


@dataclass
class BucketPolicies:
    """The stored policies, and what a test makes the stand-in do.

    Attributes:
        bindings: of each existing bucket.
        number: of each bucket, for its etag.
        unknown: accounts that do not exist.
        before_write: called with the bucket before a write is handled, to act as another editor.
        instead: scripted responses for ``METHOD bucket``; the last one is repeated.
        lost: buckets whose writes take effect, but get no response.
        calls: ``METHOD bucket``, each with the status of its response.
    """

    bindings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    number: dict[str, int] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    before_write: Callable[[str], None] | None = None
    instead: dict[str, list[Answer]] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    calls: list[tuple[str, int]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, method: str, bucket: str, query: dict[str, str], body: Any) -> Answer:
        status, response = self._answer(method, bucket, query, body)
        self.calls.append((f"{method} {bucket}", status))
        return status, response

    def _answer(self, method: str, bucket: str, query: dict[str, str], body: Any) -> Answer:
        if method == "PUT" and self.before_write:
            self.before_write(bucket)
        if scripted := self.instead.get(f"{method} {bucket}"):
            return scripted[0] if len(scripted) == 1 else scripted.pop(0)
        with self.lock:
            if bucket not in self.bindings:
                return error(404, "The specified bucket does not exist.")
            if method == "GET":
                return 200, self._read(bucket, int(query.get("optionsRequestedPolicyVersion", 1)))
            answer = self._write(bucket, body)
            return (HANG_UP, None) if bucket in self.lost and answer[0] == 200 else answer

    def _read(self, bucket: str, version: int) -> dict[str, Any]:
        bindings = deepcopy(self.bindings[bucket])
        conditional = any("condition" in binding for binding in bindings)
        if version < 3:  # Google omits conditions, and marks the role's name instead
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
            target = merged.setdefault((binding["role"], repr(binding.get("condition"))), {**binding, "members": []})
            for member in binding["members"]:
                if member not in ("allUsers", "allAuthenticatedUsers") and not member.startswith(KINDS):
                    return error(400, f"The member {member} is of an unknown type.")
                name = member.lower() if member.startswith("user:") else member
                if name.removeprefix("user:") in self.unknown:
                    return error(400, f"User {name.removeprefix('user:')} does not exist.")
                if name not in target["members"]:
                    target["members"].append(name)
        if sum(len(binding["members"]) for binding in merged.values()) > LIMIT:
            return error(400, "The number of members in the policy is larger than the maximum allowed size 1,500.")
        self.put(bucket, [binding for binding in merged.values() if binding["members"]])
        return 200, self._read(bucket, 3)

    def put(self, bucket: str, bindings: list[dict[str, Any]]) -> None:
        """Replace the bindings, as another editor would."""
        self.bindings[bucket] = bindings
        self.number[bucket] = self.number.get(bucket, 0) + 1

    def etag(self, bucket: str) -> str:
        return base64.b64encode(bytes([8, self.number[bucket] % 256, self.number[bucket] // 256])).decode()

    def members(self, bucket: str, role: str = "roles/storage.objectViewer") -> list[str]:
        """The members of a role in bindings without a condition."""
        return sorted(
            member
            for binding in self.bindings[bucket]
            if binding["role"] == role and "condition" not in binding
            for member in binding["members"]
        )

    def count(self, call: str) -> int:
        return sum(name == call for name, _ in self.calls)
