"""A witness as people use it: the `authz explain` command line that reproduces it, and the same as JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from authz.model.decision import Decision, Permit
from authz.model.reason import ALLOWED

if TYPE_CHECKING:
    from authz.model.issuer import ClaimPath, IssuerSettings
    from authz.model.principal import User
    from authz.model.request import AuthzRequest
    from authz.policy.link import PolicySet
    from authz.policy.presented import Presented, Token

_UNUSABLE_TOKEN = "malformed"  # noqa: S105 - what no verifier accepts
_UNUSABLE_ID = "spiffe://"


def read_user(token: Token, settings: IssuerSettings) -> User:
    """The user that the service would make of a verified token."""
    from dataclasses import replace

    from authz.authn.claims import user_of
    from authz.authn.verified import VerifiedToken

    verified = VerifiedToken(issuer=settings.name, claims=dict(token.claims), audiences=token.audiences, expires_at=2e9)
    return replace(user_of(verified, settings), bound=token.bound)


def outcome(decision: Decision) -> str:
    """`allowed`, or the code of the reason."""
    return ALLOWED if isinstance(decision, Permit) else decision.reason.code


def command(where: str, policy: PolicySet, request: AuthzRequest, presented: Presented, now: float) -> str:
    """The command line; `policy` is the side that `where` holds, whose names for issuers and claims it uses."""
    words = ["authz", "explain", where, request.method, _url(request), *_request(request), *_peers(presented)]
    words += _user(policy, presented, now)
    return shlex.join(words)


def as_json(request: AuthzRequest, presented: Presented) -> dict[str, object]:
    """The request and what the caller shows; what is absent is left out."""
    from authz.policy.presented import Token

    token = presented.token
    found: dict[str, object] = {
        "method": request.method,
        "host": str(request.authority),
        "path": request.path.text,
        "at": request.destination.principal,
        "service": request.service,
        "from": request.source.address,
        "headers": [list(item) for item in request.headers.items()],
        "workload": _peer(presented.peers.mtls),
        "forwarded": _peer(presented.peers.forwarded),
        "jwt_svid": _peer(presented.peers.jwt_svid),
    }
    if isinstance(token, Token):
        found["user"] = {
            "issuer": token.issuer_url,
            "claims": token.claims,
            "audiences": sorted(token.audiences),
            "bound": sorted(one.value for one in token.bound),
        }
    elif token is not None:
        found["user"] = {"refused": "token_malformed"}
    return {name: value for name, value in found.items() if value not in ("", None, [])}


def _url(request: AuthzRequest) -> str:
    return f"https://{request.authority}{request.path.text}"


def _request(request: AuthzRequest) -> Iterator[str]:
    at = request.destination.principal
    if at:
        yield from ("--at", at if at.startswith("spiffe://") else f"dns:{at}")
    if request.service:
        yield from ("--service", request.service)
    if request.source.address:
        yield from ("--from", request.source.address)
    for name, value in request.headers.items():
        yield from ("--header", f"{name}: {value}")


def _peers(presented: Presented) -> Iterator[str]:
    for flag, shown in (
        ("--workload", presented.peers.mtls),
        ("--forwarded", presented.peers.forwarded),
        ("--jwt-svid", presented.peers.jwt_svid),
    ):
        if shown is not None:
            yield from (flag, _peer(shown))


def _peer(shown: object) -> str:
    from authz.model.spiffe import SpiffeId

    return "" if shown is None else str(shown) if isinstance(shown, SpiffeId) else _UNUSABLE_ID


def _user(policy: PolicySet, presented: Presented, now: float) -> Iterator[str]:
    from authz.policy.presented import Token

    token = presented.token
    if token is None:
        return
    settings = policy.issuers_by_url.get(token.issuer_url) if isinstance(token, Token) else None
    if settings is None or not isinstance(token, Token):
        # Also an issuer that this side doesn't know: its tokens are refused like any other that isn't one.
        yield from ("--token", _UNUSABLE_TOKEN)
        return
    yield from ("--as", f"{settings.name}:{token.claims['sub']}")
    names = {path: name for name, path in settings.aliases.items()}
    lists = {settings.scopes: "--scope", settings.groups: "--group", settings.roles: "--role", ("amr",): "--amr"}
    texts = {settings.client: "--client", ("acr",): "--acr"}
    for path, value in flat_claims(token.claims):
        if path in (("iss",), ("sub",)):
            continue
        if path in lists and isinstance(value, list) and value and all(isinstance(one, str) for one in value):
            for one in value:
                yield from (lists[path], one)
        elif path in texts and isinstance(value, str):
            yield from (texts[path], value)
        elif path == ("auth_time",) and type(value) in (int, float):
            yield from ("--auth-time", f"{value:.0f}", "--now", f"{now:.0f}")
        else:
            yield from ("--claim", f"{names.get(path) or '.'.join(path)}={json.dumps(value)}")
    for one in sorted(token.bound, key=lambda binding: binding.value):
        yield from ("--bound", one.value)


def flat_claims(claims: Mapping[str, object], above: ClaimPath = ()) -> Iterator[tuple[ClaimPath, object]]:
    """Each claim that holds no others, by its path."""
    for name, value in claims.items():
        if isinstance(value, Mapping) and value:
            yield from flat_claims(value, (*above, name))
        else:
            yield (*above, name), value
