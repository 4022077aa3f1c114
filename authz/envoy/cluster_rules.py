"""Hazards of the cluster that checks go to, and the addresses of its instances."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import CommonTlsContext, UpstreamTlsContext

from authz.envoy.configuration import Configuration, unpacked
from authz.envoy.hazard import Hazard, Place

FEW_RETRIES: Final = 100
"""Fewer at once don't do for the checks that one connection may have when it breaks."""
_DEFAULT_RETRIES: Final = 3
_DEFAULT_PRIORITY: Final = 0


def cluster(name: str, configuration: Configuration) -> Iterator[Hazard]:
    """What is wrong with the cluster of this name, which a filter asks."""
    place, found = Place(cluster=name), configuration.clusters.get(name)
    if found is None:
        yield Hazard(
            code="cluster-missing",
            place=place,
            why="the filter names a cluster that isn't there: every check fails",
            write="the cluster that `authz envoy cluster` prints",
        )
        return
    if not found.health_checks:
        yield Hazard(
            code="health-check-missing",
            place=place,
            why="Envoy doesn't notice that an instance drains, and sends it checks until it is gone",
            write=(
                "health_checks: [{timeout: 1s, interval: 2s, unhealthy_threshold: 1, healthy_threshold: 1, "
                "grpc_health_check: {}}]"
            ),
        )
    if _retries_at_once(found) < FEW_RETRIES:
        yield Hazard(
            code="retry-scarce",
            place=place,
            why="Envoy retries few checks at once (unwritten: 3); when a connection breaks the others are denied",
            write="circuit_breakers: {thresholds: [{max_retries: 1024}]}",
        )
    yield from _transport(place, found, configuration)


def _retries_at_once(found: Cluster) -> int:
    thresholds = () if found.circuit_breakers is None else found.circuit_breakers.thresholds
    for each in thresholds:
        if each.priority == _DEFAULT_PRIORITY:  # Envoy takes the first.
            if each.retry_budget is not None:
                return FEW_RETRIES  # A share of the checks under way, which somebody has weighed.
            return _DEFAULT_RETRIES if each.max_retries is None else each.max_retries
    return _DEFAULT_RETRIES


def _transport(place: Place, found: Cluster, configuration: Configuration) -> Iterator[Hazard]:
    socket = found.transport_socket
    tls = None if socket is None else unpacked(socket.typed_config, UpstreamTlsContext)
    common = None if tls is None else tls.common_tls_context
    if tls is not None and (common is None or not asks_for_certificate(common)):
        yield Hazard(
            code="authz-unverified",
            place=place,
            why="Envoy takes anybody's certificate: whoever stands at the address can allow everything",
            write="validation_context: {trusted_ca: …, match_typed_subject_alt_names: […authz's SPIFFE ID…]}",
        )
    by_match = bool(found.transport_socket_matches)  # Which endpoint takes which socket is told by its metadata.
    if (socket is None and not by_match) or (socket is not None and "raw_buffer" in socket.name):
        for address in addresses(found.name, configuration):
            if not _stays_here(address):
                yield Hazard(
                    code="plaintext-check",
                    place=place,
                    why=f"checks go to {address} in plaintext: whoever stands in between reads tokens and can allow",
                    write="transport_socket with UpstreamTlsContext, or a loopback address or Unix socket",
                )


def asks_for_certificate(common: CommonTlsContext) -> bool:
    """Whether the other side's certificate is checked against anything."""
    contexts = (
        common.validation_context,
        common.combined_validation_context,
        common.validation_context_sds_secret_config,
    )
    return any(each is not None for each in contexts)


def addresses(name: str, configuration: Configuration) -> tuple[str, ...]:
    """Where a cluster's instances are; "" for a Unix socket."""
    cluster = configuration.clusters.get(name)
    key = name
    if cluster is not None and cluster.eds_cluster_config is not None:
        key = cluster.eds_cluster_config.service_name or name
    written = None if cluster is None else cluster.load_assignment
    assignment = configuration.endpoints.get(key) or written
    found = []
    for group in () if assignment is None else assignment.endpoints:
        for each in group.lb_endpoints:
            address = None if each.endpoint is None else each.endpoint.address
            if address is not None:
                found.append("" if address.socket_address is None else address.socket_address.address)
    return tuple(found)


def _stays_here(address: str) -> bool:
    return address in ("", "::1", "localhost") or address.startswith("127.")
