"""No sequence of delegated commands gives anybody, at any moment, what no operator gave them to hold or to pass on.

The oracle knows only what operators did, in the order in which they did it, and what follows from that at one
moment. It looks neither at who gave a grant nor at how the program finds out what is to fall.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dsgctl.core import (
    datasets,
    delegated_grants,
    delegation,
    grants,
    groups,
    offboarding,
    services,
    snapshots,
    users,
    versions,
)
from dsgctl.core.change import Change
from dsgctl.core.errors import DsgError
from dsgctl.core.grant_targets import Subject, Target, group_subject, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store import models as m
from dsgctl.store.migrations import open_current
from tests.dsgctl.core.builders import AT
from tests.level_table import NAMES, ROWS, TABLE, included_levels

PEOPLE = ("a", "b", "c", "d")
GROUPS = ("g", "h")
VERSIONS = (None, "v1", "v2")
SERVICES = (None, "s", "t")
Place = tuple[str | None, str | None]  # version and service; None for all of them
PLACES: tuple[Place, ...] = tuple((version, service) for version in VERSIONS for service in SERVICES)
NEVER = datetime.max.replace(tzinfo=AT.tzinfo)
ENDS = (None, timedelta(hours=1), timedelta(days=10))
MOMENTS = (
    timedelta(),
    timedelta(minutes=59),
    timedelta(hours=2),
    timedelta(days=9),
    timedelta(days=20),
    timedelta(days=999),
)

GIVES_ANYTHING = {row.name for row in TABLE if row.gives == "anything"}

Key = tuple[str, str, Place, str | None]  # subject, permission, place, scope: of the one dataset
Has = tuple[Place, str]  # place and permission
Step = tuple[str, str, str, str, Key, timedelta | None]  # actor, verb, who, group; a grant, and how long it lasts


@dataclass
class Operators:
    """What operators did.

    Attributes:
        grants: when each ends, and when it was given.
        seats: whether who is in a group leads it; ``by_leads``: who is in one by a lead's word, since when.
    """

    grants: dict[Key, tuple[datetime, datetime]] = field(default_factory=dict)
    seats: dict[tuple[str, str], bool] = field(default_factory=dict)
    by_leads: dict[tuple[str, str], datetime] = field(default_factory=dict)
    read_only: set[str] = field(default_factory=set)

    def allowed(self, at: datetime) -> dict[str, set[Has]]:
        """What each may have at a moment at the most."""
        allowed: dict[str, set[Has]] = {who: set() for who in (*PEOPLE, *GROUPS)}
        grew = True
        while grew:
            before = {who: len(has) for who, has in allowed.items()}
            for (subject, permission, place, _), (end, when) in self.grants.items():
                if at < end:
                    self._give(allowed, subject, place, permission, when)
            for holder in PEOPLE:
                for place, permission in list(allowed[holder]):
                    passed_on = {(of, level) for of in self._within(place) for level in self._gives(holder, permission)}
                    if permission in GIVES_ANYTHING:
                        for other in allowed:
                            allowed[other] |= passed_on
                    else:
                        for group in self._led_by(holder):
                            for other in (group, *self._people_of(group)):
                                allowed[other] |= passed_on
            grew = before != {who: len(has) for who, has in allowed.items()}
        return allowed

    def _give(self, allowed: dict[str, set[Has]], subject: str, place: Place, permission: str, when: datetime) -> None:
        brought = {(of, level) for of in self._within(place) for level in included_levels(permission)}
        allowed[subject] |= brought
        for (who, group), since in (*((seat, None) for seat in self.seats), *self.by_leads.items()):
            if group != subject:
                continue
            could = any(
                self._passes(allowed, lead, place, permission) for lead in PEOPLE if self.seats.get((lead, group))
            )
            if since is None or when > since or could:
                allowed[who] |= brought

    def _passes(self, allowed: dict[str, set[Has]], lead: str, place: Place, permission: str) -> bool:
        return any(
            of == place and permission in self._gives(lead, own_level)
            for of, own_level in allowed[lead]
            if own_level in ROWS
        )

    def _gives(self, holder: str, own_level: str) -> set[str]:
        """The levels that one who holds a level may give, where and to whom they may."""
        if ROWS[own_level].gives == "nothing":
            return set()
        lost = {row.name for row in TABLE if row.lost_if_read_only}
        return {
            level
            for level in included_levels(own_level)
            if holder not in self.read_only or not included_levels(level) & lost
        }

    @staticmethod
    def _within(place: Place) -> list[Place]:
        return [
            other
            for other in PLACES
            if all(part in (None, other_part) for part, other_part in zip(place, other, strict=True))
        ]

    def _led_by(self, holder: str) -> list[str]:
        return [group for group in GROUPS if self.seats.get((holder, group))]

    def _people_of(self, group: str) -> list[str]:
        return [who for who, seat_group in (*self.seats, *self.by_leads) if seat_group == group]


class Lab:
    """A database with these people, groups and versions, and what operators did in it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.operators = Operators()
        self.at = AT
        self.done = 0
        with self.as_("os") as change:
            for name in PEOPLE:
                users.add(change, f"{name}@x.org")
            for name in GROUPS:
                groups.add(change, name)
            datasets.add(change, "fish2")
            for version in VERSIONS[1:]:
                versions.add(change, "fish2", version)
            for service in SERVICES[1:]:
                services.add(change, service)

    @contextmanager
    def as_(self, who: str) -> Iterator[Change]:
        self.at += timedelta(minutes=1)
        delegate = None if who == "os" else partial(delegation.find_delegate, f"{who}@x.org")
        with begin_change(self.database, f"user:{who}", at=self.at, delegate=delegate) as change:
            yield change

    def subject(self, who: str) -> Subject:
        if who in GROUPS:
            return group_subject(self.database, who)
        return principal_subject(users.find(self.database, f"{who}@x.org"))

    def run(self, actor: str, verb: str, who: str, group: str, key: Key, lasts: timedelta | None) -> None:
        """One command, of which the oracle learns only if an operator gave it."""
        if verb in (
            "lose",
            "shorten",
            "again",
            "read-only",
        ):  # of what an operator gave, so that it is no blow in the air
            keys = sorted(self.operators.grants, key=str)
            key = keys[(PEOPLE.index(who) + len(key[1])) % len(keys)] if keys else key
            who = key[0] if key[0] in PEOPLE else "a"
            lasts = timedelta(hours=1) if verb == "shorten" else lasts
            verb = {"lose": "revoke", "shorten": "grant", "again": "grant"}.get(verb, verb)
        subject, permission, (version, service), scope = key
        target = Target("fish2", permission, version, scope, service)
        try:
            with self.as_(actor) as change:
                end = self.at + lasts if lasts else None
                if verb == "grant":
                    grants.add(change, self.subject(subject), target, expires=end, for_ever=True)
                elif verb == "revoke":
                    grants.revoke(change, self.subject(subject), target)
                elif verb == "leave":
                    groups.remove_member(change, group, f"{who}@x.org")
                elif verb in ("join", "lead"):
                    groups.add_member(change, group, f"{who}@x.org", leads=True if verb == "lead" else None)
                elif verb == "no lead":
                    groups.add_member(change, group, f"{who}@x.org", leads=False)
                elif verb == "read-only":
                    users.set_attributes(change, f"{who}@x.org", read_only=True)
                elif verb == "toggle":
                    user = users.find(change.database, f"{who}@x.org")
                    users.set_active(change, f"{who}@x.org", not user.active)
                elif verb == "offboard":
                    offboarding.offboard(change, f"{who}@x.org")
                    users.set_active(change, f"{who}@x.org", True)
                elif verb == "shell" and actor == "os":  # what somebody does with sqlite3, before anything else is done
                    change.database.run(m.Grant.delete().where(m.Grant.id == self._id_of(key)))
        except DsgError:
            return
        self.done += actor != "os"
        self._learn(actor, verb, who, group, key, end)

    def _id_of(self, key: Key) -> int:
        return next((number for number, row in self._rows() if row == key), 0)

    def _rows(self) -> list[tuple[int, Key]]:
        rows = []
        for row in grants.list_grants(self.database):
            subject = row["group"] or row["user"][0]
            rows.append((row["id"], (subject, row["permission"], (row["version"], row["service"]), row["scope"])))
        return rows

    def _learn(self, actor: str, verb: str, who: str, group: str, key: Key, end: datetime | None) -> None:
        operators = self.operators
        there = {row for _, row in self._rows()}
        operators.grants = {grant: how for grant, how in operators.grants.items() if grant in there}
        query = (
            m.Membership.select(m.Principal.email, m.Group.name)
            .join_from(m.Membership, m.Principal)
            .join_from(m.Membership, m.Group)
        )
        seats = {(email[0], name) for email, name in self.database.tuples(query)}
        operators.seats = {seat: leads for seat, leads in operators.seats.items() if seat in seats}
        operators.by_leads = {seat: since for seat, since in operators.by_leads.items() if seat in seats}
        if actor != "os":
            for seat in seats - operators.seats.keys() - operators.by_leads.keys():
                operators.by_leads[seat] = self.at
        elif verb == "grant":
            former, when = operators.grants.get(key, (AT, self.at))
            operators.grants[key] = (end or NEVER, self.at if (end or NEVER) > former else when)
        elif verb in ("join", "lead", "no lead"):
            operators.by_leads.pop((who, group), None)
            operators.seats[who, group] = {"lead": True, "no lead": False}.get(
                verb, operators.seats.get((who, group), False)
            )
        elif verb == "read-only":
            operators.read_only.add(who)

    def check(self) -> None:
        assert delegated_grants.count_unsupported(self.database) == 0
        principals = {
            who: snapshots.read_principal(self.database, users.find(self.database, f"{who}@x.org")) for who in PEOPLE
        }
        for later in MOMENTS:
            at = self.at + later
            allowed = self.operators.allowed(at)
            for who in PEOPLE:
                has = {
                    ((grant.version, grant.service), level)
                    for grant in (*principals[who].grants, *principals[who].service_grants)
                    if grant.is_active(at)
                    for level in included_levels(grant.permission)
                }
                assert has <= allowed[who], (who, later, has - allowed[who])


SUBJECTS = st.sampled_from(("b", "c", "c", "d", "a", "g"))
GIVEN = st.sampled_from((*NAMES[:-1], *NAMES))
SCOPES = st.sampled_from(("g", "g", "g", "g", "h", None))
WHERE_IN_DATASET = st.tuples(
    st.sampled_from(("v1", "v1", None, "v2")), st.sampled_from((None, None, None, None, "s", "s", "t"))
)
KEYS = st.tuples(SUBJECTS, GIVEN, WHERE_IN_DATASET, SCOPES)
ACTORS = st.sampled_from(("a", "a", "a", "a", "b", "b", "c"))
WHERE, LASTS = st.sampled_from(("g", "g", "g", "h")), st.sampled_from(ENDS)
BY_PEOPLE = (
    "grant",
    "grant",
    "grant",
    "grant",
    "again",
    "again",
    "join",
    "join",
    "join",
    "revoke",
    "leave",
    "lead",
    "no lead",
)
DELEGATED = st.tuples(
    ACTORS, st.sampled_from(BY_PEOPLE), st.sampled_from(("d", "d", "d", "c", "b", "a")), WHERE, KEYS, LASTS
)
BY_OPERATORS = (
    "grant",
    "grant",
    "join",
    "lead",
    "no lead",
    "no lead",
    "leave",
    "toggle",
    "offboard",
    "shell",
    "read-only",
    "lose",
    "lose",
    "lose",
    "shorten",
    "shorten",
    "again",
)
WHO = st.sampled_from(("a", "a", "a", "b", "b", "c", "d"))
OPERATED = st.tuples(st.just("os"), st.sampled_from(BY_OPERATORS), WHO, WHERE, KEYS, LASTS)
HOLDS = st.tuples(
    st.sampled_from(("a", "a", "a", "b", "g")),
    st.sampled_from(("manage", "manage", "admin")),
    st.tuples(st.sampled_from((None, "v1")), st.sampled_from((None, None, "s"))),
    st.none(),
)
START = st.tuples(st.just("os"), st.just("grant"), WHO, WHERE, HOLDS, LASTS)
STEPS = st.lists(DELEGATED | DELEGATED | OPERATED, min_size=40, max_size=40)
FIRST = (("lead", "a", "g"), ("lead", "b", "h"), ("join", "b", "g"), ("join", "c", "g"), ("grant", "a", "g"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("closure")


SUCCEEDED: list[int] = []


@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(start=st.lists(START, min_size=1, max_size=3), steps=STEPS)
def test_every_delegated_grant_follows_from_an_operators_grant(
    start: list[Step], steps: list[Step], directory: Path, empty_database: Path
) -> None:
    path = directory / "dsg.sqlite3"
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(empty_database.read_bytes())
    database = open_current(path)
    database.script("PRAGMA synchronous = off")
    try:
        lab = Lab(database)
        for verb, who, group in FIRST:
            lab.run("os", verb, who, group, ("g", "view", (None, None), None), None)
        for step in (*start, *steps):
            lab.run(*step)
            lab.check()
        SUCCEEDED.append(lab.done)
    finally:
        database.close()


def test_most_steps_of_delegates_succeeded() -> None:
    assert sum(SUCCEEDED) > 2 * len(SUCCEEDED)
