"""The real cloud-volume, from PyPI, reading a segmentation of CAVE's that is guarded by the gateway, over TLS."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dsgctl.core import grants, token_format
from dsgctl.core.grant_targets import Target, group_subject
from dsgctl.core.transaction import begin_change
from dsgctl.store import Database
from tests.e2e.cave import CAVE, PUBLIC_ROOT, Cave, needs_cave, run_cave_with_tables
from tests.e2e.conftest import Server
from tests.e2e.provider import Provider
from tests.e2e.real_clients import ClientError, Clients, needs_clients, run_clients

pytestmark = [*needs_cave, needs_clients]

SOURCE = f"graphene://{CAVE}/segmentation/table/fish2_v1"
VOXELS = list(range(1, 17))


@pytest.fixture
def cave(serve: Callable[..., Server], provider: Provider, database: Database, tmp_path: Path) -> Iterator[Cave]:
    with run_cave_with_tables(serve, provider, database, tmp_path, DATA_DIR=str(tmp_path / "voxels")) as started:
        yield started


@pytest.fixture
def clients(cave: Cave, tmp_path: Path) -> Iterator[Clients]:
    with run_clients(cave.port, cave.certificate, tmp_path / "home") as started:
        started.call("write_volume", path=f"file://{tmp_path / 'voxels'}")
        yield started


def test_a_minted_token_reads_voxels_roots_and_manifests(cave: Cave, clients: Clients) -> None:
    token = cave.secrets["ada"]
    assert clients.call("read_voxels", source=SOURCE, token=token) == VOXELS
    roots = clients.call("find_roots", source=SOURCE, token=token, segments=VOXELS)
    assert roots == [PUBLIC_ROOT + (voxel - 1) // 4 for voxel in VOXELS]
    manifest = clients.call("fetch_manifest", source=SOURCE, token=token, root=PUBLIC_ROOT + 3)
    assert manifest["fragments"] == [f"{PUBLIC_ROOT + 3}:0:0-16_0-16_0-8"]


def test_a_token_in_the_file_that_caveclient_saves_is_used(cave: Cave, clients: Clients) -> None:
    save = {"method": "save_token", "arguments": {"token": cave.secrets["reader"]}}
    clients.call("auth_client", server=CAVE, token=None, **save)
    assert clients.call("read_voxels", source=SOURCE, token=None) == VOXELS


def test_without_permission_only_the_public_can_be_read(cave: Cave, clients: Clients) -> None:
    for name, status in (("stranger", None), ("x" * 40, 401)):
        token = cave.secrets.get(name, name)
        fly = SOURCE.replace("fish2", "fly")
        with pytest.raises(ClientError) as refused:
            clients.call("read_voxels", source=fly, token=token)
        assert refused.value.status == (status or 403)
    # The table has public roots, so its info is open; of the meshes, those of the public roots are.
    token = cave.secrets["stranger"]
    assert clients.call("fetch_manifest", source=SOURCE, token=token, root=PUBLIC_ROOT)["fragments"]
    with pytest.raises(ClientError) as refused:
        clients.call("fetch_manifest", source=SOURCE, token=token, root=PUBLIC_ROOT + 3)
    assert refused.value.status == 403


def test_the_next_read_sees_a_revoked_grant(cave: Cave, clients: Clients, database: Database) -> None:
    private = {"source": SOURCE, "token": cave.secrets["ada"], "root": PUBLIC_ROOT + 3}
    assert clients.call("fetch_manifest", **private)
    with begin_change(database, "os:test") as change:
        grants.revoke(change, group_subject(database, "lab-1"), Target("fish2", "edit"))
    with pytest.raises(ClientError) as refused:
        clients.call("fetch_manifest", **private)
    assert refused.value.status == 403


def test_it_sends_tokens_of_our_form_and_none_with_an_underscore(clients: Clients) -> None:
    """The reason for the form of new tokens: those of earlier releases never left the scientist's machine."""
    former = f"dsg_{token_format.generate()[4:]}"
    forms = [token_format.generate() for _ in range(200)]
    assert clients.call("accept_tokens", tokens=forms) == [True] * 200
    assert clients.call("accept_tokens", tokens=[former]) == [False]
