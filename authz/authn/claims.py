"""Verified claims read the way their issuer's settings say: the `User` that conditions look at (policy language §2).

Owns: scopes, groups, roles, client, aliases and which tokens stand for a client. Must not: verify anything; a
claim that is missing or malformed is None here, never empty and never repaired.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from authz.authn.verified import VerifiedToken, bindings_of, clients_of, lookup, stands_for_client
from authz.model.issuer import IssuerSettings
from authz.model.principal import PrincipalKind, User

_SCOPE_TOKEN: Final = r"[\x21\x23-\x5b\x5d-\x7e]+"  # noqa: S105 - a grammar, no password
_SCOPES: Final = re.compile(rf"{_SCOPE_TOKEN}(?: {_SCOPE_TOKEN})*")
"""RFC 6749 §3.3: scope-tokens with one blank between them."""
_SCOPE: Final = re.compile(_SCOPE_TOKEN)


def user_of(token: VerifiedToken, settings: IssuerSettings) -> User:
    """The person or client that a verified token speaks of. Made once per token and kept with it."""
    claims = token.claims
    scope_text = _scope_text(lookup(claims, settings.scopes))
    clients = clients_of(claims, settings)
    subject: str = claims["sub"]
    return User(
        issuer=settings.name,
        issuer_url=settings.issuer,
        subject=subject,
        kind=PrincipalKind.CLIENT if stands_for_client(claims, settings) else PrincipalKind.PERSON,
        client=clients[0] if clients else None,
        scopes=None if scope_text is None else frozenset(scope_text.split()),
        groups=_texts(lookup(claims, settings.groups)),
        roles=_texts(lookup(claims, settings.roles)),
        acr=_text(claims.get("acr")),
        amr=_texts(claims.get("amr")),
        auth_time=_number(claims.get("auth_time")),
        expires_at=token.expires_at,
        audiences=token.audiences,
        claims=claims,
        aliases=_aliases(claims, settings),
        subject_hash=subject_hash(settings.issuer, subject),
        scope_text=scope_text or "",
        bound=bindings_of(claims),
    )


def subject_hash(issuer: str, subject: str) -> str:
    """A short digest of who it is, for logs and metadata (a subject means nothing without its issuer)."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:16]


def _aliases(claims: Mapping[str, Any], settings: IssuerSettings) -> Mapping[str, Any]:
    found = {}
    for name, path in settings.aliases.items():
        value = lookup(claims, path)
        if value is not None:
            found[name] = value
    return found


def _scope_text(value: object) -> str | None:
    """The scopes with one blank between them, from a string or an array; one empty or malformed element spoils
    the whole claim (§2)."""
    if type(value) is str:
        return value if _SCOPES.fullmatch(value) else None
    if type(value) is list and all(type(item) is str and _SCOPE.fullmatch(item) for item in value):
        return " ".join(value)
    return None


def _texts(value: object) -> frozenset[str] | None:
    if type(value) is list and all(type(item) is str for item in value):
        return frozenset(value)
    return None


def _text(value: object) -> str | None:
    return value if type(value) is str and value else None


def _number(value: object) -> float | None:
    if type(value) is int or type(value) is float:
        return value
    return None
