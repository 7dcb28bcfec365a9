"""The rule about terms, as two tables: when they are in force, and for whom they are missing."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pytest

from dsgctl.core.rules.terms import Terms, TermsStatus, list_changes, list_missing
from tests.dsgctl.core.builders import AT, DAY

FUTURE, IN_FORCE, RETIRED, REPLACED = TermsStatus


def terms(effective: int = -2, retired: int | None = None, **target: object) -> Terms:
    """Terms whose dates are given in days from the moment of the question."""
    end = None if retired is None else AT + retired * DAY
    return Terms(7, "terms", AT + effective * DAY, end, "fish2", **target)  # type: ignore[arg-type]


OWN = {"own": True}
OF_VERSION = {"version": "v1"}
OF_SERVICE = {"service": "clio"}

# Terms, and what they are now.
STATUSES: dict[str, tuple[Terms, TermsStatus]] = {
    "a dataset's own": (terms(**OWN), IN_FORCE),
    "a dataset's own, before their date": (terms(1, **OWN), IN_FORCE),
    "a dataset's own, after their date": (terms(-2, -1, **OWN), IN_FORCE),
    "no longer a dataset's own": (terms(), REPLACED),
    "no longer a dataset's own, with a date to come": (terms(1), REPLACED),
    "no longer a dataset's own, retired": (terms(-2, -1), RETIRED),
    **{
        f"of a {next(iter(target))}, {name}": (terms(effective, retired, **target), status)
        for target in (OF_VERSION, OF_SERVICE, OF_VERSION | OF_SERVICE)
        for name, effective, retired, status in (
            ("without an end", -2, None, IN_FORCE),
            ("until tomorrow", -2, 1, IN_FORCE),
            ("from this moment", 0, None, IN_FORCE),
            ("from tomorrow", 1, None, FUTURE),
            ("from tomorrow, for a day", 1, 2, FUTURE),
            ("until this moment", -2, 0, RETIRED),
            ("until yesterday", -2, -1, RETIRED),
            ("retired before they were in force", 1, 0, RETIRED),
        )
    },
}


@pytest.mark.parametrize("name", STATUSES)
def test_the_status_of_terms_is_that_of_the_table(name: str) -> None:
    document, status = STATUSES[name]
    assert document.status(AT) is status
    assert document.is_active(AT) is (status is IN_FORCE)
    assert document.is_over(AT) is (status in (RETIRED, REPLACED))


@pytest.mark.parametrize("name", STATUSES)
def test_the_status_changes_only_at_the_moments_that_are_listed(name: str) -> None:
    document, _ = STATUSES[name]
    moments = sorted({AT + hours * DAY / 2 for hours in range(-6, 7)} | set(filter(None, document.changes)))
    for before, after in itertools.pairwise(moments):
        if document.status(before) is not document.status(after):
            assert after in document.changes


def test_each_status_is_in_the_table() -> None:
    assert {status for _, status in STATUSES.values()} == set(TermsStatus)


@dataclass(frozen=True)
class Acceptor:
    service_account: bool = False
    accepted: Mapping[int, datetime] = field(default_factory=dict)


# Who may have accepted the terms, and whether they are missing while they are in force.
ACCEPTORS: dict[str, tuple[Acceptor, bool]] = {
    "accepted nothing": (Acceptor(), True),
    "accepted others": (Acceptor(accepted={8: AT - DAY}), True),
    "accepted them yesterday": (Acceptor(accepted={7: AT - DAY}), False),
    "accepted them ten years ago": (Acceptor(accepted={7: AT - 3653 * DAY}), False),
    "a service account": (Acceptor(service_account=True), False),
}


@pytest.mark.parametrize("name", STATUSES)
@pytest.mark.parametrize("who", ACCEPTORS)
def test_terms_in_force_are_missing_for_a_person_who_has_not_accepted_them(name: str, who: str) -> None:
    document, status = STATUSES[name]
    acceptor, may_miss = ACCEPTORS[who]
    expected = [document] if may_miss and status is IN_FORCE else []
    assert list_missing(acceptor, [document], AT) == expected


@pytest.mark.parametrize("name", STATUSES)
@pytest.mark.parametrize("who", ACCEPTORS)
def test_terms_become_missing_only_at_the_moments_that_are_listed(name: str, who: str) -> None:
    documents, acceptor = [STATUSES[name][0]], ACCEPTORS[who][0]
    changes = set(filter(None, list_changes(acceptor, documents)))
    moments = sorted({AT + days * DAY / 2 for days in (*range(-6, 7), 800, 7000)} | changes)
    for before, after in itertools.pairwise(moments):
        if list_missing(acceptor, documents, before) != list_missing(acceptor, documents, after):
            assert after in changes
