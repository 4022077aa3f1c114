"""A small HTTP server for few and known callers: bounded in everything, one request per connection.

Owns: the threads, the places to wait, the time and the size of a request, who the caller is. Must not: know what is
asked. GET and HEAD carry no body; POST carries one with a length. What breaks a bound is hung up on.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from typing import Any, Final

from authz import __version__

_LOG: Final = logging.getLogger("authz.server")
HEAD_BYTES: Final = 8 * 1024
MAX_BODY_BYTES: Final = 64 * 1024
SECONDS: Final = 5.0
"""For a whole request to arrive, a TLS handshake included."""
THREADS: Final = 16
_WAITING: Final = 16
_POLL: Final = 0.05
_END_OF_HEAD: Final = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: `kind` is its content type."""

    status: int
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request. Header names are lower case, of several only the last; `caller` is who the door says it is."""

    method: str
    target: str
    caller: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class NotAdmitted(Exception):
    """The caller may not come in; the text is for the log."""


Answer = Callable[[HttpRequest], Page]
Admit = Callable[[socket.socket], tuple[socket.socket, str]]
"""From an accepted connection to the one that is spoken on and the caller's name; on a worker's thread, with the time
limit set. Raises `NotAdmitted` or OSError."""


def anybody(connection: socket.socket) -> tuple[socket.socket, str]:
    """For a door that tells nothing which its callers may not know, or asks for proof in the request itself."""
    return connection, ""


class HttpDoor:
    """A listener that is bound already, and its threads; `start` serves, `close` ends it."""

    def __init__(self, listener: socket.socket, answer: Answer, *, admit: Admit = anybody, name: str) -> None:
        self._server = _BoundedServer(listener, answer, admit)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL,), name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        if self._thread.is_alive():
            self._thread.join(SECONDS)


def bind(host: str, port: int) -> socket.socket:
    """A TCP listener; raises OSError. Without a look-up of our own name, which may wait for DNS."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(32)
    except BaseException:
        listener.close()
        raise
    return listener


class _BoundedServer(HTTPServer):
    """As many requests as there are threads and places to wait; what is over that is hung up on."""

    def __init__(self, listener: socket.socket, answer: Answer, admit: Admit) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = "authz", 0
        self.answer = answer
        self._admit = admit
        self._threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="http")
        self._places = threading.BoundedSemaphore(THREADS + _WAITING)

    def process_request(self, request: Any, _client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._threads.submit(self._serve, request)

    def _serve(self, connection: socket.socket) -> None:
        spoken = connection
        try:
            connection.settimeout(SECONDS)
            spoken, caller = self._admit(connection)
            self.finish_request(spoken, caller)
        except NotAdmitted as error:
            _LOG.warning("a caller was turned away", extra={"event": "caller_refused", "why": str(error)})
        except (OSError, ValueError):
            pass  # The caller hung up, or spoke no HTTP: nothing is owed to it.
        finally:
            self.shutdown_request(spoken)
            self._places.release()

    def server_close(self) -> None:
        super().server_close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Handler(BaseHTTPRequestHandler):
    """`client_address` holds the caller's name."""

    server: _BoundedServer
    server_version = f"authz/{__version__}"
    sys_version = ""
    protocol_version = "HTTP/1.0"

    def handle(self) -> None:
        """One request, all of it read under one deadline."""
        self.rfile.close()
        self._deadline = time.monotonic() + SECONDS
        head, self._more = self._read_head()
        self.rfile = BytesIO(head)
        self.handle_one_request()

    def do_GET(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._answer(b"", with_body=False)

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if "transfer-encoding" in self.headers or not (length.isascii() and length.isdigit() and len(length) < 10):
            self._send(Page(411, "text/plain", b"a body with a length is needed\n"))
        elif int(length) > MAX_BODY_BYTES:
            self._send(Page(413, "text/plain", b"the body is too large\n"))
        else:
            self._answer(self._read_body(int(length)))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Probes are not worth a log line each."""

    def _answer(self, body: bytes, *, with_body: bool = True) -> None:
        caller: Any = self.client_address
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = HttpRequest(method=self.command, target=self.path, caller=caller, headers=headers, body=body)
        self._send(self.server.answer(request), with_body=with_body)

    def _send(self, page: Page, *, with_body: bool = True) -> None:
        self.connection.settimeout(SECONDS)
        self.send_response(page.status)
        self.send_header("content-type", page.kind)
        self.send_header("content-length", str(len(page.body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(page.body)

    def _read_head(self) -> tuple[bytes, bytes]:
        """The head, and what of the body came with it."""
        data = b""
        while _END_OF_HEAD not in data and len(data) < HEAD_BYTES:
            piece = self._receive(HEAD_BYTES - len(data))
            if not piece:
                break
            data += piece
        head, end, more = data.partition(_END_OF_HEAD)
        return head + end, more

    def _read_body(self, length: int) -> bytes:
        body = self._more[:length]
        while len(body) < length:
            piece = self._receive(length - len(body))
            if not piece:
                raise ValueError("the body ended early")
            body += piece
        return body

    def _receive(self, limit: int) -> bytes:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.connection.settimeout(left)
        piece: bytes = self.connection.recv(limit)
        return piece
