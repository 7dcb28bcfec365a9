"""What a policy file may declare: how each kind is brought about by core, and how it goes again."""

from collections.abc import Callable, Mapping
from typing import Any

from dsgctl.core import datasets, grants, groups, locations, service_accounts, terms, users, versions
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.core.grants import Subject, Target

Key = tuple[str, ...]
Values = Mapping[str, Any]


def _group(change: Change, key: Key, values: Values) -> None:
    groups.add(change, key[0])


def _no_group(change: Change, key: Key) -> None:
    held = groups.count_holdings(change.database, groups.find(change.database, key[0]))
    _require_empty(f"group {key[0]}", held, f"dsgctl group remove {key[0]}")
    groups.remove(change, key[0])


def _member(change: Change, key: Key, values: Values) -> None:
    groups.add_member(change, key[0], key[1], leads=values["leads"])


def _no_member(change: Change, key: Key) -> None:
    groups.remove_member(change, key[0], key[1])


def _service_account(change: Change, key: Key, values: Values) -> None:
    known = service_accounts.by_slug(change.database, key[0])
    if known is None:
        service_accounts.add(change, key[0], description=values.get("description", ""))
    elif "description" in values:
        service_accounts.describe(change, key[0], values["description"])


def _no_service_account(change: Change, key: Key) -> None:
    held = service_accounts.count_holdings(change.database, service_accounts.find(change.database, key[0]))
    _require_empty(f"service account {key[0]}", held, f"dsgctl service-account remove {key[0]}")
    service_accounts.remove(change, key[0])


def _dataset(change: Change, key: Key, values: Values) -> None:
    if datasets.by_name(change.database, key[0]) is None:
        datasets.add(change, key[0], **values)
    else:
        datasets.set_attributes(change, key[0], **values)


def _no_dataset(change: Change, key: Key) -> None:
    holdings = datasets.list_holdings(change.database, datasets.find(change.database, key[0]))
    in_force = [row for row in terms.list_in_force(change.database, change.at) if row["dataset"] == key[0]]
    # Terms that have ended hold nothing back, and may be deleted with the dataset.
    _require_empty(f"dataset {key[0]}", {**holdings, "terms": in_force}, f"dsgctl dataset remove {key[0]}")
    datasets.remove(change, key[0])


def _version(change: Change, key: Key, values: Values) -> None:
    versions.add(change, key[0], key[1], public=values["public"])


def _no_version(change: Change, key: Key) -> None:
    version = versions.find(change.database, datasets.find(change.database, key[0]), key[1])
    holdings = versions.count_holdings(change.database, version)
    _require_empty(f"version {key[1]} of {key[0]}", holdings, f"dsgctl dataset version remove {key[0]} {key[1]}")
    versions.remove(change, key[0], key[1])


def _location(change: Change, key: Key, values: Values) -> None:
    locations.add(change, key[0], key[1], version=key[2] or None)


def _no_location(change: Change, key: Key) -> None:
    locations.remove(change, key[0], key[1], version=key[2] or None)


def _terms(change: Change, key: Key, values: Values) -> None:
    """New words are a new document in place of the old one, to be accepted anew."""
    dataset, version, service, name = key
    new, _ = terms.add(change, name, values["text"], dataset=dataset, version=version or None, service=service or None)
    for document in _in_force(change, key):
        if document != new.id:
            terms.retire(change, document)


def _no_terms(change: Change, key: Key) -> None:
    for document in _in_force(change, key):
        terms.retire(change, document)


def _in_force(change: Change, key: Key) -> list[int]:
    return [
        row["id"]
        for row in terms.list_in_force(change.database, change.at)
        if (row["dataset"], row["version"] or "", row["service"] or "", row["name"]) == key
    ]


def _grant(change: Change, key: Key, values: Values) -> None:
    subject, target = _grant_of(change, key)
    grants.add(change, subject, target, expires=values["expires"], for_ever=True)


def _no_grant(change: Change, key: Key) -> None:
    grants.revoke(change, *_grant_of(change, key))


def _grant_of(change: Change, key: Key) -> tuple[Subject, Target]:
    dataset, version, permission, scope, kind, who = key
    if kind == "group":
        subject = grants.group_subject(change.database, who)
    elif kind == "user":
        subject = grants.principal_subject(users.find(change.database, who))
    else:
        subject = grants.principal_subject(service_accounts.find(change.database, who))
    return subject, Target(dataset, permission, version or None, scope or None)


def _require_empty(what: str, held: Mapping[str, Any], how: str) -> None:
    """Raises:
    Conflict: something hangs on it that no declaration has taken away: it is not this file's.
    """
    if left := [key.replace("_", " ") for key, found in held.items() if found]:
        raise Conflict(f"{what} still has {', '.join(left)} that the file did not declare", how)


# In the order in which they refer to each other; they go in the opposite one.
APPLY: dict[str, Callable[[Change, Key, Values], None]] = {
    "group": _group,
    "service-account": _service_account,
    "dataset": _dataset,
    "version": _version,
    "location": _location,
    "terms": _terms,
    "member": _member,
    "grant": _grant,
}
_TAKE: dict[str, Callable[[Change, Key], None]] = {
    "group": _no_group,
    "service-account": _no_service_account,
    "dataset": _no_dataset,
    "version": _no_version,
    "location": _no_location,
    "terms": _no_terms,
    "member": _no_member,
    "grant": _no_grant,
}


def remove(change: Change, kind: str, key: Key) -> None:
    """Take something away; what is gone already is no fault."""
    try:
        _TAKE[kind](change, key)
    except NotFound:
        return
