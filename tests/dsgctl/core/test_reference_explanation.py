"""Explanations of decisions about references: the rule, what led to it, and what to do next."""

import pytest

from dsgctl.core import reference_explanation
from dsgctl.core.access_explanation import Reader
from dsgctl.core.delegation import Delegate
from dsgctl.core.reference_explanation import ReferenceExplanation
from dsgctl.core.rules.reference_access import Rule
from dsgctl.core.rules.references import Reference
from dsgctl.store import Database
from tests.dsgctl.core.builders import AT, Run
from tests.native_answers import fill

ADA, SVC, CY = "ada@example.org", "svc@example.org", "cy@example.org"

# Who, the reference, the service; and the decision, its rule, and the next command.
EXPLAINED: dict[str, tuple[str, Reference, str | None, str, Rule, str]] = {
    "no such name": (ADA, Reference("manc"), None, "deny", Rule.UNKNOWN_DATASET, "dsgctl dataset list"),
    "no such version": (
        ADA,
        Reference("pisces", "v9"),
        "neuprint",
        "deny",
        Rule.UNKNOWN_VERSION,
        "dsgctl dataset version list fish",
    ),
    "disabled": (
        "off@example.org",
        Reference("fish"),
        None,
        "deny",
        Rule.ACCOUNT_DISABLED,
        "dsgctl user enable off@example.org",
    ),
    "admin": ("root@example.org", Reference("fish"), None, "allow", Rule.ADMIN, "dsgctl grant list --dataset fish"),
    "nothing": (
        ADA,
        Reference("secret"),
        None,
        "deny",
        Rule.NOTHING,
        f"dsgctl grant add secret view --user {ADA}",
    ),
    "nothing for a service account": (
        "idle-bot",
        Reference("secret"),
        None,
        "deny",
        Rule.NOTHING,
        "dsgctl grant add secret view --service-account idle-bot",
    ),
    "a grant": (ADA, Reference("fish", "2"), None, "allow", Rule.GRANT, "dsgctl grant list --dataset fish"),
    "public": (ADA, Reference("worm"), None, "allow", Rule.PUBLIC, "dsgctl grant list --dataset worm"),
    "another branch": (
        SVC,
        Reference("fish", "alt1"),
        "dvid",
        "service_eval",
        Rule.OTHER_BRANCH,
        "dsgctl grant list --dataset fish",
    ),
    "terms": (ADA, Reference("fish", "v3"), None, "tos_required", Rule.GRANT, f"dsgctl terms accept 4 {ADA}"),
}


@pytest.fixture(autouse=True)
def facts(database: Database) -> None:
    fill(database)


def explain(
    run: Run, who: str, reference: Reference, service: str | None, reader: Reader | None = None
) -> ReferenceExplanation:
    return reference_explanation.explain(
        run.database, who, reference, "view", AT, service=service, accept_url=str, reader=reader or Reader()
    )


@pytest.mark.parametrize("name", EXPLAINED)
def test_the_rule_and_what_to_do_next_are_those_of_the_table(run: Run, name: str) -> None:
    who, reference, service, decision, rule, next_command = EXPLAINED[name]
    explanation = explain(run, who, reference, service)
    assert set(explanation) == set(ReferenceExplanation.__annotations__)
    assert (explanation["decision"], explanation["rule"]) == (decision, str(rule))
    assert explanation["next"] == next_command
    assert explanation["allowed"] is (decision == "allow")


def test_the_table_has_each_rule_for_a_reference() -> None:
    assert {row[4] for row in EXPLAINED.values()} == set(Rule) - {Rule.MALFORMED}


def test_an_explanation_says_what_a_name_of_a_service_stands_for(run: Run) -> None:
    explanation = explain(run, ADA, Reference("abcd", "uuid-alt"), "dvid")
    meaning = (explanation["dataset"], explanation["stored_version"], explanation["branch"], explanation["ordinal"])
    assert meaning == ("fish", "alt1", "alt", 1)
    assert (explanation["name"], explanation["version"]) == ("abcd", "uuid-alt")
    assert [grant["permission"] for grant in explanation["grants"]] == ["view", "edit"]


def test_an_explanation_has_the_anchors_of_other_branches(run: Run) -> None:
    explanation = explain(run, SVC, Reference("fish", "alt1"), "dvid")
    assert explanation["anchors"] == [{"branch": "main", "ordinal": 1, "roles": ["view", "edit"]}]


def test_a_delegate_sees_no_dataset_under_the_name_of_another(run: Run) -> None:
    delegate = Delegate(run.database, run.snapshot(ADA, also="fly"), AT)
    reader = Reader(is_operator=False, delegate=delegate)
    assert explain(run, CY, Reference("fly"), "dvid", reader)["rule"] == "grant"
    hidden = explain(run, CY, Reference("fly"), "neuprint", reader)  # there it stands for fish
    assert (hidden["decision"], hidden["rule"], hidden["dataset"]) == ("deny", "unknown_dataset", "")
    assert (hidden["grants"], hidden["roles"], hidden["missing_terms"]) == ([], [], [])
    assert hidden["next"] == "ask an operator"
