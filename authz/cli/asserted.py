"""A decision point for `authz explain`: the service's own, except that principals may be asserted."""

from __future__ import annotations

from dataclasses import dataclass, replace

from authz.authn.svid import TrustBundle
from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.check import DecisionPoint
from authz.engine.ports import IssuerKeys
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.issuer import PeerVerification, TrustSettings
from authz.model.patience import UNHURRIED, Patience
from authz.model.principal import Principals, Refusal, User, UserOutcome, Via, Workload, WorkloadOutcome
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits
from authz.model.spiffe import SpiffeId
from authz.policy.compiled import Usage
from authz.policy.link import PolicySet


def decision_point(
    policy: PolicySet, keys: IssuerKeys, user: User | None, jwt_svid: SpiffeId | None = None
) -> DecisionPoint:
    """Decides by `policy`. `user` is taken as verified (None: whatever token the request holds is), and so is the
    workload of a JWT-SVID."""
    tokens, limits = TokenCache(1), Limits()
    real = Authenticator(keys, _NoBundles(), tokens, CertificateCache(1), limits)
    authenticator = _Asserting(real, user, jwt_svid)
    return DecisionPoint(_Fixed(policy), keys, _NoBundles(), tokens, limits, authenticator=authenticator)


class _Asserting:
    """Believes the workload that it is told, as if Envoy had verified it, and the user if there is one; the `real`
    authenticator finds the rest."""

    def __init__(self, real: Authenticator, user: User | None, jwt_svid: SpiffeId | None) -> None:
        self._real = real
        self._asserted = user
        self._jwt_svid = jwt_svid

    def principals(
        self,
        request: AuthzRequest,
        usage: Usage,
        trusted: Trusted,
        *,
        now: float,
        patience: Patience = UNHURRIED,
        binding: bool = True,
    ) -> Principals:
        if trusted.trust is not None:
            trusted = replace(trusted, trust=replace(trusted.trust, verified_by=PeerVerification.ENVOY))
        found = self._real.principals(request, usage, trusted, now=now, patience=patience, binding=binding)
        if self._jwt_svid is not None and trusted.trust is not None and Via.JWT_SVID in usage.vias:
            found = replace(found, jwt_svid=_shown(self._jwt_svid, trusted.trust))
        if self._asserted is None or not usage.issuers:
            return found
        return replace(found, user=_outcome(self._asserted, usage))


def _outcome(user: User, usage: Usage) -> UserOutcome:
    if user.issuer in usage.issuers:
        return user
    return Refusal(reason=Reason.ISSUER_NOT_PERMITTED, detail="neither the route nor a guardrail names this issuer")


def _shown(named: SpiffeId, trust: TrustSettings) -> WorkloadOutcome:
    if named.trust_domain not in trust.domains:
        return Refusal(reason=Reason.TRUST_DOMAIN_UNKNOWN, detail="the trust domain is not configured")
    return Workload(id=named, via=Via.JWT_SVID, roles=trust.roles.get(named, frozenset()))


@dataclass(frozen=True, slots=True)
class _Fixed:
    policy: PolicySet

    def current(self) -> PolicySet:
        return self.policy


class _NoBundles:
    """Nothing is checked against bundles here."""

    def bundle(self, trust_domain: str) -> TrustBundle | None:
        return None
