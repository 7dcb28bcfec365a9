"""The forms that values of settings have. A parser takes the text of a setting and returns its typed value."""

import re
from pathlib import Path
from typing import Protocol

from dsgctl.core import validation
from dsgctl.core.errors import Invalid

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
# What DSG_APIS may name (dsgserve/apis/) -> who needs it.
APIS = {
    "cave": "CAVE services that look up tables, and CAVEclient",
    "native": "neuPrint 1.9 and later, and newer Clio",
    "gate": "nginx, Caddy, Traefik or Envoy in front of a directory or a service",
}


class BadValue(ValueError):
    """The value has another form. The message says which values are allowed."""


class Pattern(Protocol):
    """A compiled regular expression, of `re` or of `re2`."""

    @property
    def pattern(self) -> str: ...

    def fullmatch(self, string: str, /) -> object | None: ...


def parse_text(value: str) -> str:
    return value


def parse_path(value: str) -> Path:
    return Path(value)


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def parse_flag(value: str) -> bool:
    if value.lower() not in _WORDS:
        raise BadValue("0 or 1, no or yes, false or true, off or on")
    return _WORDS[value.lower()]


def parse_number(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", value):
        raise BadValue("a whole number")
    return int(value)


def parse_port(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", value) or not 1 <= int(value) <= 65535:
        raise BadValue("a port from 1 to 65535")
    return int(value)


def parse_log_level(value: str) -> str:
    if value.upper() not in LOG_LEVELS:
        raise BadValue(", ".join(LOG_LEVELS))
    return value.upper()


def split_list(value: str) -> tuple[str, ...]:
    """The parts between commas, without spaces around them; empty parts are left out."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def parse_keys(value: str) -> tuple[str, ...]:
    keys = split_list(value)
    if not keys or any(len(key) < 32 for key in keys):
        raise BadValue("keys of at least 32 characters, separated by commas")
    return keys


def parse_apis(value: str) -> tuple[str, ...]:
    names = split_list(value)
    if not set(names) <= APIS.keys():
        raise BadValue(f"{', '.join(APIS)}, separated by commas")
    return tuple(dict.fromkeys(names))


def parse_token_names(value: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.split(","))
    if not all(re.fullmatch(r"[A-Za-z0-9_-]+", name) and "dsg_login" not in name for name in names):
        raise BadValue("names of letters, digits, '_' and '-', separated by commas, but for dsg_login, which is taken")
    return names


def parse_groups(value: str) -> tuple[str, ...]:
    try:
        return tuple(validation.single_line(part, "group name") for part in split_list(value))
    except Invalid as error:
        raise BadValue(f"names of groups, separated by commas ({error.message})") from None


def parse_domain(value: str) -> str:
    if value and not re.fullmatch(r"\.?[a-z0-9-]+(\.[a-z0-9-]+)+", value):
        raise BadValue("a domain in lower case, such as .example.org")
    return value


def parse_domains(value: str) -> tuple[str, ...]:
    domains = split_list(value)
    # Commas and spaces alone name no domain, which would let everybody in.
    if not domains or not all(re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", part) for part in domains):
        raise BadValue("domains in lower case, separated by commas")
    return domains


def parse_origin(value: str) -> str:
    """An origin in its canonical form: browsers and the viewer compare origins as text (contract.md, "ngauth")."""
    match = re.fullmatch(r"(https?)://[a-z0-9.-]+(?::([1-9][0-9]{0,4}))?", value)
    if not match or int(match[2] or 1) > 65535 or (match[1], match[2]) in (("http", "80"), ("https", "443")):
        raise BadValue("scheme://host[:port] in lower case, without a path and without the scheme's own port")
    return value


def parse_origins(value: str) -> tuple[str, ...]:
    return tuple(map(parse_origin, split_list(value)))


def parse_issuer(value: str) -> str:
    if not re.fullmatch(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~/-]*)?", value):
        raise BadValue("an https address, as the provider spells it")
    return value


def parse_web_address(value: str) -> str:
    try:
        if re.match(r"https://|http://(localhost|127\.0\.0\.1)[:/]", value):
            return validation.url(value)
    except Invalid:
        pass
    raise BadValue("an https address")


def parse_viewer(value: str) -> str:
    if "#" in value:
        raise BadValue("an https address without '#', which the state of the viewer follows")
    return parse_web_address(value)


def parse_contact(value: str) -> str:
    """An email or web address. It becomes a link on every page, so nothing else is allowed."""
    try:
        return validation.url(value) if value.startswith("http") else validation.email(value)
    except Invalid:
        raise BadValue("an email address, or a web address that begins with https://") from None


def parse_site_name(value: str) -> str:
    try:
        return validation.single_line(value, "name for this site")
    except Invalid as error:
        raise BadValue(error.hint) from None


def parse_pattern(value: str) -> Pattern:
    """A pattern compiled by RE2, which matches in time linear in the length of the text: strangers send that text."""
    import re2  # only where a pattern is set

    options = re2.Options()
    options.log_errors = False
    try:
        compiled: Pattern = re2.compile(value, options)
    except re2.error as error:
        why = error.args[0].decode("utf-8", "replace")
        raise BadValue(f"a regular expression as RE2 knows them, without look-around ({why})") from None
    return compiled
