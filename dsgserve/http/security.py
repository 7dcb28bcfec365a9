"""Headers that keep browsers from harm: on every answer, and on pages."""

import secrets

# The popup must keep its `window.opener`, or the viewer never hears from it (contract.md, "ngauth").
POPUP_ISOLATION = "unsafe-none"
ISOLATION = "same-origin"

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def new_nonce() -> str:
    """For one page: its own style and script carry it, nothing else runs."""
    return secrets.token_urlsafe(16)


def page_policy(nonce: str, form_targets: tuple[str, ...] = (), *, pictures: bool = False) -> str:
    """Of one page.

    Args:
        form_targets: other origins that sending a form may lead to, its redirects included.
        pictures: it holds some itself (site.py); none is loaded from anywhere.
    """
    form_action = " ".join(("'self'", *form_targets))
    images = "img-src data:; " if pictures else ""
    return (
        f"default-src 'none'; {images}style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        f"form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )
