"""Bad settings, and well-formed ones that are wrong."""

from dsgctl.setting_values import APIS
from tests.dsgctl.operations.doctor.installation import Installation
from tests.dsgctl.operations.doctor.planting import (
    Examine,
    Fault,
    each_fault,
    find_row,
    require_reported,
    write_settings,
)
from tests.e2e.conftest import KEY

FAULTS: list[Fault] = [
    ("bad value", write_settings(DSG_PORT="none"), "settings", "failed", ("DSG_PORT: 'none'", "dsg.env, line")),
    ("misspelled", write_settings("DSG_ORIGN=x"), "settings", "failed", ("did you mean DSG_ORIGIN?",)),
    ("no setting at all", write_settings("nonsense"), "settings", "failed", ("dsg.env, line 11: not NAME=value",)),
    ("export", write_settings("export LOG_LEVEL=INFO"), "settings", "failed", ("leave out 'export'",)),
    ("open quote", write_settings("LOG_LEVEL='INFO"), "settings", "failed", ("begins with a quote",)),
    ("not UTF-8", lambda here: here.env.write_bytes(b"\xff\xfe"), "settings", "failed", ("not UTF-8",)),
    (
        "given twice",
        write_settings("LOG_LEVEL=INFO", "LOG_LEVEL=DEBUG"),
        "settings",
        "failed",
        ("LOG_LEVEL is set 2 times", "lines 11, 12", "the last one counts"),
    ),
    (
        "given twice, the same",
        write_settings("LOG_LEVEL=INFO", "LOG_LEVEL=INFO"),
        "settings",
        "warning",
        ("set 2 times",),
    ),
    ("comment in a value", write_settings("GOOGLE_CLIENT_SECRET=a # ours"), "settings", "warning", ("has a '#'",)),
    (
        "of the original",
        write_settings("DSG_LOG_LEVEL=info"),
        "settings",
        "warning",
        ("DSG_LOG_LEVEL", "LOG_LEVEL is ours"),
    ),
    ("of a client", write_settings("DSG_URL=https://x.org"), "settings", "warning", ("DSG_URL", "not used")),
    ("of nobody", write_settings("DSG_FROBNICATE=1"), "settings", "warning", ("DSG_FROBNICATE", "line 11")),
    (
        "contradiction",
        write_settings(AUTH_COOKIE_DOMAIN=".other.org"),
        "settings",
        "failed",
        ("browsers refuse other.org",),
    ),
    ("no file", lambda here: here.env.unlink(), "settings", "failed", ("does not exist", "--env-file")),
    (
        "no key",
        write_settings(DSG_SECRET_KEY=""),
        "signing keys",
        "failed",
        ("dsgserve will not start", "dsgctl setup"),
    ),
    *(
        (
            f"keys with {mark!r}",
            write_settings(DSG_SECRET_KEY=f"{KEY}{mark}{KEY[::-1]}"),
            "signing keys",
            "failed",
            ("looks like 2", "only a comma"),
        )
        for mark in (" ", ";", ":", "; ", " : ")
    ),
    (
        "one key twice",
        write_settings(DSG_SECRET_KEY=f"{KEY},{KEY}"),
        "signing keys",
        "warning",
        ("the same key twice",),
    ),
    *(
        (
            f"key to guess: {key[:12]}",
            write_settings(DSG_SECRET_KEY=key),
            "signing keys",
            "failed",
            ("can be guessed", "setup"),
        )
        for key in (
            "a" * 64,
            "0123456" * 9,
            "change-me-" * 4,
            "CHANGE_THIS_to-32-random-characters-0123456789",
            "<32 random characters from openssl rand>",
            f"{KEY},{'ab' * 20}",
            "put-your-own-secret-here-of-32-characters",
        )
    ),
    *(
        (
            f"relative {name}",
            write_settings(**{name: "here/it"}),
            "settings",
            "failed",
            (f"{name} is here/it", "absolute path"),
        )
        for name in (
            "CLIENT_CREDENTIALS_PATH",
            "DSG_BACKUP_STAGING_DIR",
            "DSG_BACKUP_AGE_RECIPIENTS_FILE",
            "DSG_BACKUP_AGE_IDENTITY_FILE",
        )
    ),
    (
        "token redirect only",
        write_settings(DSG_TOKEN_REDIRECTS="https://a.org"),
        "redirects",
        "warning",
        ("https://a.org",),
    ),
    (
        "CAVE without its cookie",
        write_settings(DSG_APIS="cave", DSG_TOKEN_NAMES="dsg_token"),
        "apis",
        "warning",
        ("middle_auth_token", "DSG_TOKEN_NAMES=dsg_token,middle_auth_token"),
    ),
    ("misspelled API", write_settings(DSG_APIS="cave,nativ"), "settings", "failed", (", ".join(APIS),)),
    (
        "STS of tests",
        write_settings(DSG_STS_URL="https://localhost:1/token"),
        "google",
        "failed",
        ("remove DSG_STS_URL",),
    ),
    (
        "storage of tests",
        write_settings(DSG_STORAGE_URL="https://localhost:1"),
        "google",
        "failed",
        ("DSG_STORAGE_URL",),
    ),
    ("plain origin", write_settings(DSG_ORIGIN="http://auth.example.org"), "origin", "failed", ("tokens go in clear",)),
]


@each_fault(FAULTS)
def test_a_planted_fault_is_reported(fault: Fault, here: Installation, examine: Examine) -> None:
    rows = require_reported(fault, here, examine)
    _, _, check, state, _ = fault
    if (check, state) == ("settings", "failed"):
        find_row(rows, "audit log", "ok")  # one bad setting hides no other check


def test_the_served_apis_are_named(here: Installation, examine: Examine) -> None:
    find_row(examine()[1], "apis", "ok", "none beyond login")
    write_settings(DSG_APIS="gate,cave", DSG_TOKEN_NAMES="dsg_token,middle_auth_token")(here)
    find_row(examine()[1], "apis", "ok", "gate: nginx", "cave: CAVE services")
