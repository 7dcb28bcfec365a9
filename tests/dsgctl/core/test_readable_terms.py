"""Who may read terms: whoever may know of a dataset that they concern, and whoever has accepted them."""

import pytest

from dsgctl.core import acceptances, datasets, grants, readable_terms, terms, users, versions
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.readable_terms import Readable
from dsgctl.store import models as m
from tests.dsgctl.core.builders import AT, Run

ANA, BEA = "ana@x.org", "bea@x.org"


@pytest.fixture
def terms_id(run: Run) -> int:
    """Of the closed dataset fish2, which a grant opens to ana."""
    for email in (ANA, BEA):
        run(users.add, email)
    run(datasets.add, "fish2")
    run(grants.add, principal_subject(users.find(run.database, ANA)), Target("fish2", "view"))
    number: int = run(terms.add, "Terms", "Be kind.", dataset="fish2")[0].id
    return number


def find(run: Run, email: str, terms_id: int = 0, invite: str | None = None) -> Readable | None:
    snapshot = run.snapshot(email)
    return readable_terms.find_readable(run.database, snapshot, AT, terms_id=terms_id, invite=invite)


def test_terms_of_a_closed_dataset_are_readable_with_a_grant_on_it(run: Run, terms_id: int) -> None:
    assert find(run, ANA, terms_id) == Readable(terms_id, ("fish2",))
    assert find(run, BEA, terms_id) is None


def test_an_invitation_opens_no_terms_of_a_closed_dataset(run: Run, terms_id: int) -> None:
    invite = terms.find(run.database, terms_id).invite_token
    assert find(run, ANA, invite=invite) == Readable(terms_id, ("fish2",))
    assert find(run, BEA, invite=invite) is None


def test_a_public_version_opens_the_terms_of_its_dataset_and_of_the_other_versions(run: Run, terms_id: int) -> None:
    """The native API decides about a version by the public ones of every branch, and then asks for its terms."""
    for name in ("v1", "v2", "v3"):
        run(versions.add, "fish2", name)
    of_version = run(terms.add, "v1 terms", "Be kind.", dataset="fish2", version="v1")[0].id
    for public in (set[str](), {"v2"}, {"v2", "v3"}):
        for name in public:
            run(versions.set_attributes, "fish2", name, public=True)
        for number in (terms_id, of_version):
            assert find(run, BEA, number) == (Readable(number, ("fish2",)) if public else None)
        assert readable_terms.list_datasets_of(run.database, terms_id) == ["fish2"]


def test_accepted_terms_stay_readable_and_name_no_dataset_that_is_closed(run: Run, terms_id: int) -> None:
    run(acceptances.accept, terms_id, BEA)
    assert find(run, BEA, terms_id) == Readable(terms_id, ())


def test_terms_of_no_dataset_are_readable_to_everybody(run: Run, terms_id: int) -> None:
    general = run(terms.add, "General", "Be kind.")[0].id
    assert find(run, BEA, general) == Readable(general, ())


@pytest.mark.parametrize("number", [0, 999, m.MAX_NUMBER, m.MAX_NUMBER + 1, 2**64])
@pytest.mark.usefixtures("terms_id")
def test_an_unknown_id_has_no_terms(run: Run, number: int) -> None:
    assert find(run, ANA, number) is None


def test_terms_concern_their_dataset_and_those_whose_own_they_are(run: Run, terms_id: int) -> None:
    run(datasets.add, "eel")
    run(terms.import_own_terms, datasets.find(run.database, "eel"), terms_id)
    assert readable_terms.list_datasets_of(run.database, terms_id) == ["eel", "fish2"]
    assert readable_terms.list_datasets_of(run.database, 999) == []
