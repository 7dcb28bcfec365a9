"""Signing in through an OpenID provider that we did not write, in every way that it can go."""

import time
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from dsgctl.core import audit, token_queries, tokens, user_queries, users
from dsgctl.core.clock import now
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.provider import ADA, CLIENT, Browser, Provider, needs_node
from tests.patience import PATIENCE

pytestmark = needs_node


@pytest.fixture
def browse(serve: Callable[..., Server], provider: Provider) -> Callable[..., Browser]:
    """Starts a server for this provider, and a browser before it."""
    provider.configure()

    def start(**settings: str) -> Browser:
        server = serve(
            DSG_OIDC_ISSUER=provider.issuer, REQUESTS_CA_BUNDLE=str(provider.certificate), **CLIENT, **settings
        )
        return Browser(server.origin.replace("127.0.0.1", "localhost"), provider.certificate)

    return start


def another_browser(browser: Browser, provider: Provider) -> Browser:
    """A second browser before the same server."""
    return Browser(browser.origin, provider.certificate)


def user_cache(browser: Browser, token: str) -> int:
    """The status of user/cache for a token."""
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(browser.origin + "/api/v1/user/cache", headers=headers, timeout=PATIENCE).status_code


def test_a_first_login_makes_the_account_and_a_later_one_finds_it(
    browse: Callable[..., Browser], provider: Provider, database: Database
) -> None:
    browser = browse()
    assert browser.get("/auth/login?next=/success").url == browser.origin + "/success"
    assert browser.signed_in_email() == "ada@example.org"
    user = user_queries.show(database, "ada@example.org")
    assert (user["issuer"], user["subject"], user["name"]) == (provider.issuer, "s-ada", "Ada Lovelace")
    assert user["groups"] == ["user"]

    provider.configure(claims={**ADA, "email": "renamed@example.org"})
    second = another_browser(browser, provider)
    second.get("/auth/login")
    assert second.signed_in_email() == "ada@example.org"
    assert browser.signed_in_email() == "ada@example.org", "a login on a second browser ended the first"
    assert database.count(users.Principal.select()) == 1
    actors = {row["actor"] for row in audit.list_records(database)}
    assert actors <= {"user:ada@example.org", "user:renamed@example.org"}


def test_the_request_to_the_provider_has_the_required_parameters(
    browse: Callable[..., Browser], provider: Provider
) -> None:
    browser = browse()
    first = browser.get("/auth/login", follow=False)
    query = {key: values[0] for key, values in parse_qs(urlsplit(first.headers["Location"]).query).items()}
    assert query["response_type"] == "code"
    assert query["client_id"] == "the-client"
    assert query["redirect_uri"] == browser.origin + "/accounts/google/login/callback/"
    assert query["code_challenge_method"] == "S256" and len(query["code_challenge"]) == 43
    assert set(query["scope"].split()) == {"openid", "email", "profile"}
    assert len(query["state"]) >= 32 and len(query["nonce"]) >= 32
    assert "prompt" not in query
    again = browser.get("/auth/login?again=1", follow=False)
    assert parse_qs(urlsplit(again.headers["Location"]).query)["prompt"] == ["select_account"]
    browser.get("/auth/login")
    response = browser.get("/api/v1/authorize", follow=False)
    assert parse_qs(urlsplit(response.headers["Location"]).query)["login_hint"] == ["ada@example.org"]
    for reply in (first, again, response):
        assert reply.headers["Cross-Origin-Opener-Policy"] == "unsafe-none"


def test_the_host_header_does_not_decide_where_the_provider_sends_the_browser(
    browse: Callable[..., Browser],
) -> None:
    browser = browse()
    reply = browser.get("/auth/login", follow=False, Host="evil.example", **{"X-Forwarded-Host": "evil.example"})
    assert "evil" not in reply.headers["Location"]


FORGED = [
    ("a foreign key", {"signature": "foreign"}),
    ("no signature", {"signature": "none"}),
    ("another nonce", {"claims": {**ADA, "nonce": "another"}}),
    ("no nonce", {"claims": {**ADA, "nonce": None}}),
    ("another audience", {"claims": {**ADA, "aud": "another-client"}}),
    ("a second audience without azp", {"claims": {**ADA, "aud": ["the-client", "other"]}}),
    ("another issuer", {"claims": {**ADA, "iss": "https://evil.example"}}),
    ("expired", {"claims": {**ADA, "exp": int(time.time()) - 60}}),
    ("no expiry", {"claims": {**ADA, "exp": None}}),
    ("an unverified email", {"claims": {**ADA, "email_verified": False}}),
    ("an email verified in text", {"claims": {**ADA, "email_verified": "true"}}),
    ("no email", {"claims": {**ADA, "email": None}}),
    ("the address of a service account", {"claims": {**ADA, "email": "bot@service-account.dsg.local"}}),
    ("an email with a line break", {"claims": {**ADA, "email": "a\n@example.org"}}),
    ("refused by the token endpoint", {"tokenError": "invalid_grant"}),
    ("denied", {"deny": "access_denied"}),
]


def test_an_untrusted_answer_shows_an_error_page_and_signs_nobody_in(
    browse: Callable[..., Browser], provider: Provider, database: Database
) -> None:
    browser = browse()
    for name, how in FORGED:
        provider.configure(**how)
        reply = browser.get("/auth/login?next=/success")
        assert reply.status_code == 403, name
        assert "not signed in" in reply.text, name
        assert "/auth/login?again=1&amp;next=%2Fsuccess" in reply.text, name
        assert len(browser.visited) == 3, name
        assert browser.cookie("dsg_token") is None, name
    assert database.count(users.Principal.select()) == 0
    provider.configure()
    browser.get("/auth/login")
    assert browser.signed_in_email() == "ada@example.org"


def test_an_account_that_was_added_is_bound_and_another_subject_is_refused(
    browse: Callable[..., Browser], provider: Provider, database: Database
) -> None:
    with begin_change(database, "os:test") as change:
        users.add(change, "Ada@Example.org", name="Countess")
    browser = browse()
    browser.get("/auth/login")
    assert browser.signed_in_email() == "Ada@Example.org"
    assert user_queries.show(database, "ada@example.org")["name"] == "Countess"

    provider.configure(claims={**ADA, "sub": "somebody-else"})
    second = another_browser(browser, provider)
    reply = second.get("/auth/login")
    assert (reply.status_code, "another sign-in identity" in reply.text) == (403, True)
    with begin_change(database, "os:test") as change:
        users.set_attributes(change, "ada@example.org", unbind=True)
    second.get("/auth/login")
    assert second.signed_in_email() == "Ada@Example.org"


def test_a_disabled_account_and_a_foreign_domain_are_refused_with_the_reason(
    browse: Callable[..., Browser], provider: Provider, database: Database
) -> None:
    with begin_change(database, "os:test") as change:
        users.add(change, "ada@example.org")
        users.set_active(change, "ada@example.org", False)
    browser = browse(DSG_ALLOWED_EMAIL_DOMAINS="example.org")
    assert "disabled" in browser.get("/auth/login").text
    provider.configure(claims={**ADA, "sub": "s-eve", "email": "eve@example.com"})
    assert "domain" in browser.get("/auth/login").text
    assert browser.cookie("dsg_token") is None


def test_a_login_completes_once_and_only_in_the_browser_that_began_it(
    browse: Callable[..., Browser], provider: Provider
) -> None:
    browser = browse()
    to_provider = browser.get("/auth/login", follow=False).headers["Location"]
    callback = browser.get(to_provider, follow=False).headers["Location"]
    victim = another_browser(browser, provider)
    assert victim.get(callback).status_code == 403, "somebody else's login was finished"
    assert victim.cookie("dsg_token") is None
    assert browser.get(callback).status_code == 200
    assert browser.signed_in_email() == "ada@example.org"
    assert browser.get(callback).status_code == 403, "a login was finished twice"
    assert browser.get("/accounts/google/login/callback/?state=x&code=y").status_code == 403


def test_several_tabs_may_sign_in_at_once_and_the_other_callback_works_too(
    browse: Callable[..., Browser],
) -> None:
    browser = browse()
    tabs = [browser.get(f"/auth/login?next=/success%3Ftab={tab}", follow=False) for tab in range(3)]
    for tab, reply in reversed(list(enumerate(tabs))):
        callback = browser.get(reply.headers["Location"], follow=False).headers["Location"]
        other_spelling = callback.replace("/accounts/google/login/callback/", "/api/v1/oauth2callback")
        assert browser.get(other_spelling, follow=False).headers["Location"] == f"/success?tab={tab}"
    for _ in range(10):
        browser.get("/auth/login", follow=False)
    assert len(browser.cookie("dsg_login") or "") < 3500, "pending logins are not bounded"


def test_keys_are_fetched_again_when_the_provider_has_new_ones(
    browse: Callable[..., Browser], provider: Provider
) -> None:
    browser = browse()
    browser.get("/auth/login")
    time.sleep(1.1)
    provider.configure(rotate=True)
    for _ in range(3):
        assert browser.get("/auth/login?next=/success").status_code == 200


def test_a_provider_that_hangs_or_is_down_shows_a_page_and_does_not_slow_user_cache(
    browse: Callable[..., Browser], provider: Provider, database: Database
) -> None:
    with begin_change(database, "os:test") as change:
        _, token = tokens.mint(change, users.add(change, "bo@example.org")[0])
    browser = browse()
    browser.get("/auth/login")
    provider.configure(hang=7000)
    reply = browser.get("/auth/login")
    assert (reply.status_code, "does not answer" in reply.text) == (503, True)
    assert user_cache(browser, token) == 200


def test_a_login_redirects_to_allowed_targets_only(browse: Callable[..., Browser], database: Database) -> None:
    browser = browse(
        DSG_ALLOWED_REDIRECTS="https://cave.example.org,https://clio.example.org",
        DSG_TOKEN_REDIRECTS="https://cave.example.org",
    )

    def leads_to(path: str) -> str:
        reply = browser.get(path, follow=False)
        callback = browser.get(reply.headers["Location"], follow=False).headers["Location"]
        return browser.get(callback, follow=False).headers["Location"]

    plain = leads_to("/api/v1/authorize?redirect=https://clio.example.org/x?a=1")
    assert plain == "https://clio.example.org/x?a=1"
    with_token = leads_to("/api/v1/authorize?redirect=https://cave.example.org/x?a=1%26dsg_token=old%23part")
    assert with_token == f"https://cave.example.org/x?a=1&dsg_token={browser.cookie('dsg_token')}#part"
    # Also where terms might come first, which are asked for by service and dataset.
    activate = leads_to("/api/v1/authorize?service=clio&redirect=https://cave.example.org/x?a=1")
    through = browser.get(activate, follow=False).headers["Location"]
    assert through == f"https://cave.example.org/x?a=1&dsg_token={browser.cookie('dsg_token')}"
    activation = leads_to("/api/v1/authorize?redirect=https://clio.example.org/x&service=clio&dataset=fish2")
    assert activation == "/activate?service=clio&dataset=fish2&redirect=https%3A%2F%2Fclio.example.org%2Fx"
    for bad in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert browser.get(f"/api/v1/authorize?redirect={bad}", follow=False).status_code == 400
        assert browser.get(f"/auth/login?next={bad}", follow=False).status_code == 400


def test_a_script_gets_the_address_of_the_login_page(browse: Callable[..., Browser]) -> None:
    browser = browse(DSG_ALLOWED_REDIRECTS="https://clio.example.org")
    path = "/api/v1/authorize?redirect=https://clio.example.org/x&service=clio"
    url = browser.get(path, **{"X-Requested-With": "XMLHttpRequest"}).json()["authorization_url"]
    assert url.startswith(browser.origin + "/api/v1/authorize?")
    browser.get(
        browser.get(browser.get(url, follow=False).headers["Location"], follow=False).headers["Location"], follow=False
    )
    assert browser.signed_in_email() == "ada@example.org"


def test_logout_revokes_this_login_token_and_no_other_token(
    browse: Callable[..., Browser], provider: Provider, database: Database
) -> None:
    browser = browse()
    browser.get("/auth/login")
    second = another_browser(browser, provider)
    second.get("/auth/login")
    presented = browser.cookie("dsg_token") or ""
    browser.get("/api/v1/logout")
    assert browser.signed_in_email() is None
    assert user_cache(browser, presented) == 401
    assert second.signed_in_email() == "ada@example.org"
    with begin_change(database, "os:test") as change:
        _, api = tokens.mint(change, users.find(database, "ada@example.org"))
    requests.post(browser.origin + "/logout", headers={"Authorization": f"Bearer {api}"}, timeout=PATIENCE)
    assert user_cache(browser, api) == 200


def test_the_login_token_lasts_a_week_and_its_cookie_is_http_only(
    browse: Callable[..., Browser], database: Database
) -> None:
    browser = browse()
    reply = browser.get("/auth/login", follow=False)
    callback = browser.get(reply.headers["Location"], follow=False).headers["Location"]
    last_reply = browser.get(callback, follow=False)
    cookies = [value for name, value in last_reply.raw.headers.items() if name.lower() == "set-cookie"]
    login = next(value for value in cookies if value.startswith("dsg_token="))
    assert "HttpOnly" in login and "samesite=lax" in login.lower() and "Domain" not in login
    row = next(iter(token_queries.list_tokens(database, at=now())))
    assert row["kind"] == "login"
    assert abs((row["expires"] - now()).total_seconds() - 7 * 24 * 3600) < 60
