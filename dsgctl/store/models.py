"""The tables as peewee models, to build queries from. The schema itself is in migrations/*.sql.

The models are bound to no database: a `Database` runs the queries. They are in one module because they refer to each
other.
"""

from datetime import datetime
from functools import lru_cache
from typing import Any

from dsgctl.store.queries import (
    AutoField,
    BlobField,
    BooleanField,
    CompositeKey,
    ForeignKeyField,
    IntegerField,
    Model,
    TextField,
)
from dsgctl.store.times import utc_datetime, utc_text

MAX_NUMBER = 2**63 - 1  # the largest that a column can hold


_utc_text = lru_cache(maxsize=256)(utc_text)  # one change writes the same moment into many rows


class TimeField(TextField):
    """An aware datetime, stored as `utc_text`."""

    def db_value(self, value: Any) -> Any:
        return _utc_text(value) if isinstance(value, datetime) else value

    def python_value(self, value: Any) -> Any:
        return utc_datetime(value) if value is not None else None


class FlagField(BooleanField):
    """A bool, stored as 0 or 1: apsw does not write Python's bool into a STRICT column."""

    def db_value(self, value: Any) -> Any:
        return None if value is None else int(bool(value))


def _reference(table: Any, column: str, *, null: bool = False, primary_key: bool = False) -> ForeignKeyField:
    # lazy_load=False: `grant.dataset` must never run a query.
    return ForeignKeyField(table, column_name=column, null=null, primary_key=primary_key, lazy_load=False)


class _Table(Model):
    class Meta:
        legacy_table_names = False


class Principal(_Table):
    id = AutoField()
    kind = TextField()
    email = TextField()  # of a user; NULL for a service account
    slug = TextField()  # of a service account; NULL for a user
    issuer = TextField(null=True)
    subject = TextField(null=True)
    name = TextField(default="")
    display_name = TextField(default="")
    description = TextField(default="")
    admin = FlagField(default=False)
    active = FlagField(default=True)
    read_only = FlagField(default=False)
    pi = TextField(default="")
    notes = TextField(default="")
    picture_url = TextField(default="")
    parent = _reference("self", "parent_id", null=True)
    parent_id: int | None
    created = TimeField()
    created_by = TextField()
    seen_email = TextField(null=True)  # the email that the provider reports, if it differs

    class Meta:
        table_name = "principals"

    @property
    def label(self) -> str:
        """The name in messages: a user's email, a service account's slug."""
        return self.email or self.slug


class Affiliation(_Table):
    principal = _reference(Principal, "principal_id")
    name = TextField()

    class Meta:
        table_name = "affiliations"
        primary_key = CompositeKey("principal", "name")


class Group(_Table):
    id = AutoField()
    name = TextField()
    created = TimeField()

    class Meta:
        table_name = "groups"


class Membership(_Table):
    principal = _reference(Principal, "principal_id")
    group = _reference(Group, "group_id")
    leads = FlagField(default=False)

    class Meta:
        table_name = "memberships"
        primary_key = CompositeKey("principal", "group")


class DelegatedMember(_Table):
    """A membership that a leader of the group added through --as; the columns are the key of the membership."""

    principal_id = IntegerField()
    group_id = IntegerField()
    since = TimeField()

    class Meta:
        table_name = "delegated_members"
        primary_key = CompositeKey("principal_id", "group_id")


class Dataset(_Table):
    id = AutoField()
    name = TextField()
    description = TextField(default="")
    access = TextField(default="closed")
    own_terms_id = IntegerField(null=True)  # a plain id: terms refer to datasets, and peewee allows no cycle
    created = TimeField()

    class Meta:
        table_name = "datasets"


class Version(_Table):
    id = AutoField()
    dataset = _reference(Dataset, "dataset_id")
    name = TextField()
    public = FlagField(default=False)
    branch = TextField(default="main")
    ordinal = IntegerField(null=True)  # the place on the branch; NULL for a version outside its order

    class Meta:
        table_name = "versions"


class Bucket(_Table):
    name = TextField(primary_key=True)
    credential = TextField(null=True)
    project = TextField(null=True)
    iam = FlagField(default=False)

    class Meta:
        table_name = "buckets"


class IamMember(_Table):
    bucket = TextField()
    member = TextField()
    state = TextField()
    since = TimeField()

    class Meta:
        table_name = "iam_members"
        primary_key = CompositeKey("bucket", "member")


class PolicyClaim(_Table):
    kind = TextField()
    key = TextField()
    file = TextField()
    since = TimeField()

    class Meta:
        table_name = "declared"
        primary_key = CompositeKey("kind", "key")


class Location(_Table):
    id = AutoField()
    dataset = _reference(Dataset, "dataset_id")
    version = _reference(Version, "version_id", null=True)
    bucket = TextField()
    prefix = TextField(default="")

    class Meta:
        table_name = "locations"


class Service(_Table):
    id = AutoField()
    name = TextField()
    display_name = TextField(default="")
    url = TextField(default="")
    mode = TextField(default="linear")

    class Meta:
        table_name = "services"


class Translation(_Table):
    """What a service calls a dataset or a version."""

    id = AutoField()
    service = _reference(Service, "service_id")
    client_name = TextField()
    client_version = TextField(null=True)
    dataset = _reference(Dataset, "dataset_id")
    dataset_id: int
    version = _reference(Version, "version_id", null=True)
    version_id: int | None

    class Meta:
        table_name = "translations"


class Grant(_Table):
    id = AutoField()
    principal = _reference(Principal, "principal_id", null=True)
    group = _reference(Group, "group_id", null=True)
    dataset = _reference(Dataset, "dataset_id")
    version = _reference(Version, "version_id", null=True)
    permission = TextField()
    scope_group = _reference(Group, "scope_group_id", null=True)
    source = TextField()
    granted_by = TextField()
    created = TimeField()
    expires = TimeField(null=True)
    delegate_id = IntegerField(null=True)  # who added it through --as; a plain id: principals are joined by subject
    service = _reference(Service, "service_id", null=True)  # NULL: for every service

    class Meta:
        table_name = "grants"


class Terms(_Table):
    id = AutoField()
    name = TextField()
    text = TextField()
    dataset = _reference(Dataset, "dataset_id", null=True)
    version = _reference(Version, "version_id", null=True)
    service = _reference(Service, "service_id", null=True)
    invite_token = TextField()
    effective = TimeField()
    retired = TimeField(null=True)

    class Meta:
        table_name = "terms"


class Acceptance(_Table):
    principal = _reference(Principal, "principal_id")
    terms = _reference(Terms, "terms_id")
    accepted = TimeField()
    address = TextField(null=True)
    recorded_by = TextField()

    class Meta:
        table_name = "acceptances"
        primary_key = CompositeKey("principal", "terms")


class Withdrawal(_Table):
    principal = _reference(Principal, "principal_id")
    dataset = _reference(Dataset, "dataset_id")
    withdrawn = TimeField()
    withdrawn_by = TextField()

    class Meta:
        table_name = "withdrawals"
        primary_key = CompositeKey("principal", "dataset")


class ServiceTable(_Table):
    id = AutoField()
    service = TextField()
    name = TextField()
    dataset = _reference(Dataset, "dataset_id")
    dataset_id: int

    class Meta:
        table_name = "service_tables"


class PublicRoot(_Table):
    service_table = _reference(ServiceTable, "service_table_id")
    root_id = IntegerField()

    class Meta:
        table_name = "public_roots"
        primary_key = CompositeKey("service_table", "root_id")


class Client(_Table):
    """A web application that may be handed delegated keys."""

    id = AutoField()
    name = TextField()
    owner = _reference(Principal, "owner_id")
    owner_id: int
    origin = TextField()
    active = FlagField(default=True)
    created = TimeField()

    class Meta:
        table_name = "clients"


class ClientAppUrl(_Table):
    client = _reference(Client, "client_id")
    url = TextField()

    class Meta:
        table_name = "client_app_urls"
        primary_key = CompositeKey("client", "url")


class ClientConsent(_Table):
    principal = _reference(Principal, "principal_id")
    client = _reference(Client, "client_id")
    created = TimeField()

    class Meta:
        table_name = "client_consents"
        primary_key = CompositeKey("principal", "client")


class Token(_Table):
    id = AutoField()
    principal = _reference(Principal, "principal_id")
    principal_id: int
    kind = TextField()
    hash = BlobField()
    prefix = TextField()
    description = TextField(default="")
    created = TimeField()
    expires = TimeField(null=True)
    revoked = TimeField(null=True)
    last_used = TimeField(null=True)
    postponed = TextField(default="")  # ids of terms, separated by spaces
    client = _reference(Client, "client_id", null=True)  # of a delegated key
    client_id: int | None

    class Meta:
        table_name = "tokens"


class AuditRecord(_Table):
    id = AutoField()
    at = TimeField()
    actor = TextField()
    action = TextField()
    target = TextField()
    before = TextField(null=True)
    after = TextField(null=True)
    imported_from = TextField(null=True)
    hash = BlobField()

    class Meta:
        table_name = "audit"


TABLES: list[type[Model]] = [
    Principal,
    Affiliation,
    Group,
    Membership,
    DelegatedMember,
    Dataset,
    Version,
    Bucket,
    IamMember,
    Location,
    Service,
    Translation,
    Grant,
    Terms,
    Acceptance,
    Withdrawal,
    ServiceTable,
    PublicRoot,
    Client,
    ClientAppUrl,
    ClientConsent,
    Token,
    PolicyClaim,
    AuditRecord,
]
