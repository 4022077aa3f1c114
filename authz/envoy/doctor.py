"""Every hazard of a configuration: what lets requests past a decision, or decisions past their purpose.

Owns: which rules look at what. Each rule says what is wrong with one thing, why that matters and what to write instead;
each has a stable code. Must not: read files, or know more of the policies than `Expected`.
"""

from __future__ import annotations

from collections.abc import Iterator

from authz.envoy.check_rules import CHECK_RULES, certificate, retries
from authz.envoy.cluster_rules import cluster
from authz.envoy.configuration import Configuration
from authz.envoy.hazard import Expected, Hazard, place_of
from authz.envoy.manager_rules import MANAGER_RULES, unchecked


def hazards(configuration: Configuration, expected: Expected | None = None) -> tuple[Hazard, ...]:
    """Every hazard, in the order of the configuration."""
    found: list[Hazard] = []
    for manager in configuration.managers:
        checks = manager.checks
        for rule in MANAGER_RULES if checks else () if manager.pending() else (unchecked,):
            found += rule(manager, configuration)
        for _, each, settings in checks:
            place = place_of(manager, filter=each.name)
            for check_rule in CHECK_RULES:
                found += check_rule(place, each, settings)
            found += certificate(place, settings, manager, expected or Expected())
            found += retries(place, settings.grpc_service, configuration)
    found += _nobody_asks(configuration)
    for name in sorted(_asked(configuration)):
        found += cluster(name, configuration)
    return tuple(dict.fromkeys(found))


def _nobody_asks(configuration: Configuration) -> Iterator[Hazard]:
    managers = configuration.managers
    if managers and not any(each.pending() or each.checks for each in managers):
        yield Hazard(
            code="check-missing",
            place=place_of(managers[0]),
            why="no listener asks authz anything",
            write="the ext_authz filter, last before the router",
        )


def _asked(configuration: Configuration) -> set[str]:
    return {
        settings.grpc_service.envoy_grpc.cluster_name
        for manager in configuration.managers
        for *_, settings in manager.checks
        if settings.grpc_service is not None and settings.grpc_service.envoy_grpc is not None
    }
