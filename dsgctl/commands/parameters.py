"""Types of parameters: numbers, and names that the shell completes from the database."""

import os
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import click

from dsgctl.commands.session import Session
from dsgctl.core.validation import quote
from dsgctl.store import Database


class Number(click.ParamType[int]):
    """A whole number that the database can hold."""

    name = "number"

    def __init__(self, least: int = 1) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        if not re.fullmatch("[0-9]{1,19}", text) or not self._least <= int(text) < 2**63:
            self.fail(f"{quote(text)} is not a whole number from {self._least} to 2^63-1", param, ctx)
        return int(text)


ID = Number()


class Name(click.ParamType[str]):
    """A name in the database, which the shell completes."""

    def __init__(self, name: str, list_names: Callable[[Database], Iterator[str]]) -> None:
        self.name = name
        self._list_names = list_names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        # Only needed when a shell asks.
        from click.shell_completion import CompletionItem

        try:
            options = ctx.find_root().params or {}
            session = Session(options.get("env_file"), debug=False, on_behalf=options.get("on_behalf"))
            names = [name for name in self._list_names(session.database) if name.startswith(incomplete)]
            if session.on_behalf is not None:
                delegate = session.find_delegate()
                may_know = {"dataset": delegate.may_know, "group": delegate.snapshot.groups.__contains__}.get(self.name)
                names = [name for name in names if delegate.manages_gateway or (may_know and may_know(name))]
            return [CompletionItem(_in_bash(name)) for name in names]
        except Exception:
            return []  # completion must never show an error


def _in_bash(name: str) -> str:
    """A name, quoted for bash: zsh and fish quote completions themselves, bash does not.

    If the word begins with a quote, nothing in the name may end the quotation or be run.
    """
    if not os.environ.get("_DSGCTL_COMPLETE", "").startswith("bash"):
        return name
    words, at = os.environ.get("COMP_WORDS", "").split("\n"), os.environ.get("COMP_CWORD", "")
    begun = words[int(at)] if at.isdecimal() and int(at) < len(words) else ""
    if begun.startswith('"'):
        # between these quotes no backslash keeps an interactive bash from replacing "!" by an earlier command
        name = re.sub(r'(["\\`$])', r"\\\1", name).replace("!", "\"'!'\"")
    elif begun.startswith("'"):
        name = name.replace("'", "'\"'\"'")
    else:
        name = shlex.quote(name)
    return name.replace("\\", "\\\\")  # click's script reads it with `read`, which removes one of two


def _dataset_names(database: Database) -> Iterator[str]:
    from dsgctl.core import dataset_list

    return (row["name"] for row in dataset_list.list_datasets(database))


def _group_names(database: Database) -> Iterator[str]:
    from dsgctl.core import groups

    return (row["name"] for row in groups.list_groups(database))


def _service_account_names(database: Database) -> Iterator[str]:
    from dsgctl.core import service_accounts

    return (row["name"] for row in service_accounts.list_service_accounts(database))


DATASET = Name("dataset", _dataset_names)
GROUP = Name("group", _group_names)
SERVICE_ACCOUNT = Name("service account", _service_account_names)
