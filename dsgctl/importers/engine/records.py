"""The records that importers read and the engine writes: one frozen dataclass for each kind.

Records that another system keeps with dates and hashes are core's own: `ImportedGrant`, `ImportedAcceptance`,
`ImportedToken`, `audit.Record`, and `NewUser` for a user with an id.
"""

from dataclasses import dataclass, field
from datetime import datetime

from dsgctl.core import audit, new_users, validation
from dsgctl.core.acceptances import ImportedAcceptance
from dsgctl.core.grant_import import ImportedGrant
from dsgctl.core.grant_targets import Target
from dsgctl.core.new_users import Attributes, CheckedUser, ForeignAccount, NewUser
from dsgctl.core.services import Mode
from dsgctl.core.tokens import ImportedToken
from dsgctl.core.translations import ServiceName
from dsgctl.core.versions import Position
from dsgctl.store import models
from dsgctl.store.models import Principal


@dataclass(frozen=True, slots=True, eq=False)  # two rows are two persons, and the same row is found at once
class Person:
    """A user of a system that identifies people by their email alone. An existing account is only added to.

    Creating one raises `Invalid` if a value is malformed.

    Attributes:
        admin: False takes nothing from an admin.
        active: None if that system has no such thing; a new account is active then.
        key: the email as emails are compared.
        account: the same, as an account to add.
    """

    email: str
    name: str = ""
    affiliation: str = ""
    notes: str = ""
    admin: bool = False
    active: bool | None = None
    key: str = field(init=False)
    account: CheckedUser = field(init=False)

    def __post_init__(self) -> None:
        attributes = Attributes(name=self.name, notes=self.notes, admin=self.admin)
        affiliations = (self.affiliation,) if self.affiliation else ()
        foreign = ForeignAccount(active=self.active) if self.active is not None else ForeignAccount()
        account = new_users.check(NewUser(self.email, attributes, affiliations, foreign))
        object.__setattr__(self, "account", account)
        object.__setattr__(self, "key", validation.email_key(self.email))


@dataclass(frozen=True, slots=True)
class Group:
    name: str


@dataclass(frozen=True, slots=True)
class Membership:
    """A user in an existing group.

    Attributes:
        member: a person of the same row, or an existing user.
        leads: None if that system has no leads.
    """

    group: str
    member: Person | Principal
    leads: bool | None = None


@dataclass(frozen=True, slots=True)
class PersonGrant:
    """A permission of a person of the same row."""

    person: Person
    target: Target


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset.

    Attributes:
        id: kept for a new dataset; None if that system has no ids.
        compared: the fields that are compared with those of an existing dataset.
    """

    name: str
    id: int | None = None
    description: str = ""
    public: bool = False
    compared: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an existing dataset.

    Attributes:
        id: kept for a new version where it is free.
    """

    dataset: str
    name: str
    public: bool
    id: int
    position: Position


@dataclass(frozen=True, slots=True)
class Location:
    dataset: str
    url: str
    version: str | None


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    display_name: str
    url: str
    mode: Mode = "linear"


@dataclass(frozen=True, slots=True)
class Translation:
    """What a service calls an existing dataset, or a version of it."""

    name: ServiceName
    dataset: str
    version: str | None


@dataclass(frozen=True, slots=True)
class ServiceTable:
    service: str
    name: str
    dataset: str


@dataclass(frozen=True, slots=True)
class PublicRoot:
    """A public root of a service table.

    Attributes:
        root_id: checked by `service_tables.parse_root_id`.
    """

    service: str
    table: str
    root_id: int


@dataclass(frozen=True, slots=True)
class Terms:
    """A terms document.

    Attributes:
        dataset_id, version_id, service_id: the ids here of what new terms are for.
        compared: the fields that are compared with those of existing terms.
    """

    id: int
    name: str
    text: str
    effective: datetime
    retired: datetime | None
    invite_token: str
    dataset_id: int | None = None
    version_id: int | None = None
    service_id: int | None = None
    compared: tuple[str, ...] = ("name", "text", "effective")


@dataclass(frozen=True, slots=True)
class OwnTerms:
    """The terms that a dataset has as its own.

    Attributes:
        terms_id: None for none.
        is_new: whether they are set here; otherwise they are compared.
    """

    dataset: str
    terms_id: int | None
    is_new: bool


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    slug: str
    description: str
    active: bool
    created: datetime
    created_by: str


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client; ``owner`` is the email of a user."""

    name: str
    origin: str
    owner: str
    active: bool
    created: datetime


@dataclass(frozen=True, slots=True)
class Consent:
    """A user who is not asked again about an existing client."""

    user: Principal
    client: models.Client
    created: datetime


Record = (
    Person
    | Group
    | Membership
    | PersonGrant
    | Dataset
    | Version
    | Location
    | Service
    | Translation
    | ServiceTable
    | PublicRoot
    | Terms
    | OwnTerms
    | ServiceAccount
    | Client
    | Consent
    | ImportedGrant
    | ImportedAcceptance
    | ImportedToken
    | audit.Record
)
