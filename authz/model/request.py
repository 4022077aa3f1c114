"""One request as Envoy describes it, parsed once into types that can't be wrong.

`RawRequest` is what any adapter has (wire.decode, `authz explain`, policy tests); `parse_request` is the only
way to an `AuthzRequest` and holds every rule that needs no policy: header grammar, host, path (verification.md,
"Requests"). Order of reasons: request, host, path (policy language §8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from authz.model.headers import Headers
from authz.model.host import Authority
from authz.model.path import RequestPath


class Transport(Enum):
    """How the caller is connected to the Envoy that asks."""

    MTLS = "mtls"
    TLS = "tls"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One end of the connection: `address` is an IP literal or empty, `principal` and `certificate` as Envoy
    gives them (untyped text, URL-encoded PEM of the leaf; empty when there is none)."""

    address: str = ""
    principal: str = ""
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRequest:
    """What an adapter read, nothing checked yet. `target` is the raw request target with its query.

    `headers` hold no pseudo headers. `joined` says that duplicates were folded with commas (Envoy's `headers`
    map form), which makes a comma in a credential header ambiguous.
    """

    method: str
    target: str
    authority: str
    scheme: str = ""
    headers: Headers = field(default_factory=Headers)
    protocol: str = ""
    source: Peer = field(default_factory=Peer)
    destination: Peer = field(default_factory=Peer)
    service: str = ""
    """Envoy's per-route `context_extensions["authz.service"]`; empty when absent."""
    tls: bool = False
    """Whether Envoy sent a `tls_session`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what is judged, in bytes. Sources: verification.md; the rest are ours."""

    target: int = 8192
    token: int = 8192
    headers: int = 96 * 1024
    """Sum of header names and values; Envoy's own default maximum is 60 KiB."""
    header_count: int = 200
    message: int = 4 * 1024 * 1024
    """A whole CheckRequest, refused before it is parsed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthzRequest:
    """A request whose method, host, path and headers are within their grammars."""

    method: str
    path: RequestPath
    authority: Authority
    headers: Headers
    scheme: str
    protocol: str
    source: Peer
    destination: Peer
    service: str
    transport: Transport
    grpc: bool
    """Whether the caller speaks gRPC (`content-type: application/grpc…`) and wants a gRPC status."""
    upgrade: str
    """The lower-case `upgrade` token (`websocket`), also of an HTTP/2 extended CONNECT as Envoy shows it; else empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """What audit and logs may show of a request that was not even parsed: short, printable, without the query."""

    method: str = ""
    host: str = ""
    path: str = ""


