"""Which terms a person is asked to accept, and whether a grant reaches what they withhold."""

from dataclasses import replace

import pytest

from dsgctl.core.rules.pending_terms import list_pending_terms
from dsgctl.core.rules.principal_snapshot import Dataset, Grant, PrincipalSnapshot
from dsgctl.core.rules.terms import Terms
from tests.dsgctl.core.builders import AT, DAY

OWN = Terms(1, "own", AT, dataset="fish2", own=True)
SERVICE = Terms(2, "service", AT, dataset="fish2", service="clio")
PUBLIC = Terms(3, "public", AT, dataset="fly", own=True)
VERSION = Terms(4, "version", AT, dataset="fish2", version="v1")
PUBLIC_VERSION = Terms(5, "public version", AT, dataset="fly", version="v1")
FUTURE = Terms(6, "future", AT + DAY, dataset="fish2", version="v2")

ANA = PrincipalSnapshot(
    id=1,
    service_account=False,
    label="ana@x.org",
    grants=(Grant(1, "fish2", "view"),),
    datasets={
        "fish2": Dataset(1, "fish2", terms=(OWN, SERVICE)),
        "fly": Dataset(2, "fly", public=True, terms=(PUBLIC,)),
    },
)
OF_VERSIONS = (VERSION, FUTURE, PUBLIC_VERSION)

# A person, and the ids of the pending terms with whether a grant reaches what they withhold.
CASES: dict[str, tuple[PrincipalSnapshot, list[tuple[int, bool]]]] = {
    "a grant on the whole dataset": (ANA, [(1, True), (2, True), (3, False), (4, True), (5, False)]),
    "a grant on another version": (
        replace(ANA, grants=(Grant(1, "fish2", "edit", version="v2"),)),
        [(1, True), (2, True), (3, False), (5, False)],
    ),
    "no active grant": (replace(ANA, grants=(Grant(1, "fish2", "view", expires=AT),)), [(3, False), (5, False)]),
    "some are accepted": (replace(ANA, accepted=dict.fromkeys((1, 3, 4), AT)), [(2, True), (5, False)]),
    "a disabled account": (replace(ANA, ended_by="ana@x.org"), []),
    "a service account": (replace(ANA, service_account=True), []),
}


@pytest.mark.parametrize("name", CASES)
def test_pending_terms(name: str) -> None:
    snapshot, expected = CASES[name]
    pending_terms = list_pending_terms(snapshot, OF_VERSIONS, AT)
    assert [(pending.terms.id, pending.reached) for pending in pending_terms] == expected
