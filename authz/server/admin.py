"""The second listener: `/livez`, `/readyz` (with `?verbose`) and `/metrics` over HTTP, for probes and scrapers, and
`POST /logout/ISSUER` for providers (OpenID Connect Back-Channel Logout 1.0).

It shows states and revisions, no request data; it stands on loopback unless told otherwise. Who may log somebody out is
proved by the logout token itself, so that path needs no other protection than a bound (`server.http_door`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import parse_qs, urlsplit

from authz.server.front import ListenError
from authz.server.http_door import HttpDoor, HttpRequest, Page, bind
from authz.server.readiness import Readiness

_TEXT: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"
_LOGOUT: Final = "/logout/"


Exposition = Callable[[], tuple[str, bytes]]
"""Renders all metrics: `(content type, body)`."""
Logout = Callable[[str, HttpRequest], Page]
"""Answers one back-channel logout: the issuer's name, and the request."""


class AdminPages:
    """What the listener answers, apart from HTTP."""

    def __init__(self, readiness: Readiness, exposition: Exposition, logout: Logout | None = None) -> None:
        self._readiness = readiness
        self._exposition = exposition
        self._logout = logout
        self._pages: Final = {"/livez": self._livez, "/readyz": self._readyz, "/metrics": self._metrics}

    def answer(self, request: HttpRequest) -> Page:
        """The answer to a request as it came in."""
        path = urlsplit(request.target).path
        if self._logout is not None and path.startswith(_LOGOUT):
            if request.method != "POST":
                return Page(405, _TEXT, b"a logout token is posted\n")
            return self._logout(path.removeprefix(_LOGOUT), request)
        if request.method == "POST":
            return Page(405, _TEXT, b"there is nothing to post here\n")
        return self.page(request.target)

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
        self._door: HttpDoor | None = None

    def start(self) -> int:
        """Bind and serve; the port. Raises `ListenError`."""
        host, _, port = self._address.rpartition(":")
        try:
            listener = bind(host.strip("[]"), int(port))
        except ValueError as error:
            raise ListenError(f"{self._address}: write HOST:PORT") from error
        except OSError as error:
            raise ListenError(f"{self._address}: {error.strerror or 'the host name has no address'}") from error
        self._door = HttpDoor(listener, self._pages.answer, name="admin")
        self._door.start()
        return int(listener.getsockname()[1])

    def close(self) -> None:
        if self._door is not None:
            self._door.close()
