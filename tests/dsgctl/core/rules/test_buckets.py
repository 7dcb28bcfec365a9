"""What of a bucket somebody may read: `buckets.bucket_access`, and the facts that it is given."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from dsgctl.core import (
    acceptances,
    datasets,
    grants,
    groups,
    locations,
    service_accounts,
    services,
    snapshots,
    terms,
    users,
    versions,
)
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.core.rules import buckets
from dsgctl.core.rules.buckets import BucketDecision, BucketReason
from dsgctl.core.service_accounts import find_principal
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from dsgctl.store.models import Principal
from tests.dsgctl.core.builders import AT, DAY
from tests.level_table import FOREIGN

GRANTED, UNKNOWN, NO, TOS = (
    BucketReason.GRANTED,
    BucketReason.UNKNOWN_BUCKET,
    BucketReason.NO_PERMISSION,
    BucketReason.TOS_REQUIRED,
)
MANY, UNUSABLE = BucketReason.TOO_MANY_PREFIXES, BucketReason.UNUSABLE_LOCATION
ANA, BOT, BUCKET = "ana@example.org", "bot", "lab-bucket"


@dataclass(frozen=True)
class Case:
    """Facts about the datasets fish (with versions v1 and v2) and fly, and what of `BUCKET` may be read.

    Attributes:
        locations: (dataset, version, prefix); grants: (dataset, version, permission).
        terms: (dataset, version, days from now at which they begin, or None for now); in this order.
        accepted: positions in ``terms``.
    """

    id: str
    reason: BucketReason
    prefixes: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()
    locations: tuple[tuple[str, str | None, str], ...] = (("fish", None, ""),)
    grants: tuple[tuple[str, str | None, str], ...] = (("fish", None, "view"),)
    terms: tuple[tuple[str, str | None, int | None], ...] = ()
    accepted: tuple[int, ...] = ()
    public: tuple[str, ...] = ()
    who: str = ANA
    settings: dict[str, bool] = field(default_factory=dict)
    through_group: bool = False
    ends: timedelta | None = None
    disabled: bool = False
    child: bool = False
    service: bool = False


V1, V2 = ("fish", "v1", "fish/v1/"), ("fish", "v2", "fish/v2/")
FISH, FLY = ("fish", None, "fish/"), ("fly", None, "fly/")
OWN = (("fish", None, None),)

CASES = (
    Case("a grant on the dataset opens the bucket", GRANTED, ("",)),
    Case("and its prefix alone, where it lies below one", GRANTED, ("fish/",), locations=(FISH,)),
    Case("through a group too", GRANTED, ("",), through_group=True),
    Case("a service account's grant counts the same", GRANTED, ("",), who=BOT),
    Case("edit brings view", GRANTED, ("",), grants=(("fish", None, "edit"),)),
    Case(
        "read-only takes edit away, not view",
        GRANTED,
        ("",),
        grants=(("fish", None, "edit"),),
        settings={"read_only": True},
    ),
    Case("a permission of another system is not view", NO, grants=(("fish", None, FOREIGN),)),
    Case("no dataset lies in it", UNKNOWN, locations=()),
    Case("no grant", NO, grants=()),
    Case("a grant on another dataset", NO, grants=(("fly", None, "view"),)),
    Case("being an admin of the gateway is no grant", NO, grants=(), settings={"admin": True}),
    Case("a grant that has ended", NO, ends=timedelta(0)),
    Case("a grant that ends later", GRANTED, ("",), ends=timedelta(seconds=1)),
    Case("a disabled account", NO, disabled=True),
    Case("a disabled service account", NO, disabled=True, who=BOT),
    # Versions
    Case("a grant on the dataset reaches every version", GRANTED, ("fish/v1/", "fish/v2/"), locations=(V1, V2)),
    Case(
        "a grant on a version reaches that version alone",
        GRANTED,
        ("fish/v1/",),
        locations=(V1, V2),
        grants=(("fish", "v1", "view"),),
    ),
    Case("not another", NO, locations=(V2,), grants=(("fish", "v1", "view"),)),
    Case("not the whole dataset's location", NO, locations=(FISH,), grants=(("fish", "v1", "admin"),)),
    Case(
        "a service account's grant on a version",
        GRANTED,
        ("fish/v1/",),
        locations=(V1, V2),
        grants=(("fish", "v1", "view"),),
        who=BOT,
    ),
    # Several datasets
    Case("only one's own datasets in a shared bucket", GRANTED, ("fish/",), locations=(FISH, FLY)),
    Case(
        "all that one has in it",
        GRANTED,
        ("fish/", "fly/"),
        locations=(FLY, FISH),
        grants=(("fish", None, "view"), ("fly", None, "view")),
    ),
    Case("a prefix within another is the outer one", GRANTED, ("fish/",), locations=(V1, FISH, V2)),
    Case("the whole bucket takes in all prefixes", GRANTED, ("",), locations=(V1, ("fish", None, ""), FISH)),
    Case(
        "names that begin alike are not within each other",
        GRANTED,
        ("a/", "ab/"),
        locations=(("fish", None, "ab/"), ("fish", None, "a/")),
    ),
    Case(
        "a folder that begins like another is not within it",
        GRANTED,
        ("release-1/",),
        locations=(("fish", "v1", "release-1/"), ("fish", "v2", "release-10/")),
        grants=(("fish", "v1", "view"),),
    ),
    Case(
        "a place of two versions opens to whoever may read one",
        GRANTED,
        ("fish/",),
        locations=(("fish", "v1", "fish/"), ("fish", "v2", "fish/")),
        grants=(("fish", "v1", "view"),),
    ),
    Case(
        "a place of two datasets to whoever may read one, with its terms alone",
        GRANTED,
        ("x/",),
        missing=(1,),
        locations=(("fish", None, "x/"), ("fly", None, "x/")),
        grants=(("fish", None, "view"), ("fly", None, "view")),
        terms=(*OWN, ("fly", None, None)),
        accepted=(0,),
    ),
    # What Google cannot limit a token to
    Case(
        "sixty prefixes are as many as a token takes",
        GRANTED,
        tuple(sorted(f"p{number}/" for number in range(60))),
        locations=tuple(("fish", None, f"p{number}/") for number in range(60)),
    ),
    Case("sixty-one are too many", MANY, locations=tuple(("fish", None, f"p{number}/") for number in range(61))),
    Case(
        "but not where one may read the whole",
        GRANTED,
        ("p/",),
        locations=(("fly", None, "p/"), *(("fish", None, f"p/{number}/") for number in range(61))),
        grants=(("fish", None, "view"), ("fly", None, "view")),
    ),
    Case(
        "nor where only some of them are one's own",
        GRANTED,
        ("fly/",),
        locations=(FLY, *(("fish", None, f"p{number}/") for number in range(61))),
        grants=(("fly", None, "view"),),
    ),
    Case(
        "one that no condition can name is left out",
        GRANTED,
        ("fly/",),
        locations=(("fish", None, "o'neil/"), FLY),
        grants=(("fish", None, "view"), ("fly", None, "view")),
    ),
    Case("and is the reason where there is no other", UNUSABLE, locations=(("fish", None, "o'neil/"),)),
    Case("to those alone who might read it", NO, locations=(("fish", None, "o'neil/"),), grants=()),
    Case("terms come first", TOS, missing=(0,), locations=(("fish", None, "o'neil/"),), terms=OWN),
    # Terms
    Case("own terms hold it back", TOS, missing=(0,), terms=OWN),
    Case("until accepted", GRANTED, ("",), terms=OWN, accepted=(0,)),
    Case("own terms count before their date", TOS, missing=(0,), terms=(("fish", None, 9),)),
    Case("a service account has no terms", GRANTED, ("",), terms=OWN, who=BOT),
    Case("nor of a version", GRANTED, ("fish/v1/",), terms=(("fish", "v1", None),), locations=(V1,), who=BOT),
    Case("no grant: own terms of a closed dataset are not named", NO, terms=OWN, grants=()),
    Case(
        "a version's terms hold back that version",
        GRANTED,
        ("fish/v2/",),
        missing=(0,),
        terms=(("fish", "v1", None),),
        locations=(V1, V2),
    ),
    Case("alone", TOS, missing=(0,), terms=(("fish", "v1", None),), locations=(V1,)),
    Case("until accepted too", GRANTED, ("fish/v1/",), terms=(("fish", "v1", None),), accepted=(0,), locations=(V1,)),
    Case(
        "a version's terms count from their date on",
        GRANTED,
        ("fish/v1/",),
        terms=(("fish", "v1", 1),),
        locations=(V1,),
    ),
    Case("both have to be accepted", TOS, missing=(0, 1), terms=(*OWN, ("fish", "v1", None)), locations=(V1,)),
    Case("one is not enough", TOS, missing=(1,), terms=(*OWN, ("fish", "v1", None)), accepted=(0,), locations=(V1,)),
    Case("terms of a service do not hold back a bucket", GRANTED, ("",), terms=OWN, accepted=(0,), service=True),
    Case(
        "another dataset's terms do not matter",
        GRANTED,
        ("fish/",),
        locations=(FISH, FLY),
        terms=(("fly", None, None),),
    ),
    Case(
        "what is open is open although more waits",
        GRANTED,
        ("fly/",),
        missing=(0,),
        locations=(FISH, FLY),
        terms=OWN,
        grants=(("fish", None, "view"), ("fly", None, "view")),
    ),
    Case("a child's parent accepts", TOS, missing=(0,), terms=OWN, accepted=(0,), child=True),
    # Public datasets
    Case("public gives nothing", NO, grants=(), public=("fish",)),
    Case(
        "where accepting gives view, the terms are the answer",
        TOS,
        missing=(0,),
        grants=(),
        public=("fish",),
        terms=OWN,
    ),
    Case(
        "with those of the version",
        TOS,
        missing=(0, 1),
        grants=(),
        public=("fish",),
        terms=(*OWN, ("fish", "v1", None)),
        locations=(V1,),
    ),
    Case(
        "a version's terms alone would not give it",
        NO,
        grants=(),
        public=("fish",),
        terms=(("fish", "v1", None),),
        locations=(V1,),
    ),
    Case("nor is it self-service for a service account", NO, grants=(), public=("fish",), terms=OWN, who=BOT),
    Case("accepting gave view", GRANTED, ("",), grants=(), public=("fish",), terms=OWN, accepted=(0,)),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_each_case_has_its_reason_and_prefixes(database: Database, case: Case) -> None:
    with begin_change(database, "os:test", at=AT) as change:
        ids = _build(change, case)
    decision = _ask(database, case.who)
    assert decision == BucketDecision(case.reason, case.prefixes, decision.missing)
    assert {missing.id for missing in decision.missing} == {ids[position] for position in case.missing}
    # The other doors: a Google account of one's own, and what is explained of each location.
    with database.snapshot():
        holders = {holder.label: holder for holder in snapshots.read_bucket_holders(database, BUCKET)}
        if case.who in holders:
            assert (
                buckets.decide_bucket_access(holders[case.who], snapshots.read_bucket(database, BUCKET), AT) == decision
            )
        else:
            assert decision.reason is not GRANTED
    readable = {location.prefix for location, reason in decision.places if reason is GRANTED}
    assert buckets.drop_nested(readable) == decision.prefixes


def _ask(database: Database, who: str, bucket: str = BUCKET) -> BucketDecision:
    snapshot = snapshots.read_principal(database, find_principal(database, who))
    return buckets.decide_bucket_access(snapshot, snapshots.read_bucket(database, bucket), AT)


def _build(change: Change, case: Case) -> list[int]:
    for dataset in ("fish", "fly"):
        datasets.add(change, dataset, public=dataset in case.public)
    for version in ("v1", "v2"):
        versions.add(change, "fish", version)
    for dataset, version, prefix in case.locations:
        locations.add(change, dataset, f"gs://{BUCKET}/{prefix}", version=version, any_prefix=True)
    locations.add(change, "fish", "gs://another-bucket")

    if case.who == BOT:
        principal, _ = service_accounts.add(change, BOT)
    else:
        principal, _ = users.add(change, ANA, **case.settings)
    subject = principal_subject(principal)
    if case.through_group:
        groups.add(change, "lab")
        groups.add_member(change, "lab", ANA)
        subject = group_subject(change.database, "lab")
    for dataset, version, permission in case.grants:
        ends = AT + case.ends if case.ends is not None else None
        grants.add(change, subject, Target(dataset, permission, version), expires=ends)

    ids = []
    for number, (dataset, version, days) in enumerate(case.terms):
        effective = AT + days * DAY if days is not None else AT
        document, _ = terms.add(
            change, f"terms {number}", "Text", dataset=dataset, version=version, effective=effective
        )
        ids.append(document.id)
    _finish(change, case, ids)
    return ids


def _finish(change: Change, case: Case, ids: list[int]) -> None:
    """What comes after the terms are there."""
    if case.service:
        services.add(change, "clio")
        terms.add(change, "clio terms", "Text", dataset="fish", service="clio")
        terms.add(change, "clio v1 terms", "Text", dataset="fish", version="v1", service="clio")
    for position in case.accepted:
        acceptances.accept(change, ids[position], ANA)
    if case.child:
        parent, _ = users.add(change, "parent@example.org")
        of_ana = Principal.update(parent=parent.id).where(Principal.email == ANA)
        change.database.run(of_ana)  # only an import makes children
    if case.disabled and case.who == BOT:
        service_accounts.set_active(change, BOT, False)
    elif case.disabled:
        users.set_active(change, ANA, False)


def test_a_withdrawn_view_is_not_offered_again(database: Database) -> None:
    case = Case("", NO, grants=(), public=("fish",), terms=OWN, accepted=(0,))
    with begin_change(database, "os:test", at=AT) as change:
        _build(change, case)
        grants.revoke(change, principal_subject(users.find(database, ANA)), Target("fish", "view"))
    assert _ask(database, ANA) == BucketDecision(NO)


@pytest.mark.parametrize(
    ("prefixes", "left"),
    [
        ([], ()),
        ([""], ("",)),
        (["a/", ""], ("",)),
        (["a/b/", "a/", "a/b/c/"], ("a/",)),
        (["b/", "a/"], ("a/", "b/")),
        (["a/", "a/"], ("a/",)),
        (["a-b/", "a/", "a/b/"], ("a-b/", "a/")),
        (["a/x/", "a-x/", "a/"], ("a-x/", "a/")),
    ],
)
def test_prefixes_reduce_to_the_outermost(prefixes: list[str], left: tuple[str, ...]) -> None:
    assert buckets.drop_nested(prefixes) == left


@pytest.mark.parametrize("through_group", [False, True])
@pytest.mark.parametrize("version", [None, "v1"])
def test_a_grant_for_one_service_opens_no_bucket(database: Database, through_group: bool, version: str | None) -> None:
    case = Case("", NO, grants=(), locations=(("fish", version, "fish/"),), through_group=through_group)
    with begin_change(database, "os:test", at=AT) as change:
        _build(change, case)
        services.add(change, "clio")
        subject = group_subject(database, "lab") if through_group else principal_subject(users.find(database, ANA))
        grants.add(change, subject, Target("fish", "admin", version, service="clio"))
    assert _ask(database, ANA) == BucketDecision(NO)
    assert not any(holder.grants for holder in snapshots.read_bucket_holders(database, BUCKET))
