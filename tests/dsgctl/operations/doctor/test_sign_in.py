"""The OAuth client and the provider."""

from tests.dsgctl.operations.doctor.installation import CLIENT_ID, Installation
from tests.dsgctl.operations.doctor.planting import (
    REFUSED,
    Examine,
    Fault,
    close,
    delete,
    each_fault,
    make_dangling,
    require_reported,
    set_mode,
    write_settings,
    write_text,
)
from tests.e2e.local import free_port

WEB = '{{"web": {{"client_id": "{id}", "client_secret": "s", "redirect_uris": [{uris}]}}}}'

FAULTS: list[Fault] = [
    (
        "secret of a sample",
        write_settings(GOOGLE_CLIENT_ID=CLIENT_ID, GOOGLE_CLIENT_SECRET="YOUR_CLIENT_SECRET"),
        "oauth client",
        "failed",
        ("is a placeholder",),
    ),
    (
        "client is a directory",
        write_settings(CLIENT_CREDENTIALS_PATH="/tmp"),
        "oauth client",
        "failed",
        ("not a file",),
    ),
    (
        "id without secret",
        write_settings(CLIENT_CREDENTIALS_PATH="", GOOGLE_CLIENT_ID=CLIENT_ID),
        "oauth client",
        "failed",
        ("GOOGLE_CLIENT_ID is set and GOOGLE_CLIENT_SECRET is not", "set GOOGLE_CLIENT_SECRET"),
    ),
    (
        "secret without id",
        write_settings(CLIENT_CREDENTIALS_PATH="", GOOGLE_CLIENT_SECRET="s"),
        "oauth client",
        "failed",
        ("set GOOGLE_CLIENT_ID",),
    ),
    ("id beside a file", write_settings(GOOGLE_CLIENT_ID=CLIENT_ID), "oauth client", "warning", ("so", "counts")),
    (
        "another client",
        write_settings(GOOGLE_CLIENT_ID="2-x", GOOGLE_CLIENT_SECRET="s"),
        "oauth client",
        "warning",
        ("which is not used", "remove one of them"),
    ),
    ("no client", write_settings(CLIENT_CREDENTIALS_PATH=""), "provider", "failed", ("no OAuth client",)),
    (
        "client of a desktop",
        lambda here: here.client.write_text(here.client.read_text().replace("web", "installed")),
        "oauth client",
        "failed",
        ("desktop app", "web application"),
    ),
    (
        "key of a service account",
        write_text("client", '{"type": "service_account", "private_key": "x"}'),
        "oauth client",
        "failed",
        ("key of a service account", "GOOGLE_APPLICATION_CREDENTIALS"),
    ),
    (
        "another redirect URI",
        write_text("client", WEB.format(id=CLIENT_ID, uris='"https://x.org/"')),
        "oauth client",
        "failed",
        ("lack https://localhost:", "redirect_uri_mismatch"),
    ),
    ("no redirect URI", write_text("client", WEB.format(id=CLIENT_ID, uris="")), "oauth client", "failed", ("lack",)),
    ("client is no JSON", write_text("client", "client"), "oauth client", "failed", ("not JSON, or cut off",)),
    ("client is a list", write_text("client", "[]"), "oauth client", "failed", ("not an OAuth client file",)),
    ("client for all", set_mode("client", 0o644), "oauth client", "failed", ("everybody on this host", "chmod 640")),
    ("client for nobody", close("client"), "oauth client", "failed", (REFUSED, "read")),
    ("client is gone", delete("client"), "oauth client", "failed", ("there is no",)),
    ("client leads nowhere", make_dangling("client"), "oauth client", "failed", ("symbolic link to", "not there")),
    (
        "another issuer",
        lambda here: here.write(DSG_OIDC_ISSUER=f"{here.site.issuer}/else"),
        "provider",
        "failed",
        ("names another issuer", "set DSG_OIDC_ISSUER=https://id.example.org"),
    ),
    (
        "no description",
        lambda here: here.write(DSG_OIDC_ISSUER=f"{here.site.issuer}/odd"),
        "provider",
        "failed",
        ("not the metadata of an OpenID provider",),
    ),
    (
        "moved",
        lambda here: here.write(DSG_OIDC_ISSUER=f"{here.site.issuer}/moved"),
        "provider",
        "failed",
        ("redirects to https://id.example.org/",),
    ),
    (
        "broken",
        lambda here: here.write(DSG_OIDC_ISSUER=f"{here.site.issuer}/broken"),
        "provider",
        "failed",
        ("answers 500",),
    ),
    (
        "not there",
        lambda here: here.write(DSG_OIDC_ISSUER=f"https://localhost:{free_port()}"),
        "provider",
        "failed",
        ("connection refused by localhost",),
    ),
    (
        "no such host",
        write_settings(DSG_OIDC_ISSUER="https://nowhere.invalid"),
        "provider",
        "failed",
        ("the name nowhere.invalid is not found", "getent hosts"),
    ),
]


@each_fault(FAULTS)
def test_a_planted_fault_is_reported(fault: Fault, here: Installation, examine: Examine) -> None:
    require_reported(fault, here, examine)
