"""Reads the settings, from the environment and the settings file, and checks them all at once."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypedDict
from urllib.parse import urlsplit

from dsgctl import env_file
from dsgctl.config import LIBRARIES, REPLACEMENTS, SETTINGS, Config, format_default
from dsgctl.core.errors import Invalid
from dsgctl.setting_values import BadValue

DEFAULT_ENV_FILE = "/etc/dsg/dsg.env"
ENVIRONMENT = "environment"  # the source of a setting that is not in the file


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a setting, in one line without secrets.

    Attributes:
        names: the settings concerned; empty for a problem with the file itself.
    """

    names: tuple[str, ...]
    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Unused:
    """A name that is not a setting of this program, and does no harm."""

    name: str
    source: str
    hint: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings as they were read, including any problems.

    Attributes:
        config: a setting with a bad value has its default here.
        file: the settings file; None if there is none.
        lines: its settings.
        sources: for each setting that is set: ``environment``, or file and line.
        libraries: the values of `LIBRARIES` in the file.
    """

    config: Config
    file: str | None
    lines: tuple[env_file.Line, ...]
    sources: dict[str, str]
    problems: tuple[Problem, ...]
    unused: tuple[Unused, ...]
    libraries: dict[str, str]


def read_settings(environment: Mapping[str, str], named_file: str | None = None) -> Settings:
    """All settings, from the environment, and from the file where the environment does not set them.

    Args:
        named_file: a file that must exist; None for that of ``DSG_ENV_FILE``, else `DEFAULT_ENV_FILE` if it exists.
    """
    path = DEFAULT_ENV_FILE
    problems: list[Problem] = []
    lines: list[env_file.Line] = []
    text = None
    try:
        path, required = find_settings_file(environment, named_file)
        text = env_file.read_text(path, required=required)
    except Invalid as error:
        problems.append(Problem((), error.message, error.hint))
    if text is not None:
        lines, faults = env_file.parse(text)
        problems += [Problem((), f"{path}, line {fault.number}: {fault.problem}", fault.hint) for fault in faults]
    problems += [_describe_control(line, path) for line in lines if env_file.has_control(line.value)]
    in_file = {line.name: line for line in lines if not env_file.has_control(line.value)}
    # An empty variable sets nothing, as in most programs: it does not hide the file's value.
    non_empty = {name: value for name, value in environment.items() if value}
    unused = []
    for name, source in _list_unknown(non_empty, in_file, path):
        if intended := _find_intended_setting(name):
            text_of_problem = f"{name} is not a setting (did you mean {intended}?){_describe_source(source)}"
            problems.append(Problem((intended,), text_of_problem))
        else:
            unused.append(Unused(name, source, REPLACEMENTS.get(name, "")))
    values, sources, bad_values = _parse_values(environment, in_file, path)
    config = Config(**values)
    return Settings(
        config=config,
        file=None if text is None else path,
        lines=tuple(lines),
        sources=sources,
        problems=(*problems, *bad_values, *_find_contradictions(config)),
        unused=tuple(unused),
        libraries={name: in_file[name].value for name in LIBRARIES if name in in_file and in_file[name].value},
    )


def load(environment: Mapping[str, str], named_file: str | None = None) -> Config:
    """The settings, all of them valid; see `read_settings`.

    Raises:
        Invalid: names every misspelled setting and every bad value, and what is allowed.
    """
    settings = read_settings(environment, named_file)
    require_valid(settings)
    return settings.config


def load_from_environment(named_file: str | None = None) -> Config:
    """The settings of this process. The file's values of `LIBRARIES` go into the environment, where libraries look.

    Raises:
        Invalid: as `load`.
    """
    settings = read_settings(os.environ, named_file)
    require_valid(settings)
    for name, value in settings.libraries.items():
        os.environ[name] = os.environ.get(name) or value
    return settings.config


def require_valid(settings: Settings) -> None:
    """Raises:
    Invalid: something is wrong with a setting or with the file; the message names all of it.
    """
    if settings.problems:
        hints = [problem.hint for problem in settings.problems if problem.hint]
        has_file = settings.file not in (None, os.devnull)  # setup reads no file to check an answer
        see = f"see 'dsgctl help settings'{f'; the file is {settings.file}' if has_file else ''}"
        raise Invalid("; ".join(problem.text for problem in settings.problems), "; ".join(dict.fromkeys(hints)) or see)


class SettingRow(TypedDict):
    """A setting: its name, its value as text, and ``environment``, ``default`` or its file and line."""

    setting: str
    value: str
    source: str


def list_values(settings: Settings, environment: Mapping[str, str]) -> Iterator[SettingRow]:
    """Every setting and the variables of `LIBRARIES`, with their values as they were typed. Secrets are ``(set)``.

    Args:
        environment: the one that the settings were read from.
    """
    values = {line.name: line.value for line in settings.lines}
    for name, item in SETTINGS.items():
        source = settings.sources.get(name, "default")
        value = environment[name] if source == ENVIRONMENT else values.get(name, "")
        if source == "default":
            value = format_default(item)
        elif item.metadata["secret"]:
            value = "(set)"
        yield {"setting": name, "value": value, "source": source}
    for name in LIBRARIES:
        source = ENVIRONMENT if environment.get(name) else "default"
        lines = [line for line in settings.lines if line.name == name and line.value]
        if lines and source == "default":
            source = f"{settings.file}, line {lines[-1].number}"
        yield {"setting": name, "value": environment.get(name) or values.get(name, ""), "source": source}


def find_settings_file(environment: Mapping[str, str], named_file: str | None = None) -> tuple[str, bool]:
    """The path of the settings file, and whether the file is required because someone named it.

    Raises:
        Invalid: the name is empty. The default file is not used then: it may be another gateway's.
    """
    name = named_file if named_file is not None else environment.get("DSG_ENV_FILE")
    if name == "":
        raise Invalid("the name of the settings file is empty", "check --env-file and DSG_ENV_FILE")
    return (DEFAULT_ENV_FILE, False) if name is None else (name, True)


def parse_value(name: str, value: str) -> Any:
    """The value of a setting, from its text.

    Raises:
        Invalid: it is not allowed. The message does not repeat a secret.
    """
    metadata = SETTINGS[name].metadata
    try:
        return metadata["parse"](value)
    except BadValue as error:
        shown = "its value" if metadata["secret"] else repr(value)
        raise Invalid(f"{name}: {shown} is not allowed; allowed: {error}", "see 'dsgctl help settings'") from None


def _parse_values(
    environment: Mapping[str, str], in_file: Mapping[str, env_file.Line], path: str
) -> tuple[dict[str, Any], dict[str, str], list[Problem]]:
    """Field of `Config` -> value, setting -> source, and the values that are not allowed."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    problems: list[Problem] = []
    for name, item in SETTINGS.items():
        line = in_file.get(name)
        value = environment.get(name) or (line.value if line else "")
        if not item.metadata["may_be_empty"] and "" in (environment.get(name), line.value if line else None):
            problems.append(Problem((name,), f"{name} is empty; leave it out, or write what it is to be"))
        if not value:
            continue
        sources[name] = ENVIRONMENT if environment.get(name) else f"{path}, line {line.number if line else 0}"
        if line and line.value != line.as_systemd == value:
            text = f"{name}: systemd, with EnvironmentFile=, dropped the backslashes of {path}, line {line.number}"
            problems.append(Problem((name,), text, "put the value between single quotes"))
        try:
            values[item.name] = parse_value(name, value)
        except Invalid as error:
            problems.append(Problem((name,), f"{error.message}{_describe_source(sources[name])}"))
    return values, sources, problems


def _describe_control(line: env_file.Line, path: str) -> Problem:
    """The problem of a line whose value has a control character."""
    setting = SETTINGS.get(line.name)
    shown = "its value" if setting is None or setting.metadata["secret"] else repr(line.value)
    text = f"{line.name}: {shown} is not allowed; allowed: no control characters ({path}, line {line.number})"
    return Problem((line.name,), text, "write the line again")


def _describe_source(source: str) -> str:
    return " (in the environment)" if source == ENVIRONMENT else f" ({source})"


def _list_unknown(
    environment: Mapping[str, str], in_file: Mapping[str, env_file.Line], path: str
) -> Iterator[tuple[str, str]]:
    """Names that are not settings, with their source: all of the file, and those of the environment with our prefix."""
    setting_names = {*SETTINGS, *LIBRARIES, "DSG_ENV_FILE"}
    prefixed = {name for name in environment if name.startswith("DSG_")}
    for name in sorted((in_file.keys() | prefixed) - setting_names):
        yield name, f"{path}, line {in_file[name].number}" if name in in_file else ENVIRONMENT


def _find_intended_setting(name: str) -> str | None:
    """The setting that a name misspells; None for a name that means something else."""
    if name in REPLACEMENTS:
        return None
    # Only needed to word an error.
    from difflib import SequenceMatcher

    def similarity(setting: str) -> float:
        return SequenceMatcher(None, name, setting, autojunk=False).ratio()

    nearest = max(SETTINGS, key=similarity)
    return nearest if similarity(nearest) >= 0.85 else None


def _find_contradictions(config: Config) -> Iterator[Problem]:
    """Settings that are valid alone and do not fit together."""
    host, domain = urlsplit(config.origin).hostname or "", config.cookie_domain.removeprefix(".")
    if domain and not config.is_local and not f".{host}".endswith(f".{domain}"):
        yield Problem(
            ("AUTH_COOKIE_DOMAIN", "DSG_ORIGIN"),
            f"AUTH_COOKIE_DOMAIN: browsers refuse {domain} from {host}; allowed: a domain that DSG_ORIGIN is in",
        )
    for origin in config.token_redirects:
        if origin.startswith("http:") and urlsplit(origin).hostname != "localhost":
            yield Problem(
                ("DSG_TOKEN_REDIRECTS",),
                f"DSG_TOKEN_REDIRECTS: {origin} would get login tokens in clear; allowed: https, or http://localhost",
            )
            return
