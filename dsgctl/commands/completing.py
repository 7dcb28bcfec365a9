"""What a shell may complete a word to, for every parameter that names something: one table, by the parameter's name.

Datasets, groups and service accounts have types of their own (parameters.py), which complete themselves.
"""

from collections.abc import Callable, Iterable
from typing import Any

import click
from click.shell_completion import CompletionItem

from dsgctl.commands.parameters import Name, Number
from dsgctl.core import (
    audit,
    buckets,
    datasets,
    locations,
    service_accounts,
    services,
    terms,
    tokens,
    user_queries,
    versions,
)
from dsgctl.core.clock import now
from dsgctl.core.rules import levels
from dsgctl.store import Database

MAX_NAMES = 1000  # of one kind: nobody reads more
Parameters = dict[str, Any]
Lister = Callable[[Database, Parameters], Iterable[object]]


def _emails(database: Database, arguments: Parameters) -> list[str]:
    return [
        row["email"]
        for row in user_queries.list_users(database, limit=MAX_NAMES, search=arguments["incomplete"] or None)
    ]


def _accounts(database: Database, arguments: Parameters) -> list[str]:
    return [row["name"] for row in service_accounts.list_service_accounts(database)]


def _levels(database: Database, arguments: Parameters) -> list[str]:
    return list(levels.NAMES)


def _versions(database: Database, arguments: Parameters) -> list[str]:
    # An option that waits for its value keeps click from the arguments before it: then those of all datasets.
    of = (
        [arguments["dataset"]]
        if arguments.get("dataset")
        else [row["name"] for row in datasets.list_datasets(database)]
    )
    return list(dict.fromkeys(row["name"] for dataset in of for row in versions.list_versions(database, dataset)))


def _tables(database: Database, arguments: Parameters) -> list[str]:
    return [row["table"] for row in services.list_tables(database, arguments.get("service"))]


def _locations(database: Database, arguments: Parameters) -> list[str]:
    return list(dict.fromkeys(row["location"] for row in locations.list_locations(database, arguments["dataset"])))


# Ids are in numerical order, permissions from the lowest, names in the order of their lists.
LISTERS: dict[str, Lister] = {
    "email": _emails,
    "user": _emails,
    "who": lambda database, arguments: [*_emails(database, arguments), *_accounts(database, arguments)],
    "service_accounts": lambda database, arguments: ["keep", "disable", *_emails(database, arguments)],
    "permission": _levels,
    "version": _versions,
    "service": lambda database, arguments: [row["name"] for row in services.list_services(database)],
    "table": _tables,
    "root_id": lambda database, arguments: [
        row["root_id"] for row in services.list_roots(database, arguments["service"], arguments["table"])
    ],
    "url": _locations,
    "token_id": lambda database, arguments: [row["id"] for row in tokens.list_tokens(database, at=now())],
    "terms_id": lambda database, arguments: [row["id"] for row in terms.list_terms(database)],
    "record_id": lambda database, arguments: [row["id"] for row in audit.list_records(database, limit=MAX_NAMES)],
}
# What a bare NAME is depends on the noun.
NAMES: dict[tuple[str, str], Lister] = {
    ("service", "remove"): LISTERS["service"],
    ("bucket", "set"): lambda database, arguments: [row["name"] for row in buckets.list_buckets(database)],
    ("bucket", "remove"): lambda database, arguments: [row["name"] for row in buckets.list_buckets(database)],
}
FILES = frozenset({"file", "source", "credential"})


class _Listed(Name):
    """A type that converts as the one it stands for, and completes to what is in the database."""

    def __init__(self, inner: click.ParamType[Any], lister: Lister) -> None:
        super().__init__(inner.name, lambda database: iter(()))
        self._inner = inner
        self._lister = lister

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return self._inner.convert(value, param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        arguments = {**ctx.params, "incomplete": incomplete}
        self._list_names = lambda database: map(str, self._lister(database, arguments))
        return super().shell_complete(ctx, param, incomplete)


class _File(click.ParamType[str]):
    """The name of a file, which the shell completes itself."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        return [CompletionItem(incomplete, type="file")]


def let_complete(command: click.Command, noun: str) -> None:
    """Give each parameter of a command that names something a type that completes it."""
    for param in command.params:
        lister = NAMES.get((noun, command.name or "")) if param.name == "name" else LISTERS.get(param.name or "")
        if type(param.type) not in (click.types.StringParamType, Number):
            continue
        if param.name in FILES:
            param.type = _File()
        elif lister is not None:
            param.type = _Listed(param.type, lister)
