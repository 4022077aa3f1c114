"""Hazards of an HTTP connection manager: how it reads paths and certificates, and what it serves unasked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from envoy_data_plane.envoy.config.route.v3 import FilterConfig, Route, VirtualHost
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthzPerRoute
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManagerForwardClientCertDetails as ForwardClientCert,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManagerPathWithEscapedSlashesAction as EscapedSlashes,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import HttpFilter
from envoy_data_plane.google.protobuf import Any as AnyMessage

from authz.envoy.configuration import Configuration, Manager, unpacked
from authz.envoy.hazard import Hazard, place_of

ERRORS: Final = 400
"""The first status that refuses."""
REWRITING: Final = (
    "lua",
    "ext_proc",
    "wasm",
    "golang",
    "dynamic_modules",
    "header_mutation",
    "grpc_json_transcoder",
    "header_to_metadata",
    "jwt_authn",
    "on_demand",
)
"""Filters that can change the request, or have its route chosen again (by the end of their name)."""


def is_asked(host: VirtualHost, route: Route, manager: Manager) -> bool:
    """Whether a check is in force for a route: that of any ext_authz filter that is on for it."""
    return any(_enabled(each, host, route, manager) for _, each, _settings in manager.checks)


def _enabled(each: HttpFilter, host: VirtualHost, route: Route, manager: Manager) -> bool:
    """The narrowest word counts; without one the filter's own. Of weighted clusters each may switch it off."""
    weighted = None if route.route is None else route.route.weighted_clusters
    words = [_word(each.name, cluster.typed_per_filter_config) for cluster in weighted.clusters] if weighted else []
    if False in words:
        return False
    if words and None not in words:
        return True
    whole = {} if manager.routes is None else manager.routes.typed_per_filter_config
    for settings in (route.typed_per_filter_config, host.typed_per_filter_config, whole):
        word = _word(each.name, settings)
        if word is not None:
            return word
    return not each.disabled


def _word(name: str, settings: Mapping[str, AnyMessage]) -> bool | None:
    """What one level says of the filter: on, off, or nothing."""
    packed = settings.get(name)
    if packed is None:
        return None
    general = unpacked(packed, FilterConfig)
    if general is not None:
        return not general.disabled
    own = unpacked(packed, ExtAuthzPerRoute)
    return own is None or not own.disabled


def route_name(position: int, route: Route) -> str:
    """How places name a route: its name, else its position."""
    return route.name or str(position)


def _forwarded(manager: Manager, _: Configuration) -> Iterator[Hazard]:
    if manager.message.forward_client_cert_details is ForwardClientCert.ALWAYS_FORWARD_ONLY:
        yield Hazard(
            code="client-certificate-forged",
            place=place_of(manager),
            why="ALWAYS_FORWARD_ONLY takes the client's own x-forwarded-client-cert for truth",
            write="forward_client_cert_details: SANITIZE_SET",
        )


def _path(manager: Manager, _: Configuration) -> Iterator[Hazard]:
    message, place = manager.message, place_of(manager)
    escaped = message.path_with_escaped_slashes_action
    if message.normalize_path is None:
        yield Hazard(
            code="path-undecided",
            place=place,
            why=(
                "normalize_path isn't written: a runtime key decides, and where the check is off the backend may "
                "read another path than Envoy matched"
            ),
            write="normalize_path: false (authz refuses paths with two readings), or true and the same everywhere",
        )
    elif message.normalize_path and not (
        message.merge_slashes and escaped in (EscapedSlashes.REJECT_REQUEST, EscapedSlashes.UNESCAPE_AND_REDIRECT)
    ):
        yield Hazard(
            code="path-half-normalised",
            place=place,
            why="Envoy repairs dots and leaves `//` or `%2F`, which a backend may read in its own way",
            write="merge_slashes: true, path_with_escaped_slashes_action: REJECT_REQUEST (or normalize_path: false)",
        )
    if escaped is EscapedSlashes.UNESCAPE_AND_FORWARD or (not message.normalize_path and message.merge_slashes):
        what = "merge_slashes" if message.merge_slashes else "UNESCAPE_AND_FORWARD"
        yield Hazard(
            code="path-repaired",
            place=place,
            why=f"{what} makes one path out of another before the check: authz can't refuse what it doesn't see",
            write="merge_slashes: false, path_with_escaped_slashes_action: KEEP_UNCHANGED or REJECT_REQUEST",
        )


def _order(manager: Manager, _: Configuration) -> Iterator[Hazard]:
    last = max((position for position, *_ in manager.checks), default=None)
    if last is None:
        return
    for each in manager.message.http_filters[last + 1 :]:
        if each.name.endswith(REWRITING):
            yield Hazard(
                code="filter-after-check",
                place=place_of(manager, filter=each.name),
                why="it can change the request, or its route, after the decision",
                write="ext_authz as the last filter before the router",
            )


def unchecked(manager: Manager, configuration: Configuration) -> Iterator[Hazard]:
    """For a manager without the filter: whether it leads around one that has it."""
    guarded: frozenset[str] = frozenset().union(
        *(each.clusters() for each in configuration.managers if bool(each.checks))
    )
    for name in sorted(manager.clusters() & guarded):
        yield Hazard(
            code="check-missing",
            place=replace(place_of(manager), cluster=name),
            why="another listener asks before it goes there, and this one doesn't: it is a way around",
            write="the ext_authz filter here as well",
        )


def _disabled(manager: Manager, _: Configuration) -> Iterator[Hazard]:
    for host, position, route in manager.served():
        if not is_asked(host, route, manager) and not is_refusal(route):
            yield Hazard(
                code="check-disabled",
                place=place_of(manager, host=host.name, route=route_name(position, route)),
                why="ext_authz is off here: a route without the filter is a route without a decision",
                write='no `disabled`; a route of a policy that says `public: "why"` where anybody may',
            )


def is_refusal(route: Route) -> bool:
    """Whether the route only answers with an error of Envoy's own."""
    return route.direct_response is not None and route.direct_response.status >= ERRORS


def _streams(manager: Manager, _: Configuration) -> Iterator[Hazard]:
    common = manager.message.common_http_protocol_options
    if common is not None and _bounded(common.max_stream_duration):
        return
    upgrades = any(each.enabled is not False for each in manager.message.upgrade_configs)
    for host, position, route in manager.served():
        if route.route is None or route.match is None:
            continue
        own = route.route.max_stream_duration
        if own is not None and (_bounded(own.max_stream_duration) or _bounded(own.grpc_timeout_header_max)):
            continue
        kinds = [each.upgrade_type for each in route.route.upgrade_configs if each.enabled is not False]
        if route.match.grpc is not None or route.match.connect_matcher is not None or kinds or upgrades:
            yield Hazard(
                code="stream-unbounded",
                place=place_of(manager, host=host.name, route=route_name(position, route)),
                why="a stream or an upgraded connection is judged once and goes on after its token has expired",
                write="common_http_protocol_options: {max_stream_duration: 900s}, or max_stream_duration at the route",
            )


ManagerRule = Callable[[Manager, Configuration], Iterator[Hazard]]
MANAGER_RULES: Final[tuple[ManagerRule, ...]] = (_forwarded, _path, _order, _disabled, _streams)


def _bounded(duration: timedelta | None) -> bool:
    """0 means without an end."""
    return duration is not None and duration > timedelta()
