"""One function a kind of fact, in the order in which facts refer to each other."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dsgctl.core import audit, datasets, grants, groups, service_accounts, services, terms, tokens, users
from dsgctl.core.change import Change
from dsgctl.core.errors import Conflict, DsgError
from dsgctl.core.grants import Source as GrantSource
from dsgctl.core.grants import Subject, Target
from dsgctl.core.users import NewUser
from dsgctl.importers import Progress, Report
from dsgctl.importers.datasetgateway.source import Row, Source
from dsgctl.store.models import Principal

GOOGLE = "https://accounts.google.com"  # the original signs in with Google alone
_LOGIN = "OAuth login token"  # how the original describes the tokens of its logins
_SOURCES: dict[str, GrantSource] = {"manual": "manual", "self_service": "self-service"}


@dataclass(slots=True)
class Taking:
    """One run: where it reads and writes, and what later steps need of the rows of earlier ones."""

    change: Change
    source: Source
    progress: Progress | None
    report: Report = field(default_factory=Report)
    users: dict[int, Principal] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    datasets: dict[int, str] = field(default_factory=dict)
    versions: dict[int, Row] = field(default_factory=dict)
    permissions: dict[int, str] = field(default_factory=dict)
    services: dict[int, int] = field(default_factory=dict)  # id there -> id here
    tables: dict[int, Row] = field(default_factory=dict)
    accounts: dict[int, Principal] = field(default_factory=dict)
    _done: int = 0
    _total: int = 0

    def each(self, table: str, take: Callable[[Row], None]) -> None:
        """Take over every row of a table; what is wrong with one is said with its table and id."""
        self._total = self._total or self.source.total()
        for row in self.source.rows(table):
            try:
                take(row)
            except DsgError as error:
                message = error.message if error.message.startswith(row.where) else f"{row.where}: {error.message}"
                raise type(error)(message, error.hint) from None
            self._done += 1
            if self.progress:
                self.progress(self._done, self._total)

    def count(self, kind: str, new: bool) -> None:
        self.report.count(kind, new=new)

    def actor(self, user_id: int | None) -> str | None:
        return f"user:{self.users[user_id].email}" if user_id is not None else None


def _users(taking: Taking) -> None:
    """With their ids, parents before children."""
    affiliations: dict[int, list[str]] = {}
    taking.each("affiliation", lambda row: affiliations.setdefault(row.number("user_id"), []).append(row.text("name")))
    waiting: dict[int, list[Row]] = {}  # id of a parent that is not taken over yet -> its children

    def take(row: Row) -> None:
        parent = row.values["parent_id"]
        if parent is not None and parent not in taking.users:
            waiting.setdefault(parent, []).append(row)
            return
        taking.users[row.id] = _user(taking, row, affiliations.get(row.id, []))
        for child in waiting.pop(row.id, []):
            take(child)

    taking.each("dsg_user", take)
    if waiting:
        row = next(iter(waiting.values()))[0]
        raise Conflict(f"{row.where}: its parents lead back to itself", "mend it there first")


def _user(taking: Taking, row: Row, affiliations: list[str]) -> Principal:
    database, email = taking.change.database, row.text("email")
    by_id, by_email = users.by_id(database, row.id), users.by_email(database, email)
    holder = by_id or by_email
    taking.count("users", holder is None)
    if holder is not None:
        if holder.id != row.id or (holder.email or "").lower() != email.lower():
            raise Conflict(
                f"{row.where}: {email} has id {row.id} there, but here {holder.label} has id {holder.id}",
                "import into an empty database, or remove the account here first",
            )
        return holder
    subject = row.values["google_sub"]
    kept = {
        "id": row.id,
        "active": row.flag("is_active"),
        "issuer": GOOGLE if subject else None,
        "subject": row.text("google_sub") if subject else None,
        "parent": row.values["parent_id"],
        "created": row.moment("created"),
    }
    texts = ("name", "display_name", "pi", "notes", "picture_url")
    attributes: dict[str, Any] = {key: row.text(key) for key in texts}
    attributes |= {"admin": row.flag("admin"), "read_only": row.flag("read_only")}
    if subject and (other := users.by_subject(database, GOOGLE, str(subject))):
        raise Conflict(f"{row.where}: the Google identity of {email} is {other.email}'s here", "see 'dsgctl user show'")
    users.add_all(taking.change, [NewUser(email, attributes, tuple(affiliations), kept)])
    return users.find(database, email)


def _groups(taking: Taking) -> None:
    def take(row: Row) -> None:
        _, added = groups.add(taking.change, row.text("name"))
        taking.groups[row.id] = row.text("name")
        taking.count("groups", added)

    def join(row: Row) -> None:
        group, user = taking.groups[row.number("group_id")], taking.users[row.number("user_id")]
        member = groups.is_member(taking.change.database, group, user)
        if not member:
            groups.add_member(taking.change, group, user.email, leads=row.flag("is_admin"))
        taking.count("memberships", not member)

    taking.each("dsg_group", take)
    taking.each("user_group", join)


def _datasets(taking: Taking) -> None:
    change = taking.change

    def take(row: Row) -> None:
        name = row.text("name")
        known, holder = datasets.by_name(change.database, name), datasets.by_id(change.database, row.id)
        if (known and known.id != row.id) or (holder and holder.name != name):
            other = holder or known
            raise Conflict(
                f"dataset {name} has id {row.id} there, but here {other.name if other else ''} has "
                f"id {other.id if other else ''}",
                "import into an empty database, or remove the dataset here first",
            )
        if known is None:
            public = row.text("access_mode") == "public"
            datasets.add(change, name, description=row.text("description"), public=public, kept_id=row.id)
        taking.datasets[row.id] = name
        taking.count("datasets", known is None)

    def take_version(row: Row) -> None:
        taking.versions[row.id] = row
        dataset, name = taking.datasets[row.number("dataset_id")], row.text("version")
        known = any(version["name"] == name for version in datasets.versions(change.database, dataset))
        if not known:
            datasets.add_version(change, dataset, name, public=row.flag("is_public"))
        taking.count("versions", not known)

    taking.each("dataset", take)
    taking.each("dataset_version", take_version)


def _locations(taking: Taking) -> None:
    """A bucket that belongs to versions is a location of each, at its prefix; else one of the whole dataset."""
    of_bucket: dict[int, list[Row]] = {}

    def link(row: Row) -> None:
        version = taking.versions[row.number("datasetversion_id")]
        of_bucket.setdefault(row.number("datasetbucket_id"), []).append(version)

    def take(row: Row) -> None:
        dataset_id, bucket = row.number("dataset_id"), row.text("name")
        linked = [version for version in of_bucket.get(row.id, []) if version.number("dataset_id") == dataset_id]
        placed.update(version.id for version in linked)
        places: list[tuple[str | None, str]] = [
            (version.text("version"), version.text("prefix").strip("/")) for version in linked
        ]
        for name, prefix in places or [(None, "")]:
            url = f"gs://{bucket}/{prefix}"
            taking.count(
                "locations", datasets.add_location(taking.change, taking.datasets[dataset_id], url, version=name)
            )

    placed: set[int] = set()
    taking.each("dataset_version_buckets", link)
    taking.each("dataset_bucket", take)
    for version in taking.versions.values():
        if version.text("prefix") and version.id not in placed:
            name = f"{taking.datasets[version.number('dataset_id')]} {version.text('version')}"
            taking.report.skipped.append(
                f"the prefix {version.text('prefix')} of version {name}: the version is linked to no bucket there"
            )


def _grants(taking: Taking) -> None:
    def names(table: dict[int, str]) -> Callable[[Row], None]:
        return lambda row: table.__setitem__(row.id, row.text("name"))

    def target(row: Row, version: int | None = None, scope: int | None = None) -> Target:
        return Target(
            taking.datasets[row.number("dataset_id")],
            taking.permissions[row.number("permission_id")],
            taking.versions[version].text("version") if version is not None else None,
            taking.groups[scope] if scope is not None else None,
        )

    def to_user(row: Row) -> None:
        subject = grants.principal_subject(taking.users[row.number("user_id")])
        source = _SOURCES.get(row.text("source"), "import")
        _give(taking, row, subject, target(row, row.values["dataset_version_id"], row.values["group_id"]), source)

    def to_group(row: Row) -> None:
        group = taking.groups[row.number("group_id")]
        _give(taking, row, grants.group_subject(taking.change.database, group), target(row), "import")

    def to_account(row: Row) -> None:
        subject = grants.principal_subject(taking.accounts[row.number("service_account_id")])
        _give(taking, row, subject, target(row, row.values["dataset_version_id"]), "manual")

    taking.each("permission", names(taking.permissions))
    taking.each("grant", to_user)
    taking.each("group_dataset_permission", to_group)
    taking.each("service_account_grant", to_account)


def _give(taking: Taking, row: Row, subject: Subject, target: Target, source: GrantSource) -> None:
    new = not grants.exists(taking.change.database, subject, target)
    if new:
        grants.add_all(
            taking.change, [subject], target, source=source,
            granted_by=taking.actor(row.values.get("granted_by_id")),
            created=row.moment("created") if "created" in row.values else None,
        )  # fmt: skip
    taking.count("grants", new)


def _services(taking: Taking) -> None:
    change = taking.change

    def take(row: Row) -> None:
        known = services.by_name(change.database, row.text("name"))
        service = known or services.add(
            change, row.text("name"), display_name=row.text("display_name"), url=row.text("base_url")
        )[0]  # fmt: skip
        taking.services[row.id] = service.id
        taking.count("services", known is None)

    def take_table(row: Row) -> None:
        taking.tables[row.id] = row
        dataset = taking.datasets[row.number("dataset_id")]
        taking.count(
            "service tables", services.add_table(change, row.text("service_name"), row.text("table_name"), dataset)
        )

    def take_root(row: Row) -> None:
        table = taking.tables[row.number("service_table_id")]
        new = services.add_root(change, table.text("service_name"), table.text("table_name"), row.number("root_id"))
        taking.count("public roots", new)

    taking.each("service", take)
    taking.each("service_table", take_table)
    taking.each("public_root", take_root)


def _terms(taking: Taking) -> None:
    change = taking.change
    new: set[int] = set()

    def take(row: Row) -> None:
        known = terms.by_id(change.database, row.id)
        taking.count("terms", known is None)
        if known is not None:
            if known.invite_token != row.text("invite_token"):
                raise Conflict(f"here the terms {row.id} are others, {known.name}", "import into an empty database")
            return
        new.add(row.id)
        dataset_id, version_id, service_id = (
            row.values[key] for key in ("dataset_id", "dataset_version_id", "service_id")
        )
        version = taking.versions[version_id] if version_id is not None else None
        if version is not None:
            dataset_id = version.number("dataset_id")  # there it may be left out; here a version is of a dataset
            dataset = datasets.find(change.database, taking.datasets[dataset_id])
            version_id = datasets.find_version(change.database, dataset, version.text("version")).id
        terms.keep(
            change,
            id=row.id, name=row.text("name"), text=row.text("text"), dataset=dataset_id, version=version_id,
            service=taking.services[service_id] if service_id is not None else None,
            invite_token=row.text("invite_token"),
            effective=row.moment("effective_date"), retired=row.moment_or_none("retired_date"),
        )  # fmt: skip

    def own(row: Row) -> None:
        if row.values["tos_id"] in new:
            terms.keep_own(change, datasets.find(change.database, row.text("name")), row.number("tos_id"))

    def accepted(row: Row) -> None:
        user = taking.users[row.number("user_id")]
        address = row.text("ip_address") if row.values["ip_address"] is not None else None
        is_new = terms.keep_acceptance(
            change, row.number("tos_document_id"), user, accepted=row.moment("accepted_at"), address=address
        )
        taking.count("acceptances", is_new)

    taking.each("tos_document", take)
    taking.each("dataset", own)
    taking.each("tos_acceptance", accepted)


def _service_accounts(taking: Taking) -> None:
    """Under new ids: here people and programs share one id space."""

    def take(row: Row) -> None:
        known = service_accounts.by_slug(taking.change.database, row.text("name"))
        made_by = taking.actor(row.values["created_by_id"]) or taking.change.actor
        taking.accounts[row.id] = known or service_accounts.add(
            taking.change, row.text("name"), description=row.text("description"),
            active=row.flag("is_active"), created=row.moment("created"), created_by=made_by,
        )[0]  # fmt: skip
        taking.count("service accounts", known is None)

    taking.each("service_account", take)


def _tokens(taking: Taking) -> None:
    def keep(row: Row, owner: Principal) -> None:
        description = row.text("description")
        is_new = tokens.keep(
            taking.change, owner, row.text("key"),
            kind="login" if description == _LOGIN else "api",
            description=description, created=row.moment("created"), last_used=row.moment_or_none("last_used"),
            expires=row.moment_or_none("expires_at") if "expires_at" in row.values else None,
        )  # fmt: skip
        taking.count("tokens", is_new)

    taking.each("api_key", lambda row: keep(row, taking.users[row.number("user_id")]))
    taking.each("service_account_token", lambda row: keep(row, taking.accounts[row.number("service_account_id")]))


def _audit(taking: Taking) -> None:
    """Records of that system's own; each is known again by a hash of it."""
    found: dict[str, Row] = {}

    def note(row: Row) -> None:
        text = json.dumps(row.values, sort_keys=True, default=str)
        found["datasetgateway:" + hashlib.sha256(text.encode()).hexdigest()] = row

    taking.each("audit_log", note)
    known = audit.imported(taking.change.database, list(found))
    for origin, row in found.items():
        if origin not in known:
            taking.change.add_record(
                audit.Record(
                    row.moment("timestamp"),
                    taking.actor(row.values["actor_id"]) or "unknown",
                    f"datasetgateway.{row.text('action')}",
                    f"{row.text('target_type')}:{row.text('target_id')}",
                    _state(row, "before_state"),
                    _state(row, "after_state"),
                    origin,
                )
            )
        taking.count("audit records", origin not in known)


def _state(row: Row, column: str) -> Any:
    return json.loads(row.text(column)) if row.values[column] is not None else None


STEPS: tuple[Callable[[Taking], None], ...] = (
    _users, _groups, _datasets, _locations, _services, _terms, _service_accounts, _grants, _tokens, _audit,
)  # fmt: skip
