"""The event loop and clients that mean harm, or that are unlucky."""

import socket

import pytest

from dsgserve.process.event_loop import BATCH
from tests.dsgserve.process.test_event_loop import LARGE, Answers, Site, answers, ask, site
from tests.patience import PATIENCE

__all__ = ["answers", "site"]


def answered(answers: Answers) -> list[str]:
    return [entry for entry in answers.log if entry != "begin"]


def test_a_crowd_that_sends_more_than_is_read_at_once_is_answered(site: Site, answers: Answers) -> None:
    """Each connection has received requests that wait for their turn, while its socket has more of them."""
    clients = [site.connect() for _ in range(2 * BATCH)]
    counts = [460 + number % 16 for number in range(len(clients))]  # some end where a read of 8 KB ends
    for client, count in zip(clients, counts, strict=True):
        client.sendall(ask(*["/"] * count))
    while any(channel.requests or channel.unread or channel.last_activity for channel in site.channels()):
        for channel in site.channels():
            channel.last_activity = 0
        site.loop.turn(timeout=0)
    assert len(site.channels()) == len(clients)
    assert len(answered(answers)) == sum(counts)


def test_one_connection_gets_one_answer_a_turn_in_a_crowd_too(site: Site, answers: Answers) -> None:
    clients = [site.connect() for _ in range(2 * BATCH)]
    for client in clients:
        client.sendall(ask(*["/"] * 1000))
    for _ in range(20):
        before = len(answered(answers))
        site.loop.turn(timeout=PATIENCE)
        assert len(answered(answers)) - before <= len(clients)


def test_a_sent_answer_takes_no_memory(site: Site, answers: Answers) -> None:
    """However slowly a client reads, and however often."""
    answers.size = LARGE // 64
    client = site.connect(buffer=4096)
    (channel,) = site.channels()
    channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for _ in range(20):
        client.sendall(ask("/"))
        site.read_all(client, answers.size)
        site.turn_until(lambda: not channel.total_outbufs_len)
    assert sum(len(buffer.getfile().getbuffer()) for buffer in channel.outbufs if buffer.buf) <= 2 * answers.size


def test_what_has_arrived_with_its_headers_is_not_asked_for(site: Site, answers: Answers) -> None:
    """An answer to a request must not overtake a "100 Continue" that the socket had no room for."""
    client = site.connect()
    head = "POST /{} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
    client.sendall(head.format("whole").encode() + b"abc")
    site.turn_until(lambda: answered(answers) == ["/whole"])
    assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")
    client.sendall(head.format("waits").encode())
    site.turn_until(lambda: bool(site.channels()[0].sent_continue))
    assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"abc")
    site.turn_until(lambda: answered(answers) == ["/whole", "/waits"])
    assert client.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_new_connections_do_not_wait_for_a_turn_each(site: Site, answers: Answers) -> None:
    """Otherwise those that ask once would get one answer, all together, for each that every other client gets."""
    clients = [socket.create_connection(site.listener.getsockname(), PATIENCE) for _ in range(50)]
    site.loop.turn(timeout=PATIENCE)
    assert len(site.channels()) == len(clients)
    for client in clients:
        client.close()


@pytest.mark.parametrize("silence", [b"\r\n\r\n", b" \r\n\r\n", b"\r\n"])
def test_blank_lines_cost_no_more_than_other_bytes(
    silence: bytes, site: Site, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = site.connect()
    (channel,) = site.channels()
    parsers = []
    original = type(channel).parser_class
    monkeypatch.setattr(
        type(channel), "parser_class", lambda self, adjustments: parsers.append(1) or original(self, adjustments)
    )
    client.sendall(silence * 1000 + ask("/after"))
    site.turn_until(lambda: answered(answers) == ["/after"])
    assert len(parsers) <= 4
    assert not site.loop.is_busy()
    client.sendall(silence)
    site.loop.turn(timeout=PATIENCE)
    assert not site.loop.is_busy()


def test_a_connection_that_is_closed_for_its_silence_does_not_wait_when_it_asks(site: Site, answers: Answers) -> None:
    """It is marked in the turn in which a connection is accepted, too."""
    client = site.connect()
    (channel,) = site.channels()
    channel.will_close = True
    client.sendall(ask("/"))
    site.loop.turn(timeout=PATIENCE)
    assert not site.channels()
