"""Which commands ``--as`` lets a person run, and about whom and what; the rules are core/delegation.py's.

A command that is not named here is refused, so that a new one is an operator's until somebody decides.
"""

from collections.abc import Callable
from typing import Any

import click

from dsgctl.commands.session import Session
from dsgctl.core.clock import now
from dsgctl.core.delegation import Delegate, of_person
from dsgctl.core.errors import NotAllowed

Parameters = dict[str, Any]


def _own(delegate: Delegate, given: Parameters) -> bool:
    return delegate.is_self(given.get("email") or given.get("who") or given.get("user") or "")


def _of_dataset(delegate: Delegate, given: Parameters) -> bool:
    return bool(given.get("dataset")) and delegate.manages(given["dataset"])


def _own_or_of_dataset(delegate: Delegate, given: Parameters) -> bool:
    return _own(delegate, given) or _of_dataset(delegate, given)


def _of_group(delegate: Delegate, given: Parameters) -> bool:
    return delegate.leads(given.get("name") or given.get("group") or "")


def _grants(delegate: Delegate, given: Parameters) -> bool:
    return _own_or_of_dataset(delegate, given) or (bool(given.get("group")) and delegate.leads(given["group"]))


# Command -> whether this person may run it so. What it then changes core decides once more.
_ALLOWED: dict[str, Callable[[Delegate, Parameters], bool]] = {
    "user show": _own,
    "access show": _own,
    "access check": _own_or_of_dataset,
    "access explain": _own_or_of_dataset,
    "access who": _of_dataset,
    "grant add": _of_dataset,
    "grant revoke": _of_dataset,
    "grant list": _grants,
    "group show": _of_group,
    "group member add": _of_group,
    "group member remove": _of_group,
    "terms pending": _own_or_of_dataset,
    "token list": _own,
}
_NOUNS = frozenset(command.partition(" ")[0] for command in _ALLOWED)
# Facts: open to who manages the gateway. All else, files and programs of the host, is not.
_FACTS = _NOUNS | {"dataset", "service", "service-account", "audit", "shell"}


def require_noun(session: Session, noun: str) -> None:
    """Raises:
    NotAllowed: nothing under this noun is for people who are no operators.
    """
    if noun not in _FACTS:
        raise NotAllowed(f"{session.on_behalf} may not run 'dsgctl {noun}'", "an operator does")


def require(session: Session, context: click.Context) -> None:
    """Raises:
    NotAllowed: this person may not run this command, or not about that.
    """
    command = context.command_path.partition(" ")[2]
    delegate = of_person(session.on_behalf or "", session.database, now())
    if context.params.get("file", "-") != "-":
        raise NotAllowed("files of this host are not read for you", "say --file - and send it as standard input")
    if delegate.manages_gateway:
        return
    allowed = _ALLOWED.get(command)
    yours = f"'dsgctl access show {session.on_behalf}' shows what is theirs"
    if allowed is None:
        raise NotAllowed(f"{session.on_behalf} may not run 'dsgctl {command}'", yours)
    if not allowed(delegate, context.params):
        raise NotAllowed(f"{session.on_behalf} may not run 'dsgctl {command}' about that", yours)
