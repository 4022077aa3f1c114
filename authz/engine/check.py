"""The policy decision point: from one request to one decision (policy language §4 to §8).

Owns: the order in which a request is judged. Must not: do I/O (its ports never block), know how credentials or
policies work inside, or catch what it didn't expect: an exception reaches the guard in `server.service` and
becomes a denial.
"""

from __future__ import annotations

from dataclasses import dataclass

from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.ports import IssuerKeys, Policies, Revocations, TrustBundles
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.decision import Decision, Denial
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.link import PolicySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A decision and the revision of the policy that made it; empty when there was none."""

    decision: Decision
    revision: str


class DecisionPoint:
    """Decides requests; any thread may use it. State of one verdict never outlives its call."""

    def __init__(
        self, policies: Policies, keys: IssuerKeys, bundles: TrustBundles, tokens: TokenCache, limits: Limits,
        *, certificates: CertificateCache | None = None, authenticator: Authenticator | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        """`authenticator` stands in for the one made of the other arguments (`authz explain` asserts principals)."""
        self._policies = policies
        self._authenticator = authenticator or Authenticator(
            keys, bundles, tokens, CertificateCache() if certificates is None else certificates, limits,
            revocations,
        )

    def decide(self, request: AuthzRequest, *, now: float, trace: bool = False) -> Decided:
        """Judge one request at `now` (seconds since the epoch). One policy in force judges all of it."""
        policy = self._policies.current()
        if policy is None:
            return Decided(
                decision=Denial(reason=Reason.POLICY_UNAVAILABLE, detail="no policy is loaded"), revision="",
            )
        return Decided(decision=self._decide(policy, request, now, trace), revision=policy.revision)

    def _decide(self, policy: PolicySet, request: AuthzRequest, now: float, trace: bool) -> Decision:
        if "connection" in request.headers and _hides_a_header_of_ours(request, policy.removable):
            return Denial(reason=Reason.REQUEST_MALFORMED, detail="connection names a header that we set")
        matched = policy.match(request)
        if isinstance(matched, Denial):
            return matched
        usage, guardrails = usage_of(matched, request)
        trusted = Trusted(
            issuers=policy.issuers, issuers_by_url=policy.issuers_by_url, trust=policy.trust,
            audiences=matched.route.audiences,
        )
        principals = self._authenticator.principals(request, usage, trusted, now=now)
        return evaluate(policy.removable, matched, guardrails, request, principals, now, trace=trace)


def _hides_a_header_of_ours(request: AuthzRequest, removable: frozenset[str]) -> bool:
    """Whether the next hop would drop a header that we set (RFC 9110 §7.6.1): then the upstream would miss it."""
    for value in request.headers.get_all("connection"):
        for option in value.split(","):
            name = option.strip(" \t").lower().replace("_", "-")
            if name in removable or name.startswith("x-authz-"):
                return True
    return False
