"""A second, naive reading of contract.md, "GET /api/v1/user/cache".

It is written sentence by sentence from that page, over plain dicts, slowly, without a look at how access.py does it.
"""

from typing import Any

from tests.level_table import ROWS, TABLE, included_levels

World = dict[str, list[dict[str, Any]]]


def oracle(world: World, principal: dict[str, Any], service: str | None, at: Any) -> dict[str, Any]:
    """The body of contract.md, "GET /api/v1/user/cache", lists in any order."""
    is_account = principal["kind"] == "service_account"
    all_permissions = oracle_permissions(world, principal, at)
    counting = {
        name: permissions
        for name, permissions in all_permissions.items()
        if is_account or not oracle_missing(world, principal, dataset_of(world, name), service, at)
    }
    missing = []
    for dataset in world["datasets"]:
        if not is_account and (dataset["name"] in all_permissions or dataset["access"] == "public"):
            missing += oracle_missing(world, principal, dataset, service, at)
    mine = [row for row in world["memberships"] if row["principal"] == principal["id"] and not is_account]
    return {
        "id": principal["id"],
        "parent_id": principal["parent"],
        "service_account": is_account or principal["parent"] is not None,
        "name": principal["slug"] if is_account else name_of(principal),
        "email": principal["slug"] + "@service-account.dsg.local" if is_account else principal["email"],
        "admin": principal["admin"],
        "pi": principal["pi"],
        "picture_url": principal["picture_url"],
        "affiliations": [row["name"] for row in world["affiliations"] if row["principal"] == principal["id"]],
        "groups": [group_name(world, row["group"]) for row in mine],
        "groups_admin": [group_name(world, row["group"]) for row in mine if row["leads"]],
        "permissions": {name: highest(permissions) for name, permissions in counting.items()},
        "permissions_v2": counting,
        "permissions_v2_ignore_tos": all_permissions,
        "missing_tos": missing,
        "datasets_admin": [] if is_account else oracle_datasets_admin(world, principal, at),
    }


def oracle_permissions(world: World, principal: dict[str, Any], at: Any) -> dict[str, list[str]]:
    """A user's permissions on each dataset, terms aside."""
    result: dict[str, list[str]] = {}
    for dataset in world["datasets"]:
        names = set()
        for grant in world["grants"]:
            if grant["dataset"] != dataset["id"] or (grant["expires"] is not None and grant["expires"] <= at):
                continue
            to_me = grant["principal"] == principal["id"]
            to_my_group = principal["kind"] == "user" and any(
                row["principal"] == principal["id"] and row["group"] == grant["group"] for row in world["memberships"]
            )
            if to_me or to_my_group:
                names.add(grant["permission"])
        # "A permission includes those above it in the table, and itself"
        names = set().union(*map(included_levels, names))
        # "A read-only user loses edit, and nothing else"
        if principal["read_only"]:
            names -= {row.name for row in TABLE if row.lost_if_read_only}
        if names:
            result[dataset["name"]] = sorted(names)
    return result


def oracle_missing(
    world: World, user: dict[str, Any], dataset: dict[str, Any], service: str | None, at: Any
) -> list[dict[str, Any]]:
    """The unaccepted terms of one dataset, as entries of missing_tos."""
    # "the parent's acceptances of terms decide, not its own"
    judge = user["id"] if user["parent"] is None else user["parent"]
    accepted = [row["terms"] for row in world["acceptances"] if row["principal"] == judge]
    result = []
    for terms in world["terms"]:
        entry = {
            "dataset_id": dataset["id"],
            "dataset_name": dataset["name"],
            "tos_id": terms["id"],
            "tos_name": terms["name"],
        }
        if terms["id"] in accepted:
            continue
        if dataset["own_terms_id"] == terms["id"]:
            result.append(entry)
        asks = service is not None and any(
            row["id"] == terms["service"] and row["name"] == service for row in world["services"]
        )
        begun = terms["effective"] <= at
        ended = terms["retired"] is not None and terms["retired"] <= at
        if asks and terms["dataset"] == dataset["id"] and begun and not ended:
            result.append({**entry, "service": service})
    return result


def oracle_datasets_admin(world: World, user: dict[str, Any], at: Any) -> list[str]:
    return [
        dataset["name"]
        for dataset in world["datasets"]
        if any(
            grant["dataset"] == dataset["id"]
            and grant["principal"] == user["id"]
            and "admin" in included_levels(grant["permission"])
            and (grant["expires"] is None or at < grant["expires"])
            for grant in world["grants"]
        )
    ]


def is_enabled(world: World, principal: dict[str, Any]) -> bool:
    """A child ends with its parent, and with every account above that."""
    by_id = {row["id"]: row for row in world["principals"]}
    account: dict[str, Any] | None = principal
    while account is not None and account["active"]:
        account = by_id.get(account["parent"])
    return account is None


def name_of(user: dict[str, Any]) -> str:
    if user["display_name"] != "":
        return str(user["display_name"])
    if user["name"] != "":
        return str(user["name"])
    return str(user["email"].split("@")[0])


def highest(permissions: list[str]) -> int:
    return max(ROWS[name].number if name in ROWS else 0 for name in permissions)


def group_name(world: World, group_id: int) -> str:
    return next(str(row["name"]) for row in world["groups"] if row["id"] == group_id)


def dataset_of(world: World, name: str) -> dict[str, Any]:
    return next(row for row in world["datasets"] if row["name"] == name)
