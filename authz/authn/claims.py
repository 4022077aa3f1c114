"""Verified claims read the way their issuer's settings say: the `User` that conditions look at (policy language §2).

Owns: scopes, groups, roles, client, aliases and which tokens stand for a client. Must not: verify anything; a
claim that is missing or malformed is None here, never empty and never repaired.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from authz.authn.verified import VerifiedToken, bindings_of, clients_of, lookup, stands_for_client
from authz.model.issuer import IssuerSettings
from authz.model.principal import PrincipalKind, User

_SCOPE_TOKEN: Final = r"[\x21\x23-\x5b\x5d-\x7e]+"  # noqa: S105 - a grammar, no password
_SCOPES: Final = re.compile(rf"{_SCOPE_TOKEN}(?: {_SCOPE_TOKEN})*")
"""RFC 6749 §3.3: scope-tokens with one blank between them."""
_SHARED: Final = 1024
_SHARED_CHARACTERS: Final = 256
"""Users are kept by the thousand, and many have the same scopes, groups or roles: they share the sets of short ones."""
_SCOPE: Final = re.compile(_SCOPE_TOKEN)


def user_of(token: VerifiedToken, settings: IssuerSettings) -> User:
    """The person or client that a verified token speaks of. Made once per token and kept with it."""
    claims = token.claims
    scope_text, scopes = _scopes(lookup(claims, settings.scopes))
    clients = clients_of(claims, settings)
    subject: str = claims["sub"]
    return User(
        settings.name,
        settings.issuer,
        subject,
        PrincipalKind.CLIENT if stands_for_client(claims, settings, clients) else PrincipalKind.PERSON,
        clients[0] if clients else None,
        scopes,
        _texts(lookup(claims, settings.groups)),
        _texts(lookup(claims, settings.roles)),
        _text(claims.get("acr")),
        _texts(claims.get("amr")),
        _number(claims.get("auth_time")),
        token.expires_at,
        token.audiences,
        claims,
        _aliases(claims, settings),
        subject_hash(settings.issuer, subject),
        scope_text,
        bindings_of(claims),
    )


def subject_hash(issuer: str, subject: str) -> str:
    """A short digest of who it is, for logs and metadata (a subject means nothing without its issuer)."""
    return hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:16]


def _aliases(claims: Mapping[str, Any], settings: IssuerSettings) -> Mapping[str, Any]:
    return {name: value for name, path in settings.aliases.items() if (value := lookup(claims, path)) is not None}


def _scopes(value: object) -> tuple[str, frozenset[str] | None]:
    """The scopes with one blank between them and as a set, from a string or an array; one empty or malformed element
    spoils the whole claim (§2)."""
    if type(value) is list and all(type(item) is str and _SCOPE.fullmatch(item) for item in value):
        text = " ".join(value)
    elif type(value) is str and _SCOPES.fullmatch(value):
        text = value
    else:
        return "", None
    return text, _split(text) if len(text) <= _SHARED_CHARACTERS else frozenset(text.split())


@lru_cache(maxsize=_SHARED)
def _split(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _texts(value: object) -> frozenset[str] | None:
    if type(value) is not list or not all(type(item) is str for item in value):
        return None
    items = tuple(value)
    return _set(items) if sum(map(len, items)) + len(items) <= _SHARED_CHARACTERS else frozenset(items)


@lru_cache(maxsize=_SHARED)
def _set(items: tuple[str, ...]) -> frozenset[str]:
    return frozenset(items)


def _text(value: object) -> str | None:
    return value if type(value) is str and value else None


def _number(value: object) -> float | None:
    if type(value) is int or type(value) is float:
        return value
    return None
