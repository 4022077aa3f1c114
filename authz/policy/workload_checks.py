"""Whether a `workload` requirement can be served on its ground: its trust domains, roles and ways exist (§3, §5).

Owns the faults of that. Must not: prepare conditions (`policy.workload_conditions` does).
"""

from __future__ import annotations

from authz.model.principal import Via
from authz.policy.document import WorkloadRequirement
from authz.policy.faults import FaultCode
from authz.policy.ground import Ground
from authz.policy.suggest import MAX_SUGGESTIONS, did_you_mean
from authz.policy.values import Text
from authz.policy.workload_conditions import SpiffePattern, SpiffePatternError


def workload_fits(workload: WorkloadRequirement, ground: Ground) -> bool:
    """Whether the fields can be served; each that can't has become a fault."""
    before = len(ground.faults)
    trust = ground.platform.trust_domains
    if trust is None:
        ground.fault(workload.place, FaultCode.TRUST_DOMAIN_UNKNOWN, "`workload` needs a TrustDomains document")
        return False
    domains = trust.settings.domains
    for item in workload.spiffe:
        _check_pattern(item, domains, ground)
    for item in workload.trust_domains:
        _check_known(item, item.value, domains, ground)
    roles = frozenset(role for names in trust.settings.roles.values() for role in names)
    for item in workload.roles:
        if item.value not in roles:
            hint = did_you_mean(item.value, roles) if before < MAX_SUGGESTIONS else ""
            ground.fault(item.place, FaultCode.ROLE_UNKNOWN, f"no role of workloads is called {item.value!r}{hint}")
    lacking = {
        Via.FORWARDED: "" if trust.settings.trusted_proxies else "peers.forwarded.trusted_proxies",
        Via.JWT_SVID: "" if ground.jwt_svid_header else "peers.jwt_svid",
    }
    if workload.via is not None and lacking.get(workload.via):
        ground.fault(
            workload.place,
            FaultCode.REQUIREMENT_SHAPE,
            f"`via: {workload.via.value}` never holds without `{lacking[workload.via]}`",
        )
    return len(ground.faults) == before


def _check_pattern(item: Text, domains: frozenset[str], ground: Ground) -> None:
    try:
        pattern = SpiffePattern.parse(item.value)
    except SpiffePatternError as error:
        ground.fault(item.place, FaultCode.WORKLOAD_PATTERN, str(error))
        return
    _check_known(item, pattern.trust_domain, domains, ground)


def _check_known(item: Text, domain: str, domains: frozenset[str], ground: Ground) -> None:
    if domain not in domains:
        hint = did_you_mean(domain, domains)
        ground.fault(item.place, FaultCode.TRUST_DOMAIN_UNKNOWN, f"no trust domain is called {domain!r}{hint}")
