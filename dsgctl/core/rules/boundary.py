"""The rules of a credential access boundary for one bucket, each with a condition on prefixes.

https://cloud.google.com/iam/docs/downscoping-short-lived-credentials: at most 10 rules.
https://cloud.google.com/iam/docs/reference/sts/rest/v1/AccessBoundary: a condition has at most 2,048 characters.
https://cloud.google.com/iam/quotas: and at most 12 logical operators.
"""

import re
from typing import Final

MAX_RULES: Final = 10
MAX_EXPRESSION: Final = 2048  # bytes of UTF-8, which are never fewer than characters
PREFIXES_PER_RULE: Final = 6  # a prefix has two operands, so six have 11 operators between them

# What a condition may have between its quotes. A quote, a backslash or a control character could change the meaning of
# the condition; only characters that are known to be harmless are allowed.
_SAFE_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_SAFE_CHARACTERS = re.compile(r"[\w .~!$&()*+,;=:@#%/-]*")
_OR: Final = " || "


def find_problem(bucket: str, prefix: str) -> str | None:
    """Why a boundary cannot express a prefix of a bucket; None if it can.

    Args:
        prefix: ends with ``/``; empty for the whole bucket. Without the slash ``a`` would open ``ab/`` too.
    """
    if not _SAFE_BUCKET.fullmatch(bucket):
        return "Google's conditions cannot hold the name of its bucket"
    if not _SAFE_CHARACTERS.fullmatch(prefix):
        return "Google's conditions cannot hold one of its characters"
    if prefix and not prefix.endswith("/"):
        return "it does not end with '/'"
    if _size(_expression(bucket, prefix)) > MAX_EXPRESSION:
        return f"Google's conditions have at most {MAX_EXPRESSION} characters, and name it twice"
    return None


def build_conditions(bucket: str, prefixes: tuple[str, ...]) -> tuple[str | None, ...] | None:
    """The conditions of the rules that allow these prefixes and nothing else, one for each rule.

    They limit reading by the name of the object, and listing by the listed prefix. A condition does not see the
    delimiter of a list request, so one that allowed a folder above would allow its whole tree.

    Args:
        prefixes: at least one, each without a problem (`find_problem`).

    Returns:
        The conditions; ``(None,)`` for the whole bucket, and None if a boundary cannot hold so many prefixes.
    """
    if "" in prefixes:
        return (None,)
    if len(prefixes) > MAX_RULES * PREFIXES_PER_RULE:
        return None
    rules: list[list[str]] = []
    room: list[int] = []  # bytes left in each rule
    # Placing the longest first, each where it fits, takes few rules.
    expressions = [_expression(bucket, prefix) for prefix in prefixes]
    for expression in sorted(expressions, key=lambda text: (-_size(text), text)):
        need = _size(expression) + len(_OR)
        place = next((i for i, rule in enumerate(rules) if len(rule) < PREFIXES_PER_RULE and room[i] >= need), None)
        if place is None:
            if len(rules) == MAX_RULES:
                return None
            place = len(rules)
            rules.append([])
            room.append(MAX_EXPRESSION + len(_OR))
        rules[place].append(expression)
        room[place] -= need
    return tuple(sorted(_OR.join(sorted(rule)) for rule in rules))


def _expression(bucket: str, prefix: str) -> str:
    return (
        f"resource.name.startsWith('projects/_/buckets/{bucket}/objects/{prefix}'){_OR}"
        f"api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('{prefix}')"
    )


def _size(expression: str) -> int:
    return len(expression.encode("utf-8", "surrogatepass"))
