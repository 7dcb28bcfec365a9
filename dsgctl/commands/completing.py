"""What a shell may complete a word to, for every parameter that names something: one table, by the parameter's name.

Datasets, groups and service accounts have types of their own (parameters.py), which complete themselves.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem

from dsgctl.commands.parameters import Name, Number
from dsgctl.core import (
    audit,
    buckets,
    clients,
    dataset_list,
    locations,
    service_accounts,
    service_tables,
    services,
    terms,
    token_queries,
    translations,
    user_queries,
    versions,
)
from dsgctl.core.clock import now
from dsgctl.core.rules import levels
from dsgctl.store import Database

MAX_NAMES = 1000  # of one kind: nobody reads more


@dataclass(frozen=True, slots=True)
class Typed:
    """The part of a line on which completions depend.

    Attributes:
        incomplete: the beginning of the word to complete.
        dataset, service, table: the names that the line has before it; None if it has none.
    """

    incomplete: str
    dataset: str | None
    service: str | None
    table: str | None


Lister = Callable[[Database, Typed], Iterable[object]]


def _emails(database: Database, typed: Typed) -> list[str]:
    return [row["email"] for row in user_queries.list_users(database, limit=MAX_NAMES, search=typed.incomplete or None)]


def _accounts(database: Database, typed: Typed) -> list[str]:
    return [row["name"] for row in service_accounts.list_service_accounts(database)]


def _levels(database: Database, typed: Typed) -> list[str]:
    return list(levels.NAMES)


def _versions(database: Database, typed: Typed) -> list[str]:
    # An option that waits for its value keeps click from the arguments before it: then those of all datasets.
    names = [typed.dataset] if typed.dataset else [row["name"] for row in dataset_list.list_datasets(database)]
    return list(dict.fromkeys(row["name"] for name in names for row in versions.list_versions(database, name)))


def _branches(database: Database, typed: Typed) -> list[str]:
    names = [typed.dataset] if typed.dataset else [row["name"] for row in dataset_list.list_datasets(database)]
    return list(dict.fromkeys(row["branch"] for name in names for row in versions.list_versions(database, name)))


def _client_names(database: Database, typed: Typed) -> list[str]:
    rows = translations.list_translations(database, service=typed.service)
    return list(dict.fromkeys(row["name"] for row in rows))


def _client_versions(database: Database, typed: Typed) -> list[str]:
    rows = translations.list_translations(database, service=typed.service)
    return list(dict.fromkeys(row["name_version"] for row in rows if row["name_version"] is not None))


def _services(database: Database, typed: Typed) -> list[str]:
    return [row["name"] for row in services.list_services(database)]


def _tables(database: Database, typed: Typed) -> list[str]:
    return [row["table"] for row in service_tables.list_tables(database, typed.service)]


def _roots(database: Database, typed: Typed) -> list[object]:
    if typed.service is None or typed.table is None:
        return []
    return [row["root_id"] for row in service_tables.list_roots(database, typed.service, typed.table)]


def _locations(database: Database, typed: Typed) -> list[str]:
    if typed.dataset is None:
        return []
    return list(dict.fromkeys(row["location"] for row in locations.list_locations(database, typed.dataset)))


def _buckets(database: Database, typed: Typed) -> list[str]:
    return [row["name"] for row in buckets.list_buckets(database)]


def _clients(database: Database, typed: Typed) -> list[str]:
    return [row["name"] for row in clients.list_clients(database)]


# Ids are in numerical order, permissions from the lowest, names in the order of their lists.
LISTERS: dict[str, Lister] = {
    "email": _emails,
    "user": _emails,
    "owner": _emails,
    "who": lambda database, typed: [*_emails(database, typed), *_accounts(database, typed)],
    "service_accounts": lambda database, typed: ["keep", "disable", *_emails(database, typed)],
    "permission": _levels,
    "version": _versions,
    "branch": _branches,
    "client_name": _client_names,
    "name_version": _client_versions,
    "service": _services,
    "table": _tables,
    "root_id": _roots,
    "url": _locations,
    "token_id": lambda database, typed: [row["id"] for row in token_queries.list_tokens(database, at=now())],
    "terms_id": lambda database, typed: [row["id"] for row in terms.list_terms(database)],
    "record_id": lambda database, typed: [row["id"] for row in audit.list_records(database, limit=MAX_NAMES)],
}
# What the argument NAME is depends on the noun. The verb `add` has none: it takes a new name.
NAMES: dict[str, Lister] = {"service": _services, "bucket": _buckets, "client": _clients}
FILES = frozenset({"file", "source", "credential"})


def takes_existing_name(command: click.Command, param: click.Parameter) -> bool:
    """Whether a parameter is the argument NAME of something that exists, so that the noun decides what completes it."""
    return isinstance(param, click.Argument) and param.name == "name" and command.name != "add"


class _Listed(Name):
    """A type that converts as the one it stands for, and completes to what is in the database."""

    def __init__(self, inner: click.ParamType[Any], lister: Lister) -> None:
        super().__init__(inner.name, lambda database: iter(()))
        self._inner = inner
        self._lister = lister

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._inner.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        typed = Typed(incomplete, *(ctx.params.get(name) for name in ("dataset", "service", "table")))
        self._list_names = lambda database: map(str, self._lister(database, typed))
        return super().shell_complete(ctx, param, incomplete)


class _File(click.ParamType[str]):
    """The name of a file, which the shell completes itself."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def let_complete(command: click.Command, noun: str) -> None:
    """Give each parameter of a command that names something a type that completes it."""
    for param in command.params:
        if type(param.type) not in (click.types.StringParamType, Number):
            continue
        lister = NAMES.get(noun) if takes_existing_name(command, param) else LISTERS.get(param.name or "")
        if param.name in FILES:
            param.type = _File()
        elif lister is not None:
            param.type = _Listed(param.type, lister)
