"""One table of questions about access, with the answers of contract.md, "GET /api/v1/user/cache".

Each case tells the facts, who asks for what, and whether it is allowed and why. `build`
makes the facts through the functions of `core`, so that the same table can be put to the
rules, to the command line and to the server. Each case wants a database of its own.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from dsgctl.core import (
    acceptances,
    datasets,
    grants,
    groups,
    service_accounts,
    services,
    terms,
    tokens,
    users,
    versions,
)
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target, group_subject, principal_subject
from dsgctl.core.rules.access import Reason
from dsgctl.store.models import Principal
from tests.level_table import FOREIGN, NAMES, included_levels

USER = "ana@example.org"
PARENT = "parent@example.org"
SERVICE_ACCOUNT = "bot"
GROUP = "lab"
DATASET = "fish2"
VERSION = "v1"
SERVICE = "clio"

DAY = timedelta(days=1)

Kind = Literal["user", "service account"]


@dataclass(frozen=True)
class Given:
    """A grant on `DATASET`.

    Attributes:
        to_group: given to `GROUP`, which a user is a member of, instead of directly.
        ends: how long after (or, negative, before) the moment of `build` it ends.
    """

    permission: str
    to_group: bool = False
    version: str | None = None
    scope: str | None = None
    ends: timedelta | None = None
    service: str | None = None


@dataclass(frozen=True)
class Case:
    """Facts, a question, and its answer.

    Attributes:
        kind: of the principal; a service account has neither group nor terms nor parent.
        grants: those that are there when the question is asked.
        own_terms: of the dataset; ``accepted``: by the principal, which is a user.
        service_terms: of `SERVICE` for the dataset: active unless ``future`` or ``retired``.
        parent: the user is a child, whose parent has or has not accepted all terms.
        service: that asks, as in ``?service=``; None for none.
    """

    id: str
    permission: str
    reason: Reason
    grants: tuple[Given, ...] = ()
    kind: Kind = "user"
    dataset: str = DATASET
    disabled: bool = False
    read_only: bool = False
    admin: bool = False
    public: bool = False
    own_terms: Literal["none", "accepted", "missing"] = "none"
    service_terms: Literal["none", "accepted", "missing", "future", "retired"] = "none"
    parent: Literal["none", "accepted", "missing"] = "none"
    service: str | None = None

    @property
    def allowed(self) -> bool:
        return self.reason is Reason.GRANTED

    @property
    def who(self) -> str:
        """As the command line names the principal."""
        return USER if self.kind == "user" else SERVICE_ACCOUNT


def _grants(*permissions: str) -> tuple[Given, ...]:
    return tuple(map(Given, permissions))


# What holds for people and for service accounts alike; `CASES` has each row for both.
_FOR_BOTH = [
    *(
        Case(f"ok/{permission} grant: {level}", level, Reason.GRANTED, _grants(permission))
        if level in included_levels(permission)
        else Case(f"fail/{permission} grant: {level}", level, Reason.LEVEL_TOO_LOW, _grants(permission))
        for permission in NAMES
        for level in NAMES
    ),
    Case("ok/the highest of two grants counts", "edit", Reason.GRANTED, _grants("view", "edit")),
    Case("ok/grant of one version", "view", Reason.GRANTED, (Given("view", version=VERSION),)),
    Case("fail/grant for one service, no service asks", "view", Reason.NO_GRANT, (Given("admin", service=SERVICE),)),
    Case(
        "fail/grant for one service, which asks",
        "view",
        Reason.NO_GRANT,
        (Given("admin", service=SERVICE),),
        service=SERVICE,
    ),
    Case(
        "fail/grant for one service beside a lower one for every service",
        "edit",
        Reason.LEVEL_TOO_LOW,
        (Given("view"), Given("admin", service=SERVICE)),
        service=SERVICE,
    ),
    Case("ok/grant given within a group's work", "view", Reason.GRANTED, (Given("view", scope=GROUP),)),
    Case("ok/grant that ends tomorrow", "view", Reason.GRANTED, (Given("view", ends=DAY),)),
    Case(
        "ok/a lower grant that is left after one has ended",
        "view",
        Reason.GRANTED,
        (Given("edit", ends=-DAY), Given("view")),
    ),
    Case("ok/permission of another name", FOREIGN, Reason.GRANTED, _grants(FOREIGN)),
    Case("ok/terms of a service that does not ask", "view", Reason.GRANTED, _grants("view"), service_terms="missing"),
    Case(
        "ok/an unknown service adds nothing",
        "view",
        Reason.GRANTED,
        _grants("view"),
        service_terms="missing",
        service="nobody",
    ),
    Case("fail/permission of another name brings no view", "view", Reason.LEVEL_TOO_LOW, _grants(FOREIGN)),
    Case("fail/no grant", "view", Reason.NO_GRANT),
    Case("fail/public dataset without a grant", "view", Reason.NO_GRANT, public=True),
    Case("fail/grant that has ended", "view", Reason.GRANT_EXPIRED, (Given("view", ends=-DAY),)),
    Case("fail/grant that ends at this moment", "view", Reason.GRANT_EXPIRED, (Given("view", ends=0 * DAY),)),
    Case(
        "fail/the higher of two grants has ended",
        "edit",
        Reason.GRANT_EXPIRED,
        (Given("edit", ends=-DAY), Given("view")),
    ),
    Case("fail/permission that nobody knows", "fly", Reason.NO_SUCH_PERMISSION, _grants("admin")),
    Case("fail/permission in capitals", "View", Reason.NO_SUCH_PERMISSION, _grants("admin")),
    Case("fail/no such dataset", "view", Reason.NO_SUCH_DATASET, _grants("admin"), dataset="fish3"),
    Case("fail/dataset in capitals", "view", Reason.NO_SUCH_DATASET, _grants("admin"), dataset="FISH2"),
    Case("fail/disabled account", "view", Reason.ACCOUNT_DISABLED, _grants("admin"), disabled=True),
    Case("fail/disabled account without a grant", "view", Reason.ACCOUNT_DISABLED, disabled=True),
]

_FOR_SERVICE_ACCOUNTS = [
    Case("ok/terms do not hold back", "view", Reason.GRANTED, _grants("view"), own_terms="missing"),
    Case(
        "ok/terms of a service do not hold back",
        "view",
        Reason.GRANTED,
        _grants("view"),
        service_terms="missing",
        service=SERVICE,
    ),
    Case("fail/grants to groups do not reach it", "view", Reason.NO_GRANT, (Given("view", to_group=True),)),
]

_FOR_PEOPLE = [
    Case("ok/through a group", "edit", Reason.GRANTED, (Given("edit", to_group=True),)),
    Case("ok/through a group, one version", "view", Reason.GRANTED, (Given("view", to_group=True, version=VERSION),)),
    Case("ok/directly and through a group", "edit", Reason.GRANTED, (Given("view"), Given("edit", to_group=True))),
    Case("fail/grant of the group has ended", "view", Reason.GRANT_EXPIRED, (Given("view", to_group=True, ends=-DAY),)),
    Case("ok/read-only: view", "view", Reason.GRANTED, _grants("edit"), read_only=True),
    Case(
        "ok/read-only: manage, as only edit is taken out", "manage", Reason.GRANTED, _grants("manage"), read_only=True
    ),
    Case("fail/read-only: edit", "edit", Reason.READ_ONLY, _grants("edit"), read_only=True),
    Case("fail/read-only: edit, though admin here", "edit", Reason.READ_ONLY, _grants("admin"), read_only=True),
    Case("fail/global admin without a grant", "view", Reason.NO_GRANT, admin=True),
    Case(
        "fail/global admin without the terms",
        "view",
        Reason.TERMS_MISSING,
        _grants("view"),
        admin=True,
        own_terms="missing",
    ),
    Case("ok/own terms accepted", "view", Reason.GRANTED, _grants("view"), own_terms="accepted"),
    Case("fail/own terms missing", "view", Reason.TERMS_MISSING, _grants("view"), own_terms="missing"),
    Case(
        "fail/own terms missing, on a higher permission",
        "edit",
        Reason.TERMS_MISSING,
        _grants("edit"),
        own_terms="missing",
    ),
    Case("fail/own terms missing and no grant", "view", Reason.NO_GRANT, own_terms="missing"),
    Case("ok/accepting a public dataset's terms gives view", "view", Reason.GRANTED, public=True, own_terms="accepted"),
    Case(
        "fail/accepting a public dataset's terms gives view alone",
        "edit",
        Reason.LEVEL_TOO_LOW,
        public=True,
        own_terms="accepted",
    ),
    Case(
        "ok/terms of the asking service accepted",
        "view",
        Reason.GRANTED,
        _grants("view"),
        service_terms="accepted",
        service=SERVICE,
    ),
    Case(
        "ok/terms of the asking service not yet effective",
        "view",
        Reason.GRANTED,
        _grants("view"),
        service_terms="future",
        service=SERVICE,
    ),
    Case(
        "ok/terms of the asking service retired",
        "view",
        Reason.GRANTED,
        _grants("view"),
        service_terms="retired",
        service=SERVICE,
    ),
    Case(
        "fail/terms of the asking service missing",
        "view",
        Reason.TERMS_MISSING,
        _grants("view"),
        service_terms="missing",
        service=SERVICE,
    ),
    Case(
        "fail/own terms accepted, those of the asking service missing",
        "view",
        Reason.TERMS_MISSING,
        _grants("view"),
        own_terms="accepted",
        service_terms="missing",
        service=SERVICE,
    ),
    Case(
        "ok/child whose parent has accepted",
        "view",
        Reason.GRANTED,
        _grants("view"),
        own_terms="missing",
        parent="accepted",
    ),
    Case(
        "fail/child who has accepted, but not the parent",
        "view",
        Reason.TERMS_MISSING,
        _grants("view"),
        own_terms="accepted",
        parent="missing",
    ),
]


def _as(kind: Kind, cases: list[Case]) -> list[Case]:
    return [replace(case, id=case.id.replace("/", f"/{kind}: ", 1), kind=kind) for case in cases]


CASES = _as("user", _FOR_BOTH + _FOR_PEOPLE) + _as("service account", _FOR_BOTH + _FOR_SERVICE_ACCOUNTS)


@dataclass(frozen=True)
class Built:
    """What `build` made: who asks, in the words of the command line, and a token that is theirs."""

    who: str
    token: str


def build(change: Change, case: Case) -> Built:
    """Make the facts of a case in an empty database; what is said of time counts from ``change.at``."""
    datasets.add(change, DATASET, public=case.public)
    versions.add(change, DATASET, VERSION)
    groups.add(change, GROUP)
    services.add(change, SERVICE)
    asks = _principal(change, case)
    for grant in case.grants:
        target = Target(DATASET, grant.permission, grant.version, grant.scope, grant.service)
        subject = group_subject(change.database, GROUP) if grant.to_group else principal_subject(asks)
        grants.add(change, subject, target, expires=None if grant.ends is None else change.at + grant.ends)
    _terms(change, case)
    if case.parent != "none":
        _make_child(change, asks, accepted=case.parent == "accepted")
    _, token = tokens.mint(change, asks)
    if case.disabled and case.kind == "user":
        users.set_active(change, USER, False, last_admin=True)
    elif case.disabled:
        service_accounts.set_active(change, SERVICE_ACCOUNT, False)
    return Built(case.who, token)


def _principal(change: Change, case: Case) -> Principal:
    if case.kind == "service account":
        return service_accounts.add(change, SERVICE_ACCOUNT)[0]
    user, _ = users.add(change, USER, read_only=case.read_only, admin=case.admin)
    groups.add_member(change, GROUP, USER)
    return user


def _terms(change: Change, case: Case) -> None:
    documents = []
    if case.own_terms != "none":
        documents.append((case.own_terms, terms.add(change, "its own", "Be kind.", dataset=DATASET)[0]))
    if case.service_terms != "none":
        effective = change.at + (DAY if case.service_terms == "future" else -DAY)
        of_service, _ = terms.add(
            change, "the service's", "Cite us.", dataset=DATASET, service=SERVICE, effective=effective
        )
        documents.append((case.service_terms, of_service))
    for state, document in documents:
        if state == "accepted":
            acceptances.accept(change, document.id, USER)
        elif state == "retired":
            terms.retire(change, document.id)


def _make_child(change: Change, user: Principal, *, accepted: bool) -> None:
    parent, _ = users.add(change, PARENT)
    if accepted:
        for row in list(terms.list_terms(change.database)):
            acceptances.accept(change, row["id"], PARENT)
    # Only imports make children, so no function of core does.
    change.database.run(Principal.update(parent=parent.id).where(Principal.id == user.id))
