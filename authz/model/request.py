"""One request as Envoy describes it, parsed once into types that can't be wrong.

`RawRequest` is what any adapter has (wire.decode, `authz explain`, policy tests); `parse_request` is the only
way to an `AuthzRequest` and holds every rule that needs no policy: header grammar, host, path
(docs/verification.md, "Requests"). Order of reasons: request, host, path (policy language §8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from authz.model.errors import Refused
from authz.model.headers import Headers, field_size, fold_name, is_token
from authz.model.host import Authority
from authz.model.light import light_value
from authz.model.path import RequestPath, parse_path
from authz.model.reason import Reason

_USUAL_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_GRPC: Final = re.compile(r"application/grpc(?:[+;].*)?")


class Transport(Enum):
    """How the caller is connected to the Envoy that asks."""

    MTLS = "mtls"
    TLS = "tls"
    PLAIN = "plain"


@light_value
class Peer:
    """One end of the connection: `address` is an IP literal or empty, `principal` and `certificate` as Envoy
    gives them (untyped text, URL-encoded PEM of the leaf; empty when there is none)."""

    address: str = ""
    principal: str = ""
    certificate: str = ""


@light_value
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


@light_value
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
    """The lower-case `upgrade` text (`websocket`), also of an HTTP/2 extended CONNECT as Envoy shows it; else
    empty."""


@light_value
class RequestView:
    """What audit and logs may show of a request that need not even parse: short, printable, without query."""

    method: str = ""
    host: str = ""
    path: str = ""


def parse_request(raw: RawRequest, limits: Limits) -> AuthzRequest:
    """Check everything that needs no policy.

    Raises `Refused` with `REQUEST_MALFORMED`, else `HOST_INVALID`, else `PATH_NOT_CANONICAL`. Not checked
    here: that no `connection` header names a header which we set (see `connection_names`), and credentials.
    """
    headers = raw.headers
    if raw.method not in _USUAL_METHODS:
        _check_method(raw.method)
    _check_headers(headers, limits)
    upgrade = _upgrade(headers) if "upgrade" in headers else ""
    authority = Authority.parse(raw.authority)
    if "host" in headers:
        _check_host_header(headers, authority)
    return AuthzRequest(
        raw.method,
        parse_path(raw.target, limits.target),
        authority,
        headers,
        raw.scheme,
        raw.protocol,
        raw.source,
        raw.destination,
        raw.service,
        transport_of(raw),
        is_grpc(headers),
        upgrade,
    )


def split_url(url: str) -> tuple[str, str, str]:
    """`(scheme, authority, target)` of a URL as people write it; one without scheme begins with the authority.

    Nothing is decoded or repaired: whether the target is canonical is `parse_request`'s to say.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    end = min((position for mark in "/?#" if (position := rest.find(mark)) >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:]
    return scheme, authority, target if target.startswith("/") else f"/{target}"


def transport_of(raw: RawRequest) -> Transport:
    """How the caller is connected, from what Envoy says of both ends of the connection."""
    if raw.source.principal or raw.source.certificate:
        return Transport.MTLS
    if raw.tls or raw.destination.principal:
        return Transport.TLS
    return Transport.PLAIN


def is_grpc(headers: Headers) -> bool:
    """Whether Envoy takes the caller for gRPC: `application/grpc`, alone or with `+` or `;`; not gRPC-Web."""
    types = headers.get_all("content-type")
    # Few media types begin so: the expression looks at those only.
    return len(types) == 1 and types[0].startswith("application/grpc") and _GRPC.fullmatch(types[0]) is not None


def connection_names(headers: Headers) -> frozenset[str]:
    """What `connection` asks the next hop to drop (RFC 9110 §7.6.1): lower case, `_` read as `-`."""
    values = headers.get_all("connection")
    if not values:
        return frozenset()
    tokens = (token.strip(" \t") for token in fold_name(",".join(values)).replace("_", "-").split(","))
    return frozenset(token for token in tokens if token)


def _check_method(method: str) -> None:
    if not is_token(method):
        raise _malformed("the method is no token (RFC 9110 §9.1)")
    if method == "CONNECT":
        # An extended CONNECT (RFC 8441) has become a GET with `upgrade` before Envoy's filters see it.
        raise _malformed("CONNECT is never judged")


def _check_headers(headers: Headers, limits: Limits) -> None:
    judged = headers.judged
    number, size = _judge(headers, limits) if judged is None else judged
    if number > limits.header_count:
        raise _malformed("more headers than the limit")
    if size > limits.headers:
        raise _malformed("headers larger than the limit")


def _judge(headers: Headers, limits: Limits) -> tuple[int, int]:
    """How many values there are, and the size of it all; one pass over all names and one over all values, each as a
    single text."""
    names = headers.names()
    values = headers.values()
    if not values or len(values) > limits.header_count:
        return len(values), 0
    all_names = "".join(names)
    # Joined text is made of token characters exactly when each name is; only an empty name could hide in it.
    if "" in names or not is_token(all_names):
        raise _malformed("a header name is no token (RFC 9110 §5.1)")
    values_size = field_size("".join(values))
    if values_size < 0:
        raise _malformed("a header value holds a control character (RFC 9110 §5.5)")
    # Names are ASCII by now; only a repeated one counts more than once.
    repeated = len(values) != len(names)
    size = sum(len(name) * len(headers.get_all(name)) for name in names) if repeated else len(all_names)
    return len(values), values_size + size


def _upgrade(headers: Headers) -> str:
    """The protocol asked for, by Envoy's rule: an `upgrade` header, and `upgrade` named by `connection`.

    Several or odd values stay one text that no route names.
    """
    values = headers.get_all("upgrade")
    if not values or "upgrade" not in connection_names(headers):
        return ""
    upgrade = fold_name(",".join(values).strip(" \t"))
    if not upgrade:
        # An empty text would make it look like no upgrade at all.
        raise _malformed("an upgrade names no protocol (RFC 9110 §7.8)")
    return upgrade


def _check_host_header(headers: Headers, authority: Authority) -> None:
    values = headers.get_all("host")
    if len(values) != 1:
        raise Refused(Reason.HOST_INVALID, "the host header comes more than once (RFC 9112 §3.2)")
    # A joined duplicate holds a comma, which the grammar refuses.
    if Authority.parse(values[0]) != authority:
        raise Refused(Reason.HOST_INVALID, "the host header differs from the authority (RFC 9113 §8.3.1)")


def _malformed(rule: str) -> Refused:
    return Refused(Reason.REQUEST_MALFORMED, rule)
