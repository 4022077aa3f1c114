"""What the engine needs from outside, as Protocols; adapters stand in `authz.sources`, fakes in `tests/fakes`."""

from __future__ import annotations

from typing import Protocol

from authz.authn.keys import KeySet
from authz.authn.svid import TrustBundle
from authz.model.errors import Refused
from authz.model.issuer import IssuerSettings
from authz.model.principal import User
from authz.model.revocation import RevocationKind
from authz.model.spiffe import SpiffeId
from authz.policy.link import PolicySet


class Policies(Protocol):
    """The policy in force; None until the first load. Reading it is one attribute access: it never blocks."""

    def current(self) -> PolicySet | None: ...


class IssuerKeys(Protocol):
    """The keys of issuers, as last fetched. Never blocks, never fetches in the caller's thread."""

    def keys(self, issuer: IssuerSettings) -> KeySet:
        """The set in use. Raises `Unavailable(KEYS_UNAVAILABLE)` when there is none (never fetched, or too old)."""
        ...

    def unknown(self, issuer: IssuerSettings) -> Refused:
        """What a token whose `kid` the set lacks gets; also asks for one shared background fetch (language §8).

        `Refused(TOKEN_KEY_UNKNOWN)` when a fetch was refused by its cooldown on a fresh set, or nothing can be
        fetched (a file); `Unavailable(KEYS_UNAVAILABLE)` while a fetch is asked for, under way, or failing.
        """
        ...


class TrustBundles(Protocol):
    """SPIFFE trust bundles, as last read. Never blocks."""

    def bundle(self, trust_domain: str) -> TrustBundle | None: ...


class Revocations(Protocol):
    """What is revoked, as far as this process knows. Never blocks: each question is a few dictionary look-ups."""

    def revoked(self, user: User, *, now: float) -> RevocationKind | None:
        """By which kind of entry the token of this user is revoked; None when by none."""
        ...

    def revoked_workload(self, workload: SpiffeId, *, now: float) -> bool: ...

    def stale(self) -> bool:
        """Whether what is known is older than its bound, or known to be incomplete (`revocation: strict`)."""
        ...
