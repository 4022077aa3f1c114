"""Somebody who gets in by a new route: out of the difference that the route makes (`authz new route`).

The semantic difference between the directory without the route and with it shows a caller who gains access; here it
becomes people and a request as policy tests write them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from authz.model.issuer import IssuerSettings
    from authz.model.request import AuthzRequest
    from authz.policy.meaning import Side
    from authz.policy.presented import Presented, Token


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedCase:
    """People who act together, and what they ask, both as a RoutePolicyTest has them."""

    people: tuple[dict[str, Any], ...]
    request: dict[str, Any]


def allowed_case(before: Mapping[str, bytes], after: Mapping[str, bytes], route: str) -> AllowedCase | None:
    """Who gains access by `route` (POLICY/ROUTE); None where no difference shows anybody."""
    from authz.cli.witness import read_user
    from authz.policy.difference import Direction, compare
    from authz.policy.suite import DEFAULT_NOW

    old, new = _side(before), _side(after)
    if old is None or new is None:
        return None
    for finding in compare(old, new, read_user, DEFAULT_NOW).findings:
        if finding.direction is Direction.GAINED and finding.route == route:
            people = tuple(_people(finding.witness.presented, new, DEFAULT_NOW))
            return AllowedCase(people=people, request=_request(finding.witness.request)) if people else None
    return None


def _side(files: Mapping[str, bytes]) -> Side | None:
    from authz.policy.load import load
    from authz.policy.meaning import Side

    loaded = load(files)
    return None if loaded.policy is None else Side(loaded.policy, loaded.parsed)


def _people(presented: Presented, side: Side, now: float) -> Iterator[dict[str, Any]]:
    from authz.model.spiffe import SpiffeId
    from authz.policy.presented import Token

    token = presented.token
    if isinstance(token, Token):
        settings = next(one for one in side.issuers.values() if one.issuer == token.issuer_url)
        yield {"user": _user(token, settings, now)}
    peers = presented.peers
    for shown, via in ((peers.mtls, None), (peers.forwarded, "forwarded"), (peers.jwt_svid, "jwt-svid")):
        if isinstance(shown, SpiffeId):
            yield {"workload": {"spiffe": str(shown)} if via is None else {"spiffe": str(shown), "via": via}}


def _user(token: Token, settings: IssuerSettings, now: float) -> dict[str, Any]:
    """The token's contents by the names that tests have for them."""
    from authz.cli.witness import flat_claims

    user: dict[str, Any] = {"issuer": settings.name, "sub": token.claims["sub"]}
    claims: dict[str, Any] = {}
    named = {
        settings.scopes: "scopes",
        settings.groups: "groups",
        settings.roles: "roles",
        ("amr",): "amr",
        settings.client: "client",
        ("acr",): "acr",
    }
    aliases = {path: name for name, path in settings.aliases.items()}
    for path, value in flat_claims(token.claims):
        if path in (("iss",), ("sub",)):
            continue
        if path == ("auth_time",) and isinstance(value, int | float):
            user["auth_age"] = f"{max(0, int(now - value))}s"
        elif path in named and value:
            user[named[path]] = value
        else:
            claims[aliases.get(path) or ".".join(path)] = value
    if claims:
        user["claims"] = claims
    if token.bound:
        user["bound"] = sorted(one.value for one in token.bound)[0]
    return user


def _request(request: AuthzRequest) -> dict[str, Any]:
    found: dict[str, Any] = {
        "method": request.method,
        "host": str(request.authority),
        "path": request.path.text,
        "at": request.destination.principal,
        "service": request.service,
        "from": request.source.address,
        "headers": dict(request.headers.items()),
    }
    return {name: value for name, value in found.items() if value}
