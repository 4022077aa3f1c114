"""What a caller shows, before any policy has looked at it, and what one policy set makes of that.

The same token or certificate can be a principal under one policy set, a refused credential under another and not
looked at under a third: `principals` says which, by the rules that `engine.authenticate` follows. Verification
itself isn't repeated: a `Token` is one that verifies wherever its issuer is trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from authz.model.decision import Decision, Denial
from authz.model.issuer import IssuerSettings, TrustSettings
from authz.model.principal import (
    NOBODY,
    Binding,
    Principals,
    Refusal,
    User,
    UserOutcome,
    Via,
    Workload,
    WorkloadOutcome,
)
from authz.model.reason import Reason
from authz.model.request import AuthzRequest
from authz.model.spiffe import SpiffeId
from authz.policy.compiled import Matched, Usage
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.link import PolicySet


class Unusable:
    """A credential that no policy set accepts: a malformed token, a certificate that names nobody."""

    def __repr__(self) -> str:
        return "unusable"


UNUSABLE: Final = Unusable()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """The verified contents of a token of the issuer with this URL."""

    issuer_url: str
    claims: Mapping[str, object]
    audiences: frozenset[str]
    bound: frozenset[Binding] = frozenset()
    """To what the token is bound, each with a proof that holds."""


Shown = SpiffeId | Unusable | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peers:
    """The workloads that stand behind a request, by how their identity comes."""

    mtls: Shown = None
    forwarded: Shown = None
    jwt_svid: Shown = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Presented:
    """All that a caller shows with one request."""

    token: Token | Unusable | None = None
    peers: Peers = field(default_factory=Peers)


ReadUser = Callable[[Token, IssuerSettings], User]
"""How an issuer's settings read a token (`authn.claims`, which this room doesn't know)."""


def decide(
    policy: PolicySet, request: AuthzRequest, presented: Presented, read: ReadUser, now: float, *, trace: bool = False
) -> Decision:
    """What the policy set decides about the request of this caller: the service's own matching and evaluation."""
    matched = policy.match(request)
    if isinstance(matched, Denial):
        return matched
    usage, guardrails = usage_of(matched, request)
    who = principals(policy, matched, usage, presented, read)
    return evaluate(policy.removable, matched, guardrails, request, who, now, trace=trace)


def principals(policy: PolicySet, matched: Matched, usage: Usage, presented: Presented, read: ReadUser) -> Principals:
    """Who the caller is to this policy set on this route."""
    if not usage.issuers and not usage.vias:
        return NOBODY
    user = _user(policy, matched, usage, presented.token, read) if usage.issuers else None
    if policy.trust is None or not usage.vias:
        return Principals(user=user)
    mtls, forwarded, jwt_svid = workloads(policy.trust, usage, presented.peers)
    return Principals(user=user, mtls=mtls, forwarded=forwarded, jwt_svid=jwt_svid)


def workloads(
    trust: TrustSettings, usage: Usage, peers: Peers
) -> tuple[WorkloadOutcome, WorkloadOutcome, WorkloadOutcome]:
    """The workloads that the route looks at; a forwarded one counts only behind a trusted proxy (§3)."""
    peer = _workload(peers.mtls, Via.MTLS, trust)
    forwarded: WorkloadOutcome = None
    if Via.FORWARDED in usage.vias and isinstance(peer, Workload) and peer.id in trust.trusted_proxies:
        forwarded = _workload(peers.forwarded, Via.FORWARDED, trust)
    jwt_svid = _workload(peers.jwt_svid, Via.JWT_SVID, trust) if Via.JWT_SVID in usage.vias else None
    return (peer if Via.MTLS in usage.vias else None), forwarded, jwt_svid


def accepted_audiences(settings: IssuerSettings, matched: Matched) -> frozenset[str]:
    """A token of the issuer is accepted on the route when it is meant for one of these."""
    narrowed = matched.route.audiences.get(settings.name)
    return settings.audiences if narrowed is None else settings.audiences & narrowed


def _user(
    policy: PolicySet, matched: Matched, usage: Usage, token: Token | Unusable | None, read: ReadUser
) -> UserOutcome:
    if token is None:
        return None
    if isinstance(token, Unusable):
        return Refusal(reason=Reason.TOKEN_MALFORMED)
    settings = policy.issuers_by_url.get(token.issuer_url)
    if settings is None:
        return Refusal(reason=Reason.ISSUER_UNKNOWN)
    if settings.name not in usage.issuers:
        return Refusal(reason=Reason.ISSUER_NOT_PERMITTED)
    if token.audiences.isdisjoint(accepted_audiences(settings, matched)):
        return Refusal(reason=Reason.AUDIENCE_MISMATCH)
    return read(token, settings)


def _workload(shown: Shown, via: Via, trust: TrustSettings) -> WorkloadOutcome:
    if shown is None:
        return None
    if isinstance(shown, Unusable):
        return Refusal(reason=Reason.WORKLOAD_INVALID)
    if shown.trust_domain not in trust.domains:
        return Refusal(reason=Reason.TRUST_DOMAIN_UNKNOWN)
    return Workload(id=shown, via=via, roles=trust.roles.get(shown, frozenset()))
