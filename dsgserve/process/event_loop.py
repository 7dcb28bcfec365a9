"""The loop of the thread that reads and writes all sockets, in place of waitress's own.

waitress asks every connection in every turn what it waits for. Here the kernel says which connections are ready, so
silent ones cost nothing.
"""

import selectors
from typing import Any

from waitress import wasyncore
from waitress.server import BaseWSGIServer

from dsgserve.http.wire import Channel, ShortCut
from dsgserve.process.dispatcher import Dispatcher

_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
BATCH = 64  # connections that are read before the first of their requests is answered


class _Connections(dict[int, Any]):
    """waitress's map of file descriptors, which it fills and empties, and what the kernel watches them for."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = selectors.DefaultSelector()
        self._interests: dict[int, int] = {}

    def __setitem__(self, descriptor: int, channel: Any) -> None:
        super().__setitem__(descriptor, channel)
        self.watch(channel, _READ)

    def __delitem__(self, descriptor: int) -> None:
        self.watch(self[descriptor], 0)
        super().__delitem__(descriptor)

    def watch(self, channel: Any, interest: int) -> None:
        """Watch a connection for bytes that arrive, for room to send, for both, or for nothing."""
        descriptor = channel._fileno
        before = self._interests.get(descriptor, 0)
        if interest == before:
            return
        if not interest:
            self._selector.unregister(descriptor)
        elif before:
            self._selector.modify(descriptor, interest, channel)
        else:
            self._selector.register(descriptor, interest, channel)
        self._interests[descriptor] = interest

    def wait(self, timeout: float) -> list[tuple[Any, int]]:
        """The connections that are ready, and for what."""
        return [(key.data, events) for key, events in self._selector.select(timeout)]

    def close(self) -> None:
        self._selector.close()


class EventLoop:
    """Reads requests, and answers them or passes them to a worker; sends what workers have written.

    A turn reads the connections that are ready, lets the short cut check once that what it remembers is current, and
    then answers the requests that it has read, the oldest first. Of one connection it reads at most what one call of
    the system returns, and answers at most one request: who sends many at once waits for their turn like everybody.

    Attributes:
        connections: the map for waitress: file descriptor -> channel, listening server or trigger, which have no types.
    """

    def __init__(self, dispatcher: Dispatcher, short_cut: ShortCut) -> None:
        self.connections = _Connections()
        self._dispatcher = dispatcher
        self._short_cut = short_cut
        self._unread: dict[Channel, None] = {}  # those that have received more than the request that they wait for
        self._listening: tuple[BaseWSGIServer, ...] = ()

    def listen(self, channel_class: type[Channel]) -> None:
        """Accept connections as this class, after waitress has made the listening servers."""
        self._listening = tuple(each for each in self.connections.values() if isinstance(each, BaseWSGIServer))
        for listening in self._listening:
            listening.channel_class = channel_class

    def is_busy(self) -> bool:
        """Whether a request is being received, answered or sent."""
        return any(
            channel.requests or channel.request or channel.unread or channel.total_outbufs_len
            for channel in self.connections.values()
            if isinstance(channel, Channel)
        )

    def stop_accepting(self) -> None:
        """Leave connections that wait to be accepted to the next server, and close others after their next answer."""
        for listening in self._listening:
            listening.channel_class.stops = True
            listening.del_channel(self.connections)
        self._listening = ()

    def turn(self, timeout: float) -> None:
        """Wait until something is to be done, at most ``timeout`` seconds, and do it."""
        for listening in self._listening:
            self._look_after(listening)
        unread, self._unread = self._unread, {}
        ready = [(channel, _READ) for channel in unread]
        # Each connection once: when it has been read, the event of its socket may be out of date.
        ready += [event for event in self.connections.wait(0 if unread else timeout) if event[0] not in unread]
        for start in range(0, len(ready), BATCH):
            for channel, events in ready[start : start + BATCH]:
                self._handle(channel, events)
            self._answer()
        finished = self._dispatcher.finished
        while finished:
            self._settle(finished.popleft())

    def _look_after(self, listening: BaseWSGIServer) -> None:
        """Accept no more connections than allowed, and close those that were silent for too long."""
        next_cleanup = listening.next_channel_cleanup
        self.connections.watch(listening, _READ if listening.readable() else 0)
        if listening.next_channel_cleanup != next_cleanup:  # waitress has marked the silent ones
            for channel in list(listening.active_channels.values()):
                self._settle(channel)

    def _handle(self, channel: Any, events: int) -> None:
        if channel._fileno is None:
            return  # closed by an earlier event of this turn
        if isinstance(channel, BaseWSGIServer):
            self._accept(channel)
        elif events & _WRITE:
            self._settle(channel)
        elif channel.readable():
            wasyncore.read(channel)
            if channel.writable():
                self._settle(channel)
        else:
            # It sends, or is gone, while it waits for an answer; or it is to be closed.
            self._settle(channel)

    def _accept(self, listening: BaseWSGIServer) -> None:
        """Accept the connections that wait: one a turn would be too few while many others are busy."""
        for _ in range(BATCH):
            before = len(self.connections)
            if listening.readable():
                wasyncore.read(listening)
            if len(self.connections) == before:
                return

    def _answer(self) -> None:
        """Answer all requests that have arrived, or pass them to a worker."""
        arrived = self._dispatcher.arrived
        if not arrived:
            return
        self._short_cut.begin()
        while arrived:
            channel = arrived.popleft()
            if channel.answer():
                self._settle(channel)
            else:
                self._dispatcher.pass_on(channel)

    def _settle(self, channel: Channel) -> None:
        """Send what is to be sent, close what is to be closed, and watch for what comes next."""
        if channel.socket is not None and channel.writable():
            wasyncore.write(channel)
        if channel.socket is None:
            return
        readable = channel.readable()
        if readable and channel.unread:
            self._unread[channel] = None
        self.connections.watch(channel, (_READ if readable else 0) | (_WRITE if channel.total_outbufs_len else 0))
