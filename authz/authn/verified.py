"""What a verified token says, read by its issuer's settings: the part that needs no key (policy language §2).

Owns the verified token as a value, and where in its claims the client and the bindings stand. Must not: verify
anything (`authn.token` does), or import what verifying needs: tools that take claims as verified start without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from authz.model.issuer import ClaimPath, IssuerSettings
from authz.model.light import light_value
from authz.model.principal import Binding

KEY_MEMBER: Final = "jkt"
"""RFC 9449 §6.1."""
CERTIFICATE_MEMBER: Final = "x5t#S256"
"""RFC 8705 §3.1."""
BINDINGS: Final = {KEY_MEMBER: Binding.DPOP, CERTIFICATE_MEMBER: Binding.MTLS}
_UNBOUND: Final[frozenset[Binding]] = frozenset()
_EACH: Final = {
    frozenset({KEY_MEMBER}): frozenset({Binding.DPOP}),
    frozenset({CERTIFICATE_MEMBER}): frozenset({Binding.MTLS}),
    frozenset(BINDINGS): frozenset(BINDINGS.values()),
}
"""Users are kept by the thousand and share these sets."""
_CLIENT_ID: Final = "client_id"


@light_value
class VerifiedToken:
    """A token whose every step held at the time of `verify`. `expires_at` is a NumericDate in seconds.

    `issuer` is the name in the policy directory. `claims` are JSON and never mutated.
    """

    issuer: str
    claims: Mapping[str, Any]
    audiences: frozenset[str]
    expires_at: float


def stands_for_client(claims: Mapping[str, Any], settings: IssuerSettings, clients: tuple[str, ...]) -> bool:
    """Whether a token of these claims stands for a client, by the issuer's settings; `clients` are its `clients_of`."""
    rule = settings.client_tokens
    if rule is None:
        return claims["sub"] in clients
    value = lookup(claims, rule.claim)
    # Typed: True is no 1, and "1" is neither.
    return type(value) is type(rule.equals) and value == rule.equals


def clients_of(claims: Mapping[str, Any], settings: IssuerSettings) -> tuple[str, ...]:
    """The client that the token was issued to, first where the policy looks for it; where nothing is written,
    `client_id` too (RFC 9068 §2.2), so that no client's token passes for a person's."""
    first = lookup(claims, settings.client)
    second = None if settings.client_written else claims.get(_CLIENT_ID)
    clients = (first,) if type(first) is str and first else ()
    return (*clients, second) if type(second) is str and second else clients


def lookup(claims: Mapping[str, Any], path: ClaimPath) -> Any:
    """The value at a path of object members, None when it is absent or null on the way."""
    value: Any = claims.get(path[0])
    if len(path) == 1:
        return value
    for name in path[1:]:
        if type(value) is not dict:
            return None
        value = value.get(name)
    return value


def bindings_of(claims: Mapping[str, Any]) -> frozenset[Binding]:
    """What the token of these claims is bound to; of a verified token, each was checked."""
    members = claims.get("cnf")
    return _EACH[frozenset(members)] if type(members) is dict else _UNBOUND
