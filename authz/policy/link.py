"""From parsed documents to the set that requests are judged by (policy language §1, §4, §6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from authz.model.decision import Denial
from authz.model.issuer import IssuerSettings, TrustSettings
from authz.model.reason import Reason
from authz.model.request import AuthzRequest
from authz.policy.compiled import CompiledGuardrail, Matched


class PolicyStatus(Enum):
    """What of a policy is in force: its newest text, its last good text, or nothing (503)."""

    FRESH = "fresh"
    LAST_GOOD = "last_good"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """One policy as readiness shows it. `faults` are texts with their place, `routes` those that answer 503."""

    name: str
    status: PolicyStatus
    faults: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    """Everything that decides a request, immutable; a reload makes another."""

    revision: str
    issuers: Mapping[str, IssuerSettings]
    issuers_by_url: Mapping[str, IssuerSettings]
    trust: TrustSettings | None
    guardrails: tuple[CompiledGuardrail, ...]
    removable: frozenset[str]
    policies: tuple[PolicyState, ...] = field(default=())

    def match(self, request: AuthzRequest) -> Matched | Denial:
        """The route that owns the request, or why none does."""
        return Denial(reason=Reason.DESTINATION_UNMATCHED, detail=request.service)
