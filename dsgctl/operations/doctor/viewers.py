"""NGAUTH_ALLOWED_ORIGINS: whether it admits any viewer, and no look-alikes."""

import re
import re._constants as op  # type: ignore[import-not-found]  # Python's own parser of patterns: RE2 shows no tree
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from dsgctl.config import Config
from dsgctl.operations.doctor.check import Checks, failure, ok, warning
from dsgctl.setting_values import Pattern

# Public Neuroglancers that many people use.
WELL_KNOWN = (
    "https://neuroglancer-demo.appspot.com",
    "https://spelunker.cave-explorer.org",
    "https://ngl.cave-explorer.org",
    "https://ngl.microns-explorer.org",
    "https://ngl.flywire.ai",
    "https://clio.janelia.org",
    "https://clio-ng.janelia.org",
    "https://neuroglancer.bossdb.io",
)
_ORIGIN = re.compile(r"(https?)://[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?(?::([1-9][0-9]{0,4}))?")  # as browsers send one
_MOST = 300  # texts that are generated from a pattern
_LETTERS = "a1-./:A"


def check_viewers(config: Config) -> Checks:
    """One line: the first problem of the pattern, or the well-known viewers that it admits."""
    pattern = config.ngauth_origins
    if not pattern.pattern:
        yield warning(
            "viewers",
            "no Neuroglancer may ask for tokens",
            "dsgctl setup --viewers https://VIEWER, or set NGAUTH_ALLOWED_ORIGINS",
        )
        return
    own = [_origin_of(url) for url in (config.viewer_url, *config.allowed_redirects) if url]
    problem = find_dead_part(pattern) or find_look_alike(pattern) or find_plain_http(pattern)
    if problem := problem or _find_slip(pattern, own):
        yield failure("viewers", *problem)
        return
    if config.viewer_url and not pattern.fullmatch(own[0]):
        yield failure(
            "viewers",
            f"DSG_VIEWER_URL leads to {own[0]}, which NGAUTH_ALLOWED_ORIGINS does not admit",
            "let the pattern match it, or correct DSG_VIEWER_URL",
        )
        return
    admitted = [origin for origin in WELL_KNOWN if pattern.fullmatch(origin)]
    others = f"of the well-known viewers it admits {', '.join(admitted) or 'none'}"
    yield ok("viewers", f"{pattern.pattern} admits no look-alikes; {others}")


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


# Parts that match nothing


def find_dead_part(pattern: Pattern) -> tuple[str, str] | None:
    """An alternative that matches no origin of a browser, and what to do; None if there is none."""
    advice = "dsgctl setup --viewers https://VIEWER,https://OTHER builds the pattern"
    for path in _paths(pattern.pattern):
        if _origins_of(path, pattern):
            continue
        example = next(_of_sequence(path), "")
        reason = _reason(pattern.pattern, example)
        return f"NGAUTH_ALLOWED_ORIGINS ({pattern.pattern}) admits nobody as {example!r}: {reason}", advice
    return None


def _origins_of(path: "Path", pattern: Pattern) -> list[str]:
    """Some origins that a path through a pattern matches; in lower case too, for a pattern that ignores case."""
    texts = {lower for text in islice(_of_sequence(path), _MOST) for lower in (text, text.lower())}
    return [text for text in texts if _is_origin(text) and pattern.fullmatch(text)]


def _is_origin(text: str) -> bool:
    match = _ORIGIN.fullmatch(text)
    if match is None or int(match[3] or 1) > 65535:
        return False
    return (match[1], match[3]) not in (("https", "443"), ("http", "80"))  # browsers leave a scheme's own port out


def _reason(pattern: str, text: str) -> str:
    if "\\" in text:
        return r"it matches a backslash; one before a dot is enough: \."
    if re.search(r"[,\s]", text):
        return "alternatives are separated by |, not by a comma or blank"
    if not re.match("https?://", text):
        return "an origin begins with https://"
    if re.search("[A-Z]", text):
        return "browsers send origins in lower case"
    if re.search("://.*[/?#]", text):
        return "an origin ends with its host or port, without a slash or path"
    return "no origin has that form"


# Python's parser gives the tree of a pattern, which RE2 does not; a path is one choice of alternatives.
Path = list[Any]


def _paths(pattern: str) -> list[Path]:
    try:
        return list(islice(_choose(list(parser.parse(pattern))), _MOST))
    except (re.error, OverflowError, RecursionError):
        return []  # a few constructs of RE2 are unknown to Python


def _choose(items: Path) -> Iterator[Path]:
    for at, (kind, value) in enumerate(items):
        before, after = items[:at], items[at + 1 :]
        if kind is op.BRANCH:
            for branch in value[1]:
                yield from _choose([*before, *branch, *after])
            return
        if kind is op.SUBPATTERN:
            yield from _choose([*before, *value[-1], *after])
            return
    yield items


def _of_sequence(items: Path) -> Iterator[str]:
    if not items:
        yield ""
        return
    for head in islice(_of_item(*items[0]), _MOST):
        for tail in islice(_of_sequence(items[1:]), _MOST):
            yield head + tail


def _of_item(kind: Any, value: Any) -> Iterator[str]:
    if kind is op.LITERAL:
        yield chr(value)
    elif kind is op.ANY:
        yield "a"
    elif kind in (op.IN, op.NOT_LITERAL):
        yield from _of_set(kind, value)
    elif kind in (op.MAX_REPEAT, op.MIN_REPEAT):
        least, most, inner = value
        texts = [text for path in _choose(list(inner)) for text in islice(_of_sequence(path), 5)]
        for times in sorted({least, min(least + 1, int(most))}, reverse=True):
            yield from (text * times for text in texts)
        if inner[0][0] is op.ANY:  # it can match a scheme too
            yield "https://a"
    elif kind is op.AT:
        yield ""


def _of_set(kind: Any, value: Any) -> Iterator[str]:
    if kind is op.NOT_LITERAL:
        yield from (char for char in "ab" if ord(char) != value)
        return
    body = "".join(_set_text(*item) for item in value)
    yield from (char for char in _LETTERS if re.fullmatch(f"[{body}]", char))


def _set_text(kind: Any, value: Any) -> str:
    if kind is op.NEGATE:
        return "^"
    if kind is op.RANGE:
        return f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
    if kind is op.CATEGORY:
        names = {
            op.CATEGORY_DIGIT: r"\d",
            op.CATEGORY_WORD: r"\w",
            op.CATEGORY_SPACE: r"\s",
            op.CATEGORY_NOT_DIGIT: r"\D",
            op.CATEGORY_NOT_WORD: r"\W",
            op.CATEGORY_NOT_SPACE: r"\S",
        }
        return names[value]
    return re.escape(chr(value))


# Look-alikes


def _hosts(pattern: str) -> list[str]:
    """The hosts in a pattern: viewer.example.org in ``https://viewer\\.example\\.org``."""
    spelled = re.findall(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+", pattern.replace("\\.", "."))
    return sorted({host.strip(".-") for host in spelled})


def find_look_alike(pattern: Pattern) -> tuple[str, str] | None:
    """An origin that a pattern matches although its hosts are others, and what to do; None if there is none."""
    for origin in list_look_alikes(pattern.pattern):
        if pattern.fullmatch(origin):
            return f"NGAUTH_ALLOWED_ORIGINS also admits {origin}", r"write dots as \. and no .* beside a name"
    return None


def list_look_alikes(pattern: str) -> list[str]:
    """Origins that a pattern for its hosts should not match."""
    origins = ["https://attacker.example", "http://attacker.example", "https://a", "null"]
    for host in _hosts(pattern):
        origins += [f"https://{host}.attacker.example", f"https://attacker-{host}", f"https://{host}-attacker.example"]
        origins += [f"https://{host[:at]}x{host[at + 1 :]}" for at, letter in enumerate(host) if letter == "."]
        origins += [
            f"https://attacker.example#{host}",
            f"https://attacker.example/{host}",
            f"https://{host}@attacker.example",
        ]
    return origins


def find_plain_http(pattern: Pattern) -> tuple[str, str] | None:
    """A viewer that is admitted over http only: an attacker on the network can change its page and read tokens."""
    for path in _paths(pattern.pattern):
        origins = _origins_of(path, pattern)
        host = next((urlsplit(origin).hostname or "" for origin in origins), "")
        near = host == "localhost" or re.fullmatch(r"127(\.\d+){3}", host)
        if host and not near and not any(origin.startswith("https:") for origin in origins):
            return (
                f"NGAUTH_ALLOWED_ORIGINS admits {host} over http alone: an attacker on the network gets the tokens, "
                "and the viewer on https is not admitted",
                f"dsgctl setup --viewers https://{host}",
            )
    return None


def _find_slip(pattern: Pattern, own: list[str]) -> tuple[str, str] | None:
    """A host of the pattern that looks like a typo of a well-known viewer, or of one in another setting."""
    # Only needed to word an error.
    from difflib import get_close_matches

    viewers = [urlsplit(origin).hostname or "" for origin in (*WELL_KNOWN, *own)]
    for host in _hosts(pattern.pattern):
        for near in [] if host in viewers else get_close_matches(host, viewers, 1, cutoff=0.88):
            if not pattern.fullmatch(f"https://{near}"):
                return (
                    f"NGAUTH_ALLOWED_ORIGINS names {host}: a typo of {near}?",
                    f"dsgctl setup --viewers https://{near}",
                )
    return None
