"""What a reference stands for, as a table."""

import pytest

from dsgctl.core.rules.references import (
    Catalogue,
    Place,
    Reference,
    Translation,
    UnknownDataset,
    UnknownVersion,
    Version,
    VersionedDataset,
    resolve,
)

V1, V2, LOOSE, TWENTY = Version("v1", "main", 1), Version("v2", "main", 2), Version("loose"), Version("20", "main", 4)
ALT = Version("alt1", "alt", 1)
FISH = VersionedDataset("fish", versions={version.name: version for version in (V1, V2, LOOSE, TWENTY, ALT)})
FLY = VersionedDataset("fly", versions={"v1": V1})
CATALOGUE = Catalogue(
    "neuprint",
    translations={
        ("pisces", None): Translation("fish"),
        ("pisces", "r1"): Translation("fly", "v1"),
        ("fly", None): Translation("fish"),
        ("fishes", "1.0"): Translation("fish", "v1"),
        ("newest", None): Translation("fish", "v2"),
        ("gone", None): Translation("nowhere"),
        ("whole", "1"): Translation("fish"),
        ("broken", "1"): Translation("fish", "v9"),
    },
    datasets={"fish": FISH, "fly": FLY},
)

# A reference, and the dataset and place that it stands for: a version, an ordinal on a branch, or None for the whole.
RESOLVED: dict[str, tuple[Reference, VersionedDataset, Version | tuple[str, int] | None]] = {
    "a dataset": (Reference("fish"), FISH, None),
    "a version": (Reference("fish", "v1"), FISH, V1),
    "a version without a place in the order": (Reference("fish", "loose"), FISH, LOOSE),
    "the branch does not count for a version": (Reference("fish", "v1", "alt"), FISH, V1),
    "nor for the whole": (Reference("fish", None, "alt"), FISH, None),
    "an ordinal is the version that has it": (Reference("fish", "2"), FISH, V2),
    "an ordinal on a branch": (Reference("fish", "1", "alt"), FISH, ALT),
    "an ordinal on an empty branch": (Reference("fish", "1", ""), FISH, V1),
    "an ordinal with zeros before it": (Reference("fish", "01"), FISH, V1),
    "an ordinal in digits of another script": (Reference("fish", "٢"), FISH, V2),
    "an ordinal of no version": (Reference("fish", "99"), FISH, ("main", 99)),
    "an ordinal of a branch without versions": (Reference("fish", "0", "new"), FISH, ("new", 0)),
    "an ordinal beyond what a database holds": (Reference("fish", "9" * 40), FISH, ("main", 10**40 - 1)),
    "a version named like an ordinal": (Reference("fish", "20"), FISH, TWENTY),
    "a translated name": (Reference("pisces"), FISH, None),
    "a version of a translated name": (Reference("pisces", "v2"), FISH, V2),
    "an ordinal of a translated name": (Reference("pisces", "2"), FISH, V2),
    "a translated version": (Reference("pisces", "r1"), FLY, V1),
    "a translated version of a name that is not translated": (Reference("fishes", "1.0"), FISH, V1),
    "a translated name hides a dataset": (Reference("fly"), FISH, None),
    "a name that stands for a version": (Reference("newest"), FISH, V2),
    "another version of such a name": (Reference("newest", "v1"), FISH, V1),
    "a translated version that stands for the whole": (Reference("whole", "1"), FISH, None),
}
UNKNOWN_DATASETS = {
    "no such name": Reference("nowhere"),
    "another case": Reference("Fish"),
    "white space": Reference("fish "),
    "an empty name": Reference(""),
    "a version in the name": Reference("fish:v1"),
    "a translation of the version alone": Reference("fishes"),
    "a translation to a dataset that is gone": Reference("gone"),
}
UNKNOWN_VERSIONS = {
    "no such version": Reference("fish", "v9"),
    "another case of a version": Reference("fish", "V1"),
    "an empty version": Reference("fish", ""),
    "a superscript": Reference("fish", "²"),
    "a sign": Reference("fish", "-1"),
    "white space before an ordinal": Reference("fish", " 1"),
    "a fraction": Reference("fish", "1.0"),
    "an ordinal of more digits than Python converts": Reference("fish", "1" * 5000),
    "a translated version of another name": Reference("fish", "r1"),
    "a dataset that is hidden by a translation": Reference("fly", "v1.1"),
    "a translation to a version that is gone": Reference("broken", "1"),
}


@pytest.mark.parametrize("name", RESOLVED)
def test_a_reference_stands_for_what_the_table_says(name: str) -> None:
    reference, dataset, expected = RESOLVED[name]
    if isinstance(expected, Version):
        place: Place | None = Place(expected.branch, expected.ordinal, expected)
    else:
        place = Place(*expected, None) if expected else None
    resolved = resolve(CATALOGUE, reference)
    assert (resolved.dataset, resolved.place) == (dataset, place)


@pytest.mark.parametrize("name", UNKNOWN_DATASETS)
def test_no_dataset_has_this_name(name: str) -> None:
    with pytest.raises(UnknownDataset):
        resolve(CATALOGUE, UNKNOWN_DATASETS[name])


@pytest.mark.parametrize("name", UNKNOWN_VERSIONS)
def test_no_version_has_this_name(name: str) -> None:
    with pytest.raises(UnknownVersion) as error:
        resolve(CATALOGUE, UNKNOWN_VERSIONS[name])
    assert error.value.dataset == "fish"


# A version that something holds for, a place, and whether it holds there.
COVERED = [
    (V2, Place("main", 1, V1), True),
    (V2, Place("main", 2, V2), True),
    (V2, Place("main", 0, None), True),
    (V1, Place("main", 2, V2), False),
    (V2, Place("alt", 1, ALT), False),
    (V2, Place("main", None, LOOSE), False),
    (LOOSE, Place("main", None, LOOSE), True),
    (LOOSE, Place("main", 1, V1), False),
    (LOOSE, Place("main", 1, None), False),
    (LOOSE, Place("main", None, Version("looser")), False),
]


@pytest.mark.parametrize(("version", "place", "covered"), COVERED)
def test_a_version_with_an_ordinal_covers_its_branch_up_to_itself(
    version: Version, place: Place, *, covered: bool
) -> None:
    assert place.is_covered_by(version) is covered
