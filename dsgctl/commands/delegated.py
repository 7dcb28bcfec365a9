"""Decides which commands ``--as`` lets a person run, and with which arguments; the rules are in core/delegation.py.

A command that is not listed here is refused, so a new command is open to operators only. A dataset that the person
may not know of is refused in the same words as one that does not exist, before anything is looked up.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import click

from dsgctl.core.delegation import Delegate
from dsgctl.core.errors import NotAllowed

Parameters = Mapping[str, Any]


def _is_own(delegate: Delegate, arguments: Parameters) -> bool:
    who = next((arguments[key] for key in ("email", "who", "user") if arguments.get(key) is not None), None)
    return who is not None and delegate.is_self(who)


def _is_of_dataset(delegate: Delegate, arguments: Parameters) -> bool:
    return arguments.get("dataset") is not None and delegate.manages(arguments["dataset"])


def _of_whole_dataset(delegate: Delegate, arguments: Parameters) -> bool:
    return delegate.may_oversee_others(arguments["dataset"])


def _person_on_dataset(delegate: Delegate, arguments: Parameters) -> bool:
    return _is_own(delegate, arguments) or delegate.oversees(arguments["dataset"], arguments["who"])


def _pending(delegate: Delegate, arguments: Parameters) -> bool:
    if _is_own(delegate, arguments) or arguments["dataset"] is None:
        return _is_own(delegate, arguments)
    if arguments["user"] is not None:
        return delegate.oversees(arguments["dataset"], arguments["user"])
    return _of_whole_dataset(delegate, arguments)


def _group(delegate: Delegate, arguments: Parameters) -> bool:
    return delegate.leads(arguments["name"] if "name" in arguments else arguments["group"])


def _grants(delegate: Delegate, arguments: Parameters) -> bool:
    dataset = arguments["dataset"]
    if arguments["user"] is not None:
        return _is_own(delegate, arguments) or (dataset is not None and delegate.oversees(dataset, arguments["user"]))
    if arguments["group"] is not None and delegate.leads(arguments["group"]):
        return True
    if arguments["group"] is not None or arguments["service_account"] is not None:
        return dataset is not None and delegate.administers(dataset)
    return _is_of_dataset(delegate, arguments)


# Command -> whether this person may run it so. What it then changes core decides once more.
_ALLOWED: dict[str, Callable[[Delegate, Parameters], bool]] = {
    "user show": _is_own,
    "access show": _is_own,
    "access check": _person_on_dataset,
    "access explain": _person_on_dataset,
    "access who": _of_whole_dataset,
    "grant add": _is_of_dataset,
    "grant revoke": _is_of_dataset,
    "grant list": _grants,
    "group show": _group,
    "group member add": _group,
    "group member remove": _group,
    "terms pending": _pending,
    "token list": _is_own,
}
_NOUNS = frozenset(command.partition(" ")[0] for command in _ALLOWED)
# Nouns of the database: open to those who manage the gateway. The others concern files and programs of the host.
_DATA = _NOUNS | {"dataset", "service", "service-account", "audit", "shell", "help"}


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
        raise NotAllowed("files of this host are not read for you", "say --file - and send it as standard input")
    if delegate.manages_gateway:
        return
    yours = f"'dsgctl access show {delegate.email}' shows what is theirs"
    if command not in _ALLOWED:
        raise NotAllowed(f"{delegate.email} may not run 'dsgctl {command}'", yours)
    if not _may_run(delegate, command, context.params):
        raise NotAllowed(f"{delegate.email} may not run 'dsgctl {command}' about that", yours)


def _may_run(delegate: Delegate, command: str, arguments: Parameters) -> bool:
    dataset = arguments.get("dataset")
    # A dataset that they may not know of is, to them, one that is not there.
    return (dataset is None or delegate.may_know(dataset)) and _ALLOWED[command](delegate, arguments)


def may_type(delegate: Delegate, words: list[str]) -> bool:
    """Whether a command begins with these words that this person may run."""
    if not words:
        return True
    if delegate.manages_gateway:
        return words[0] in _DATA
    return any(command.split()[: len(words)] == words[: len(command.split())] for command in _ALLOWED)


_COMMAND = re.compile(r"\bdsgctl ((?:[a-z][a-z-]* ?)+)")


def hint_for(delegate: Delegate, hint: str) -> str:
    """What to do next, if it names only commands that this person may run."""
    for typed in _COMMAND.findall(hint):
        if not may_type(delegate, typed.split()):
            return "ask an operator"
    return hint
