"""Stands in for Google: OAuth, the token exchange, Cloud Storage and bucket policies, by one TLS server on loopback.

It refuses what Google would refuse: a foreign assertion, a malformed boundary, an object outside the boundary.
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
    """The state of the stand-in, and the requests that it has seen.

    Attributes:
        objects: bucket/name -> content.
        buckets: name -> its metadata, and with ``held`` the caller's permissions.
        served_objects: names of the objects that were read.
        refusals: status and name or prefix of each refused request.
        boundaries: of the tokens that were issued.
        source_requests: how often the gateway's own token was requested.
        source_error: a status to answer that request with instead; 0 for none.
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
    source_error: int = 0
    tokens: dict[str, list[Rule]] = field(default_factory=dict)
    policies: BucketPolicies = field(default_factory=BucketPolicies)

    @property
    def settings(self) -> dict[str, str]:
        """The settings with which a gateway asks this server instead of Google."""
        return {
            "DSG_STS_URL": f"https://localhost:{self.port}/v1/token",
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials),
        }


@contextmanager
def run_google(directory: Path, certificate: Path) -> Iterator[Google]:
    """Start the server with a certificate of `local.make_certificate`; stop it at the end."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    class Handler(BaseHTTPRequestHandler):
        google: Google

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            response = self._source(form) if self.path == "/token" else self._exchange(form)
            source_error = self.google.source_error if self.path == "/token" else 0
            self._json(source_error or (200 if "access_token" in response else 400), response)

        def _source(self, form: dict[str, str]) -> dict[str, object]:
            """https://developers.google.com/identity/protocols/oauth2/service-account"""
            self.google.source_requests += 1
            if self.google.source_error:
                return {"error": "internal_failure"}  # google.auth retries this error by itself
            try:
                claims = jwt.decode(
                    form["assertion"],
                    key.public_key(),
                    algorithms=["RS256"],
                    audience="https://oauth2.googleapis.com/token",  # not the token_uri of the key file
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
            if metadata := re.fullmatch(r"/storage/v1/b/([^/]+)(/iam/testPermissions)?", parts.path):
                self._bucket(metadata[1], parse_qs(parts.query).get("permissions", []) if metadata[2] else None)
                return
            target = re.fullmatch(r"/storage/v1/b/([^/]+)/o(?:/(.+))?", parts.path)
            if target is None:
                self._json(404, {})
                return
            bucket, name = target[1], unquote(target[2] or "")
            query = parse_qs(parts.query)
            prefix, delimiter = (query.get(key, [""])[0] for key in ("prefix", "delimiter"))
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
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if policy := _POLICY.fullmatch(urlsplit(self.path).path):
                self._policy(policy[1], json.loads(body))
            else:
                self._json(404, {})

        def _policy(self, bucket: str, body: object) -> None:
            if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.google.sources:
                self._json(401, {"error": {"code": 401, "message": "who are you?"}})
                return
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            status, response = self.google.policies.answer(self.command, bucket, query, body)
            if status == HANG_UP:
                self.close_connection = True
                return
            with suppress(ConnectionError):  # the client was killed, or has closed the connection
                if isinstance(response, bytes):
                    self.send_response(status)
                    self._finish(response)
                else:
                    self._json(status, response)

        def _bucket(self, name: str, permissions: list[str] | None) -> None:
            """https://cloud.google.com/storage/docs/json_api/v1/buckets: metadata, or which permissions are held."""
            metadata = self.google.buckets.get(name)
            if self.headers.get("Authorization", "").removeprefix("Bearer ") not in self.google.sources:
                self._json(401, {"error": {"code": 401, "message": "who are you?"}})
            elif metadata is None:
                self._json(403, {"error": {"code": 403, "message": "no storage.buckets.get access"}})
            elif permissions is None:
                self._json(200, {"name": name, **metadata})
            else:
                granted = metadata.get("held", permissions)
                self._json(200, {"permissions": [name for name in permissions if name in granted]})  # type: ignore[operator]

        def _listing(self, bucket: str, prefix: str, delimiter: str) -> None:
            """https://cloud.google.com/storage/docs/json_api/v1/objects/list"""
            items: list[str] = []
            folders: set[str] = set()
            for name in (key.partition("/")[2] for key in self.google.objects if key.startswith(f"{bucket}/{prefix}")):
                head, separator, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
                if separator:
                    folders.add(prefix + head + delimiter)
                else:
                    items.append(name)
            self._json(200, {"items": [{"name": name} for name in items], "prefixes": sorted(folders)})

        def _object(self, name: str) -> None:
            content = self.google.objects.get(name)
            if content is None:
                self._json(404, {})
                return
            start, end = 0, len(content)
            if span := re.fullmatch(r"bytes=(\d+)-(\d+)?", self.headers.get("Range", "")):
                start, end = int(span[1]), min(end, int(span[2] or end) + 1)
            self.google.served_objects.append(name)
            self.send_response(206 if span else 200)
            if span:
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
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    port = int(server.server_address[1])
    credentials = _write_key_file(directory, key, f"https://localhost:{port}/token")
    Handler.google = Google(port, credentials)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield Handler.google
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        time.sleep(0)  # lets the threads of the last responses end


@contextmanager
def run_silent_google(directory: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """Accept connections and never answer. Yields the socket, and the settings with which a gateway asks there."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        credentials = _write_key_file(directory, key, f"{address}/token")
        settings = {"DSG_STS_URL": f"{address}/v1/token", "GOOGLE_APPLICATION_CREDENTIALS": str(credentials)}
        yield listening, settings


def _write_key_file(directory: Path, key: rsa.RSAPrivateKey, token_uri: str) -> Path:
    """The key file of a service account, as Google issues it."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    credentials = directory / "google.json"
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


def put_volume(google: Google, location: str) -> None:
    """Store a volume at ``bucket/path``: 64 x 64 x 64 voxels of uint8 with a checker pattern, squares of 8 voxels."""
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
    google.objects[f"{location}/info"] = json.dumps(info).encode()
    google.objects[f"{location}/full/0-64_0-64_0-64"] = b"".join(
        row[(y // 8) % 2] for _ in range(64) for y in range(64)
    )
