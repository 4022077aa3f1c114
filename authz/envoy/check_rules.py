"""Hazards of the ext_authz filter itself: what it does without an answer, what it shows, how it asks again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from envoy_data_plane.envoy.config.core.v3 import GrpcService, RetryPolicy
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.type.matcher.v3 import ListStringMatcher, StringMatcher

from authz.envoy.cluster_rules import addresses, asks_for_certificate
from authz.envoy.configuration import Configuration, Manager, unpacked
from authz.envoy.hazard import Expected, Hazard, Place

DEFAULT_TIMEOUT: Final = timedelta(milliseconds=200)
"""Of the ext_authz filter's gRPC call when none is written."""
DEFAULT_BACK_OFF: Final = timedelta(seconds=1)
"""Of a gRPC service's retry policy when none is written."""
WHOLE: Final = {"HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}
JUDGED_HEADERS: Final = (
    "authorization",
    "dpop",
    "x-forwarded-client-cert",
    "upgrade",
    "connection",
    "origin",
    "access-control-request-method",
    "x-http-method-override",
)
"""Headers that decisions look at, or that the removal of identity headers has to see."""


def _fails_open(place: Place, _: HttpFilter, settings: ExtAuthz) -> Iterator[Hazard]:
    if settings.failure_mode_allow:
        yield Hazard(
            code="fails-open",
            place=place,
            why="an authz that is dead, slow or overrun lets everybody in",
            write="failure_mode_allow: false",
        )


def _route_cache(place: Place, _: HttpFilter, settings: ExtAuthz) -> Iterator[Hazard]:
    if settings.clear_route_cache:
        yield Hazard(
            code="route-chosen-again",
            place=place,
            why="Envoy chooses the route again after our headers were set: another route than the judged one",
            write="clear_route_cache: false",
        )


def _hidden_headers(place: Place, _: HttpFilter, settings: ExtAuthz) -> Iterator[Hazard]:
    allowed, disallowed = settings.allowed_headers, settings.disallowed_headers
    if allowed is not None:
        hidden = [name for name in JUDGED_HEADERS if not _listed(name, allowed)]
        yield Hazard(
            code="headers-hidden",
            place=place,
            why=(
                f"allowed_headers hides {', '.join(hidden) or 'other spellings of our own headers'} from the check: "
                "what is judged is not what the upstream gets"
            ),
            write="no allowed_headers",
        )
    if disallowed is not None:
        hidden = [name for name in JUDGED_HEADERS if _listed(name, disallowed)]
        yield Hazard(
            code="headers-hidden",
            place=place,
            why=f"disallowed_headers hides {', '.join(hidden) or 'headers'} from the check",
            write="no disallowed_headers",
        )


def _sampled(place: Place, _: HttpFilter, settings: ExtAuthz) -> Iterator[Hazard]:
    fraction = None if settings.filter_enabled is None else settings.filter_enabled.default_value
    if settings.filter_enabled is not None and (
        fraction is None or fraction.numerator < WHOLE[fraction.denominator.name or "HUNDRED"]
    ):
        yield Hazard(
            code="check-sampled", place=place, why="only a part of the requests is checked", write="no filter_enabled"
        )
    if settings.filter_enabled_metadata is not None:
        yield Hazard(
            code="check-sampled",
            place=place,
            why="requests without certain metadata aren't checked",
            write="no filter_enabled_metadata",
        )
    if settings.shadow_mode:
        yield Hazard(
            code="check-sampled", place=place, why="denials are noted and not enforced", write="shadow_mode: false"
        )


def _no_grpc(place: Place, _: HttpFilter, settings: ExtAuthz) -> Iterator[Hazard]:
    if settings.grpc_service is None:
        yield Hazard(
            code="not-grpc",
            place=place,
            why="authz answers gRPC, and this filter asks an HTTP service",
            write="grpc_service: {envoy_grpc: {cluster_name: authz}, timeout: 0.5s}",
        )


def _timeout(place: Place, _: HttpFilter, settings: ExtAuthz) -> Iterator[Hazard]:
    if settings.grpc_service is None:
        return
    timeout = settings.grpc_service.timeout
    if timeout is None:
        yield Hazard(
            code="timeout-missing",
            place=place,
            why="the default of 200 ms is tight under load, and what runs into it is an error and not a decision",
            write="grpc_service: {timeout: 0.5s}",
        )
    elif timeout <= timedelta():
        yield Hazard(
            code="timeout-zero",
            place=place,
            why="requests wait for ever for an authz that hangs",
            write="grpc_service: {timeout: 0.5s}",
        )


CheckRule = Callable[[Place, HttpFilter, ExtAuthz], Iterator[Hazard]]
CHECK_RULES: Final[tuple[CheckRule, ...]] = (_fails_open, _route_cache, _hidden_headers, _sampled, _no_grpc, _timeout)


def certificate(place: Place, settings: ExtAuthz, manager: Manager, expected: Expected) -> Iterator[Hazard]:
    """On a TLS listener: whether authz is shown what it needs of the connection."""
    if manager.tls is None:
        return
    if not settings.include_tls_session:
        yield Hazard(
            code="tls-session-missing",
            place=place,
            why="authz can't tell TLS without a client certificate from plaintext",
            write="include_tls_session: true",
        )
    common = manager.tls.common_tls_context
    asks = bool(manager.tls.require_client_certificate) or (common is not None and asks_for_certificate(common))
    if asks and not settings.include_peer_certificate and expected.certificate_checked_by_authz is not False:
        yield Hazard(
            code="certificate-missing",
            place=place,
            why="with `verified_by: certificate` every caller is `workload_missing`: the check lacks its certificate",
            write="include_peer_certificate: true",
        )


def retries(place: Place, service: GrpcService | None, configuration: Configuration) -> Iterator[Hazard]:
    """Whether a check that met a dying instance is asked again in time, elsewhere."""
    if service is None:
        return
    policy = service.retry_policy
    if policy is None and service.envoy_grpc is not None:
        policy = service.envoy_grpc.retry_policy
    if policy is None or not policy.retry_on:
        yield Hazard(
            code="retry-missing",
            place=place,
            why="each restart of an instance loses the checks that it had",
            write=(
                'retry_policy: {retry_on: "unavailable,reset,connect-failure,refused-stream", num_retries: 3, '
                "retry_back_off: {base_interval: 0.025s, max_interval: 0.5s}}"
            ),
        )
        return
    yield from _back_off(place, policy, service.timeout or DEFAULT_TIMEOUT)
    name = "" if service.envoy_grpc is None else service.envoy_grpc.cluster_name
    predicates = (unpacked(each.typed_config, PreviousHostsPredicate) for each in policy.retry_host_predicate)
    if len(addresses(name, configuration)) > 1 and all(each is None for each in predicates):
        yield Hazard(
            code="retry-same-host",
            place=place,
            why="every attempt may meet the instance that is gone",
            write=(
                "retry_policy: {host_selection_retry_max_attempts: 3, retry_host_predicate: "
                "[envoy.retry_host_predicates.previous_hosts]}"
            ),
        )


def _back_off(place: Place, policy: RetryPolicy, timeout: timedelta) -> Iterator[Hazard]:
    back_off = policy.retry_back_off
    base = (back_off.base_interval if back_off is not None else None) or DEFAULT_BACK_OFF
    longest = (back_off.max_interval if back_off is not None else None) or 10 * base
    if timeout > timedelta() and base >= timeout:
        yield Hazard(
            code="retry-too-late",
            place=place,
            why=f"the first retry waits up to {_seconds(base)}, and the check has ended after {_seconds(timeout)}",
            write="retry_back_off: {base_interval: 0.025s, max_interval: 0.5s}",
        )
    elif timeout > timedelta() and longest < timeout:
        yield Hazard(
            code="retry-too-soon",
            place=place,
            why=f"Envoy ends each try after max_interval ({_seconds(longest)}), before authz has to have answered",
            write=f"retry_back_off: {{max_interval: {_seconds(timeout)}}}",
        )


def _listed(name: str, matchers: ListStringMatcher) -> bool:
    return any(_matches(name, each) for each in matchers.patterns)


def _matches(name: str, matcher: StringMatcher) -> bool:
    """Whether a matcher takes a header's name; a regular expression counts as one that doesn't."""
    if matcher.exact is not None:
        return name == matcher.exact.lower()
    if matcher.prefix is not None:
        return name.startswith(matcher.prefix.lower())
    if matcher.suffix is not None:
        return name.endswith(matcher.suffix.lower())
    return matcher.contains is not None and matcher.contains.lower() in name


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():g}s"
