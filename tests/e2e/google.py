"""Stand-ins for the services of Google's that are asked: one TLS server on loopback.

They refuse what Google would refuse: a foreign assertion, a malformed boundary, an object outside it.
"""

import json
import re
import secrets
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.e2e.google_conditions import Malformed, Rule, allows, parse_boundary
from tests.e2e.google_iam import HANG_UP, BucketPolicies

ACCOUNT = "gateway@lab-project.iam.gserviceaccount.com"
_POLICY = re.compile(r"/storage/v1/b/([^/]+)/iam")


@dataclass
class Google:
    """What the stand-ins know, and saw.

    Attributes:
        objects: bucket/name -> content; ``buckets``: name -> what Google tells of it, and the permissions ``held``.
        served: the objects that were given out; ``refused``: status and what was asked for.
        exchanged: the boundaries for which tokens were made.
        asked_for_source: how often the gateway's own token was asked for; ``trouble``: the status instead of it.
    """

    port: int
    credentials: Path
    objects: dict[str, bytes] = field(default_factory=dict)
    buckets: dict[str, dict[str, object]] = field(default_factory=dict)
    served_objects: list[str] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    boundaries: list[list[dict[str, object]]] = field(default_factory=list)
    sources: set[str] = field(default_factory=set)
    source_requests: int = 0
    trouble: int = 0
    tokens: dict[str, list[Rule]] = field(default_factory=dict)
    policies: BucketPolicies = field(default_factory=BucketPolicies)

    @property
    def settings(self) -> dict[str, str]:
        """What a gateway needs to ask here and not at Google."""
        return {
            "DSG_STS_URL": f"https://localhost:{self.port}/v1/token",
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials),
        }


@contextmanager
def run_google(place: Path, certificate: Path) -> Iterator[Google]:
    """The server, with the certificate of `local.make_certificate`; ended at the end."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    class Handler(BaseHTTPRequestHandler):
        google: Google

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(sent).items()}
            answer = self._source(form) if self.path == "/token" else self._exchange(form)
            trouble = self.google.trouble if self.path == "/token" else 0
            self._json(trouble or (200 if "access_token" in answer else 400), answer)

        def _source(self, form: dict[str, str]) -> dict[str, object]:
            """https://developers.google.com/identity/protocols/oauth2/service-account"""
            self.google.source_requests += 1
            if self.google.trouble:
                return {"error": "internal_failure"}  # google.auth by itself would ask again
            try:
                claims = jwt.decode(
                    form["assertion"],
                    key.public_key(),
                    algorithms=["RS256"],
                    audience="https://oauth2.googleapis.com/token",  # whatever the key file says
                )
            except (KeyError, jwt.PyJWTError):
                return {"error": "invalid_grant"}
            if claims["iss"] != ACCOUNT:
                return {"error": "invalid_grant"}
            token = f"source-{secrets.token_hex(8)}"
            self.google.sources.add(token)
            return {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

        def _exchange(self, form: dict[str, str]) -> dict[str, object]:
            """https://cloud.google.com/iam/docs/downscoping-short-lived-credentials"""
            if self.path != "/v1/token" or form.get("subject_token") not in self.google.sources:
                return {"error": "invalid_request", "error_description": f"{form}"}  # with our token in it
            if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange":
                return {"error": "unsupported_grant_type"}
            rules = json.loads(unquote(form["options"]))["accessBoundary"]["accessBoundaryRules"]
            try:
                parsed = parse_boundary(rules)
            except (Malformed, KeyError, TypeError) as error:
                return {"error": "invalid_request", "error_description": f"{error}: {form}"}  # with our token in it
            token = f"downscoped-{secrets.token_hex(8)}"
            self.google.tokens[token] = parsed
            self.google.boundaries.append(rules)
            return {"access_token": token, "expires_in": 3600, "token_type": "Bearer"}

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if policy := _POLICY.fullmatch(parts.path):
                self._policy(policy[1], None)
                return
            if about := re.fullmatch(r"/storage/v1/b/([^/]+)(/iam/testPermissions)?", parts.path):
                self._bucket(about[1], parse_qs(parts.query).get("permissions", []) if about[2] else None)
                return
            found = re.fullmatch(r"/storage/v1/b/([^/]+)/o(?:/(.+))?", parts.path)
            if found is None:
                self._json(404, {})
                return
            bucket, name = found[1], unquote(found[2] or "")
            asked = parse_qs(parts.query)
            prefix, delimiter = (asked.get(key, [""])[0] for key in ("prefix", "delimiter"))
            rules = self.google.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
            if rules is None or not allows(rules, bucket, name, prefix):
                status = 401 if rules is None else 403
                self.google.refusals.append((status, f"{bucket}/{name or prefix}"))
                self._json(status, {"error": {"code": status}})
            elif name:
                self._object(f"{bucket}/{name}")
            else:
                self._listing(bucket, prefix, delimiter)

        def do_PUT(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if policy := _POLICY.fullmatch(urlsplit(self.path).path):
                self._policy(policy[1], json.loads(sent))
            else:
                self._json(404, {})

        def _policy(self, bucket: str, body: object) -> None:
            if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.google.sources:
                self._json(401, {"error": {"code": 401, "message": "who are you?"}})
                return
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            status, said = self.google.policies.answer(self.command, bucket, asked, body)
            if status == HANG_UP:
                self.close_connection = True
                return
            with suppress(ConnectionError):  # who asked was killed, or has heard enough
                if isinstance(said, bytes):
                    self.send_response(status)
                    self._finish(said)
                else:
                    self._json(status, said)

        def _bucket(self, name: str, permissions: list[str] | None) -> None:
            """https://cloud.google.com/storage/docs/json_api/v1/buckets: what is told of one, or which are held."""
            known = self.google.buckets.get(name)
            if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.google.sources:
                self._json(401, {"error": {"code": 401, "message": "who are you?"}})
            elif known is None:
                self._json(403, {"error": {"code": 403, "message": "no storage.buckets.get access"}})
            elif permissions is None:
                self._json(200, {"name": name, **known})
            else:
                held = known.get("held", permissions)
                self._json(200, {"permissions": [one for one in permissions if one in held]})  # type: ignore[operator]

        def _listing(self, bucket: str, prefix: str, delimiter: str) -> None:
            """https://cloud.google.com/storage/docs/json_api/v1/objects/list"""
            items: list[str] = []
            folders: set[str] = set()
            for name in (one.partition("/")[2] for one in self.google.objects if one.startswith(f"{bucket}/{prefix}")):
                head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
                if found:
                    folders.add(prefix + head + delimiter)
                else:
                    items.append(name)
            self._json(200, {"items": [{"name": one} for one in items], "prefixes": sorted(folders)})

        def _object(self, name: str) -> None:
            content = self.google.objects.get(name)
            if content is None:
                self._json(404, {})
                return
            start, end = 0, len(content)
            if wanted := re.fullmatch(r"bytes=(\d+)-(\d+)?", self.headers.get("Range", "")):
                start, end = int(wanted[1]), min(end, int(wanted[2] or end) + 1)
            self.google.served_objects.append(name)
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(content)}")
            self._finish(content[start:end])

        def do_OPTIONS(self) -> None:
            self.send_response(204)
            self._finish(b"")

        def _json(self, status: int, body: object) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self._finish(json.dumps(body).encode())

        def _finish(self, body: bytes) -> None:
            for name, value in (("Origin", "*"), ("Headers", "authorization, range"), ("Methods", "GET")):
                self.send_header(f"Access-Control-Allow-{name}", value)
            self.send_header("Access-Control-Expose-Headers", "Content-Range, Content-Length")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    port = int(server.server_address[1])
    credentials = _key_file(place, key, f"https://localhost:{port}/token")
    Handler.google = Google(port, credentials)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Handler.google
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        time.sleep(0)  # lets the threads of the last answers end


@contextmanager
def run_silent_google(place: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A Google that takes connections and never says a word. Yields its socket, and what a gateway needs to ask it."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        credentials = _key_file(place, key, f"{address}/token")
        settings = {"DSG_STS_URL": f"{address}/v1/token", "GOOGLE_APPLICATION_CREDENTIALS": str(credentials)}
        yield listening, settings


def _key_file(place: Path, key: rsa.RSAPrivateKey, token_uri: str) -> Path:
    """A service account's key file, as Google offers it."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    credentials = place / "google.json"
    credentials.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "lab-project",
                "private_key_id": "1",
                "private_key": pem,
                "client_email": ACCOUNT,
                "client_id": "1",
                "token_uri": token_uri,
            }
        )
    )
    return credentials


def put_volume(google: Google, where: str) -> None:
    """A volume of 64 x 64 x 64 voxels of uint8 at ``bucket/path``: a checker pattern of squares of 8 voxels."""
    info = {
        "@type": "neuroglancer_multiscale_volume",
        "type": "image",
        "data_type": "uint8",
        "num_channels": 1,
        "scales": [
            {
                "key": "full",
                "size": [64, 64, 64],
                "voxel_offset": [0, 0, 0],
                "resolution": [8, 8, 8],
                "chunk_sizes": [[64, 64, 64]],
                "encoding": "raw",
            }
        ],
    }
    row = [bytes(255 if (x // 8 + odd) % 2 else 0 for x in range(64)) for odd in (0, 1)]
    google.objects[f"{where}/info"] = json.dumps(info).encode()
    google.objects[f"{where}/full/0-64_0-64_0-64"] = b"".join(row[(y // 8) % 2] for _ in range(64) for y in range(64))
