"""What services may look up about people: who may ask about whom, and accounts by their ids, addresses and groups."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypedDict

from dsgctl.core import principals, snapshots
from dsgctl.core.rules import access
from dsgctl.core.rules.principal_snapshot import PrincipalSnapshot, choose_public_name
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.models import Principal
from dsgctl.store.queries import fn

MAX_ID = 2**63 - 1


def is_service_account(principal: Principal) -> bool:
    """Whether services take an account for a service account: CAVE's are users with a parent."""
    return principal.kind == "service_account" or principal.parent_id is not None


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who may look people up (contract-services.md, "CAVE").

    Attributes:
        sees_everybody: a gateway admin or a service account.
        leads: the groups that they lead.
        administers: the names of the datasets that they administer as a whole, and not a version of.
    """

    principal_id: int
    sees_everybody: bool
    leads: tuple[str, ...] = ()
    administers: tuple[str, ...] = ()

    def condition(self, at: datetime) -> Any:
        """The condition, on rows of `Principal`, of those whom they may look up.

        Those are themselves, the members of the groups that they lead, and whoever a grant on a dataset that they
        administer reaches.
        """
        if self.sees_everybody:
            return Principal.id.is_null(False)
        member_of = m.Membership.select(m.Membership.group).where(m.Membership.principal == Principal.id)
        led = (
            m.Membership.select(m.Membership.group)
            .join(m.Group)
            .where(m.Membership.principal == Principal.id, m.Group.name.in_(self.leads))
        )
        granted = (
            m.Grant.select(m.Grant.id)
            .join(m.Dataset)
            .where(
                m.Dataset.name.in_(self.administers),
                m.Grant.expires.is_null() | (m.Grant.expires > at),
                (m.Grant.principal == Principal.id) | m.Grant.group.in_(member_of),
            )
        )
        return (Principal.id == self.principal_id) | fn.EXISTS(led) | fn.EXISTS(granted)


def find_viewer(database: Database, principal: Principal, at: datetime) -> Viewer | None:
    """What somebody may look up; None if they are no admin of anything."""
    if principal.admin or is_service_account(principal):
        return Viewer(principal.id, True)
    with database.snapshot():
        snapshot = snapshots.read_account(database, principal)
    whole = replace(snapshot, grants=tuple(grant for grant in snapshot.grants if grant.version is None))
    if not snapshot.leads and not access.list_administered(snapshot, at):
        return None
    return Viewer(principal.id, False, snapshot.leads, tuple(access.list_administered(whole, at)))


def find_account(database: Database, principal_id: int, condition: Any = True) -> Principal | None:
    """The user of an id, no service account; None if there is none, or the condition does not hold for them."""
    if principal_id > MAX_ID:
        return None
    query = Principal.select().where(
        Principal.id == principal_id, Principal.kind == "user", Principal.parent.is_null(), condition
    )
    return database.first(query)


def list_accounts(database: Database, principal_ids: Collection[int], condition: Any = True) -> list[Principal]:
    """The accounts of these ids for which the condition holds, by id; those without an account are left out."""
    ids = sorted({number for number in principal_ids if 0 <= number <= MAX_ID})
    return database.objects(Principal.select().where(Principal.id.in_(ids), condition).order_by(Principal.id))


def find_by_email(database: Database, email: str, condition: Any) -> list[Principal]:
    """The user of an address, as a list of one or none."""
    account = principals.find_by_email(database, email)
    return list_accounts(database, [account.id], condition) if account is not None else []


class Member(TypedDict):
    """A row of `list_members`: the stored name, and whether the member leads the group."""

    id: int
    name: str
    admin: bool


def list_members(database: Database, group_id: int, condition: Any) -> Iterator[Member]:
    """The people in a group for whom the condition holds, by id; nobody if there is no such group."""
    query = (
        Principal.select(Principal.id, Principal.name, m.Membership.leads.alias("admin"))
        .join(m.Membership)
        .where(
            m.Membership.group == min(group_id, MAX_ID), Principal.kind == "user", Principal.parent.is_null(), condition
        )
        .order_by(Principal.id)
    )
    return database.rows(query, Member)


class AdministeredDataset(TypedDict):
    """A dataset with a direct grant of ``admin``."""

    id: int
    name: str


def list_administered(
    database: Database, snapshots_by_id: Mapping[int, PrincipalSnapshot], at: datetime
) -> dict[int, list[AdministeredDataset]]:
    """The datasets that some people administer, by id, for each person."""
    names = {person: access.list_administered(snapshot, at) for person, snapshot in snapshots_by_id.items()}
    every_name = sorted({name for own in names.values() for name in own})
    query = m.Dataset.select(m.Dataset.id, m.Dataset.name).where(m.Dataset.name.in_(every_name)).order_by(m.Dataset.id)
    datasets = list(database.rows(query, AdministeredDataset)) if every_name else []
    by_name = {dataset["name"]: place for place, dataset in enumerate(datasets)}
    return {
        person: [datasets[place] for place in sorted(map(by_name.__getitem__, own))] for person, own in names.items()
    }


def public_name(account: Principal) -> str:
    """The name that services get."""
    return choose_public_name(account.display_name, account.name, account.label)
