"""Makes serialized CheckRequests as Envoy sends them."""

from __future__ import annotations

from collections.abc import Mapping

from authz.wire.pb import check_pb2 as pb


def check_message(
    method: str = "GET",
    path: str = "/orders/42",
    host: str = "orders.shop.example",
    *,
    headers: Mapping[str, str] | None = None,
    source: str = "",
    destination: str = "",
    padding: int = 0,
) -> bytes:
    """One request over HTTP/1.1; `source` and `destination` are the principals of the two ends.

    `padding` adds that many bytes in a field that nobody knows, as a forwarded body would.
    """
    message = pb.CheckRequest()
    attributes = message.attributes
    attributes.source.principal = source
    attributes.source.address.socket_address.address = "10.1.2.3"
    attributes.destination.principal = destination
    http = attributes.request.http
    http.method, http.path, http.host, http.scheme, http.protocol = method, path, host, "http", "HTTP/1.1"
    for name, value in (headers or {}).items():
        http.headers[name] = value
    return message.SerializeToString() + _padding(padding)


def read_answer(answer: bytes) -> pb.CheckResponse:
    """The answer as Envoy reads it."""
    return pb.CheckResponse.FromString(answer)


def _padding(size: int) -> bytes:
    """Field 15, length-delimited."""
    if not size:
        return b""
    length, rest = bytearray(), size
    while rest > 0x7F:
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return b"\x7a" + bytes(length) + bytes(size)
