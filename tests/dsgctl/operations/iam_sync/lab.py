"""The policy at the beginning of each test, and how to read an answer of ``dsgctl iam``."""

import json
from collections.abc import Callable
from typing import Any

from tests.dsgctl.commands.running import Result

VIEWER = "roles/storage.objectViewer"
OTHERS = [
    {"role": "roles/storage.admin", "members": ["projectOwner:lab-project", "group:admins@example.org"]},
    {"role": VIEWER, "members": ["user:guest@example.org", "deleted:user:gone@example.org?uid=123"]},
    {
        "role": VIEWER,
        "members": ["user:cy@example.org", "user:temp@example.org"],
        "condition": {"title": "for a while", "expression": "request.time < timestamp('2030-01-01T00:00:00Z')"},
    },
]
FIXED = ["deleted:user:gone@example.org?uid=123", "user:guest@example.org"]
BOTH = ["user:ada@example.org", "user:bo@example.org"]

Do = Callable[..., Result]


def outcome(result: Result, bucket: str = "lab-data") -> dict[str, Any]:
    rows: dict[str, dict[str, Any]] = {row["bucket"]: row for row in json.loads(result.out)}
    return rows[bucket]


def ledger(do: Do) -> dict[str, str]:
    return {row["member"]: row["state"] for row in json.loads(do("iam show -o json").out)}
