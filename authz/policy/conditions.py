"""The leaves that are about neither a user nor a workload: `source`, `public`, `nobody` (policy language §5)."""

from __future__ import annotations

import ipaddress

from authz.model.reason import Reason
from authz.policy.compiled import Condition, Outcome, Scene
from authz.policy.document import NobodyRequirement, PublicRequirement, SourceRequirement
from authz.policy.three_values import FALSE, TRUE, Mode


def source_condition(source: SourceRequirement, mode: Mode, origin: str) -> Condition:
    """The direct peer's address is inside one of the networks; an address that can't be read counts as absent."""
    networks = tuple(ipaddress.ip_network(cidr, strict=False) for cidr in source.cidrs)

    def test(scene: Scene) -> Outcome:
        try:
            address = ipaddress.ip_address(scene.request.source.address)
        except ValueError:
            return mode.absent
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return TRUE if any(address in network for network in networks) else FALSE

    return Condition(
        test=test, reason=Reason.SOURCE_NOT_PERMITTED, text=f"source in [{', '.join(source.cidrs)}]", origin=origin
    )


def public_condition(public: PublicRequirement, origin: str) -> Condition:
    """Holds for everybody."""
    return Condition(test=_always, reason=Reason.NOBODY, text=f'public "{public.why}"', origin=origin)


def nobody_condition(nobody: NobodyRequirement, origin: str) -> Condition:
    """Holds for nobody."""
    return Condition(test=_never, reason=Reason.NOBODY, text=f'nobody "{nobody.why}"', origin=origin)


def _always(scene: Scene) -> Outcome:
    return TRUE


def _never(scene: Scene) -> Outcome:
    return FALSE
