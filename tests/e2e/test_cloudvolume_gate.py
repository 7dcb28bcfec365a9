"""The real cloud-volume, from PyPI, reading private data from a disk of one's own: the site of nginx/gate.conf."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsgctl.core import datasets, grants, tokens, users
from dsgctl.core.grant_targets import Target, principal_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.conftest import Server
from tests.e2e.gated import DATA, run_gated_nginx, run_upstream
from tests.e2e.local import make_certificate
from tests.e2e.proxy import HOST
from tests.e2e.real_clients import ClientError, Clients, needs_clients, run_clients

pytestmark = [needs_clients, pytest.mark.skipif(not shutil.which("nginx"), reason="apt-get install nginx-light")]

SERVER = f"https://{DATA}"
VOLUME = f"precomputed://middleauth+{SERVER}/fish2/segmentation"
VOXELS = list(range(1, 17))


@pytest.fixture
def clients(serve: Callable[..., Server], tmp_path: Path) -> Iterator[Clients]:
    certificate = make_certificate(tmp_path, HOST, DATA)
    gateway = serve(DSG_ORIGIN=f"https://{HOST}", DSG_APIS="gate").origin.removeprefix("http://")
    with (
        run_upstream() as upstream,
        run_gated_nginx(tmp_path, certificate, gateway, upstream) as site,
        run_clients(site.port, certificate, tmp_path / "home") as started,
    ):
        started.call("write_volume", path=f"file://{site.files}/fish2/segmentation")
        yield started


def save_token(clients: Clients, token: str) -> None:
    """Store a token where cloud-volume reads that of this server."""
    arguments = {"token": token, "overwrite": True}
    clients.call("auth_client", server=SERVER, token=None, method="save_token", arguments=arguments)


def test_a_volume_on_a_disk_is_read_by_those_who_may_view_it(clients: Clients, database: Database) -> None:
    with begin_change(database, "os:test") as change:
        datasets.add(change, "fish2")
        ada, _ = users.add(change, "ada@example.org")
        _, token = tokens.mint(change, ada)
    save_token(clients, token)
    with pytest.raises(ClientError, match="No info file was found"):  # as it takes a 403
        clients.call("read_voxels", source=VOLUME, token=None)
    with begin_change(database, "os:test") as change:
        grants.add(change, principal_subject(ada), Target("fish2", "view"))
    assert clients.call("read_voxels", source=VOLUME, token=None) == VOXELS
    with begin_change(database, "os:test") as change:
        grants.revoke(change, principal_subject(ada), Target("fish2", "view"))
    with pytest.raises(ClientError, match="No info file was found"):
        clients.call("read_voxels", source=VOLUME, token=None)
