"""Security headers: of every response, and of pages."""

import secrets

# The popup needs its `window.opener` to post a message to the viewer (contract.md, "Window isolation").
POPUP_ISOLATION = "unsafe-none"
ISOLATION = "same-origin"

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def window_isolation(*, popup: bool) -> tuple[str, str]:
    """The header that says whether the window of a response is isolated from its opener."""
    return "Cross-Origin-Opener-Policy", POPUP_ISOLATION if popup else ISOLATION


def new_nonce() -> str:
    """A nonce for one page: only style and script with this nonce run."""
    return secrets.token_urlsafe(16)


def page_policy(nonce: str, form_targets: tuple[str, ...] = (), *, pictures: bool = False) -> str:
    """The Content-Security-Policy of one page.

    Args:
        form_targets: other origins that its forms may lead to, by redirects too.
        pictures: whether the page contains pictures (site.py); none is ever loaded.
    """
    form_action = " ".join(("'self'", *form_targets))
    images = "img-src data:; " if pictures else ""
    return (
        f"default-src 'none'; {images}style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        f"form-action {form_action}; base-uri 'none'; frame-ancestors 'none'"
    )
