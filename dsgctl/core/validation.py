"""The form of every value: one function for each kind, which returns the value or raises `Invalid`.

There are two rules, and the type tells which one a value has met. A `str` comes from a person, and must meet the strict
rule of its kind. Values of other systems are imported unchanged, because clients compare names exactly: `foreign` and
its like return them as a `Foreign`, which every strict rule accepts.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from dsgctl.core import hidden_characters
from dsgctl.core.errors import Invalid
from dsgctl.core.rules import levels

# The domain of the emails that user/cache reports for service accounts; no user may have it
# (contract.md, "GET /api/v1/user/cache").
SERVICE_ACCOUNT_DOMAIN: Final = "service-account.dsg.local"

IMPERSONATE: Final = "impersonate:"  # begins a credential that is a service account of Google's
MAX_NAME: Final = 255
MAX_TEXT: Final = 100_000  # characters of terms or notes

# Patterns are texts: `re` compiles each at its first use, and a command uses few.
_EMAIL = (
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
_SLUG = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_PERMISSION = r"[A-Za-z0-9_][A-Za-z0-9_.:-]*"
# https://cloud.google.com/storage/docs/buckets#naming
_BUCKET = r"[a-z0-9]([a-z0-9._-]{1,220})[a-z0-9]"
_DURATION = r"([1-9][0-9]{0,5})([mhdw])"
_LONGEST: Final = timedelta(days=36525)
_UNIT: Final = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


class Foreign(str):
    """Text of another system, unchanged. Only the functions below construct it."""

    __slots__ = ()


# What another system may store and this database cannot: control characters and lone surrogates.
_UNSTORABLE = "[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
MAX_FOREIGN: Final = 2048  # bytes of UTF-8: the most that PostgreSQL can index


def is_storable(text: str, *, allowed: str = "") -> bool:
    """Whether a database can store ``text`` as a name. Text that it cannot store names nothing."""
    return text.isprintable() or all(char in allowed for char in re.findall(_UNSTORABLE, text))


def foreign(text: str, noun: str, *, empty: bool = False) -> Foreign:
    """A name of another system, of any script and punctuation, possibly with spaces at its ends.

    Raises:
        Invalid: it is empty, has a control character, or is longer than `MAX_FOREIGN` bytes.
    """
    if not is_storable(text):
        raise _unfit(text, noun, "it has a control character")
    if not text and not empty:
        raise _unfit(text, noun, "it is empty")
    if len(text.encode()) > MAX_FOREIGN:
        raise _unfit(text, noun, f"it is longer than {MAX_FOREIGN} bytes")
    return Foreign(text)


def _unfit(text: str, noun: str, why: str) -> Invalid:
    return Invalid(f"{quote(text)} is not {_with_article(noun)}: {why}", "rename it there")


def foreign_paragraph(text: str, noun: str) -> Foreign:
    """Text of several lines of another system; it may contain marks of the direction of writing."""
    if len(text) > MAX_TEXT:
        raise Invalid(f"the {noun} is longer than {MAX_TEXT} characters", "shorten it there")
    if not is_storable(text, allowed="\n\t"):
        raise Invalid(f"the {noun} has a control character", "take it out there")
    return Foreign(text)


def foreign_email(text: str) -> Foreign:
    """An address of another system, by which services know a person: of any script, possibly with a space."""
    ends_well = text == text.strip() and not text.startswith("@") and not text.endswith("@")
    if len(text) > 254 or "@" not in text or not ends_well or hidden_characters.has_control(text):
        raise Invalid(f"{quote(text)} is not an email address", "write it there like name@example.org")
    return Foreign(_not_of_service_accounts(text))


def email(text: str) -> str:
    """The address of a user. It is stored as typed; comparisons ignore ASCII case (`email_key`)."""
    if isinstance(text, Foreign):
        return text
    too_long = len(text) > 254 or len(text.split("@", maxsplit=1)[0]) > 64
    if too_long or not re.fullmatch(_EMAIL, text):
        raise Invalid(
            f"{quote(text)} is not an email address",
            "write it like name@example.org, in ASCII (a domain in punycode)",
        )
    return _not_of_service_accounts(text)


def _not_of_service_accounts(text: str) -> str:
    if email_key(text).endswith("@" + SERVICE_ACCOUNT_DOMAIN):
        raise Invalid(f"{quote(text)} is not a user's address", f"{SERVICE_ACCOUNT_DOMAIN} is for service accounts")
    return text


def email_key(text: str) -> str:
    """An address in the form in which addresses are compared: A to Z in lower case, all other letters unchanged.

    The database's lower() does the same. Python's turns the Kelvin sign into "k", which must not find kate.
    """
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


_GMAIL: Final = ("gmail.com", "googlemail.com")


def twin_key(text: str) -> str:
    """The same text for addresses that likely reach the same person: a hint, and never equality.

    It lacks a ``+tag``, and for Gmail the dots and the difference between its two domains
    (https://support.google.com/mail/answer/7436150).
    """
    local, _, domain = email_key(text).rpartition("@")
    local = local.partition("+")[0]
    return f"{local.replace('.', '')}@gmail.com" if domain in _GMAIL else f"{local}@{domain}"


def slug(text: str, noun: str) -> str:
    """A name for URLs and JSON keys; ``noun`` is its kind, for the message."""
    if isinstance(text, Foreign):
        return text
    if len(text) > MAX_NAME or not re.fullmatch(_SLUG, text):
        raise Invalid(
            f"{quote(text)} is not a name for a {noun}",
            "use letters, digits, '.', '_' and '-', not '.' or '-' first, at most 255 characters",
        )
    return text


def single_line(text: str, noun: str, *, empty: bool = False) -> str:
    """One line of any script: the name of a person, group, version or terms."""
    if isinstance(text, Foreign):
        return text
    # A text that may be empty is not a name that is compared: invisible operators of mathematics do no harm there.
    hidden = hidden_characters.has_hidden(text, allowed="\u2061\u2062\u2063\u2064" if empty else "")
    if (not text and not empty) or text != text.strip() or len(text) > MAX_NAME or hidden:
        raise Invalid(
            f"{quote(text)} is not {_with_article(noun)}",
            "use 1 to 255 characters, with no control characters, no invisible ones and no space at either end",
        )
    return text


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def multiline(text: str, noun: str) -> str:
    """Text of several lines, such as notes or terms."""
    if isinstance(text, Foreign):
        return text
    if len(text) > MAX_TEXT or hidden_characters.has_control(text, allowed="\n\t"):
        raise Invalid(f"the {noun} cannot be stored", f"use at most {MAX_TEXT} characters and no control characters")
    return text


def permission(text: str) -> str:
    """The name of a permission, of any system."""
    if isinstance(text, Foreign):
        return text
    if len(text) > MAX_NAME or not re.fullmatch(_PERMISSION, text):
        raise Invalid(f"{quote(text)} is not a permission", f"the permissions are {levels.enumerate_names('and')}")
    return text


def gs_url(text: str) -> tuple[str, str]:
    """The bucket and the prefix of ``gs://BUCKET[/PREFIX]``; a prefix that is not empty ends with ``/``."""
    bucket, _, prefix = text.removeprefix("gs://").partition("/")
    well_formed = (
        text.startswith("gs://")
        and re.fullmatch(_BUCKET, bucket)
        and not hidden_characters.has_control(prefix)
        and not prefix.startswith("/")
        and len(prefix.encode("utf-8", "replace")) <= 1024
    )
    if not well_formed:
        raise Invalid(
            f"{quote(text)} is not a location",
            "write gs://BUCKET or gs://BUCKET/PREFIX, the bucket in lower case, 3 to 222 characters",
        )
    return bucket, prefix if not prefix or prefix.endswith("/") else prefix + "/"


def credential(text: str) -> str:
    """The Google credential of a bucket: a file, or ``impersonate:`` and the email of a service account of Google's."""
    if text.startswith(IMPERSONATE):
        email(text.removeprefix(IMPERSONATE))
    elif not text.startswith("/") or hidden_characters.has_hidden(text):
        raise Invalid(f"{quote(text)} is not a credential", "name a file by its whole path, or write impersonate:EMAIL")
    return text


def project(text: str) -> str:
    """The id of a Google Cloud project (https://cloud.google.com/resource-manager/docs/creating-managing-projects)."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", text):
        raise Invalid(f"{quote(text)} is not a project", "use 6 to 30 lower-case letters, digits and '-'")
    return text


_URL = r"https?://[A-Za-z0-9._\[\]:-]+(?:[/?#][!-\[\]-~]*)?"


def url(text: str) -> str:
    """An http(s) address that may be shown or linked to; empty is allowed.

    It has no user or password, which a page would show, and no backslash, which browsers read as a slash.
    """
    if text and (not re.fullmatch(_URL, text) or len(text) > 2048):
        raise Invalid(f"{quote(text)} is not a web address", "write http://... or https://... in ASCII")
    return text


def duration(text: str) -> timedelta:
    """``30m``, ``12h``, ``90d`` or ``2w``."""
    match = re.fullmatch(_DURATION, text)
    length = int(match[1]) * _UNIT[match[2]] if match else None
    if length is None or length > _LONGEST:
        raise Invalid(
            f"{quote(text)} is not a duration", "write a number and m, h, d or w, such as 90d; at most 100 years"
        )
    return length


def date(text: str) -> datetime:
    """``2027-01-31`` (its first moment in UTC) or ``2027-01-31T12:00Z``; a time without a zone is UTC."""
    try:
        if not re.fullmatch(r"(19[7-9]|[2-9]\d\d)\d-\d\d-\d\d([T ].+)?", text):  # nothing recorded is older than 1970
            raise ValueError(text)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"{quote(text)} is not a date", "write it like 2027-01-31 or 2027-01-31T12:00Z") from None


def moment_before(text: str, now: datetime) -> datetime:
    """A time in the past: a duration before ``now``, or a date."""
    return _moment(text, now, -1)


def moment_after(text: str, now: datetime) -> datetime:
    """A time in the future: a duration from ``now``, or a date."""
    end = _moment(text, now, +1)
    if end <= now:
        raise Invalid(f"{quote(text)} is in the past", "name a date in the future, or a duration such as 90d")
    return end


def _moment(text: str, now: datetime, sign: int) -> datetime:
    try:
        return now + sign * duration(text) if re.fullmatch(_DURATION, text) else date(text)
    except (OverflowError, Invalid):
        raise Invalid(f"{quote(text)} is not a date or duration", "write it like 90d, 12h or 2027-01-31") from None


def quote(text: str) -> str:
    """A value in quotes, for a message: short, and harmless on a terminal."""
    cut = text if len(text) <= 60 else text[:57] + "..."
    return f"'{hidden_characters.escape(cut)}'"
