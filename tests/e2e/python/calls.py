"""Calls of the Python clients in requirements.txt, in a process of its own: the tests' other end is real_clients.py.

Each line of standard input is a call, JSON [NAME, ARGUMENTS]; each line of standard output is its answer, JSON with
``result``, or ``error`` (the exception's class), ``status`` (of HTTP, if there is one) and ``message``; and with
``printed``, what the client printed. Names of hosts lead to loopback, as they would with a line in /etc/hosts.
"""

import contextlib
import io
import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

import caveclient
import cloudvolume
import neuprint
import numpy
from cloudvolume.datasource.graphene.metadata import GrapheneMetadata
from requests import HTTPError

RESOLUTION, SIZE = (8, 8, 40), (16, 16, 8)


def auth_client(server: str, token: str | None, method: str, arguments: dict[str, Any]) -> Any:
    """What a method of ``client.auth`` returns; without token, the client reads one from its files."""
    return getattr(caveclient.CAVEclient(server_address=server, auth_token=token).auth, method)(**arguments)


def write_volume(path: str) -> dict[str, Any]:
    """Write a precomputed segmentation whose voxels are their x coordinates plus 1. Returns its info."""
    info = cloudvolume.CloudVolume.create_new_info(
        1, "segmentation", "uint64", "raw", RESOLUTION, (0, 0, 0), SIZE, chunk_size=SIZE
    )
    volume = cloudvolume.CloudVolume(path, info=info)
    volume.commit_info()
    x = numpy.arange(1, SIZE[0] + 1, dtype=numpy.uint64)
    volume[:, :, :] = numpy.broadcast_to(x[:, None, None], SIZE).copy()
    return dict(info)


def read_voxels(source: str, token: str | None) -> list[int]:
    """The voxels along x of a volume."""
    volume = cloudvolume.CloudVolume(source, secrets=token, progress=False)
    return [int(voxel) for voxel in volume[:, 0, 0].flatten()]


def find_roots(source: str, token: str | None, segments: list[int]) -> list[int]:
    """The root ids of segments."""
    return [int(root) for root in cloudvolume.CloudVolume(source, secrets=token).get_roots(segments)]


def fetch_manifest(source: str, token: str | None, root: int) -> Any:
    """The names of the fragments of a mesh."""
    return cloudvolume.CloudVolume(source, secrets=token).mesh.fetch_manifest(root)


def accept_tokens(tokens: list[str]) -> list[bool]:
    """Whether cloud-volume sends tokens of these forms."""
    return [_accepts(token) for token in tokens]


def _accepts(token: str) -> bool:
    try:
        GrapheneMetadata.parse_token(None, token)
    except cloudvolume.exceptions.AuthenticationError:
        return False
    return True


def query_neuprint(server: str, token: str, dataset: str, other: str = "") -> Any:
    """The rows of a Cypher query about the client's dataset, or another one."""
    client = _neuprint_client(server, token, dataset)
    return client.fetch_custom("MATCH (n:Neuron) RETURN n.name AS name", other, format="json")["data"]


def ask_neuprint(server: str, token: str, dataset: str, method: str) -> Any:
    """What a method of the client returns."""
    return getattr(_neuprint_client(server, token, dataset), method)()


def _neuprint_client(server: str, token: str, dataset: str) -> Any:
    """A client that knows nothing of those before it."""
    neuprint.Client.DATASETS_CACHE.clear()
    return neuprint.Client(server, dataset, token)


CALLS: dict[str, Callable[..., Any]] = {
    call.__name__: call
    for call in (
        auth_client,
        write_volume,
        read_voxels,
        find_roots,
        fetch_manifest,
        accept_tokens,
        query_neuprint,
        ask_neuprint,
    )
}


def _resolve_to_loopback(port: int) -> None:
    """Let names lead to loopback, and port 443 to ``port``."""
    resolve = socket.getaddrinfo

    def resolve_here(host: Any, service: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1", port if service in (443, "https") else service, *rest, **more)

    socket.getaddrinfo = resolve_here


def _answer(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            answer = {"result": CALLS[name](**arguments)}
        except HTTPError as error:
            response = error.response
            status = response.status_code if response is not None else None
            answer = {"error": type(error).__name__, "status": status, "message": str(error)}
        except Exception as error:  # a client's own error is an answer; the test says which it expects
            answer = {"error": type(error).__name__, "status": None, "message": str(error)}
    return {**answer, "printed": printed.getvalue()}


if __name__ == "__main__":
    _resolve_to_loopback(int(os.environ["LOOPBACK_PORT"]))
    for line in sys.stdin:
        print(json.dumps(_answer(*json.loads(line))), flush=True)
