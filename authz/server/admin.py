"""The second listener: `/livez`, `/readyz` (with `?verbose`) and `/metrics` over HTTP, for probes and scrapers.

GET and HEAD only, bounded threads, a bounded request head that must arrive within a few seconds, one request per
connection. It shows states and revisions, no request data; it stands on loopback unless told otherwise.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from authz import __version__
from authz.server.front import ListenError
from authz.server.readiness import Readiness

_THREADS: Final = 4
_WAITING: Final = 16
_HEAD_BYTES: Final = 8 * 1024
_HEAD_SECONDS: Final = 5.0
_POLL: Final = 0.05
_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True)
class Page:
    """One answer: `kind` is its content type."""

    status: int
    kind: str
    body: bytes


Exposition = Callable[[], tuple[str, bytes]]
"""Renders all metrics: `(content type, body)`."""


class AdminPages:
    """What the listener answers, apart from HTTP."""

    def __init__(self, readiness: Readiness, exposition: Exposition) -> None:
        self._readiness = readiness
        self._exposition = exposition
        self._pages: Final = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}

    def page(self, target: str) -> Page:
        parts = urlsplit(target)
        make = self._pages.get(parts.path)
        if make is None:
            return Page(404, _TEXT, b"not found: /livez /readyz /metrics\n")
        return make("verbose" in parse_qs(parts.query, keep_blank_values=True))

    def _livez(self, _verbose: bool) -> Page:
        return Page(200, _TEXT, b"ok\n")

    def _readyz(self, verbose: bool) -> Page:
        report = self._readiness.report()
        status = 200 if report.ready else 503
        if not verbose:
            return Page(status, _TEXT, f"{report.summary}\n".encode())
        return Page(status, _JSON, json.dumps(report.as_json(), indent=2).encode() + b"\n")

    def _metrics(self, _verbose: bool) -> Page:
        kind, body = self._exposition()
        return Page(200, kind, body)


class AdminServer:
    """The listener; `start` binds, `close` ends it."""

    def __init__(self, address: str, pages: AdminPages) -> None:
        self._address = address
        self._pages = pages
        self._server: _BoundedServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Bind and serve; the port. Raises `ListenError`."""
        host, _, port = self._address.rpartition(":")
        try:
            self._server = _BoundedServer((host.strip("[]"), int(port)), self._pages)
        except ValueError as error:
            raise ListenError(f"{self._address}: write HOST:PORT") from error
        except OSError as error:
            raise ListenError(f"{self._address}: {error.strerror or 'the host name has no address'}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL,), name="admin", daemon=True)
        self._thread.start()
        return int(self._server.server_address[1])

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._thread is not None:
            self._thread.join(_HEAD_SECONDS)


class _BoundedServer(HTTPServer):
    """As many requests as there are threads and places to wait; what is over that is hung up on."""

    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], pages: AdminPages) -> None:
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.pages = pages
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="admin")
        self._places = threading.BoundedSemaphore(_THREADS + _WAITING)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # Without HTTPServer's look-up of our own name, which may wait for DNS.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._threads.submit(self._serve, request, client_address)

    def _serve(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except (OSError, ValueError):
            pass  # The scraper hung up or spoke no HTTP: nothing is owed to it.
        finally:
            self.shutdown_request(request)
            self._places.release()

    def server_close(self) -> None:
        super().server_close()
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Handler(BaseHTTPRequestHandler):
    server: _BoundedServer
    server_version = f"authz/{__version__}"
    sys_version = ""
    protocol_version = "HTTP/1.0"

    def handle(self) -> None:
        """One request, its head read under a deadline for the whole of it."""
        self.rfile.close()
        self.rfile = BytesIO(_read_head(self.connection))
        self.handle_one_request()

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Probes are not worth a log line each."""

    def _answer(self, *, with_body: bool) -> None:
        page = self.server.pages.page(self.path)
        self.send_response(page.status)
        self.send_header("content-type", page.kind)
        self.send_header("content-length", str(len(page.body)))
        self.send_header("cache-control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(page.body)


def _read_head(connection: socket.socket) -> bytes:
    deadline = time.monotonic() + _HEAD_SECONDS
    head = b""
    while b"\r\n\r\n" not in head and len(head) < _HEAD_BYTES:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(_HEAD_BYTES - len(head))
        if not piece:
            break
        head += piece
    connection.settimeout(_HEAD_SECONDS)
    return head
