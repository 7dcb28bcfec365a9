"""The people of the tests of delegation, and how they give and take."""

from contextlib import AbstractContextManager
from datetime import datetime
from functools import partial

from dsgctl.core import (
    delegation,
    grants,
    users,
)
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject
from dsgctl.core.transaction import begin_change
from tests.dsgctl.core.builders import AT, DAY, Run

# root manages the gateway; ada is admin of fish2 through a group; lea leads lab-1 and has manage on fish2;
# led leads lab-2 and has edit there; bo is in lab-1, cy in none; gone leads lab-1 with manage, and is disabled.
PEOPLE = ("root", "ada", "lea", "led", "bo", "cy", "gone")


def email_of(name: str) -> str:
    return f"{name}@x.org"


def as_delegate(run: Run, name: str, *, dry_run: bool = False) -> AbstractContextManager[Change]:
    delegate = partial(delegation.find_delegate, email_of(name))
    return begin_change(run.database, f"user:{email_of(name)}", at=AT, dry_run=dry_run, delegate=delegate)


HOUR = DAY / 24


def subject_of(run: Run, who: str) -> Subject:
    if who.startswith("lab"):
        return group_subject(run.database, who)
    return principal_subject(users.find(run.database, email_of(who)))


def give(run: Run, by: str, grant: str, *, expires: datetime | None = None, at: datetime = AT) -> None:
    """``PERMISSION[@VERSION][/SERVICE] [SCOPE] to WHO`` on fish2; by an operator for ``os``."""
    *place, _, who = grant.split()
    target = parse_target(place[0], place[1] if len(place) > 1 else None)
    delegate = None if by == "os" else partial(delegation.find_delegate, email_of(by))
    with begin_change(run.database, f"user:{by}", at=at, delegate=delegate) as change:
        grants.add(change, subject_of(run, who), target, expires=expires, for_ever=True)


def list_ends(run: Run, who: str) -> dict[str, datetime | None]:
    """The grants on fish2 that somebody has directly, and when each ends."""
    rows = grants.list_grants(run.database, dataset="fish2", subject=subject_of(run, who))
    return {
        row["permission"]
        + (f"@{row['version']}" if row["version"] else "")
        + (f"/{row['service']}" if row["service"] else ""): row["expires"]
        for row in rows
    }


def parse_target(text: str, scope: str | None = None) -> Target:
    """``PERMISSION[@VERSION][/SERVICE]`` on fish2."""
    text, _, service = text.partition("/")
    permission, _, version = text.partition("@")
    return Target("fish2", permission, version or None, scope, service or None)


def revoke(run: Run, grant: str) -> None:
    place, _, who = grant.split()
    run(grants.revoke, subject_of(run, who), parse_target(place))
