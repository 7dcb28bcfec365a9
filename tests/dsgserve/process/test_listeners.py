"""Where a server may listen, and what it does not take away from another."""

import socket
import stat
from pathlib import Path

import pytest

from dsgctl.core.errors import DsgError, Invalid
from dsgserve.process import listeners
from tests.e2e.local import free_port


@pytest.mark.parametrize(
    "address",
    [
        "",
        "8200",
        "127.0.0.1",
        "127.0.0.1:",
        ":8200",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "127.0.0.1:http",
        "127.0.0.1:８２００",
        "127.0.0.1:-1",
        "127.0.0.1 :8200",
        "unix:",
    ],
)
def test_an_invalid_address_is_refused(address: str) -> None:
    with pytest.raises(Invalid), listeners.bind(address):
        pass


@pytest.mark.parametrize(
    "address", ["256.0.0.1:8200", "no-such-host.invalid:8200", "unix:/nowhere/at/all.sock", "unix:" + "x" * 200]
)
def test_an_unusable_address_is_refused(address: str) -> None:
    with pytest.raises(DsgError, match="cannot listen on") as caught, listeners.bind(address):
        pass
    assert "None" not in caught.value.message


def test_a_port_in_use_is_refused() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(DsgError, match="in use"),
        listeners.bind(f"127.0.0.1:{other.getsockname()[1]}"),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "named", "loopback"),
    [
        ("127.0.0.1", "127.0.0.1:{}", True),
        ("localhost", "127.0.0.1:{}", True),
        ("[::1]", "[::1]:{}", True),
        ("0", "0.0.0.0:{}", False),
        ("*", "[::]:{}", False),
    ],
)
def test_each_kind_of_host_can_be_bound(host: str, named: str, loopback: bool) -> None:
    port = free_port()
    try:
        with listeners.bind(f"{host}:{port}") as listener:
            name = listeners.format_address(listener)
            assert name == named.format(port) or (host, name) == ("localhost", f"[::1]:{port}")
            assert listeners.is_loopback(listener) is loopback
    except DsgError:
        assert host in ("*", "[::1]") and not _has_ipv6()


def _has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


def test_a_unix_socket_is_for_owner_and_group_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with listeners.bind(f"unix:{path}") as listener:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        assert listeners.format_address(listener) == f"unix:{path}"
        assert not listeners.is_loopback(listener)
    assert not path.exists()


def test_the_socket_of_a_server_that_was_killed_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    with listeners.bind(f"unix:{path}") as listener:
        listener.listen()
        assert path.is_socket()


def test_the_socket_of_a_running_server_and_other_files_are_not_replaced(tmp_path: Path) -> None:
    path, file = tmp_path / "s", tmp_path / "f"
    file.write_text("mine")
    with listeners.bind(f"unix:{path}") as first:
        first.listen()
        with pytest.raises(DsgError, match="a server listens there"), listeners.bind(f"unix:{path}"):
            pass
        assert path.is_socket()
    with pytest.raises(DsgError, match="there is another file"), listeners.bind(f"unix:{file}"):
        pass
    assert file.read_text() == "mine"


def test_a_closed_listener_refuses_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "ANSWER_SECONDS", 0.2)
    with listeners.bind(f"127.0.0.1:{free_port()}") as listener:
        assert not listeners.is_answering(listener)
        listener.listen()
        assert not listeners.is_answering(listener)  # it is accepted by the kernel, but no word comes back
