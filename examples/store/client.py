"""A client that sends exactly what it is told: raw paths, any Host, any certificate or none.

Owns: one request over TLS. Must not: repair anything on the way, or judge the answer.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. `saw` is the application's own report (see `services`), empty after a denial."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, object]:
        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def send(
    port: int,
    method: str,
    target: str,
    *,
    host: str,
    tls: ssl.SSLContext,
    server_name: str | None = None,
    headers: Mapping[str, str] | None = None,
    address: str = "127.0.0.1",
) -> Answer:
    """One request on a connection of its own, to loopback unless there is another `address`."""
    connection = _Connection(address, port, tls, server_name)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": host, **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=received, body=response.read())
    finally:
        connection.close()


def public(ca: Path) -> ssl.SSLContext:
    """As a browser: the public certificate and its name are checked."""
    return ssl.create_default_context(cafile=str(ca))


def mesh(ca: Path, svid: Path | None) -> ssl.SSLContext:
    """As a workload: the peer must come from the mesh's CA; SVIDs bear no DNS name that could be checked."""
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = False
    if svid is not None:
        context.load_cert_chain(svid)
    return context


class _Connection(http.client.HTTPSConnection):
    def __init__(self, address: str, port: int, tls: ssl.SSLContext, server_name: str | None) -> None:
        super().__init__(address, port, context=tls, timeout=15)
        self._tls = tls
        self._server_name = server_name

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)
