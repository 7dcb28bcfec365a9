"""The releases of the original: the tables that its migrations create, and which columns are read here.

Which tables and columns must exist follows from the migrations that a database lists as applied. An unknown table or
column is refused: to ignore, say, a column with the end of a grant would give more than that server does.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

# Migrations of its app ``core`` and their numbers. Any other migration is of a later release.
_MIGRATIONS: Final = {
    name: int(name[:4])
    for name in (
        "0001_initial",
        "0002_set_site_domain",
        "0003_alter_grant_source",
        "0004_datasetbucket_m2m_remove_gcs_bucket",
        "0005_service_model_and_tos_service_fk",
        "0006_user_notes_and_affiliation",
        "0007_user_picture_url",
        "0008_apikey_expires_at",
        "0009_serviceaccount_serviceaccounttoken_and_more",
        "0010_datasetalias_and_more",
        "0011_bucketiambinding",
        "0012_remove_user_parent",
        "0013_user_user_email_not_service_account_domain",
        "0014_rename_datasetalias_datasettranslation_and_more",
        "0015_create_dsg_cache_table",
        "0016_registered_clients",
        "0017_drop_bucketiambinding",
    )
}
# Before its first release, these three led to the tables of 0003.
_EARLIEST: Final = ("0003_grant_group_fk", "0004_convert_dataset_admin_to_grants", "0005_remove_dataset_admin")

# The value of a column that does not exist; None if it is not listed.
_ABSENT: Final = {"notes": "", "picture_url": "", "gcs_bucket": "", "branch": "main", "version_eval_mode": "linear"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column that is read.

    Attributes:
        since: the number of the migration that creates it.
        gone: whether a later one drops it, so that it need not exist.
    """

    since: int = 1
    gone: bool = False

    def is_due(self, applied: Iterable[int]) -> bool:
        """Whether it must exist after these migrations."""
        return self.since in applied and not self.gone


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is read.

    Attributes:
        columns: the columns that are read.
        ignored: columns without meaning here.
        itself: since when the table exists.
    """

    columns: Mapping[str, Column]
    ignored: frozenset[str]
    itself: Column

    @property
    def column_names(self) -> set[str]:
        return {*self.columns, *self.ignored}


def _table(columns: str, ignored: str = "", *, since: int = 1, gone: bool = False) -> Table:
    """Build a table from names of columns: ``notes@6`` exists since migration 6, ``parent_id@1-`` was dropped later."""
    read = {}
    for word in columns.split():
        name, _, when = word.partition("@")
        read[name] = Column(int(when.rstrip("-") or since), when.endswith("-"))
    return Table(read, frozenset(ignored.split()), Column(since, gone))


_TRANSLATION = "id client_name client_version dataset_id dataset_version_id service_id"

TABLES: Final[Mapping[str, Table]] = {
    "dsg_user": _table(
        "id google_sub email name display_name admin is_active pi read_only created notes@6 picture_url@7 parent_id@1-",
        "password last_login gdpr_consent scim_id external_id updated",
    ),
    "affiliation": _table("id name user_id", since=6),
    "dsg_group": _table("id name", "scim_id external_id"),
    "user_group": _table("id is_admin group_id user_id"),
    "permission": _table("id name"),
    "dataset": _table("id name description access_mode tos_id", "scim_id external_id"),
    "dataset_version": _table("id version gcs_bucket@1- prefix is_public dataset_id branch@10 ordinal@10"),
    "dataset_bucket": _table("id name dataset_id", since=4),
    "dataset_version_buckets": _table("id datasetversion_id datasetbucket_id", since=4),
    "grant": _table(
        "id source created dataset_id dataset_version_id granted_by_id user_id group_id@3 permission_id service_id@10"
    ),
    "grant_buckets": _table("id grant_id datasetbucket_id", since=10),
    "group_dataset_permission": _table("id dataset_id group_id permission_id service_id@10"),
    "dataset_admin": _table("id user_id dataset_id", gone=True),
    "service": _table("id name display_name base_url version_eval_mode@10", since=5),
    "service_table": _table("id service_name table_name dataset_id"),
    "public_root": _table("id root_id service_table_id"),
    "tos_document": _table(
        "id name text invite_token effective_date retired_date dataset_id dataset_version_id service_id@5"
    ),
    "tos_acceptance": _table("id accepted_at ip_address user_id tos_document_id"),
    "api_key": _table("id key description created last_used user_id expires_at@8 delegated_client_id@16"),
    "service_account": _table("id name description is_active created created_by_id", "updated", since=9),
    "service_account_token": _table("id key description created last_used service_account_id", since=9),
    "service_account_grant": _table(
        "id created dataset_id dataset_version_id granted_by_id permission_id service_account_id service_id@10", since=9
    ),
    "dataset_alias": _table(_TRANSLATION, since=10, gone=True),
    "dataset_translation": _table(_TRANSLATION, since=14),
    "core_registeredclient": _table("id origin name owner enabled allowed_services created", since=16),
    "core_clientconsent": _table("id created user_id client_id", since=16),
    "audit_log": _table("id action target_type target_id before_state after_state timestamp actor_id"),
}

# Data that has no place here and restricts nothing: table, column, and the condition for a row that has it.
NO_PLACE: Final = (
    ("dsg_user", "gdpr_consent", "gdpr_consent = 1"),
    *(
        (table, column, f"{column} IS NOT NULL")
        for table in ("dsg_user", "dsg_group", "dataset")
        for column in ("scim_id", "external_id")
    ),
    ("bucket_iam_binding", "bucket_name", "1"),  # what that server wrote into Google's policies
)
OTHER_TABLES: Final = {"bucket_iam_binding", "dsg_cache_table"}
# Rows of these tables give access. An unknown table that refers to one of them may restrict it.
GIVING: Final = {"grant", "group_dataset_permission", "service_account_grant", "permission", "user_group"}


def migration_number(migration: str) -> int | None:
    """The number of a migration of ``core``; 0 for one of `_EARLIEST`; None for an unknown one."""
    return 0 if migration in _EARLIEST else _MIGRATIONS.get(migration)


def default_value(column: str) -> Any:
    """The value of a column that does not exist."""
    return _ABSENT.get(column)
