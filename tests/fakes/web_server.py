"""A real HTTP server on loopback that answers what a test tells it to, also badly."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Handle = Callable[[socket.socket, bytes], None]
"""Gets the connection and the request's head; writes whatever it likes."""


def answer(body: bytes, *, status: str = "200 OK", headers: str = "") -> Handle:
    """A plain answer."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{headers}\r\n"

    def handle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(head.encode() + body)

    return handle


@contextmanager
def serving(handle: Handle, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port; each connection is handled in a thread of its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_accept, args=(listener, handle, context), daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def _accept(listener: socket.socket, handle: Handle, context: ssl.SSLContext | None) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, handle, context), daemon=True).start()


def _serve(connection: socket.socket, handle: Handle, context: ssl.SSLContext | None) -> None:
    try:
        if context is not None:
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                part = connection.recv(4096)
                if not part:
                    return
                head += part
            handle(connection, head)
    except OSError:
        return
