"""The settings file: ``NAME=value`` lines, read as systemd reads an ``EnvironmentFile=``.

A line that systemd would read differently (``parse_env_file_internal`` in its env-file.c: text after a closing quote, a
backslash that joins the next line) is a fault here, so that a file never has two meanings.
"""

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dsgctl.core.errors import Invalid

LONGEST_FILE = 2**20  # bytes; no settings file is longer, and a device may have no end
SERVICE_USER = "dsg"  # systemd/dsgserve.service

_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_END = re.compile(r"\r\n|\r|\n")  # Python's splitlines() has eight more, unlike systemd
_BLANK = " \t"
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Line:
    """One setting of a file.

    Attributes:
        as_systemd: the value that ``EnvironmentFile=`` reads: outside quotes it drops backslashes.
    """

    number: int
    name: str
    value: str
    as_systemd: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a line that is not a setting, and what to write. Not its text, which may be a secret."""

    number: int
    problem: str
    hint: str


def read_text(path: str, *, required: bool) -> str | None:
    """The text of a settings file; None if it does not exist.

    Raises:
        Invalid: it is required and does not exist, cannot be read, is too long or is not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(LONGEST_FILE + 1)
        if len(content) > LONGEST_FILE:
            raise Invalid(f"the settings file {path} is longer than a megabyte", "check --env-file or DSG_ENV_FILE")
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        if Path(path).is_symlink():
            problem = f"the settings file {path} is a symbolic link to {Path(path).readlink()}, which does not exist"
            raise Invalid(problem, f"ls -l {path}") from None
        if not required:
            return None
        raise Invalid(f"the settings file {path} does not exist", "check --env-file or DSG_ENV_FILE") from None
    except UnicodeDecodeError:
        raise Invalid(
            f"cannot read the settings file {path}: it is not UTF-8 text", "save it as UTF-8 in your editor"
        ) from None
    except OSError as error:
        hint = hint_about_readers(path) if isinstance(error, PermissionError) else "check --env-file or DSG_ENV_FILE"
        raise Invalid(f"cannot read the settings file {path}: {error.strerror}", hint) from None


def hint_about_readers(path: str) -> str:
    """What to do about a file that this user may not read."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    if user == SERVICE_USER:
        return f"let its group read it, as root: chgrp {SERVICE_USER} {path}; chmod 640 {path}"
    return f"{user} may not read it; run as the service's user: sudo -u {SERVICE_USER} dsgctl …, or as root"


def parse(text: str) -> tuple[list[Line], list[Fault]]:
    """The settings of a file in their order, repeated names included, and the lines that are not settings."""
    lines, faults = [], []
    for number, line in enumerate(_END.split(text), 1):
        content = line.strip(_BLANK)
        if not content:
            continue
        parsed = _parse_comment(number, content) if content[0] in "#;" else _parse_line(number, content)
        if isinstance(parsed, Line):
            lines.append(parsed)
        elif parsed is not None:
            faults.append(parsed)
    return lines, faults


def _parse_comment(number: int, text: str) -> Fault | None:
    if text.endswith("\\"):
        return Fault(number, "a comment ends with a backslash, which takes the next line along", "remove it")
    return None


def _parse_line(number: int, text: str) -> Line | Fault:
    name, equals, rest = (part.strip(_BLANK) for part in text.partition("="))
    if not equals or not _NAME.fullmatch(name):
        hint = "leave out 'export'" if re.match(r"export[ \t]", text) else "write one setting on a line"
        return Fault(number, "not NAME=value", hint)
    if rest[:1] in ("'", '"'):
        value = _unquote(rest)
        if value is None:
            return Fault(
                number,
                f"the value of {name} begins with a quote and does not end with it",
                "put all of the value between two quotes, or none of it",
            )
        return Line(number, name, value, value)
    if re.search(r"(?<!\\)(\\\\)*\\$", rest):
        return Fault(
            number,
            f"the value of {name} ends with a backslash, which joins the next line to it",
            "put the value between single quotes",
        )
    return Line(number, name, rest, re.sub(r"\\(.)", r"\1", rest))


def _unquote(text: str) -> str | None:
    """The value between quotes; None if text follows, or the closing quote is missing."""
    if single := re.fullmatch(r"'([^']*)'", text):
        return single[1]
    if double := re.fullmatch(r'"((?:[^"\\]|\\.)*)"', text):
        return re.sub(r'\\(["\\`$])', r"\1", double[1])
    return None


def has_control(value: str) -> bool:
    """Whether a value has a character that no setting may have: NUL, an escape, a line end."""
    return bool(_CONTROL.search(value))


def quote_value(value: str) -> str:
    """A value as written in a file, so that every program reads it the same way.

    Raises:
        Invalid: a line cannot contain it.
    """
    if has_control(value):
        raise Invalid("a value of several lines or with control characters", "enter it again without them")
    if re.fullmatch(r"[A-Za-z0-9_.,:/@%+=~-]*", value):
        return value
    if "'" not in value:
        return f"'{value}'"
    return '"' + re.sub(r'(["\\`$])', r"\\\1", value) + '"'


def replace_values(text: str, values: Mapping[str, str]) -> str:
    """The text of a file with some settings changed or added, and every other line unchanged."""
    missing = dict(values)
    current = {line.number: line for line in parse(text.removeprefix("\ufeff"))[0]}
    lines = []
    content = re.sub(rf"(?:{_END.pattern})\Z", "", text)
    for number, line_text in enumerate(_END.split(content) if text else [], 1):
        line = current.get(number)
        changes = line is not None and line.name in values and line.value != values[line.name]
        lines.append(f"{line.name}={quote_value(values[line.name])}" if line and changes else line_text)
        if line is not None:
            missing.pop(line.name, None)
    return "".join(
        f"{line}\n" for line in [*lines, *(f"{name}={quote_value(value)}" for name, value in missing.items())]
    )
