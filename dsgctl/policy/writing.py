"""Writes a policy file that matches the database: applying it changes nothing."""

from pathlib import Path
from typing import NotRequired, TypedDict

import yaml

from dsgctl.core import (
    datasets,
    grants,
    groups,
    locations,
    policy_ownership,
    service_accounts,
    terms,
    translations,
    versions,
)
from dsgctl.core.clock import now
from dsgctl.core.rules.references import MAIN_BRANCH
from dsgctl.policy.reader import parse_policy
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Group
from dsgctl.store.times import utc_text


class GroupEntry(TypedDict):
    """Emails."""

    members: list[str]
    leads: NotRequired[list[str]]


class ServiceAccountEntry(TypedDict):
    description: str


class VersionEntry(TypedDict):
    public: bool
    branch: NotRequired[str]
    ordinal: NotRequired[int]


class LocationEntry(TypedDict):
    """``location`` is ``gs://BUCKET/PREFIX``."""

    location: str
    version: str


# A name of a service; "version" is one of the dataset.
TranslationEntry = TypedDict(
    "TranslationEntry",
    {"service": str, "name": str, "name-version": NotRequired[str], "version": NotRequired[str]},
)


class Scope(TypedDict, total=False):
    """Of terms: the version or the service that they are limited to."""

    version: str
    service: str


class TermsEntry(TypedDict):
    name: str
    version: NotRequired[str]
    service: NotRequired[str]
    text: str


# One of "user", "group" and "service-account", and "permission"; "expires" is a time as text.
GrantEntry = TypedDict(
    "GrantEntry",
    {
        "user": str,
        "group": str,
        "service-account": str,
        "permission": str,
        "version": str,
        "service": str,
        "scope": str,
        "expires": str,
    },
    total=False,
)


class DatasetEntry(TypedDict):
    """``access`` is ``closed`` or ``public``."""

    description: str
    access: str
    versions: NotRequired[dict[str, VersionEntry]]
    locations: NotRequired[list[LocationEntry | str]]
    translations: NotRequired[list[TranslationEntry]]
    terms: NotRequired[list[TermsEntry]]
    grants: NotRequired[list[GrantEntry]]


# The whole file; resources by name.
PolicyFile = TypedDict(
    "PolicyFile",
    {
        "name": str,
        "groups": NotRequired[dict[str, GroupEntry]],
        "service-accounts": NotRequired[dict[str, ServiceAccountEntry]],
        "datasets": dict[str, DatasetEntry],
    },
)


def write_policy(database: Database, names: list[str]) -> str:
    """The file for some datasets, and for the groups and service accounts in their grants.

    It leaves out expired grants, user accounts, and what was given with ``--as``. Call it in a `Database.snapshot`.

    Raises:
        NotFound: there is no such dataset.
    """
    entries = {name: _build_dataset(database, name) for name in names}
    all_grants = [grant for entry in entries.values() for grant in entry.get("grants", [])]
    group_names = {grant["group"] for grant in all_grants if "group" in grant}
    group_names |= {grant["scope"] for grant in all_grants if "scope" in grant}
    accounts = sorted({grant["service-account"] for grant in all_grants if "service-account" in grant})
    policy: PolicyFile = {"name": " ".join(names), "datasets": {}}
    if group_names:
        policy["groups"] = {name: _build_group(database, groups.find(database, name)) for name in sorted(group_names)}
    if accounts:
        policy["service-accounts"] = {
            slug: {"description": service_accounts.find(database, slug).description} for slug in accounts
        }
    policy["datasets"] = entries
    return _dump(_name_after_owner(database, policy))


def _dump(policy: PolicyFile) -> str:
    order = ("name", "groups", "service-accounts", "datasets")
    return yaml.dump(
        {key: policy[key] for key in order if key in policy},  # type: ignore[literal-required]
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )


def _name_after_owner(database: Database, policy: PolicyFile) -> PolicyFile:
    """The policy under the name of the file that declared its resources, if one file did and all its resources are in
    this one. Otherwise it could not be applied beside that file or replace it."""
    document = parse_policy(Path("export"), _dump(policy).encode(), Path())
    keys = {(declaration.kind, declaration.key) for declaration in document.declarations}
    owners = {file for kind, key in keys if (file := policy_ownership.file_of(database, kind, key))}
    if len(owners) == 1 and policy_ownership.list_claimed(database, owner := owners.pop()) <= keys:
        return {**policy, "name": owner}
    return policy


class _Dumper(yaml.SafeDumper):
    """Quotes versions that look like numbers, and writes terms of several lines as lines."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _build_dataset(database: Database, name: str) -> DatasetEntry:
    dataset, at = datasets.find(database, name), now()
    entry: DatasetEntry = {"description": dataset.description, "access": dataset.access}
    if by_name := {row["name"]: _build_version(row) for row in versions.list_versions(database, name)}:
        entry["versions"] = by_name
    places: list[LocationEntry | str] = [
        {"location": row["location"], "version": row["version"]} if row["version"] else row["location"]
        for row in locations.list_locations(database, name)
    ]
    if places:
        entry["locations"] = places
    if names := [_build_translation(row) for row in translations.list_translations(database, dataset=name)]:
        entry["translations"] = names
    if documents := [_build_terms(database, row) for row in terms.list_current(database, at) if row["dataset"] == name]:
        entry["terms"] = documents
    if entries := [
        _build_grant(row)
        for row in grants.list_grants(database, dataset=name, by_operators=True)
        if row["expires"] is None or row["expires"] > at
    ]:
        entry["grants"] = entries
    return entry


def _build_version(row: versions.VersionRow) -> VersionEntry:
    """The entry of a row of `versions.list_versions`; a position only if it is not that of a new version."""
    entry: VersionEntry = {"public": row["public"]}
    if row["branch"] != MAIN_BRANCH:
        entry["branch"] = row["branch"]
    if row["ordinal"] is not None:
        entry["ordinal"] = row["ordinal"]
    return entry


def _build_translation(row: translations.TranslationRow) -> TranslationEntry:
    """The entry of a row of `translations.list_translations`."""
    entry: TranslationEntry = {"service": row["service"], "name": row["name"]}
    if row["name_version"] is not None:
        entry["name-version"] = row["name_version"]
    if row["version"] is not None:
        entry["version"] = row["version"]
    return entry


def _build_terms(database: Database, row: terms.TermsRow) -> TermsEntry:
    """The entry of a row of `terms.list_current`."""
    scope: Scope = {}
    if row["version"]:
        scope["version"] = row["version"]
    if row["service"]:
        scope["service"] = row["service"]
    return {"name": row["name"], **scope, "text": terms.find(database, row["id"]).text}


def _build_grant(row: grants.GrantRow) -> GrantEntry:
    """The entry of a row of `grants.list_grants`."""
    entry: GrantEntry = {}
    if row["user"]:
        entry["user"] = row["user"]
    elif row["group"]:
        entry["group"] = row["group"]
    elif row["service_account"]:
        entry["service-account"] = row["service_account"]
    entry["permission"] = row["permission"]
    if row["version"]:
        entry["version"] = row["version"]
    if row["service"]:
        entry["service"] = row["service"]
    if row["scope"]:
        entry["scope"] = row["scope"]
    if row["expires"]:
        entry["expires"] = utc_text(row["expires"])
    return entry


def _build_group(database: Database, group: Group) -> GroupEntry:
    """Members and leads, without those that were added with ``--as``."""
    query = m.Membership.select(m.Principal.email, m.Membership.leads).join(m.Principal)
    delegated = m.DelegatedMember.select(m.DelegatedMember.principal_id).where(m.DelegatedMember.group_id == group.id)
    members = sorted(
        database.tuples(query.where(m.Membership.group == group.id, m.Membership.principal.not_in(delegated)))
    )
    entry: GroupEntry = {"members": [email for email, _ in members]}
    if leads := [email for email, is_lead in members if is_lead]:
        entry["leads"] = leads
    return entry
