"""Decides which commands a person may run with ``--as``, and with which arguments. The rules are in core/delegation.py.

A command that is not listed here is for operators only. A dataset that the person may not know of is refused in the
same words as a dataset that does not exist, before anything is looked up.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import click

from dsgctl.core.delegation import Delegate
from dsgctl.core.errors import NotAllowed

Parameters = Mapping[str, Any]  # of a command, by name, as click parsed them


def _is_own_account(delegate: Delegate, arguments: Parameters) -> bool:
    who = next((arguments[key] for key in ("email", "who", "user") if arguments.get(key) is not None), None)
    return who is not None and delegate.is_self(who)


def _manages_dataset(delegate: Delegate, arguments: Parameters) -> bool:
    return arguments.get("dataset") is not None and delegate.manages(arguments["dataset"])


def _oversees_dataset(delegate: Delegate, arguments: Parameters) -> bool:
    return delegate.may_oversee_others(arguments["dataset"])


def _oversees_person(delegate: Delegate, arguments: Parameters) -> bool:
    return _is_own_account(delegate, arguments) or delegate.oversees(arguments["dataset"], arguments["who"])


def _may_list_pending(delegate: Delegate, arguments: Parameters) -> bool:
    if _is_own_account(delegate, arguments) or arguments["dataset"] is None:
        return _is_own_account(delegate, arguments)
    if arguments["user"] is not None:
        return delegate.oversees(arguments["dataset"], arguments["user"])
    return _oversees_dataset(delegate, arguments)


def _leads_group(delegate: Delegate, arguments: Parameters) -> bool:
    return delegate.leads(arguments["name"] if "name" in arguments else arguments["group"])


def _may_list_grants(delegate: Delegate, arguments: Parameters) -> bool:
    dataset = arguments["dataset"]
    if arguments["user"] is not None:
        return _is_own_account(delegate, arguments) or (
            dataset is not None and delegate.oversees(dataset, arguments["user"])
        )
    if arguments["group"] is not None and delegate.leads(arguments["group"]):
        return True
    if arguments["group"] is not None or arguments["service_account"] is not None:
        return dataset is not None and delegate.administers(dataset)
    return _manages_dataset(delegate, arguments)


# Command -> whether a person may run it with these parameters. For a change, core decides again.
_ALLOWED: dict[str, Callable[[Delegate, Parameters], bool]] = {
    "user show": _is_own_account,
    "access show": _is_own_account,
    "access check": _oversees_person,
    "access explain": _oversees_person,
    "access who": _oversees_dataset,
    "grant add": _manages_dataset,
    "grant revoke": _manages_dataset,
    "grant list": _may_list_grants,
    "group show": _leads_group,
    "group member add": _leads_group,
    "group member remove": _leads_group,
    "terms pending": _may_list_pending,
    "token list": _is_own_account,
}
_NOUNS = frozenset(command.partition(" ")[0] for command in _ALLOWED)
# Nouns that concern the database only, which admins of the gateway may use. Others concern files of the host.
_DATA = _NOUNS | {"dataset", "service", "service-account", "client", "audit", "shell", "help"}


def require_noun(email: str, noun: str) -> None:
    """Raises:
    NotAllowed: only operators may run the commands of this noun.
    """
    if noun not in _DATA:
        raise NotAllowed(f"{email} may not run 'dsgctl {noun}'", "an operator does")


def require_command(delegate: Delegate, context: click.Context) -> None:
    """Raises:
    NotAllowed: this person may not run this command, or not with these arguments.
    """
    command = context.command_path.partition(" ")[2]
    if context.params.get("file", "-") != "-":
        raise NotAllowed("with --as, no file of this host is read", "use --file - and send the file to standard input")
    if delegate.manages_gateway:
        return
    hint = f"'dsgctl access show {delegate.email}' shows their permissions"
    if command not in _ALLOWED:
        raise NotAllowed(f"{delegate.email} may not run 'dsgctl {command}'", hint)
    if not _may_run(delegate, command, context.params):
        raise NotAllowed(f"{delegate.email} may not run 'dsgctl {command}' with these arguments", hint)


def _may_run(delegate: Delegate, command: str, arguments: Parameters) -> bool:
    dataset = arguments.get("dataset")
    # Whether the dataset exists makes no difference: nobody may know of one that does not.
    return (dataset is None or delegate.may_know(dataset)) and _ALLOWED[command](delegate, arguments)


def may_type(delegate: Delegate, words: list[str]) -> bool:
    """Whether this person may run a command that begins with these words."""
    if not words:
        return True
    if delegate.manages_gateway:
        return words[0] in _DATA
    return any(command.split()[: len(words)] == words[: len(command.split())] for command in _ALLOWED)


_COMMAND = re.compile(r"\bdsgctl ((?:[a-z][a-z-]* ?)+)")


def hint_for(delegate: Delegate, hint: str) -> str:
    """The hint, if this person may run every command that it names; else who can help."""
    for typed in _COMMAND.findall(hint):
        if not may_type(delegate, typed.split()):
            return "ask an operator"
    return hint
