"""Which commands ``--as`` lets a person run, and about whom and what; the rules are core/delegation.py's.

A command that is not named here is refused, so that a new one is an operator's until somebody decides. What a person
may not know of is refused in the same words, and before anything is looked up, as what is not there.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import click

from dsgctl.commands.session import Session
from dsgctl.core.clock import now
from dsgctl.core.delegation import Delegate, find_delegate
from dsgctl.core.errors import NotAllowed

Parameters = Mapping[str, Any]


def _is_own(delegate: Delegate, given: Parameters) -> bool:
    who = next((given[key] for key in ("email", "who", "user") if given.get(key) is not None), None)
    return who is not None and delegate.is_self(who)


def _is_of_dataset(delegate: Delegate, given: Parameters) -> bool:
    return given.get("dataset") is not None and delegate.manages(given["dataset"])


def _of_whole_dataset(delegate: Delegate, given: Parameters) -> bool:
    return delegate.oversees_some(given["dataset"])


def _person_on_dataset(delegate: Delegate, given: Parameters) -> bool:
    return _is_own(delegate, given) or delegate.oversees(given["dataset"], given["who"])


def _pending(delegate: Delegate, given: Parameters) -> bool:
    if _is_own(delegate, given) or given["dataset"] is None:
        return _is_own(delegate, given)
    if given["user"] is not None:
        return delegate.oversees(given["dataset"], given["user"])
    return _of_whole_dataset(delegate, given)


def _group(delegate: Delegate, given: Parameters) -> bool:
    return delegate.leads(given["name"] if "name" in given else given["group"])


def _grants(delegate: Delegate, given: Parameters) -> bool:
    dataset = given["dataset"]
    if given["user"] is not None:
        return _is_own(delegate, given) or (dataset is not None and delegate.oversees(dataset, given["user"]))
    if given["group"] is not None and delegate.leads(given["group"]):
        return True
    if given["group"] is not None or given["service_account"] is not None:
        return dataset is not None and delegate.administers(dataset)
    return _is_of_dataset(delegate, given)


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
# Facts: open to who manages the gateway. All else, files and programs of the host, is not.
_FACTS = _NOUNS | {"dataset", "service", "service-account", "audit", "shell", "help"}


def require_noun(session: Session, noun: str) -> None:
    """Raises:
    NotAllowed: nothing under this noun is for people who are no operators.
    """
    if noun not in _FACTS:
        raise NotAllowed(f"{session.on_behalf} may not run 'dsgctl {noun}'", "an operator does")


def require_person(session: Session) -> Delegate:
    """The person for whom the commands of this session are run; from here on under the email as it is stored.

    Raises:
        NotAllowed: there is no such account, or it is disabled.
    """
    delegate = find_delegate(session.on_behalf or "", session.database, now())
    session.on_behalf = delegate.email
    return delegate


def require(session: Session, context: click.Context) -> None:
    """Raises:
    NotAllowed: this person may not run this command, or not about that.
    """
    command = context.command_path.partition(" ")[2]
    delegate = require_person(session)
    if context.params.get("file", "-") != "-":
        raise NotAllowed("files of this host are not read for you", "say --file - and send it as standard input")
    if delegate.manages_gateway:
        return
    session.delegate = delegate
    yours = f"'dsgctl access show {session.on_behalf}' shows what is theirs"
    if command not in _ALLOWED:
        raise NotAllowed(f"{session.on_behalf} may not run 'dsgctl {command}'", yours)
    if not _may_run(delegate, command, context.params):
        raise NotAllowed(f"{session.on_behalf} may not run 'dsgctl {command}' about that", yours)


def _may_run(delegate: Delegate, command: str, given: Parameters) -> bool:
    dataset = given.get("dataset")
    # A dataset that they may not know of is, to them, one that is not there.
    return (dataset is None or delegate.knows(dataset)) and _ALLOWED[command](delegate, given)


def commands(delegate: Delegate) -> frozenset[str] | None:
    """The commands that a person may run at all, about something; None for all about facts."""
    return None if delegate.manages_gateway else frozenset(_ALLOWED)


def may_type(delegate: Delegate, words: list[str]) -> bool:
    """Whether a command begins with these words that this person may run."""
    if not words:
        return True
    if delegate.manages_gateway:
        return words[0] in _FACTS
    return any(command.split()[: len(words)] == words[: len(command.split())] for command in _ALLOWED)


_COMMAND = re.compile(r"\bdsgctl ((?:[a-z][a-z-]* ?)+)")


def hint_for(delegate: Delegate, hint: str) -> str:
    """What to do next, if it names only commands that this person may run."""
    for typed in _COMMAND.findall(hint):
        if not may_type(delegate, typed.split()):
            return "ask an operator"
    return hint
