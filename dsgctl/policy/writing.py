"""Writes a policy file of what is there: applied to the same facts, it changes nothing."""

from pathlib import Path
from typing import Any

import yaml

from dsgctl.core import datasets, grants, groups, locations, policy_ownership, service_accounts, terms, versions
from dsgctl.core.clock import now
from dsgctl.policy import document
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Group


def write_policy(database: Database, names: list[str]) -> str:
    """The file for these datasets, and for the groups and service accounts that have to do with them.

    Grants that have ended, people themselves, and what was given with ``--as`` are not in it. Call it in a
    `Database.snapshot`.

    Raises:
        NotFound: there is no such dataset.
    """
    found = {name: _dataset(database, name) for name in names}
    given = [grant for dataset in found.values() for grant in dataset.get("grants", [])]
    used = sorted({grant[key] for grant in given for key in ("group", "scope") if key in grant})
    accounts = sorted({grant["service-account"] for grant in given if "service-account" in grant})
    policy: dict[str, Any] = {"name": " ".join(names)}
    if used:
        policy["groups"] = {name: _group(database, groups.find(database, name)) for name in used}
    if accounts:
        policy["service-accounts"] = {
            slug: {"description": service_accounts.find(database, slug).description} for slug in accounts
        }
    policy["datasets"] = found
    return _dump(_named_after_its_owner(database, policy))


def _dump(policy: dict[str, Any]) -> str:
    return yaml.dump(policy, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _named_after_its_owner(database: Database, policy: dict[str, Any]) -> dict[str, Any]:
    """The policy under the name of the file that declares it, if there is one and all that it declares is here: only
    so can it be applied beside, or in place of, that file."""
    keys = {(one.kind, one.key) for one in document.parse(Path("export"), _dump(policy).encode(), Path()).declared}
    owners = {file for kind, key in keys if (file := policy_ownership.file_of(database, kind, key))}
    if len(owners) == 1 and policy_ownership.list_claimed(database, owner := owners.pop()) <= keys:
        return policy | {"name": owner}
    return policy


class _Dumper(yaml.SafeDumper):
    """Names of versions that look like numbers stay text; terms of several lines stay lines."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _dataset(database: Database, name: str) -> dict[str, Any]:
    dataset = datasets.find(database, name)
    policy: dict[str, Any] = {"description": dataset.description, "access": dataset.access}
    at = now()
    locations_of_it = [
        {"location": row["location"], "version": row["version"]} if row["version"] else row["location"]
        for row in locations.list_locations(database, name)
    ]
    documents = [
        {"name": row["name"]}
        | {key: row[key] for key in ("version", "service") if row[key]}
        | {"text": terms.find(database, row["id"]).text}
        for row in terms.list_in_force(database, at)
        if row["dataset"] == name
    ]
    parts = {
        "versions": {row["name"]: {"public": row["public"]} for row in versions.list_versions(database, name)},
        "locations": locations_of_it,
        "terms": documents,
        "grants": [
            _grant(row)
            for row in grants.list_grants(database, dataset=name, by_operators=True)
            if row["expires"] is None or row["expires"] > at
        ],
    }
    return policy | {key: part for key, part in parts.items() if part}


def _grant(row: dict[str, Any]) -> dict[str, Any]:
    subject = next(key for key in ("user", "group", "service_account") if row[key])
    found = {subject.replace("_", "-"): row[subject], "permission": row["permission"]}
    found |= {key: row[key] for key in ("version", "scope") if row[key]}
    return found | ({"expires": m.utc_text(row["expires"])} if row["expires"] else {})


def _group(database: Database, group: Group) -> dict[str, Any]:
    query = m.Membership.select(m.Principal.email, m.Membership.leads).join(m.Principal)
    by_leads = m.DelegatedMember.select(m.DelegatedMember.principal_id).where(m.DelegatedMember.group_id == group.id)
    given = query.where(m.Membership.group == group.id, m.Membership.principal.not_in(by_leads))
    people = sorted(database.tuples(given))
    found: dict[str, Any] = {"members": [email for email, _ in people]}
    leads = [email for email, leads in people if leads]
    return found | ({"leads": leads} if leads else {})
