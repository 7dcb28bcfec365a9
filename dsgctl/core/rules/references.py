"""What a service means by the name of a dataset and of a version (contract-services.md, "References")."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dsgctl.core.rules.terms import Terms

MAIN_BRANCH = "main"
_MAX_ORDINAL_DIGITS = 40  # far beyond what a database holds; Python converts no number of thousands of digits


@dataclass(frozen=True, slots=True)
class Reference:
    """A dataset or a version of it, as a service names it.

    Attributes:
        version: the name of a version, or an ordinal; None for the whole dataset.
        branch: of an ordinal; None or empty for the main branch.
    """

    name: str
    version: str | None = None
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a dataset, as far as the rules need it.

    Attributes:
        ordinal: its place on the branch; None for a version outside the order.
        terms: those of this version, for no service or for the one that asks.
    """

    name: str
    branch: str = MAIN_BRANCH
    ordinal: int | None = None
    public: bool = False
    terms: tuple[Terms, ...] = ()


@dataclass(frozen=True, slots=True)
class VersionedDataset:
    """A dataset with its versions.

    Attributes:
        terms: its own terms, if it has any, and then those of the service that asks.
        versions: by name.
        by_place: those with an ordinal, by branch and ordinal.
        public_versions: those that are public.
        public_up_to: the last ordinal of a public version on each branch.
    """

    name: str
    public: bool = False
    terms: tuple[Terms, ...] = ()
    versions: Mapping[str, Version] = field(default_factory=dict)
    by_place: Mapping[tuple[str, int], Version] = field(init=False, compare=False, repr=False)
    public_versions: tuple[Version, ...] = field(init=False, compare=False, repr=False)
    public_up_to: Mapping[str, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Here and not for each reference: a thousand references can name one dataset of thousands of versions.
        public_versions = tuple(version for version in self.versions.values() if version.public)
        by_place, public_up_to = {}, dict[str, int]()
        for version in self.versions.values():
            if version.ordinal is not None:
                by_place[version.branch, version.ordinal] = version
                if version.public:
                    public_up_to[version.branch] = max(version.ordinal, public_up_to.get(version.branch, 0))
        for name, value in (
            ("by_place", by_place),
            ("public_versions", public_versions),
            ("public_up_to", public_up_to),
        ):
            object.__setattr__(self, name, value)

    @property
    def is_public_in_part(self) -> bool:
        """Whether it is public, or one of its versions."""
        return self.public or bool(self.public_versions)


@dataclass(frozen=True, slots=True)
class Translation:
    """What a service's own name stands for.

    Attributes:
        dataset: a name here; ``version``: one of its versions, None for the whole dataset.
    """

    dataset: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What is known of the datasets that some references name, for the service that asks.

    Attributes:
        service: its name; None if none asks, or an unknown one.
        is_dag: whether the service compares versions of several branches itself.
        translations: by the service's name and version; None in place of a version for the name alone.
        datasets: by name.
    """

    service: str | None = None
    is_dag: bool = False
    translations: Mapping[tuple[str, str | None], Translation] = field(default_factory=dict)
    datasets: Mapping[str, VersionedDataset] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the history of a dataset a reference points.

    Attributes:
        ordinal: None for a version outside the order.
        version: None if the ordinal is that of no version.
    """

    branch: str
    ordinal: int | None
    version: Version | None

    def is_covered_by(self, version: Version) -> bool:
        """Whether what holds for a version holds here: one with an ordinal stands for its branch up to itself."""
        if version.ordinal is None:
            return self.version is not None and self.version.name == version.name
        return self.ordinal is not None and version.branch == self.branch and self.ordinal <= version.ordinal

    def is_public(self, dataset: VersionedDataset) -> bool:
        """Whether a public version of its dataset covers it."""
        if self.version is not None and self.version.public:
            return True
        return self.ordinal is not None and self.ordinal <= dataset.public_up_to.get(self.branch, -1)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference stands for here.

    Attributes:
        place: None for the whole dataset.
    """

    dataset: VersionedDataset
    place: Place | None = None

    def list_terms(self) -> tuple[Terms, ...]:
        """The terms of the dataset, and those of exactly this version."""
        version = self.place.version if self.place is not None else None
        return self.dataset.terms + (version.terms if version is not None else ())


class UnknownDataset(LookupError):
    """There is no dataset of this name, for this service."""


class UnknownVersion(LookupError):
    """The dataset has no version of this name.

    Attributes:
        dataset: its name here.
    """

    def __init__(self, dataset: str) -> None:
        super().__init__(dataset)
        self.dataset = dataset


def resolve(catalogue: Catalogue, reference: Reference) -> Resolved:
    """What a reference stands for.

    A translation of name and version comes first, then one of the name, then the dataset of exactly that name. A
    translated name hides a dataset of the same name.

    Raises:
        UnknownDataset, UnknownVersion: nothing has this name.
    """
    translations = catalogue.translations
    name, version = reference.name, reference.version
    exact = translations.get((name, version)) if version is not None else None
    translation = exact or translations.get((name, None)) or Translation(name)
    dataset = catalogue.datasets.get(translation.dataset)
    if dataset is None:
        raise UnknownDataset(name)
    if exact is not None or version is None:
        return Resolved(dataset, None if translation.version is None else _find_place(dataset, translation.version))
    return Resolved(dataset, _find_place(dataset, version, reference.branch or MAIN_BRANCH))


def _find_place(dataset: VersionedDataset, version: str, branch: str | None = None) -> Place:
    """The place of a version.

    Args:
        branch: of an ordinal; None if ``version`` can only be a name.

    Raises:
        UnknownVersion: there is none.
    """
    named = dataset.versions.get(version)
    if named is not None:
        return Place(named.branch, named.ordinal, named)
    # Digits of every script, as the original reads them; a superscript is no such digit.
    if branch is None or len(version) > _MAX_ORDINAL_DIGITS or not version.isdecimal():
        raise UnknownVersion(dataset.name)
    ordinal = int(version)
    # The version that has this ordinal, with its terms: nobody escapes them by the number.
    return Place(branch, ordinal, dataset.by_place.get((branch, ordinal)))
