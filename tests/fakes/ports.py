"""Fakes of `engine.ports`: each holds fixed answers and says what it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authz.authn.keys import KeySet
from authz.authn.svid import TrustBundle
from authz.engine.ports import Introspected
from authz.model.errors import Refused, Unavailable, WouldBlock
from authz.model.issuer import IssuerSettings
from authz.model.patience import Patience
from authz.model.reason import Reason
from authz.policy.link import PolicySet


class FixedPolicies:
    """`Policies` that has always had one policy in force, or none."""

    def __init__(self, policy: PolicySet | None = None) -> None:
        self.policy = policy

    def current(self) -> PolicySet | None:
        return self.policy


class FixedKeys:
    """`IssuerKeys` with a key set by issuer name; without one, an issuer's keys are unavailable."""

    def __init__(self, sets: Mapping[str, KeySet] | None = None, *, fetching: bool = False) -> None:
        self.sets = dict(sets or {})
        self.fetching = fetching
        self.asked: list[str] = []
        self.unknown_asked: list[str] = []

    def keys(self, issuer: IssuerSettings) -> KeySet:
        self.asked.append(issuer.name)
        key_set = self.sets.get(issuer.name)
        if key_set is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "never fetched", retry_after=7)
        return key_set

    def unknown(self, issuer: IssuerSettings) -> Refused:
        self.unknown_asked.append(issuer.name)
        if self.fetching:
            return Unavailable(Reason.KEYS_UNAVAILABLE, "a fetch is under way", retry_after=2)
        return Refused(Reason.TOKEN_KEY_UNKNOWN, "nothing can be fetched")


class FixedBundles:
    """`TrustBundles` with these bundles."""

    def __init__(self, *bundles: TrustBundle) -> None:
        self.bundles = {bundle.trust_domain: bundle for bundle in bundles}

    def bundle(self, trust_domain: str) -> TrustBundle | None:
        return self.bundles.get(trust_domain)


class FixedIntrospection:
    """`Introspection` with an answer by token (None: not active); says what each issuer was asked."""

    def __init__(self, answers: Mapping[str, dict[str, Any] | None] | None = None, *, known: bool = True) -> None:
        self.answers = dict(answers or {})
        self.known = known
        self.lasts = 30.0
        self.asked: list[tuple[str, str]] = []

    def ask(self, issuer: IssuerSettings, token: str, *, now: float, patience: Patience) -> Introspected:
        if not self.known and not patience.may_block:
            raise WouldBlock
        self.asked.append((issuer.name, token))
        if token not in self.answers:
            raise Unavailable(Reason.INTROSPECTION_UNAVAILABLE, "nobody answers", retry_after=3)
        return Introspected(claims=self.answers[token], until=now + self.lasts)


class CountedReplays:
    """`ReplayStore` in memory; `down` makes it unavailable, `remote` makes it block."""

    def __init__(self) -> None:
        self.used: dict[bytes, float] = {}
        self.down = False
        self.remote = False

    def first_use(self, key: bytes, until: float, *, now: float, patience: Patience) -> bool:
        if self.remote and not patience.may_block:
            raise WouldBlock
        if self.down:
            raise Unavailable(Reason.STORE_UNAVAILABLE, "the store is gone")
        first = key not in self.used
        self.used.setdefault(key, until)
        return first
