"""The rules about references: a table of decisions, and the answers that a DatasetGateway gave."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from dsgctl.core.rules import reference_access
from dsgctl.core.rules.principal_snapshot import Grant, PrincipalSnapshot
from dsgctl.core.rules.reference_access import Anchor, ReferenceDecision, Rule, Verdict, decide
from dsgctl.core.rules.references import Catalogue, Reference, Translation, Version, VersionedDataset
from dsgctl.core.rules.terms import Terms
from tests.dsgctl.core.builders import AT, DAY
from tests.level_table import ROWS as LEVELS
from tests.level_table import included_in_order, leave_out_unrecorded_roles
from tests.native_answers import AUTHORIZE, Recording, build_catalogue, build_principal, cases, recordings

ALLOW, DENY, TOS_REQUIRED, SERVICE_EVAL = Verdict
ANA = PrincipalSnapshot(1, service_account=False, label="ana@example.org")
BOT = PrincipalSnapshot(2, service_account=True, label="bot")


def document(number: int, start: int = -2, retired: int | None = None, **target: object) -> Terms:
    """Terms whose dates are given in days from the moment of the question."""
    end = None if retired is None else AT + retired * DAY
    return Terms(number, "terms", AT + start * DAY, end, "fish", **target)  # type: ignore[arg-type]


OWN, AT_CLIO, OF_V2 = document(1, own=True), document(2, service="clio"), document(3, version="v2")
V1, V2, V3 = Version("v1", "main", 1), Version("v2", "main", 2), Version("v3", "main", 3)
ALT, LOOSE = Version("alt1", "alt", 1), Version("loose")


def grant(
    permission: str, version: str | None = None, service: str | None = None, *, of: str = "fish", **cells: Any
) -> Grant:
    return Grant(7, of, permission, version=version, service=service, **cells)


def holder(*grants: Grant, who: PrincipalSnapshot = ANA, **cells: Any) -> PrincipalSnapshot:
    return replace(
        who,
        grants=tuple(it for it in grants if it.service is None),
        service_grants=tuple(it for it in grants if it.service is not None),
        **cells,
    )


def fish(*versions: Version, public: bool = False, terms: tuple[Terms, ...] = ()) -> VersionedDataset:
    versions = versions or (V1, V2, V3, ALT, LOOSE)
    return VersionedDataset("fish", public, terms, {version.name: version for version in versions})


def released(version: Version, *terms: Terms) -> Version:
    """A public version."""
    return replace(version, public=True, terms=terms)


@dataclass(frozen=True)
class Case:
    """Who asks for what, and the answer. ``service``: asks for itself; only ``dvid`` compares branches itself."""

    principal: PrincipalSnapshot | None
    version: str | None
    verdict: Verdict
    rule: Rule
    roles: tuple[str, ...] = ()
    dataset: VersionedDataset = fish()  # noqa: RUF009  frozen
    service: str | None = None
    permission: str = "view"
    branch: str | None = None
    anchors: tuple[Anchor, ...] = ()
    missing: tuple[Terms, ...] = ()


VIEW, EDIT, MANAGE, ALL = (included_in_order(name) for name in ("view", "edit", "manage", "admin"))
KEPT_IF_READ_ONLY = tuple(name for name in ALL if not LEVELS[name].lost_if_read_only)
NO = (DENY, Rule.NOTHING)
ON_V2 = holder(grant("view", "v2"))
ON_ALL = holder(grant("edit"))
SPLIT = fish(V1, V2, replace(released(ALT), ordinal=1), released(LOOSE))

CASES: dict[str, Case] = {
    # Rule 2.
    "an unknown version is denied to admins too": Case(replace(ANA, admin=True), "v9", DENY, Rule.UNKNOWN_VERSION),
    "a disabled account gets nothing": Case(holder(grant("view"), ended_by="x"), None, DENY, Rule.ACCOUNT_DISABLED),
    "nor does a disabled admin": Case(replace(ANA, admin=True, ended_by="x"), None, DENY, Rule.ACCOUNT_DISABLED),
    # Rule 3.
    "an admin has every level without terms": Case(
        replace(ANA, admin=True), "v2", ALLOW, Rule.ADMIN, ALL, fish(terms=(OWN,)), permission="anything"
    ),
    # Rule 4.
    "no grant": Case(ANA, None, *NO),
    "a grant on the whole": Case(ON_ALL, None, ALLOW, Rule.GRANT, EDIT),
    "a grant on the whole covers a version": Case(ON_ALL, "loose", ALLOW, Rule.GRANT, EDIT),
    "and an ordinal of no version": Case(ON_ALL, "99", ALLOW, Rule.GRANT, EDIT),
    "a grant on a version covers it": Case(ON_V2, "v2", ALLOW, Rule.GRANT, VIEW),
    "and its branch before it": Case(ON_V2, "v1", ALLOW, Rule.GRANT, VIEW),
    "also by ordinal": Case(ON_V2, "0", ALLOW, Rule.GRANT, VIEW),
    "not after it": Case(ON_V2, "v3", *NO),
    "not another branch": Case(ON_V2, "alt1", *NO),
    "not a version outside the order": Case(ON_V2, "loose", *NO),
    "never the whole": Case(ON_V2, None, *NO),
    "a version outside the order covers itself": Case(holder(grant("view", "loose")), "loose", ALLOW, Rule.GRANT, VIEW),
    "and nothing else": Case(holder(grant("view", "loose")), "v1", *NO),
    "a grant on a version that is gone": Case(holder(grant("view", "v9")), "v1", *NO),
    "an expired grant": Case(holder(grant("view", expires=AT)), None, *NO),
    "a grant that ends later": Case(holder(grant("view", expires=AT + DAY)), None, ALLOW, Rule.GRANT, VIEW),
    "a lower level does not do": Case(holder(grant("view")), None, *NO, permission="edit"),
    "roles are those of the grants that give the permission": Case(
        holder(grant("view"), grant("annotation_editor")),
        None,
        ALLOW,
        Rule.GRANT,
        ("annotation_editor",),
        permission="annotation_editor",
    ),
    "roles are those of the covering grants": Case(
        holder(grant("edit", "v1"), grant("view", "v2"), grant("admin", "v3")), "v1", ALLOW, Rule.GRANT, ALL
    ),
    "a read-only account has no edit": Case(
        holder(grant("admin"), read_only=True), None, ALLOW, Rule.GRANT, KEPT_IF_READ_ONLY
    ),
    "nor gets it": Case(holder(grant("admin"), read_only=True), None, *NO, permission="edit"),
    "a grant for the service that asks": Case(
        holder(grant("view", service="clio")), None, ALLOW, Rule.GRANT, VIEW, service="clio"
    ),
    "a grant for another service": Case(holder(grant("view", service="dvid")), None, *NO, service="clio"),
    "a grant for a service while none asks": Case(holder(grant("view", service="clio")), None, *NO),
    "a grant for every service": Case(holder(grant("view")), None, ALLOW, Rule.GRANT, VIEW, service="clio"),
    # Rule 5.
    "a public dataset": Case(ANA, None, ALLOW, Rule.PUBLIC, VIEW, fish(public=True)),
    "a version of a public dataset": Case(ANA, "loose", ALLOW, Rule.PUBLIC, VIEW, fish(public=True)),
    "an unknown version of a public dataset": Case(ANA, "v9", DENY, Rule.UNKNOWN_VERSION, (), fish(public=True)),
    "view only": Case(ANA, None, *NO, (), fish(public=True), permission="edit"),
    "a grant before the public": Case(ON_ALL, None, ALLOW, Rule.GRANT, EDIT, fish(public=True)),
    "a public version": Case(ANA, "v2", ALLOW, Rule.PUBLIC, VIEW, fish(V1, released(V2), V3)),
    "and its branch before it, for all": Case(ANA, "1", ALLOW, Rule.PUBLIC, VIEW, fish(V1, released(V2), V3)),
    "not after it, for all": Case(ANA, "v3", *NO, (), fish(V1, released(V2), V3)),
    "not the whole, for all": Case(ANA, None, *NO, (), fish(V1, released(V2), V3)),
    "a public version outside the order": Case(ANA, "loose", ALLOW, Rule.PUBLIC, VIEW, fish(V1, released(LOOSE))),
    "a service account": Case(BOT, None, ALLOW, Rule.PUBLIC, VIEW, fish(public=True)),
    "a service account, for a version": Case(BOT, "v1", ALLOW, Rule.PUBLIC, VIEW, fish(V1, released(V2))),
    # Rule 6.
    "a grant on another branch": Case(
        ON_V2, "alt1", SERVICE_EVAL, Rule.OTHER_BRANCH, VIEW, service="dvid", anchors=(Anchor("main", 2, VIEW),)
    ),
    "an ordinal on another branch": Case(
        ON_V2,
        "7",
        SERVICE_EVAL,
        Rule.OTHER_BRANCH,
        VIEW,
        service="dvid",
        branch="new",
        anchors=(Anchor("main", 2, VIEW),),
    ),
    "a grant on the same branch": Case(ON_V2, "v3", *NO, service="dvid"),
    "no version": Case(ON_V2, None, *NO, service="dvid"),
    "a service that does not compare branches": Case(ON_V2, "alt1", *NO, service="clio"),
    "a grant outside the order": Case(
        holder(grant("view", "loose")), "alt1", *NO, (), fish(ALT, LOOSE), service="dvid"
    ),
    "another permission": Case(ON_V2, "alt1", *NO, service="dvid", permission="edit"),
    "a public version of the same branch": Case(
        ANA,
        "v3",
        SERVICE_EVAL,
        Rule.OTHER_BRANCH,
        VIEW,
        fish(V1, released(V2), V3),
        service="dvid",
        anchors=(Anchor("main", 2, VIEW),),
    ),
    "a public version gives view only": Case(
        ANA, "v3", *NO, (), fish(V1, released(V2), V3), service="dvid", permission="edit"
    ),
    "a grant and a public version at one place": Case(
        holder(grant("edit", "alt1"), grant("manage", "alt1", "dvid"), grant("note", "alt1")),
        "v2",
        SERVICE_EVAL,
        Rule.OTHER_BRANCH,
        MANAGE,
        SPLIT,
        service="dvid",
        anchors=(Anchor("alt", 1, MANAGE),),
    ),
    "what is public to all stays so for the owner of a grant elsewhere": Case(
        holder(grant("edit", "alt1")), "v1", ALLOW, Rule.PUBLIC, VIEW, fish(V1, released(V2), ALT), service="dvid"
    ),
    # Rule 7.
    "terms of the dataset": Case(ON_ALL, None, TOS_REQUIRED, Rule.GRANT, EDIT, fish(terms=(OWN,)), missing=(OWN,)),
    "accepted": Case(replace(ON_ALL, accepted={1: AT - DAY}), None, ALLOW, Rule.GRANT, EDIT, fish(terms=(OWN,))),
    "not of a service account": Case(
        holder(grant("view"), who=BOT), "v2", ALLOW, Rule.GRANT, VIEW, fish(replace(V2, terms=(OF_V2,)), terms=(OWN,))
    ),
    "retired terms of the dataset": Case(
        ON_ALL, None, ALLOW, Rule.GRANT, EDIT, fish(terms=(document(1, -2, -1, own=True),))
    ),
    "future terms of the dataset": Case(ON_ALL, None, ALLOW, Rule.GRANT, EDIT, fish(terms=(document(1, 1, own=True),))),
    "terms of a service": Case(
        ON_ALL, "v1", TOS_REQUIRED, Rule.GRANT, EDIT, fish(terms=(AT_CLIO,)), "clio", missing=(AT_CLIO,)
    ),
    "terms of the version": Case(
        ON_ALL,
        "v2",
        TOS_REQUIRED,
        Rule.GRANT,
        EDIT,
        fish(V1, replace(V2, terms=(OF_V2,)), terms=(OWN,)),
        missing=(OWN, OF_V2),
    ),
    "terms of the version, asked by ordinal": Case(
        ON_V2, "2", TOS_REQUIRED, Rule.GRANT, VIEW, fish(V1, replace(V2, terms=(OF_V2,))), missing=(OF_V2,)
    ),
    "not those of the version of the grant": Case(
        ON_V2, "v1", ALLOW, Rule.GRANT, VIEW, fish(V1, replace(V2, terms=(OF_V2,)))
    ),
    "terms of a public dataset": Case(
        ANA, None, TOS_REQUIRED, Rule.PUBLIC, VIEW, fish(public=True, terms=(OWN,)), missing=(OWN,)
    ),
    "terms before a service compares": Case(
        ON_V2, "alt1", TOS_REQUIRED, Rule.OTHER_BRANCH, VIEW, fish(V2, ALT, terms=(OWN,)), "dvid", missing=(OWN,)
    ),
    # No token.
    "nobody": Case(None, None, *NO),
    "nobody, for a public dataset": Case(None, "v1", ALLOW, Rule.PUBLIC, VIEW, fish(public=True)),
    "nobody, for more than view": Case(None, None, *NO, (), fish(public=True), permission="edit"),
    "nobody accepts": Case(
        None, "v2", TOS_REQUIRED, Rule.PUBLIC, VIEW, fish(V1, released(V2, OF_V2)), missing=(OF_V2,)
    ),
    "nothing is left to a service for nobody": Case(None, "v3", *NO, (), fish(V1, released(V2), V3), service="dvid"),
}


def catalogue_of(case: Case) -> Catalogue:
    return Catalogue(case.service, case.service == "dvid", {}, {"fish": case.dataset})


@pytest.mark.parametrize("name", CASES)
def test_the_rules_decide_as_the_table_says(name: str) -> None:
    case = CASES[name]
    decision = decide(
        case.principal, catalogue_of(case), Reference("fish", case.version, case.branch), case.permission, AT
    )
    assert (decision.verdict, decision.rule, decision.roles) == (case.verdict, case.rule, case.roles)
    assert (decision.anchors, decision.missing) == (case.anchors, case.missing)
    assert decision.dataset == "fish"
    assert decision.allowed is (case.verdict is ALLOW)


def test_the_table_has_each_rule_and_each_verdict() -> None:
    elsewhere = {Rule.MALFORMED, Rule.UNKNOWN_DATASET}
    assert {case.rule for case in CASES.values()} == set(Rule) - elsewhere
    assert {case.verdict for case in CASES.values()} == set(Verdict)


@pytest.mark.parametrize("name", CASES)
def test_a_decision_changes_only_at_the_next_change(name: str) -> None:
    case = CASES[name]
    catalogue, reference = catalogue_of(case), Reference("fish", case.version, case.branch)

    def answer(at: Any) -> ReferenceDecision:
        return decide(case.principal, catalogue, reference, case.permission, at)

    moment = AT - 4 * DAY
    while moment < AT + 4 * DAY:
        change = reference_access.next_change(case.principal, catalogue, moment) or AT + 4 * DAY
        assert answer(moment) == answer(change - timedelta(microseconds=1))
        moment = change


# The answers of the original, and where ours differ.


@dataclass(frozen=True)
class Question:
    """One entry of a recorded request, and of its answer."""

    recording: Recording
    place: int
    service: object
    entry: dict[str, Any]
    answer: dict[str, Any]


def questions() -> Iterator[Question]:
    for recording in recordings():
        if recording.path == AUTHORIZE and recording.status == 200:
            body = json.loads(recording.body or "")
            for place, (entry, answer) in enumerate(zip(body["entries"], recording.json["entries"], strict=True)):
                if is_well_formed(entry):
                    yield Question(recording, place, body.get("service"), entry, answer)


def is_well_formed(entry: object) -> bool:
    """Whether it is a reference at all; the server refuses the others itself."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("name"), str)
        and all(isinstance(entry.get(name), str | None) for name in ("version", "branch"))
        and isinstance(entry.get("permission", "view"), str)
        and entry.get("permission") != ""
    )


def decide_entry(principal: PrincipalSnapshot | None, service: object, entry: dict[str, Any]) -> ReferenceDecision:
    reference = Reference(entry["name"], entry.get("version"), entry.get("branch"))
    return decide(principal, build_catalogue(service), reference, entry.get("permission", "view"), AT)


def summarize(decision: ReferenceDecision) -> dict[str, Any]:
    """The parts of an answer that the rules decide."""
    anchors = [
        {"branch": anchor.branch, "version": anchor.ordinal, "roles": list(anchor.roles)} for anchor in decision.anchors
    ]
    parts = {"decision": str(decision.verdict), "roles": list(decision.roles)}
    return {**parts, "anchors": anchors} if anchors else parts


def escapes_terms(entry: dict[str, Any], decision: ReferenceDecision) -> bool:
    """Whether the original overlooks the terms of the version that has an ordinal."""
    place = decision.place
    named = place is not None and place.version is not None and entry.get("version") == place.version.name
    return not named and bool(decision.missing) and all(terms.version for terms in decision.missing)


def test_the_recorded_answers_are_ours_except_where_the_contract_says_otherwise() -> None:
    exceptions: dict[str, int] = {}
    for question in questions():
        decision = decide_entry(build_principal(question.recording.token or ""), question.service, question.entry)
        recorded = {key: question.answer[key] for key in ("decision", "roles", "anchors") if key in question.answer}
        summary = leave_out_unrecorded_roles(summarize(decision))
        if summary == recorded:
            continue
        if question.place in question.recording.superseded:
            exception = "service accounts view what is public"
            assert (decision.verdict, decision.rule, decision.roles) == (ALLOW, Rule.PUBLIC, VIEW), question
        else:
            exception = "an ordinal is the version that has it, with its terms"
            assert escapes_terms(question.entry, decision), question
            assert (decision.verdict, summary["roles"]) == (TOS_REQUIRED, recorded["roles"]), question
        exceptions[exception] = exceptions.get(exception, 0) + 1
    assert exceptions == {
        "service accounts view what is public": 19,
        "an ordinal is the version that has it, with its terms": 44,
    }


ANONYMOUS = [case for case in cases() if case["request"]["path"] == AUTHORIZE and case["id"] in range(1, 8)]


@pytest.mark.parametrize("case", ANONYMOUS, ids=lambda case: str(case["id"]))
def test_nobody_gets_what_the_original_gives_them(case: dict[str, Any]) -> None:
    body = case["request"]["body"]
    for entry, answer in zip(body["entries"], case["expect"]["json"]["entries"], strict=True):
        decision = decide_entry(None, body.get("service"), entry)
        if escapes_terms(entry, decision):
            assert (decision.verdict, list(decision.roles)) == (TOS_REQUIRED, answer["roles"])
        else:
            assert summarize(decision) == {"decision": answer["decision"], "roles": answer["roles"]}


# What the original's own tests promise, with the data that they name.
CANONICAL = replace(fish(V1, V2, ALT), name="canonical")
PROMISED: dict[int, tuple[PrincipalSnapshot, VersionedDataset]] = {
    26: (holder(grant("view", "v1", of="canonical")), CANONICAL),
    **dict.fromkeys(
        (27, 28, 29),
        (holder(grant("view", of="canonical"), grant("annotation_editor", None, "linear", of="canonical")), CANONICAL),
    ),
    **dict.fromkeys((30, 31), (holder(grant("admin", of="canonical"), read_only=True), CANONICAL)),
    **dict.fromkeys((32, 35, 36), (holder(grant("view", "v2", of="canonical")), CANONICAL)),
    37: (ANA, CANONICAL),
    38: (replace(ANA, admin=True), CANONICAL),
    39: (ANA, replace(CANONICAL, name="public-ds", public=True, terms=(OWN,))),
    40: (
        holder(grant("view", "v1", of="canonical")),
        replace(CANONICAL, versions={"v1": replace(V1, terms=(document(3, version="v1"),))}),
    ),
    41: (holder(grant("view", of="canonical"), who=BOT), replace(CANONICAL, terms=(OWN,))),
}


@pytest.mark.parametrize("case", [case for case in cases() if case["id"] in PROMISED], ids=lambda case: str(case["id"]))
def test_what_the_tests_of_the_original_promise_holds(case: dict[str, Any]) -> None:
    principal, dataset = PROMISED[case["id"]]
    body, expect = case["request"]["body"], case["expect"]
    translations = {
        ("client-ds", None): Translation("canonical"),
        ("client-ds", "client-v1"): Translation("canonical", "v1"),
    }
    service = body["service"]
    catalogue = Catalogue(
        service, service == "dag", translations if service == "linear" else {}, {dataset.name: dataset}
    )
    answers = expect.get("json", expect.get("json_part"))["entries"]
    for entry, answer in zip(body["entries"], answers, strict=True):
        reference = Reference(entry["name"], entry.get("version"))
        decision = decide(principal, catalogue, reference, entry.get("permission", "view"), AT)
        parts = {key: answer[key] for key in ("decision", "roles", "anchors") if key in answer}
        summary = leave_out_unrecorded_roles(summarize(decision))
        assert {key: summary[key] for key in parts} == parts
        assert bool(decision.missing) == (answer["decision"] == "tos_required")
