"""Makes check requests as Envoy sends them, in the joined or the raw header form."""

from __future__ import annotations

from collections.abc import Iterable

from authz.wire.pb import check_pb2 as pb

FRONTEND = "spiffe://shop.example/ns/shop/sa/frontend"
ORDERS = "spiffe://shop.example/ns/shop/sa/orders"

HeaderItems = Iterable[tuple[str, str | bytes]]


def check_request(
    *,
    method: str = "GET",
    path: str = "/orders/42",
    host: str = "orders.shop.example",
    headers: HeaderItems = (),
    raw_headers: bool = False,
    source: str = "",
    destination: str = "",
    address: str = "10.1.2.3",
    service: str = "",
) -> pb.CheckRequest:
    """One request with its pseudo headers, as the filter builds it."""
    check = pb.CheckRequest()
    attributes = check.attributes
    attributes.source.principal = source
    attributes.source.address.socket_address.address = address
    attributes.destination.principal = destination
    if service:
        attributes.context_extensions["authz.service"] = service
    http = attributes.request.http
    http.method, http.path, http.host, http.scheme, http.protocol = method, path, host, "https", "HTTP/2"
    pseudo = ((":method", method), (":path", path), (":authority", host), (":scheme", "https"))
    _add_headers(http, (*pseudo, *headers), raw=raw_headers)
    return check


def _add_headers(http: pb.HttpRequest, headers: HeaderItems, *, raw: bool) -> None:
    for name, value in headers:
        octets = value.encode() if isinstance(value, str) else value
        if raw:
            http.header_map.headers.add(key=name, raw_value=octets)
            continue
        text = octets.decode()
        http.headers[name] = f"{http.headers[name]},{text}" if name in http.headers else text
