"""A middle_auth server's data, what it answered, and what this gateway should answer after the import."""

import csv
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

from tests.conftest import FIXTURES
from tests.level_table import RECORDED

DUMPS = FIXTURES / "middle_auth"
ANSWERS: list[dict[str, Any]] = json.loads((DUMPS / "user_cache.json").read_text(encoding="utf-8"))
LEFT_OUT = {7, 41}  # of two emails that differ in case the second, and its child


def copy_dumps(to: Path, *, whole: bool = False) -> None:
    """Copy the dumps, so that nothing in them stands against anything.

    Args:
        whole: nothing may be left out of them either.
    """
    shutil.copytree(DUMPS, to)
    users = to / "user.csv"
    users.write_bytes(users.read_bytes().replace(b"case.twin@", b"other.twin@"))
    if whole:
        (to / "cell_temp.csv").write_text("id,table_id,root_id,public\n1,kelp_seg_v1,17,t\n")


@cache
def rows(table: str) -> list[dict[str, str]]:
    with (DUMPS / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def by_id(table: str) -> dict[str, dict[str, str]]:
    return {row["id"]: row for row in rows(table)}


def owner(token: str) -> int:
    return next(int(row["user_id"]) for row in rows("api_key") if row["key"] == token)


def raw_permissions(user: str) -> dict[str, set[str]]:
    """The names of the permissions that a user's groups have, by dataset."""
    groups = {row["group_id"] for row in rows("user_group") if row["user_id"] == user}
    permissions: dict[str, set[str]] = {}
    for row in rows("group_dataset_permission"):
        if row["group_id"] in groups:
            name = by_id("permission")[row["permission_id"]]["name"]
            permissions.setdefault(by_id("dataset")[row["dataset_id"]]["name"], set()).add(name)
    return permissions


def missing_terms(user: str, reached: set[str]) -> list[dict[str, Any]]:
    judged = by_id("user")[user]["parent_id"] or user
    accepted = {row["tos_id"] for row in rows("user_tos") if row["user_id"] == judged}
    return [
        {
            "dataset_id": int(row["id"]),
            "dataset_name": row["name"],
            "tos_id": int(row["tos_id"]),
            "tos_name": by_id("tos")[row["tos_id"]]["name"],
        }
        for row in rows("dataset")
        if row["name"] in reached and row["tos_id"] and row["tos_id"] not in accepted
    ]


def answered_there(user: str) -> dict[str, Any]:
    """What that server's rules make of its tables, as far as permissions go."""
    raw = raw_permissions(user)
    permissions = {name: names - ({"edit"} if _is_read_only(user) else set()) for name, names in raw.items()}
    return _permissions({name: names for name, names in permissions.items() if names}, missing_terms(user, set(raw)))


def expected_here(user: str) -> dict[str, Any]:
    """The same with what differs here: permissions bring those below them, then ``edit`` goes by its name for a
    read-only user, and who administers a dataset has ``admin`` on it."""
    permissions = {
        name: names | ({"view"} if "edit" in names else set()) for name, names in raw_permissions(user).items()
    }
    for row in rows("dataset_admin"):
        if row["user_id"] == user:
            permissions.setdefault(by_id("dataset")[row["dataset_id"]]["name"], set()).update(RECORDED)
    if _is_read_only(user):
        permissions = {name: names - {"edit"} for name, names in permissions.items()}
    return _permissions(permissions, missing_terms(user, set(permissions)))


def _is_read_only(user: str) -> bool:
    return by_id("user")[user]["read_only"] == "t"


def _permissions(permissions: dict[str, set[str]], missing: list[dict[str, Any]]) -> dict[str, Any]:
    accessible = {
        name: names for name, names in permissions.items() if name not in {row["dataset_name"] for row in missing}
    }
    levels = {"view": 1, "edit": 2, "manage": 3, "admin": 4}
    return {
        "permissions": {
            name: max(levels.get(permission, 0) for permission in names) for name, names in accessible.items()
        },
        "permissions_v2": {name: sorted(names) for name, names in accessible.items()},
        "permissions_v2_ignore_tos": {name: sorted(names) for name, names in permissions.items()},
        "missing_tos": missing,
    }
