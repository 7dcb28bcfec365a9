"""A server of another kind on a port, or one that is silent."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def listening_server(answer: bytes | None) -> Iterator[int]:
    """Answers each connection with these bytes at once; None: accepts, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        clients: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    client, _ = listening.accept()
                except OSError:
                    return
                if answer is None:
                    clients.append(client)
                else:
                    client.recv(4096)
                    client.sendall(answer)
                    client.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for client in clients:
                client.close()
