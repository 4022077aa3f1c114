"""What the engine needs from outside, as Protocols; adapters stand in `authz.sources`, fakes in `tests/fakes`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from authz.authn.dpop import ProofRules
from authz.authn.keys import KeySet
from authz.authn.svid import TrustBundle
from authz.engine.revocations import Marks
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import IssuerSettings
from authz.model.patience import Patience
from authz.model.principal import User
from authz.model.reason import Reason
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Introspected:
    """What an issuer said of a token: the members of its answer, None when the token isn't active (RFC 7662 §2.2).
    `until` is how long that may be relied on, in seconds since the epoch."""

    claims: dict[str, Any] | None
    until: float


class Introspection(Protocol):
    """Issuers asked about tokens. May block within `patience`; each answer is remembered for a while."""

    def ask(self, issuer: IssuerSettings, token: str, *, now: float, patience: Patience) -> Introspected:
        """Raises `Unavailable(INTROSPECTION_UNAVAILABLE)` without an answer in time, `WouldBlock` when there is none
        yet and `patience` forbids to wait."""
        ...


class ReplayStore(Protocol):
    """What was used once, shared by every replica. May block within `patience`."""

    def first_use(self, key: bytes, until: float, *, now: float, patience: Patience) -> bool:
        """Whether this is the first use of the key, in one atomic step; it is remembered until then (seconds since
        the epoch). Raises `Unavailable(STORE_UNAVAILABLE)` or `WouldBlock`."""
        ...


class NoIntrospection:
    """Nobody is asked: what hangs on an answer stays undecided."""

    def ask(self, issuer: IssuerSettings, token: str, *, now: float, patience: Patience) -> Introspected:
        raise Unavailable(Reason.INTROSPECTION_UNAVAILABLE, "issuers aren't asked about tokens here")


class NoReplayStore:
    """Nothing is remembered: whether a proof was used before stays undecided."""

    def first_use(self, key: bytes, until: float, *, now: float, patience: Patience) -> bool:
        raise Unavailable(Reason.STORE_UNAVAILABLE, "used proofs aren't remembered here")

    def close(self) -> None:
        """Nothing to give back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What only some tokens need. `proof_rules` are read for each proof: their nonce keys may change."""

    introspection: Introspection = field(default_factory=NoIntrospection)
    replays: ReplayStore = field(default_factory=NoReplayStore)
    proof_rules: Callable[[], ProofRules] = ProofRules


class TrustBundles(Protocol):
    """SPIFFE trust bundles, as last read. Never blocks."""

    def bundle(self, trust_domain: str) -> TrustBundle | None: ...


class Revocations(Protocol):
    """What is revoked, as far as this process knows. Never blocks: each question is a few dictionary look-ups."""

    def revoked(self, user: User, *, now: float, marks: Callable[[], Marks] | None = None) -> RevocationKind | None:
        """By which kind of entry the token of this user is revoked; None when by none. `marks` gives what `marks_of`
        does, from a caller that keeps it."""
        ...

    def revoked_workload(self, workload: SpiffeId, *, now: float) -> bool: ...

    def stale(self) -> bool:
        """Whether what is known is older than its bound, or known to be incomplete (`revocation: strict`)."""
        ...
