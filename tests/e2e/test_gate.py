"""nginx/gate.conf and nginx/gate.Caddyfile with the real programs: who gets data, and what the servers behind get."""

import gzip
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dsgctl.core import clock, datasets, grants, groups, terms, token_checks, tokens, users, versions
from dsgctl.core.change import Change
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.token_checks import PresentedToken
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.gated import DATA, PROXIES, Gated, run_upstream, talk
from tests.e2e.local import make_certificate
from tests.e2e.proxy import HOST, ROOT
from tests.patience import PATIENCE

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")
needs_caddy = pytest.mark.skipif(not shutil.which("caddy"), reason="apt-get install caddy")

SECRET = b"what only those may read who may view fly"
LARGE = secrets.token_bytes(10 * 1024**2)


@dataclass
class Lab:
    """Ada may edit fish2 and is in the group lab-1; bo may view it; cy may nothing. Nobody may view fly."""

    ada: str
    bo: str
    cy: str
    database: Database
    server: Server
    site: Gated

    def change(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        with begin_change(self.database, "os:test") as change:
            return function(change, *arguments, **options)

    def received(self) -> dict[str, str]:
        """The headers of the last request that reached the server behind, by name as programs compare it."""
        return {name.lower().replace("_", "-"): value for name, value in self.site.upstream.requests[-1][2]}


def _add_people(change: Change) -> dict[str, str]:
    for name in ("fish2", "fly"):
        datasets.add(change, name)
    versions.add(change, "fly", "v1")
    datasets.add(change, "open", public=True)
    secret = {}
    for name in ("ada", "bo", "cy"):
        user, _ = users.add(change, f"{name}@example.org", name=name.title())
        _, secret[name] = tokens.mint(change, user)
        if name != "cy":
            target = Target("fish2", "edit" if name == "ada" else "view")
            grants.add(change, principal_subject(user), target)
    groups.add(change, "lab-1")
    groups.add_member(change, "lab-1", "ada@example.org")
    return secret


def _write_files(directory: Path) -> None:
    (directory / "fish2" / "sub").mkdir(parents=True)
    (directory / "fly-v1").mkdir()
    (directory / "fish2" / "info").write_bytes(b"0123456789")
    (directory / "fish2" / "large").write_bytes(LARGE)
    (directory / "fish2" / "page.html").write_text("<script>alert(1)</script>")
    (directory / "fish2" / "chunk.gz").write_bytes(gzip.compress(b"chunk" * 100))
    for place in ("fly-v1", ".", "FISH2", "fish2-secret"):
        (directory / place).mkdir(exist_ok=True)
        (directory / place / "info").write_bytes(SECRET)


@contextmanager
def run_site(
    proxy: str, serve: Callable[..., Server], database: Database, directory: Path, **more: Any
) -> Iterator[Lab]:
    certificate = make_certificate(directory, HOST, DATA)
    _write_files(directory / "data")
    with begin_change(database, "os:test") as change:
        secret = _add_people(change)
    server = serve(DSG_ORIGIN=f"https://{HOST}", DSG_APIS="gate")
    gateway = server.origin.removeprefix("http://")
    with run_upstream() as upstream, PROXIES[proxy](directory, certificate, gateway, upstream, **more) as site:
        yield Lab(**secret, database=database, server=server, site=site)


@pytest.fixture
def start(serve: Callable[..., Server], database: Database, tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    with ExitStack() as stack:
        yield lambda proxy, **more: stack.enter_context(run_site(proxy, serve, database, tmp_path, **more))


@pytest.fixture(params=["nginx", pytest.param("caddy", marks=needs_caddy)])
def lab(request: pytest.FixtureRequest, start: Callable[..., Lab]) -> Lab:
    return start(request.param)


@pytest.fixture
def nginx(start: Callable[..., Lab]) -> Lab:
    return start("nginx")


def test_data_are_for_those_who_may_view_them_and_change_with_the_next_request(lab: Lab) -> None:
    site = lab.site
    for path in ("/fish2/info", "/fish2/missing", "/fish2/"):
        assert [site.ask(path, token).status for token in (None, "x", lab.cy)] == [401, 401, 403], path
    assert site.ask("/fish2/info", lab.bo).body == b"0123456789"
    assert site.ask("/fish2/missing", lab.bo).status == 404
    assert site.ask("/fish2/info", headers={"Cookie": f"dsg_token={lab.bo}"}).status == 200
    assert site.ask(f"/fish2/info?dsg_token={lab.bo}").status == 401, "a query is the client's"
    connection = site.open()
    assert site.ask("/fish2/info", lab.bo, connection=connection).status == 200
    lab.change(tokens.revoke, _token_id(lab, lab.bo))
    assert site.ask("/fish2/info", lab.bo, connection=connection).status == 401
    connection.close()


def _token_id(lab: Lab, token: str) -> int:
    status = token_checks.check(lab.database, PresentedToken(token), clock.now())
    assert status.token is not None
    return int(status.token.id)


FORGED = {
    "X-Auth-Request-User": "1",
    "x-auth-request-email": "root@example.org",
    "X_Auth_Request_Email": "root@example.org",
    "X-Auth-Request_Groups": "admins",
    "X_AUTH_REQUEST_GROUPS": "admins",
    "X-Auth-Request-Preferred-Username": "root",
    "X_Auth_Request-Preferred_Username": "root",
    "X-Auth-Request-Access-Token": "x",
}
IDENTITY = ("user", "email", "groups", "preferred-username")


def test_the_server_behind_gets_the_identity_of_the_gateway_and_no_token(lab: Lab) -> None:
    cookie = {"Cookie": f"dsg_token={lab.cy}", "Origin": "https://evil.example"}
    assert lab.site.ask("/annotate/x", lab.ada, "POST", headers={**FORGED, **cookie}, body=b"body").status == 200
    received = lab.received()
    ada = users.find(lab.database, "ada@example.org")
    assert [received[f"x-auth-request-{name}"] for name in IDENTITY] == [
        str(ada.id),
        "ada@example.org",
        "lab-1",
        "Ada",
    ]
    assert "authorization" not in received and "cookie" not in received
    assert lab.site.upstream.requests[-1][3] == b"body"
    assert len(lab.site.upstream.requests) == 1
    assert lab.site.ask("/annotate/x", lab.bo, "POST", headers=FORGED, body=b"body").status == 403
    assert len(lab.site.upstream.requests) == 1


@pytest.mark.parametrize("proxy", ["nginx", pytest.param("caddy", marks=needs_caddy)])
def test_an_anonymous_request_has_no_identity(proxy: str, start: Callable[..., Lab]) -> None:
    lab = start(proxy, alter=lambda site: site.replace("dataset=fish2&permission=edit", "dataset=open"))
    assert lab.site.ask("/annotate/x", headers=FORGED).status == 200
    received = lab.received()
    assert not "".join(received.get(f"x-auth-request-{name}", "") for name in IDENTITY)
    # Not one of the gate's; no program takes it for one.
    assert {name for name in received if name.startswith("x-auth-request-") and received[name]} <= {
        "x-auth-request-access-token"
    }


# Paths that could mean another place to the proxy than to what decides. Bo may view fish2 and nothing else.
TRICKS = (
    "/fly/v1/info",
    "/fish2/../fly-v1/info",
    "/fish2/../info",
    "/fish2/..//info",
    "/fish2/%2e%2e/fly-v1/info",
    "/fish2/%2e%2e%2ffly-v1%2finfo",
    "/fish2/..%2ffly-v1/info",
    "/fish2/..%252ffly-v1/info",
    "/fish2/..%5cfly-v1%5cinfo",
    "/fish2/..\\fly-v1\\info",
    "/fish2/./../fly-v1/info",
    "/fish2//../../fly-v1/info",
    "/fish2/sub/../../fly-v1/info",
    "/fish2/..;/fly-v1/info",
    "/fish2/%00/../../fly-v1/info",
    "/fish2%2f..%2ffly-v1%2finfo",
    "/FISH2/info",
    "/Fish2/info",
    "/fish2-secret/info",
    "/fish2",
    "//fly-v1/info",
    "/fly-v1/info",
    "/info",
    "/_gate",
    "/_gate/",
    "/%5fgate?dataset=fish2",
    "/api/v1/gate?dataset=fish2",
    f"https://{DATA}/fly/v1/info",
    f"https://{DATA}/fish2/../fly-v1/info",
)


def test_no_spelling_of_a_path_leads_out_of_what_was_decided(lab: Lab) -> None:
    for path in TRICKS:
        reply = lab.site.ask(path, lab.bo)
        assert SECRET not in reply.body and reply.status in (301, 308, 400, 403, 404), (path, reply)


def test_no_spelling_of_a_path_skips_the_gate(lab: Lab) -> None:
    paths = ("/fish2/info", "/fish2//info", "/fish2/./info", "/fly-v1/../fish2/info", "/%66ish2/info", "/fish2%2finfo")
    for path in paths:
        for method in ("GET", "HEAD", "POST", "OPTIONS", "TRACE", "X"):
            reply = lab.site.ask(path, method=method)
            assert reply.status in (400, 401, 403, 405) and b"0123456789" not in reply.body, (method, path, reply)


def test_preflights_are_answered_before_the_gate_and_nothing_else_is(lab: Lab) -> None:
    asks = {
        "Origin": "https://viewer.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "authorization,range",
    }
    for path in ("/fish2/info", "/annotate/x", "/nothing"):
        reply = lab.site.ask(path, method="OPTIONS", headers=asks)
        assert (reply.status, reply.body) == (204, b""), path
        assert reply.headers["access-control-allow-origin"] == "*"
        assert reply.headers["access-control-allow-methods"] == "GET"
        assert reply.headers["access-control-allow-headers"] == "authorization,range"
        assert "access-control-allow-credentials" not in reply.headers
    assert lab.site.ask("/annotate/x", method="OPTIONS").status == 401
    assert lab.site.ask("/annotate/x", method="GET", headers=asks).status == 401
    assert lab.site.upstream.requests == []
    for token, status in ((None, 401), (lab.cy, 403), (lab.ada, 200)):
        reply = lab.site.ask("/annotate/x", token, headers={"Origin": "https://viewer.example"})
        assert (reply.status, reply.headers["access-control-allow-origin"]) == (status, "*")
        assert "range" in reply.headers["access-control-expose-headers"].lower()
        assert reply.headers["cache-control"] in ("private, no-cache", "no-store")


def test_the_sign_in_server_is_named_without_credentials(lab: Lab) -> None:
    reply = lab.site.ask("/auth_info", headers={"Origin": "https://viewer.example"})
    assert (reply.status, reply.body) == (200, b'{"login_url": "https://auth.example.org"}')
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["content-type"].startswith("application/json")


def test_parts_of_large_files_are_served(lab: Lab) -> None:
    assert lab.site.ask("/fish2/large", lab.bo).body == LARGE
    for header, part in (
        ("bytes=0-0", slice(0, 1)),
        ("bytes=5000000-5065535", slice(5_000_000, 5_065_536)),
        (f"bytes={len(LARGE) - 10}-", slice(-10, None)),
        ("bytes=-16", slice(-16, None)),
    ):
        reply = lab.site.ask("/fish2/large", lab.bo, headers={"Range": header})
        assert (reply.status, reply.body) == (206, LARGE[part]), header
        assert reply.headers["content-range"].endswith(f"/{len(LARGE)}")
    assert lab.site.ask("/fish2/large", lab.bo, headers={"Range": f"bytes={len(LARGE)}-"}).status == 416
    assert lab.site.ask("/fish2/large", lab.bo, "HEAD").headers["content-length"] == str(len(LARGE))
    assert lab.site.ask("/fish2/large", lab.cy, headers={"Range": "bytes=0-0"}).status == 403
    reply = lab.site.ask("/fish2/large", lab.bo)
    unchanged = {"If-None-Match": reply.headers["etag"]}
    assert lab.site.ask("/fish2/large", lab.bo, headers=unchanged).status == 304
    assert lab.site.ask("/fish2/large", headers=unchanged).status == 401


def test_a_page_among_the_files_does_not_run_as_one_of_this_site(lab: Lab) -> None:
    assert "sandbox" in lab.site.ask("/fish2/page.html", lab.bo).headers["content-security-policy"]
    assert "sandbox" in lab.site.ask("/fish2/", lab.bo).headers["content-security-policy"]


def test_a_websocket_is_opened_for_those_who_may(lab: Lab) -> None:
    path, site = "/annotate/socket", lab.site
    status, wire = site.open_websocket(path, Authorization=f"Bearer {lab.ada}")
    assert status == 101
    assert talk(wire, b"hello") == b"hello" and talk(wire, b"again") == b"again"
    wire.close()
    own = {"Cookie": f"dsg_token={lab.ada}", "Origin": f"https://{DATA}"}
    for headers, expected in (
        ({}, 401),
        ({"Authorization": f"Bearer {lab.bo}"}, 403),
        (own, 101),
        ({**own, "Origin": "https://evil.example"}, 401),
        ({**own, "Origin": "null"}, 401),
        ({**own, "Origin": f"https://{DATA}.evil.example"}, 401),
    ):
        status, wire = site.open_websocket(path, **headers)
        wire.close()
        assert status == expected, headers


def test_no_other_protocol_reaches_the_server_behind(lab: Lab) -> None:
    """Over HTTP/2 in clear text (h2c), later requests would not pass the gate."""
    for upgrade in ("h2c", "websocket, h2c", "h2c,websocket", "WebSocketX", "TLS/1.0"):
        headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": upgrade, "HTTP2-Settings": "AAMAAABkAAQAAP__"}
        before = len(lab.site.upstream.requests)
        reply = lab.site.ask("/annotate/x", lab.ada, headers=headers)
        assert reply.status in (200, 400), (upgrade, reply)
        if len(lab.site.upstream.requests) > before:
            assert "upgrade" not in lab.received(), upgrade
            assert "upgrade" not in lab.received().get("connection", "").lower(), upgrade


def test_a_client_cannot_have_the_identity_removed_as_a_header_of_the_connection(lab: Lab) -> None:
    for value in ("X-Auth-Request-User", "close, x-auth-request-email, X-Auth-Request-Groups"):
        before = len(lab.site.upstream.requests)
        assert lab.site.ask("/annotate/x", lab.ada, headers={"Connection": value}).status in (200, 400)
        if len(lab.site.upstream.requests) > before:
            assert {f"x-auth-request-{name}" for name in IDENTITY} <= lab.received().keys(), value


def test_a_form_of_another_site_is_not_sent_in_the_name_of_its_visitor(lab: Lab) -> None:
    headers = {"Cookie": f"dsg_token={lab.ada}", "Origin": "https://evil.example"}
    assert lab.site.ask("/annotate/x", method="POST", headers=headers, body=b"x").status == 401
    assert lab.site.upstream.requests == []


def test_terms_that_wait_are_a_403_that_names_them(lab: Lab) -> None:
    document, _ = lab.change(terms.add, "fish2 terms", "Be kind.", dataset="fish2")
    reply = lab.site.ask("/fish2/info", lab.bo)
    url = f"https://{HOST}/api/v1/tos/{document.id}/accept"
    assert (reply.status, reply.headers["link"]) == (403, f'<{url}>; rel="terms-of-service"')


def test_without_the_gateway_nothing_is_open(lab: Lab) -> None:
    assert lab.site.ask("/fish2/info", lab.bo).status == 200
    lab.server.process.terminate()
    lab.server.process.wait(timeout=PATIENCE)
    for path in ("/fish2/info", "/annotate/x"):
        for token in (None, lab.ada):
            reply = lab.site.ask(path, token)
            assert reply.status in (502, 503) and b"0123456789" not in reply.body, (path, reply)
    assert lab.site.upstream.requests == []
    assert lab.site.ask("/auth_info").status == 200


# nginx alone


def test_a_doubt_is_503_with_a_time_to_try_again(nginx: Lab) -> None:
    nginx.database.script("UPDATE migrations SET number = 9999 WHERE number = (SELECT max(number) FROM migrations)")
    reply = nginx.site.ask("/fish2/info", nginx.bo)
    assert (reply.status, reply.headers["retry-after"], reply.headers["access-control-allow-origin"]) == (503, "5", "*")
    nginx.server.process.terminate()
    nginx.server.process.wait(timeout=PATIENCE)
    reply = nginx.site.ask("/fish2/info", nginx.bo)
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


def test_a_location_without_a_dataset_is_closed(start: Callable[..., Lab]) -> None:
    lab = start("nginx", alter=lambda site: site.replace('        set $gate_query "dataset=fish2";\n', ""))
    assert [lab.site.ask("/fish2/info", token).status for token in (None, lab.bo)] == [403, 403]
    lab.site.wait_for_log("no dataset is set for this location")


def test_a_misspelt_query_in_the_site_is_closed(start: Callable[..., Lab]) -> None:
    lab = start("nginx", alter=lambda site: site.replace('"dataset=fish2"', '"dataset=fish2&permision=edit"'))
    assert lab.site.ask("/fish2/info", lab.ada).status == 503
    lab.site.wait_for_log("the gateway does not accept the query of this location")


def test_one_version_is_a_location_of_its_own(nginx: Lab) -> None:
    assert nginx.site.ask("/fly/v1/info", nginx.bo).status == 403
    bo = principal_subject(users.find(nginx.database, "bo@example.org"))
    nginx.change(grants.add, bo, Target("fly", "view", version="v1"))
    assert nginx.site.ask("/fly/v1/info", nginx.bo).body == SECRET


def test_compressed_chunks_of_cloud_volume_are_served_by_their_names(nginx: Lab) -> None:
    reply = nginx.site.ask("/fish2/chunk", nginx.bo, headers={"Accept-Encoding": "gzip"})
    assert (reply.headers["content-encoding"], gzip.decompress(reply.body)) == ("gzip", b"chunk" * 100)
    reply = nginx.site.ask("/fish2/chunk", nginx.bo)
    assert (reply.headers.get("content-encoding"), reply.body) == (None, b"chunk" * 100)


ID = "66a1c2d3e4f5061728394a5b"  # of fish2, in gate.conf; lab/fly-v1 is of fly
WEBKNOSSOS = {  # path -> the status for bo, and the path that the datastore gets
    f"/data/datasets/{ID}/layers/color/data?x=1&y=%2F": (200, f"/data/datasets/{ID}/layers/color/data?x=1&y=%2F"),
    f"/data/v12/datasets/{ID}/layers/color/data": (200, f"/data/v12/datasets/{ID}/layers/color/data"),
    f"/data/zarr/{ID}": (200, f"/data/zarr/{ID}"),
    f"/data/zarr/{ID}/color/1/.zarray": (200, f"/data/zarr/{ID}/color/1/.zarray"),
    f"/data/zarr3_experimental/{ID}/color/zarr.json": (200, f"/data/zarr3_experimental/{ID}/color/zarr.json"),
    f"/data/zarr/{ID}/a%20b%3Fc": (200, f"/data/zarr/{ID}/a%20b%3Fc"),
    f"/data//zarr/x/../{ID}/color": (200, f"/data/zarr/{ID}/color"),
    "/data/zarr/lab/fly-v1/color/1/.zarray": (403, None),
    f"/data/zarr/{ID}/../lab/fly-v1/color": (403, None),
    f"/data/zarr/{ID}%2f..%2flab%2ffly-v1%2fcolor": (403, None),
    f"/data/zarr/{ID}0/color": (403, None),
    f"/data/zarr/{ID}%00/color": (400, None),
    f"/data/zarr/x{ID}/color": (403, None),
    f"/data/zarr/lab/{ID}/color": (403, None),
    f"/data/annotations/zarr/{ID}/color": (403, None),
    f"/data/triggers/reload/{ID}": (403, None),
    "/data/zarr/lab/fish2/color": (403, None),
    "/data/health": (403, None),
    "/data/": (403, None),
}


def test_the_dataset_of_a_webknossos_url_is_decided_by_the_configuration(nginx: Lab) -> None:
    for path, (status, passed_on) in WEBKNOSSOS.items():
        before = len(nginx.site.upstream.requests)
        assert nginx.site.ask(path, nginx.bo).status == status, path
        assert [request[1] for request in nginx.site.upstream.requests[before:]] == [passed_on] * bool(passed_on), path
    assert nginx.site.ask(f"/data/zarr/{ID}").status == 401


def test_no_token_and_no_query_is_in_a_log(nginx: Lab, tmp_path: Path) -> None:
    query = f"?dsg_token={nginx.bo}"
    for path in ("/fish2/info", "/fish2/missing", "/annotate/x", "/nothing", "/fish2/info%3Fdsg_token=" + nginx.bo):
        nginx.site.ask(path + query, nginx.bo)
    nginx.site.ask("/fish2/info" + query, nginx.bo, headers={"X": "y" * 40_000})
    nginx.server.process.terminate()
    nginx.server.process.wait(timeout=PATIENCE)
    nginx.site.ask("/fish2/info" + query, nginx.bo)
    nginx.site.wait_for_log("cannot ask the gateway")
    written = "".join(file.read_text(errors="replace") for file in tmp_path.glob("*.log"))
    assert len(re.findall(r"GET /fish2/info", written)) >= 3
    assert nginx.bo not in written


def test_both_examples_name_what_the_gateway_sends(nginx: Lab) -> None:
    """A header that the gate adds and a proxy does not copy would leave the client's in its place."""
    sent = set(re.findall(r'"(X-Auth-Request-[A-Za-z-]+)"', (ROOT / "dsgserve" / "apis" / "gate.py").read_text()))
    assert len(sent) == 4
    for name in ("gate.conf", "gate.Caddyfile"):
        text = (ROOT / "nginx" / name).read_text()
        assert all(re.search(rf"(?:proxy_set_header|copy_headers.*) {header}\b", text) for header in sent), name
