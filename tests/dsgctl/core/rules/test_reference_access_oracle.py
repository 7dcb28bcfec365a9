"""The rules about references against a second, slow implementation that shares no code with them.

The oracle is written after contract-services.md, "Decisions", over plain rows: it enumerates what each row gives.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime

from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.core.rules.reference_access import decide
from dsgctl.core.rules.references import Catalogue, Reference, Translation, Version, VersionedDataset
from dsgctl.core.rules.terms import Terms
from tests.dsgctl.core.builders import AT, DAY
from tests.dsgctl.core.rules.test_reference_access import summarize
from tests.level_table import FOREIGN, NAMES, TABLE, included_levels

WORLDS = 4000
QUESTIONS = 8  # about each world
SERVICES = {"neuprint": "linear", "dvid": "dag"}
DATASETS = ("fish", "fly", "7")
BRANCHES = ("main", "alt")
VERSIONS = ("v1", "v2", "1", "x")
ROLES = [*NAMES, FOREIGN, "write"]  # in the order of answers
LOST_IF_READ_ONLY = {row.name for row in TABLE if row.lost_if_read_only}


@dataclass
class World:
    """Rows, with None where a table has NULL."""

    kind: str = "user"  # or "bot", or "nobody"
    admin: bool = False
    read_only: bool = False
    service: str | None = None  # that asks; may be unknown
    public: set[str] = field(default_factory=set)
    versions: list[tuple[str, str, str, int | None, bool]] = field(default_factory=list)
    translations: list[tuple[str, str, str | None, str, str | None]] = field(default_factory=list)
    grants: list[tuple[str, str | None, str, str | None, datetime | None]] = field(default_factory=list)
    # dataset, version, service, whether the dataset's own, from, until, whether accepted
    terms: list[tuple[str, str | None, str | None, bool, datetime, datetime | None, bool]] = field(default_factory=list)


def draw_world(chance: random.Random) -> World:
    world = World(
        kind=chance.choice(["user", "user", "user", "bot", "nobody"]),
        admin=chance.random() < 0.05,
        read_only=chance.random() < 0.2,
        service=chance.choice([None, "neuprint", "dvid", "dvid", "unknown"]),
        public={name for name in DATASETS if chance.random() < 0.2},
    )
    for dataset in DATASETS:
        places: set[tuple[str, int]] = set()
        for name in chance.sample(VERSIONS, chance.randint(0, 4)):
            branch, ordinal = chance.choice(BRANCHES), chance.choice([None, 0, 1, 2, 3])
            if ordinal is not None and (branch, ordinal) in places:
                ordinal = None
            if ordinal is not None:
                places.add((branch, ordinal))
            world.versions.append((dataset, name, branch, ordinal, chance.random() < 0.2))
    for service in SERVICES:
        for name, version in {(chance.choice((*DATASETS, "own")), chance.choice((None, "v1", "r"))) for _ in range(2)}:
            world.translations.append((service, name, version, *draw_target(chance, world)))
    for _ in range(chance.randint(0, 16)):
        dataset, target = draw_target(chance, world)
        expires = chance.choice([None, None, None, AT, AT + DAY, AT - DAY])
        service_of_grant = chance.choice([None, None, *SERVICES])
        world.grants.append((dataset, target, chance.choice(ROLES), service_of_grant, expires))
    for _ in range(chance.randint(0, 10)):
        dataset, target = draw_target(chance, world)
        service_of_terms = chance.choice([None, None, *SERVICES])
        own = target is None and service_of_terms is None
        if own and any(row[3] and row[0] == dataset for row in world.terms):
            continue
        start, end = AT + chance.choice([-2, -2, -2, 0, 1]) * DAY, chance.choice([None, None, AT, AT + DAY])
        world.terms.append((dataset, target, service_of_terms, own, start, end, chance.random() < 0.4))
    return world


def draw_target(chance: random.Random, world: World) -> tuple[str, str | None]:
    """A dataset, or one of its versions."""
    dataset = chance.choice(DATASETS)
    return dataset, chance.choice([None, *(row[1] for row in world.versions if row[0] == dataset)])


def draw_question(chance: random.Random) -> tuple[str, str | None, str | None, str]:
    return (
        chance.choice((*DATASETS, *DATASETS, "own", "nowhere")),
        chance.choice([None, None, *VERSIONS, *VERSIONS, "r", "0", "2", "3", "03", "9", "²", ""]),
        chance.choice([None, None, *BRANCHES, ""]),
        chance.choice(["view"] * 6 + ROLES),
    )


# The oracle.

Answer = tuple[str, list[str], list[tuple[str, int, list[str]]]]
NO: Answer = ("deny", [], [])


def ask_oracle(world: World, name: str, version: str | None, branch: str | None, permission: str) -> Answer:
    target = find_target(world, name, version, branch)
    if target is None:
        return NO
    dataset, places = target  # every (branch, ordinal) and name that the reference has; None for the whole
    if world.admin and world.kind == "user":
        return "allow", list(NAMES), []
    held_roles = list_given(world, dataset, permission)
    roles: set[str] = set()
    for version_of_grant, included in held_roles.items():
        if version_of_grant is None or (places and covers(world, dataset, version_of_grant, places)):
            roles |= included
    if not roles and permission == "view":
        released = [row[1] for row in world.versions if row[0] == dataset and row[4]]
        if dataset in world.public or (places and any(covers(world, dataset, it, places) for it in released)):
            roles = {"view"}
    anchors: dict[tuple[str, int], set[str]] = {}
    if not roles and places and world.kind != "nobody" and SERVICES.get(world.service or "") == "dag":
        anchors = list_anchors(world, dataset, places[0], held_roles, permission)
        roles = set().union(*anchors.values())
    if not roles:
        return NO
    in_order = [role for role in ROLES if role in roles]
    if world.kind != "bot" and any(waits(world, row, dataset, places) for row in world.terms):
        return "tos_required", in_order, []
    if anchors:
        listed = [(*place, [role for role in ROLES if role in anchors[place]]) for place in sorted(anchors)]
        return "service_eval", in_order, listed
    return "allow", in_order, []


def list_given(world: World, dataset: str, permission: str) -> dict[str | None, set[str]]:
    """What the grants with the permission give, by their version."""
    held_roles: dict[str | None, set[str]] = {}
    for of, version, role, service, expires in world.grants if world.kind != "nobody" else ():
        included = included_levels(role) - (LOST_IF_READ_ONLY if world.read_only and world.kind == "user" else set())
        counts = service is None or (service in SERVICES and service == world.service)
        if of == dataset and counts and (expires is None or expires > AT) and permission in included:
            held_roles.setdefault(version, set()).update(included)
    return held_roles


def list_anchors(
    world: World, dataset: str, branch: str, held_roles: dict[str | None, set[str]], permission: str
) -> dict[tuple[str, int], set[str]]:
    """What is given elsewhere, by branch and ordinal."""
    anchors: dict[tuple[str, int], set[str]] = {}
    for of, version, of_branch, ordinal, public in world.versions:
        if of == dataset and ordinal is not None:
            if version in held_roles and of_branch != branch:
                anchors.setdefault((of_branch, ordinal), set()).update(held_roles[version])
            if public and permission == "view":
                anchors.setdefault((of_branch, ordinal), set()).add("view")
    return anchors


def waits(
    world: World,
    row: tuple[str, str | None, str | None, bool, datetime, datetime | None, bool],
    dataset: str,
    places: tuple[str, int | None, str | None] | None,
) -> bool:
    """Whether terms are to be accepted first."""
    of, version, service, own, start, end, accepted = row
    if of != dataset or (accepted and world.kind == "user"):
        return False
    if version is not None and (places is None or version != places[2]):
        return False
    if service != world.service if service is not None else version is None and not own:
        return False
    return start <= AT and (end is None or end > AT)


def find_target(
    world: World, name: str, version: str | None, branch: str | None
) -> tuple[str, tuple[str, int | None, str | None] | None] | None:
    """The dataset, and branch, ordinal and name of the version; None for the whole, or for an unknown reference."""
    own = {(row[1], row[2]): (row[3], row[4]) for row in world.translations if row[0] == world.service}
    if version is not None and (name, version) in own:
        dataset, translated = own[name, version]
        return dataset, (find_version(world, dataset, translated) if translated else None)
    dataset, translated = own.get((name, None), (name, None))
    if dataset not in DATASETS:
        return None
    if version is None:
        return dataset, (find_version(world, dataset, translated) if translated else None)
    exact = find_version(world, dataset, version)
    if exact is not None:
        return dataset, exact
    if version == "" or any(character not in "0123456789" for character in version):
        return None
    wanted = (branch or "main", int(version))
    for row in world.versions:
        if row[0] == dataset and (row[2], row[3]) == wanted:
            return dataset, (*wanted, row[1])
    return dataset, (*wanted, None)


def find_version(world: World, dataset: str, version: str) -> tuple[str, int | None, str | None] | None:
    for row in world.versions:
        if row[:2] == (dataset, version):
            return row[2], row[3], row[1]
    return None


def covers(world: World, dataset: str, version: str, places: tuple[str, int | None, str | None]) -> bool:
    """Whether what holds for a version holds for the place."""
    anchor = find_version(world, dataset, version)
    assert anchor is not None
    if anchor[1] is None:
        return places[2] == version
    return places[0] == anchor[0] and places[1] in range(anchor[1] + 1)


# The rules, asked about the same rows.


def build(world: World) -> tuple[PrincipalSnapshot | None, Catalogue]:
    service = world.service if world.service in SERVICES else None
    documents = [
        (Terms(number, "terms", start, end, dataset, own, version, of), accepted)
        for number, (dataset, version, of, own, start, end, accepted) in enumerate(world.terms)
        if of is None or of == service
    ]

    def terms_of(dataset: str, version: str | None) -> tuple[Terms, ...]:
        return tuple(terms for terms, _ in documents if (terms.dataset, terms.version) == (dataset, version))

    catalogue = Catalogue(
        service,
        SERVICES.get(service or "") == "dag",
        {(row[1], row[2]): Translation(row[3], row[4]) for row in world.translations if row[0] == service},
        {
            dataset: VersionedDataset(
                dataset,
                dataset in world.public,
                terms_of(dataset, None),
                {
                    name: Version(name, branch, ordinal, public, terms_of(dataset, name))
                    for of, name, branch, ordinal, public in world.versions
                    if of == dataset
                },
            )
            for dataset in DATASETS
        },
    )
    if world.kind == "nobody":
        return None, catalogue
    grants = [
        Grant(number, dataset, role, version=version, expires=expires, service=of)
        for number, (dataset, version, role, of, expires) in enumerate(world.grants)
    ]
    return PrincipalSnapshot(
        1,
        world.kind == "bot",
        "somebody",
        admin=world.admin and world.kind == "user",
        read_only=world.read_only and world.kind == "user",
        grants=tuple(grant for grant in grants if grant.service is None),
        service_grants=tuple(grant for grant in grants if grant.service is not None),
        accepted={terms.id: AT - 9 * DAY for terms, accepted in documents if accepted and world.kind == "user"},
    ), catalogue


def test_the_rules_agree_with_a_slow_oracle_about_random_worlds() -> None:
    chance = random.Random(20261120)
    verdicts: dict[str, int] = {}
    for number in range(WORLDS):
        world = draw_world(chance)
        principal, catalogue = build(world)
        for _ in range(QUESTIONS):
            name, version, branch, permission = question = draw_question(chance)
            expected = ask_oracle(world, *question)
            decision = summarize(decide(principal, catalogue, Reference(name, version, branch), permission, AT))
            anchors = [(row["branch"], row["version"], row["roles"]) for row in decision.get("anchors", ())]
            assert (decision["decision"], decision["roles"], anchors) == expected, (number, question, world)
            verdicts[expected[0]] = verdicts.get(expected[0], 0) + 1
    assert set(verdicts) == {"allow", "deny", "tos_required", "service_eval"}
    assert min(verdicts.values()) > WORLDS * QUESTIONS // 100, verdicts  # each happens often
