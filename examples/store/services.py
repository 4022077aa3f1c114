"""The six applications: tiny HTTP services that answer with what they saw, and call each other through Envoy.

Owns: what an application does. Must not: check anybody; that is what stands in front of it.
The frontend passes orders on to the orders service, orders reserves stock and takes money: chains are real. They
pass the token on with every call they make, needed or not; what is too much, authz takes away.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a service calls when it gets a request: `{0}` and so on are the groups of the rule's path."""

    method: str
    host: str
    path: str


RULES: Mapping[str, tuple[tuple[str, str, tuple[Call, ...]], ...]] = {
    "frontend": (
        ("GET", r"/orders/(.+)", (Call(method="GET", host="orders.shop.example", path="/orders/{0}"),)),
        ("HEAD", r"/orders/(.+)", (Call(method="GET", host="orders.shop.example", path="/orders/{0}"),)),
        ("POST", r"/orders/(.+)", (Call(method="POST", host="orders.shop.example", path="/orders/{0}"),)),
    ),
    "orders": (
        (
            "POST",
            r"/orders/([^/]+)/payment",
            (
                Call(method="POST", host="inventory.shop.example", path="/stock/order-{0}/reservation"),
                Call(method="POST", host="payments.shop.example", path="/transaction"),
            ),
        ),
    ),
}
"""By service: method, path, the calls in order; the first that fails ends the chain."""

_TOKEN = re.compile(r"^(\w+) .+$")
_PASSED_ON = ("authorization",)


class Application:
    """One service on a loopback port. `outbound` is the port of its Envoy for calls of its own."""

    def __init__(self, name: str, port: int, *, outbound: int = 0) -> None:
        self.name = name
        self.port = port
        self.outbound = outbound
        self.served = 0
        """How many requests came through: what was denied doesn't count here."""
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Application:
        self._server = _Server(("127.0.0.1", self.port), _handler(self))
        serve = self._server.serve_forever
        threading.Thread(target=serve, kwargs={"poll_interval": 0.05}, name=self.name, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        """The status and what was seen; a failed call's status becomes this one's."""
        self.served += 1
        calls: list[dict[str, object]] = []
        status = 200
        for call in self._calls(method, path):
            status, seen = self._call(call, headers)
            calls.append(seen)
            if status >= 400:
                break
        saw: dict[str, object] = {
            "service": self.name,
            "method": method,
            "path": path,
            "headers": {
                name: _TOKEN.sub(r"\1 …", value) if name == "authorization" else value
                for name, value in headers.items()
            },
        }
        return status, {**saw, "calls": calls} if calls else saw

    def _calls(self, method: str, path: str) -> list[Call]:
        for rule_method, pattern, calls in RULES.get(self.name, ()):
            found = re.fullmatch(pattern, path)
            if method == rule_method and found:
                return [replace(call, path=call.path.format(*found.groups())) for call in calls]
        return []

    def _call(self, call: Call, headers: Mapping[str, str]) -> tuple[int, dict[str, object]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.outbound, timeout=10)
        passed = {name: headers[name] for name in _PASSED_ON if name in headers}
        try:
            connection.request(call.method, call.path, headers={"Host": call.host, **passed})
            response = connection.getresponse()
            return response.status, read_answer(response)
        finally:
            connection.close()


def read_answer(response: http.client.HTTPResponse) -> dict[str, object]:
    """The JSON object of an answer; one without gets an object with its status and decision id."""
    decision_id = response.headers.get("x-authz-decision-id", "")
    try:
        body = json.loads(response.read())
    except ValueError:
        body = {}
    content = body if isinstance(body, dict) else {}
    return {**({"decision_id": decision_id} if decision_id else {}), **content}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(application: Application) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        timeout = 60

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, saw = application.answer(self.command, self.path, headers)
            body = json.dumps(saw, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
            """Silent: the answer says it all."""

    return Handler
