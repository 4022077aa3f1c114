"""Makes requests as they reach the engine, parsed; only what a test is about has to be said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from authz.model.headers import Headers
from authz.model.request import AuthzRequest, Limits, Peer, RawRequest, parse_request


def request(
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    *,
    principal: str = "",
    certificate: str = "",
    method: str = "GET",
    target: str = "/orders/42",
    authority: str = "orders.shop.example",
) -> AuthzRequest:
    """A parsed request with these headers from a peer that Envoy names so."""
    items = headers.items() if isinstance(headers, Mapping) else headers
    return parse_request(
        RawRequest(
            method=method,
            target=target,
            authority=authority,
            headers=Headers(items),
            source=Peer(address="10.0.0.7", principal=principal, certificate=certificate),
        ),
        Limits(),
    )
