"""Settings that are bad, or well-formed and wrong."""

import re
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

from dsgctl.config import SETTINGS
from dsgctl.operations.doctor.check import ORIGIN, Case, Checks, failure, ok, warning
from dsgctl.setting_values import APIS
from dsgctl.settings import Settings

_CAVE_COOKIE = "middle_auth_token"  # the default of middle_auth_client
_SHORTEST_KEY = 32  # characters; the limit of config.py
_FEWEST = 8  # different characters of a secret; 32 random hexadecimal digits hardly ever have fewer
_PLACEHOLDER = re.compile(r"change.?(me|this)|your.?(own|secret|key|client)|placeholder|insert.?here|^<.*>$", re.I)


def check_settings(settings: Settings) -> Checks:
    """Each bad setting with its file and line, duplicates, and names that this gateway does not use."""
    for problem in settings.problems:
        yield failure(
            "settings", problem.text, problem.hint or "correct it; 'dsgctl help settings' shows what is allowed"
        )
    counts = Counter(line.name for line in settings.lines)
    for name in sorted(name for name, count in counts.items() if count > 1):
        places = [line for line in settings.lines if line.name == name]
        numbers = ", ".join(str(line.number) for line in places)
        finding, advice = (
            f"{name} is set {len(places)} times in {settings.file}, lines {numbers}",
            "remove all but one",
        )
        if len({line.value for line in places}) == 1:
            yield warning("settings", finding, advice)
        else:
            yield failure("settings", f"{finding}: the last one counts", advice)
    for line in settings.lines:
        if re.search(r"\s#", line.value):
            yield warning(
                "settings",
                f"{line.name} in {settings.file}, line {line.number}, has a '#': it is a part of "
                "the value, not a comment",
                "give the comment a line of its own",
            )
    yield from _check_paths(settings)
    for unused in settings.unused:
        yield warning(
            "settings",
            f"{unused.name} ({unused.source}) is no setting of this gateway: it is not used",
            unused.hint or "correct or remove it, if it was meant for this gateway",
        )
    if not settings.problems:
        yield ok("settings", f"{len(settings.sources)} of {len(SETTINGS)} are set, each well-formed")


def _check_paths(settings: Settings) -> Checks:
    """Relative paths: each directory from which a program is started gives another file."""
    for name, item in SETTINGS.items():
        path = getattr(settings.config, item.name)
        if name == "DSG_BACKUP_DIR" or not isinstance(path, Path) or path.is_absolute():
            continue  # the section on backups checks that directory
        yield (warning if settings.config.is_local else failure)(
            "settings",
            f"{name} is {path} ({settings.sources[name]}), a relative path: it depends on the current directory",
            f"use an absolute path: {path.absolute()}",
        )


def is_placeholder(secret: str) -> bool:
    """Whether a secret is the text of a sample, or can be guessed; a random one never is."""
    return bool(_PLACEHOLDER.search(secret)) or len(set(secret)) < min(_FEWEST, len(secret))


def check_keys(case: Case) -> Checks:
    """DSG_SECRET_KEY: set, random, and its keys separated by commas."""
    config = case.config
    keys = config.secret_keys
    if not keys and config.is_local:
        yield warning("signing keys", "none: viewers sign in again after a restart", "set DSG_SECRET_KEY")
    elif not keys:
        yield failure("signing keys", "DSG_SECRET_KEY is not set: dsgserve will not start", "dsgctl setup makes one")
    for key in keys:
        parts = [part for part in re.split(r"[\s;:|]+", key) if part]
        if len(parts) > 1 and all(len(part) >= _SHORTEST_KEY for part in parts):
            yield failure(
                "signing keys",
                f"one key of DSG_SECRET_KEY looks like {len(parts)}: only a comma separates keys",
                "put commas between them; then viewers sign in again once",
            )
            return
    if any(map(is_placeholder, keys)):
        yield failure(
            "signing keys",
            "a key of DSG_SECRET_KEY can be guessed; then anybody can sign in to viewers as anybody",
            "remove it, and run dsgctl setup, which makes one",
        )
    elif len(set(keys)) < len(keys):
        yield warning("signing keys", "DSG_SECRET_KEY has the same key twice", "remove all but one")
    elif keys:
        more = f", {len(keys) - 1} for what was signed before" if len(keys) > 1 else ""
        yield ok("signing keys", f"one signs{more}")


def check_redirects(case: Case) -> Checks:
    """Origins that get tokens must also be allowed redirects."""
    config = case.config
    if lost := [origin for origin in config.token_redirects if origin not in config.allowed_redirects]:
        yield warning(
            "redirects",
            f"{lost[0]} is in DSG_TOKEN_REDIRECTS only: no browser is sent there",
            "add it to DSG_ALLOWED_REDIRECTS",
        )


def check_apis(case: Case) -> Checks:
    """DSG_APIS: what is served beyond login, ngauth and user/cache, and whether CAVE's client can send its token."""
    names = case.config.apis
    if not names:
        yield ok("apis", "none beyond login, ngauth and user/cache (DSG_APIS)")
        return
    yield ok("apis", "; ".join(f"{name}: {APIS[name]}" for name in names))
    if "cave" in names and _CAVE_COOKIE not in case.config.token_names:
        yield warning(
            "apis",
            f"CAVE's services look for the token under {_CAVE_COOKIE}, which DSG_TOKEN_NAMES does not name",
            f"DSG_TOKEN_NAMES={','.join((*case.config.token_names, _CAVE_COOKIE))}, or set TOKEN_NAME of the services",
        )


def check_origin(case: Case) -> Checks:
    """DSG_ORIGIN: https, unless it is on this machine."""
    config = case.config
    if config.origin.startswith("http:") and not config.is_local:
        yield failure(
            ORIGIN,
            f"DSG_ORIGIN is {config.origin}: tokens go in clear, and browsers keep the cookie from viewers",
            f"serve TLS, and set DSG_ORIGIN={config.origin.replace('http:', 'https:', 1)}",
        )


def check_left_from_tests(case: Case) -> Checks:
    """Addresses that only tests set: tokens would be requested from, and sent to, a server that is not Google."""
    config = case.config
    for name, url in (("DSG_STS_URL", config.sts_url), ("DSG_STORAGE_URL", config.storage_url)):
        host = urlsplit(url).hostname or ""
        if not host.endswith(".googleapis.com"):
            finding = f"{name} is {url}, which is not Google: buckets are asked for there"
            yield (warning if config.is_local else failure)("google", finding, f"remove {name}")
