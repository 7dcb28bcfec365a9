"""The types of resources that a policy file can declare: how each is applied, and how it is removed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dsgctl.core import (
    datasets,
    grants,
    groups,
    locations,
    principals,
    service_accounts,
    terms,
    translations,
    users,
    versions,
)
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, NotFound
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject
from dsgctl.core.translations import ServiceName
from dsgctl.core.versions import Position
from dsgctl.policy.document import Values

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """
    Attributes:
        apply: creates the resource or changes its values; an equal one is left unchanged.
        remove: removes it.

            Raises:
                NotFound: it does not exist.
                Conflict: it still holds what no policy file declared.
    """

    apply: Callable[[Change, Key, Values], None]
    remove: Callable[[Change, Key], None]


def _apply_group(change: Change, key: Key, values: Values) -> None:
    groups.add(change, key[0])


def _remove_group(change: Change, key: Key) -> None:
    holdings = groups.list_holdings(change.database, groups.find(change.database, key[0]))
    _require_empty(f"group {key[0]}", holdings, f"dsgctl group remove {key[0]}")
    groups.remove(change, key[0])


def _apply_member(change: Change, key: Key, values: Values) -> None:
    groups.add_member(change, key[0], key[1], leads=values["leads"])


def _remove_member(change: Change, key: Key) -> None:
    groups.remove_member(change, key[0], key[1])


def _apply_service_account(change: Change, key: Key, values: Values) -> None:
    if principals.find_by_slug(change.database, key[0]) is None:
        service_accounts.add(change, key[0], description=values.get("description", ""))
    elif "description" in values:
        service_accounts.set_description(change, key[0], values["description"])


def _remove_service_account(change: Change, key: Key) -> None:
    holdings = service_accounts.list_holdings(change.database, service_accounts.find(change.database, key[0]))
    _require_empty(f"service account {key[0]}", holdings, f"dsgctl service-account remove {key[0]}")
    service_accounts.remove(change, key[0])


def _apply_dataset(change: Change, key: Key, values: Values) -> None:
    description, public = values.get("description"), values.get("public")
    if datasets.find_by_name(change.database, key[0]) is None:
        datasets.add(change, key[0], description=description or "", public=bool(public))
    else:
        datasets.set_attributes(change, key[0], description=description, public=public)


def _remove_dataset(change: Change, key: Key) -> None:
    holdings = datasets.list_holdings(change.database, datasets.find(change.database, key[0]))
    in_force = [row for row in terms.list_current(change.database, change.at) if row["dataset"] == key[0]]
    # Retired terms are no reason to keep the dataset.
    _require_empty(f"dataset {key[0]}", {**holdings, "terms": in_force}, f"dsgctl dataset remove {key[0]}")
    datasets.remove(change, key[0])


def _apply_version(change: Change, key: Key, values: Values) -> None:
    position = versions.find_position(change.database, key[0], key[1])
    position = Position(values.get("branch", position.branch), values.get("ordinal", position.ordinal))
    versions.add(change, key[0], key[1], public=values["public"], position=position)


def _remove_version(change: Change, key: Key) -> None:
    version = versions.find(change.database, datasets.find(change.database, key[0]), key[1])
    holdings = versions.list_holdings(change.database, version)
    _require_empty(f"version {key[1]} of {key[0]}", holdings, f"dsgctl dataset version remove {key[0]} {key[1]}")
    versions.remove(change, key[0], key[1])


def _apply_translation(change: Change, key: Key, values: Values) -> None:
    name, dataset, version = _parse_service_name(key), values["dataset"], values.get("version")
    row = translations.find_by_name(change.database, name)
    if row is not None and (row["dataset"], row["version"]) != (dataset, version):
        translations.remove(change, name)
    translations.add(change, name, dataset, version=version)


def _remove_translation(change: Change, key: Key) -> None:
    translations.remove(change, _parse_service_name(key))


def _parse_service_name(key: Key) -> ServiceName:
    service, name, version = key
    return ServiceName(service, name, version or None)


def _apply_location(change: Change, key: Key, values: Values) -> None:
    locations.add(change, key[0], key[1], version=key[2] or None)


def _remove_location(change: Change, key: Key) -> None:
    locations.remove(change, key[0], key[1], version=key[2] or None)


def _apply_terms(change: Change, key: Key, values: Values) -> None:
    """Changed terms are a new document that replaces the old one, and must be accepted again."""
    dataset, version, service, name = key
    new, _ = terms.add(change, name, values["text"], dataset=dataset, version=version or None, service=service or None)
    for document in _list_in_force(change, key):
        if document != new.id:
            terms.retire(change, document)


def _remove_terms(change: Change, key: Key) -> None:
    for document in _list_in_force(change, key):
        terms.retire(change, document)


def _list_in_force(change: Change, key: Key) -> list[int]:
    return [
        row["id"]
        for row in terms.list_current(change.database, change.at)
        if (row["dataset"], row["version"] or "", row["service"] or "", row["name"]) == key
    ]


def _apply_grant(change: Change, key: Key, values: Values) -> None:
    subject, target = _find_grant(change, key)
    grants.add(change, subject, target, expires=values["expires"], for_ever=True)


def _remove_grant(change: Change, key: Key) -> None:
    grants.revoke(change, *_find_grant(change, key))


def _find_grant(change: Change, key: Key) -> tuple[Subject, Target]:
    dataset, version, permission, scope, kind, name, *service = key
    if kind == "group":
        subject = group_subject(change.database, name)
    elif kind == "user":
        subject = principal_subject(users.find(change.database, name))
    else:
        subject = principal_subject(service_accounts.find(change.database, name))
    return subject, Target(dataset, permission, version or None, scope or None, *service)


def _require_empty(name: str, holdings: Mapping[str, object], command: str) -> None:
    """Raises:
    Conflict: the resource holds something that this file did not declare.
    """
    if left := [key.replace("_", " ") for key, rows in holdings.items() if rows]:
        raise Conflict(f"{name} still has {', '.join(left)} that the file did not declare", command)


# In the order in which they refer to each other; they are removed in the opposite one.
RESOURCE_TYPES = {
    "group": ResourceType(_apply_group, _remove_group),
    "service-account": ResourceType(_apply_service_account, _remove_service_account),
    "dataset": ResourceType(_apply_dataset, _remove_dataset),
    "version": ResourceType(_apply_version, _remove_version),
    "location": ResourceType(_apply_location, _remove_location),
    "translation": ResourceType(_apply_translation, _remove_translation),
    "terms": ResourceType(_apply_terms, _remove_terms),
    "member": ResourceType(_apply_member, _remove_member),
    "grant": ResourceType(_apply_grant, _remove_grant),
}


def remove_resource(change: Change, kind: str, key: Key) -> None:
    """Remove a resource; one that does not exist is left so.

    Raises:
        Conflict: as `ResourceType.remove`.
    """
    try:
        RESOURCE_TYPES[kind].remove(change, key)
    except NotFound:
        return
