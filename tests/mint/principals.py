"""Makers of principals and of the requests that they send, for tests of the decision itself."""

from __future__ import annotations

from collections.abc import Mapping

from authz.model.headers import Headers
from authz.model.principal import PrincipalKind, User, Via, Workload
from authz.model.request import AuthzRequest, Limits, Peer, RawRequest, parse_request
from authz.model.spiffe import SpiffeId

CORP_URL = "https://idp.shop.example"


def user(
    subject: str = "alice",
    *,
    issuer: str = "corp",
    kind: PrincipalKind = PrincipalKind.PERSON,
    client: str | None = "spa",
    scopes: str | None = "orders:read",
    groups: tuple[str, ...] | None = ("staff",),
    roles: tuple[str, ...] | None = (),
    acr: str | None = None,
    amr: tuple[str, ...] | None = None,
    auth_time: float | None = None,
    claims: Mapping[str, object] | None = None,
    aliases: Mapping[str, object] | None = None,
    issuer_url: str = CORP_URL,
) -> User:
    """A verified user; what isn't given is an ordinary person of issuer `corp`."""
    return User(
        issuer=issuer,
        issuer_url=issuer_url,
        subject=subject,
        kind=kind,
        client=client,
        scopes=None if scopes is None else frozenset(scopes.split()),
        groups=None if groups is None else frozenset(groups),
        roles=None if roles is None else frozenset(roles),
        acr=acr,
        amr=None if amr is None else frozenset(amr),
        auth_time=auth_time,
        expires_at=2e9,
        audiences=frozenset({"shop-api"}),
        claims=claims or {},
        aliases=aliases or {},
        subject_hash="5ub",
        scope_text=scopes or "",
    )


def workload(
    spiffe: str = "spiffe://shop.example/ns/shop/sa/frontend", *, via: Via = Via.MTLS, roles: tuple[str, ...] = ()
) -> Workload:
    """A verified calling workload."""
    return Workload(id=SpiffeId.parse(spiffe), via=via, roles=frozenset(roles))


def request(
    method: str = "GET",
    path: str = "/orders/42",
    *,
    host: str = "orders.shop.example",
    headers: tuple[tuple[str, str], ...] = (),
    joined: bool = False,
    source: str = "10.1.2.3",
    at: str = "spiffe://shop.example/ns/shop/sa/orders",
    service: str = "",
) -> AuthzRequest:
    """A request within its grammars."""
    raw = RawRequest(
        method=method,
        target=path,
        authority=host,
        scheme="https",
        headers=Headers(headers, joined=joined),
        source=Peer(address=source),
        destination=Peer(principal=at),
        service=service,
    )
    return parse_request(raw, Limits())
