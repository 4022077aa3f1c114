"""A CheckRequest's bytes to a `RawRequest`, and what of it may be shown.

Owns which fields of Envoy's message are read and how raw header octets become text. Judges nothing but that
the message can be read: grammar is `parse_request`'s duty. Raises nothing but `Refused(REQUEST_MALFORMED)`.
"""

from __future__ import annotations

import codecs
from typing import Final

from google.protobuf.message import DecodeError

from authz.model.errors import Refused
from authz.model.headers import Headers
from authz.model.reason import Reason
from authz.model.request import Limits, Peer, RawRequest, RequestView
from authz.wire.pb import check_pb2 as pb

SERVICE_EXTENSION: Final = "authz.service"
"""The key of `context_extensions` that names a policy (policy language §4)."""
VIEW_METHOD: Final = 16
VIEW_HOST: Final = 260
VIEW_PATH: Final = 256
"""Characters that a view shows at most."""

_PSEUDO_HEADERS: Final = 8
"""More than HTTP has."""
_SANITISE: Final = "authz-sanitise"


def decode(message: bytes, limits: Limits) -> RawRequest:
    """Read one CheckRequest of at most `limits.message` bytes."""
    if len(message) > limits.message:
        raise _refused("the check request is larger than the limit")
    try:
        attributes = pb.CheckRequest.FromString(message).attributes
    except (DecodeError, ValueError):
        raise _refused("the check request is no readable message") from None
    if not attributes.request.HasField("http"):
        # A TCP filter asks so; it is not a request with an empty method.
        raise _refused("the check request describes no HTTP request")
    http = attributes.request.http
    return RawRequest(
        method=http.method,
        target=http.path,
        authority=http.host,
        scheme=http.scheme,
        headers=_headers(http, limits),
        protocol=http.protocol,
        source=_peer(attributes.source),
        destination=_peer(attributes.destination),
        service=attributes.context_extensions.get(SERVICE_EXTENSION, ""),
        tls=attributes.HasField("tls_session"),
    )


def view(raw: RawRequest) -> RequestView:
    """What logs and audit may show of a request, whether or not it is well-formed."""
    path = raw.target.partition("?")[0].partition("#")[0]
    return RequestView(
        method=_printable(raw.method, VIEW_METHOD),
        host=_printable(raw.authority, VIEW_HOST),
        path=_printable(path, VIEW_PATH),
    )


def _headers(http: pb.HttpRequest, limits: Limits) -> Headers:
    """The headers without pseudo headers, from the raw form when Envoy sends it, else from the joined one."""
    raw = http.header_map.headers
    if len(raw) > limits.header_count + _PSEUDO_HEADERS:
        # The exact limit is `parse_request`'s; to sort a hundred thousand of one name first would take seconds.
        raise _refused("more headers than the limit")
    if raw:
        return Headers([(entry.key, _value(entry)) for entry in raw if not entry.key.startswith(":")])
    return Headers([item for item in http.headers.items() if not item[0].startswith(":")], joined=True)


def _value(entry: pb.HeaderValue) -> str:
    octets = entry.raw_value
    return octets.decode("utf-8", _SANITISE) if octets else entry.value


def _exclaim(error: UnicodeError) -> tuple[str, int]:
    """Each octet that is not UTF-8 becomes `!`, as Envoy itself does in its joined form."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return "!" * (error.end - error.start), error.end


codecs.register_error(_SANITISE, _exclaim)


def _peer(peer: pb.Peer) -> Peer:
    return Peer(address=peer.address.socket_address.address, principal=peer.principal, certificate=peer.certificate)


def _printable(text: str, limit: int) -> str:
    short = text[:limit]
    if short.isprintable():
        return short
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in short)


def _refused(rule: str) -> Refused:
    return Refused(Reason.REQUEST_MALFORMED, rule)
