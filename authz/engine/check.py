"""The policy decision point: from one request to one decision (policy language §4 to §8).

Owns: the order in which a request is judged. Must not: do I/O (its ports may, within the caller's patience), know how
credentials or policies work inside, or catch what it didn't expect: an exception reaches the guard in
`server.service` and becomes a denial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.ports import IssuerKeys, Outside, Policies, Revocations, TrustBundles
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.decision import Decision, Denial, Shadow
from authz.model.errors import WouldBlock
from authz.model.light import light_value
from authz.model.patience import AT_ONCE, UNHURRIED, Patience
from authz.model.principal import Principals
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits
from authz.policy.compiled import CompiledRoute, Matched, Usage
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.link import PolicySet
from authz.policy.shadow import shadow


@light_value
class Decided:
    """A decision and the revision of the policy that made it; empty when there was none.

    `shadow` says what the route's candidate would have decided. It is a function so that the caller asks it when the
    answer is made: a candidate can't change an answer that exists.
    """

    decision: Decision
    revision: str
    shadow: Callable[[], Shadow] | None = None


class Authenticates(Protocol):
    """`engine.authenticate.Authenticator`, or what stands in for it."""

    def principals(
        self,
        request: AuthzRequest,
        usage: Usage,
        trusted: Trusted,
        *,
        now: float,
        patience: Patience = UNHURRIED,
        binding: bool = True,
    ) -> Principals: ...


class DecisionPoint:
    """Decides requests; any thread may use it. State of one verdict never outlives its call."""

    def __init__(
        self,
        policies: Policies,
        keys: IssuerKeys,
        bundles: TrustBundles,
        tokens: TokenCache,
        limits: Limits,
        *,
        certificates: CertificateCache | None = None,
        authenticator: Authenticates | None = None,
        revocations: Revocations | None = None,
        outside: Outside | None = None,
    ) -> None:
        """`authenticator` stands in for the one made of the other arguments (`authz explain` asserts principals)."""
        self._policies = policies
        self._authenticator: Authenticates = authenticator or Authenticator(
            keys,
            bundles,
            tokens,
            CertificateCache() if certificates is None else certificates,
            limits,
            revocations,
            outside,
        )

    def decide_at_once(self, request: AuthzRequest, *, now: float) -> Decided | None:
        """As `decide`, for callers that may not wait: None when something has to be asked for first."""
        try:
            return self.decide(request, now=now, patience=AT_ONCE)
        except WouldBlock:
            return None

    def decide(
        self, request: AuthzRequest, *, now: float, trace: bool = False, patience: Patience = UNHURRIED
    ) -> Decided:
        """Judge one request at `now` (seconds since the epoch). One policy in force judges all of it.

        May block within `patience` where an issuer has to be asked about a token, or a proof is spent.
        """
        policy = self._policies.current()
        if policy is None:
            return Decided(decision=Denial(reason=Reason.POLICY_UNAVAILABLE, detail="no policy is loaded"), revision="")
        return self._decide(policy, request, now, trace, patience)

    def _decide(self, policy: PolicySet, request: AuthzRequest, now: float, trace: bool, patience: Patience) -> Decided:
        matched = policy.match(request)
        if isinstance(matched, Denial):
            return Decided(matched, policy.revision)
        usage, guardrails = usage_of(matched, request)
        principals = self._authenticator.principals(
            request, usage, _trusted(policy, matched.route), now=now, patience=patience
        )
        decision = evaluate(policy.removable, matched, guardrails, request, principals, now, trace=trace)
        candidate = matched.route.candidate
        if candidate is None or matched.preflight:
            return Decided(decision, policy.revision)

        def ask() -> Shadow:
            return self._shadow(policy, replace(matched, route=candidate), request, now)

        return Decided(decision=decision, revision=policy.revision, shadow=ask)

    def _shadow(self, policy: PolicySet, candidate: Matched, request: AuthzRequest, now: float) -> Shadow:
        """The candidate looks at credentials by itself: it may use others than the route. Total."""
        try:
            usage, guardrails = usage_of(candidate, request)
            principals = self._authenticator.principals(
                request, usage, _trusted(policy, candidate.route), now=now, patience=AT_ONCE, binding=False
            )
        except WouldBlock:
            return Shadow(verdict=Reason.INTROSPECTION_UNAVAILABLE.code, detail="nobody is asked for a candidate alone")
        except Exception as error:  # noqa: BLE001 - a candidate must not be able to change the answer
            return Shadow(verdict="error", detail=type(error).__name__)
        return shadow(candidate, guardrails, request, principals, now)


def _trusted(policy: PolicySet, route: CompiledRoute) -> Trusted:
    return Trusted(policy.issuers, policy.issuers_by_url, policy.trust, route.audiences, route.introspector)
