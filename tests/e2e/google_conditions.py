"""Stands in for Google's checks of credential access boundaries. A part of google.py.

https://cloud.google.com/iam/docs/downscoping-short-lived-credentials; string literals of its conditions:
https://github.com/google/cel-spec/blob/master/doc/langdef.md#string-and-bytes-values
"""

import re
from dataclasses import dataclass
from typing import Any

MAX_RULES, MAX_EXPRESSION, MAX_OPERATORS = 10, 2048, 12
_RESOURCE = re.compile(r"//storage\.googleapis\.com/projects/_/buckets/([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])")
# A string in single or double quotes, without line breaks; a backslash begins one of CEL's escape sequences.
_ESCAPE = r"\\(?:[abfnrtv\\?'\"`]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})"
_TEXT = rf"(?:'(?:[^'\\\r\n]|{_ESCAPE})*'|\"(?:[^\"\\\r\n]|{_ESCAPE})*\")"
_READ = re.compile(rf"resource\.name\.startsWith\(({_TEXT})\)")
_LIST = re.compile(rf"api\.getAttribute\('storage\.googleapis\.com/objectListPrefix', ''\)\.startsWith\(({_TEXT})\)")
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Malformed(Exception):
    """Google would answer 400."""


@dataclass(frozen=True)
class Rule:
    """What a rule allows: to read names that begin with one of ``reads``, and to list prefixes that begin with one of
    ``lists``.
    """

    bucket: str
    reads: tuple[str, ...] = ("",)
    lists: tuple[str, ...] = ("",)


def parse_boundary(rules: Any) -> list[Rule]:
    """The rules of ``accessBoundaryRules``.

    Raises:
        Malformed: Google would refuse them.
    """
    if not isinstance(rules, list) or not 1 <= len(rules) <= MAX_RULES:
        raise Malformed("an access boundary has 1 to 10 rules")
    return [_parse_rule(rule) for rule in rules]


def _parse_rule(rule: dict[str, Any]) -> Rule:
    resource = _RESOURCE.fullmatch(rule["availableResource"])
    if resource is None or rule["availablePermissions"] != ["inRole:roles/storage.objectViewer"]:
        raise Malformed("no such resource or permissions")
    if "availabilityCondition" not in rule:
        return Rule(resource[1])
    reads, lists = parse_expression(rule["availabilityCondition"]["expression"])
    objects = f"projects/_/buckets/{resource[1]}/objects/"
    return Rule(resource[1], tuple(name.removeprefix(objects) for name in reads if name.startswith(objects)), lists)


def parse_expression(expression: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The allowed beginnings of ``resource.name``, and of the prefix of a listing.

    Raises:
        Malformed: it is too long, or this stand-in does not know such a condition.
    """
    if len(expression.encode()) > MAX_EXPRESSION:
        raise Malformed("the expression is too long")
    reads: list[str] = []
    lists: list[str] = []
    at = 0
    while True:
        operand = _READ.match(expression, at) or _LIST.match(expression, at)
        if operand is None:
            raise Malformed(f"no condition: {expression[at:]}")
        (reads if operand.re is _READ else lists).append(_unquote(operand[1]))
        at = operand.end()
        if at == len(expression):
            break
        if not expression.startswith(" || ", at):
            raise Malformed(f"no operator: {expression[at:]}")
        at += len(" || ")
    if len(reads) + len(lists) - 1 > MAX_OPERATORS:
        raise Malformed("too many logical operators")
    return tuple(reads), tuple(lists)


def _unquote(literal: str) -> str:
    def decode(escape: re.Match[str]) -> str:
        text = escape[0][1:]
        if text[0] in "xXuU":
            return chr(int(text[1:], 16))
        return chr(int(text, 8)) if text[0].isdigit() else _SIMPLE.get(text, text)

    return re.sub(_ESCAPE, decode, literal[1:-1])


def allows(rules: list[Rule], bucket: str, name: str, prefix: str) -> bool:
    """Whether the rules allow reading the object ``name``, or listing ``prefix`` if there is no name."""
    return any(
        rule.bucket == bucket and (name or prefix).startswith(rule.reads if name else rule.lists) for rule in rules
    )
