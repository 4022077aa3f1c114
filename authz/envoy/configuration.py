"""What an Envoy is told, out of `/config_dump?include_eds` or a bootstrap file, as envoy-data-plane's messages.

Owns: finding the listeners, route configurations, clusters and endpoints, and reading them strictly: a field that
envoy-data-plane doesn't know is an error, unless the caller wants it skipped. Extensions that nothing here judges are
left out beforehand, so that a vendor's filter keeps nobody from the rest. Must not: judge.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import betterproto2
import yaml
from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import FilterConfig, Route, RouteConfiguration, VirtualHost
from envoy_data_plane.envoy.extensions.filters.http.ext_authz.v3 import ExtAuthz, ExtAuthzPerRoute
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy_data_plane.envoy.extensions.retry.host.previous_hosts.v3 import PreviousHostsPredicate
from envoy_data_plane.envoy.extensions.transport_sockets.raw_buffer.v3 import RawBuffer
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import DownstreamTlsContext, UpstreamTlsContext

from authz.model.errors import AuthzError

_TYPES: Final = "type.googleapis.com/"
_KEPT: Final = {
    f"{_TYPES}envoy.{name}": kind
    for name, kind in {
        "config.route.v3.FilterConfig": FilterConfig,
        "extensions.filters.http.ext_authz.v3.ExtAuthz": ExtAuthz,
        "extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute": ExtAuthzPerRoute,
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": HttpConnectionManager,
        "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate": PreviousHostsPredicate,
        "extensions.transport_sockets.raw_buffer.v3.RawBuffer": RawBuffer,
        "extensions.transport_sockets.tls.v3.DownstreamTlsContext": DownstreamTlsContext,
        "extensions.transport_sockets.tls.v3.UpstreamTlsContext": UpstreamTlsContext,
    }.items()
}
"""The extensions that are read; every other one becomes an empty message."""
_LEFT_OUT: Final = {"@type": f"{_TYPES}google.protobuf.Empty"}

_DUMPED: Final = {
    "listeners": (("static_listeners", "listener"), ("dynamic_listeners", "active_state", "listener")),
    "routes": (("static_route_configs", "route_config"), ("dynamic_route_configs", "route_config")),
    "clusters": (("static_clusters", "cluster"), ("dynamic_active_clusters", "cluster")),
    "endpoints": (("static_endpoint_configs", "endpoint_config"), ("dynamic_endpoint_configs", "endpoint_config")),
}
"""Where a section of the dump holds what is in force (envoy.admin.v3.*ConfigDump)."""

_PENDING: Final = "it has filters that come by ECDS, which aren't read"

M = TypeVar("M", bound=betterproto2.Message)


class ConfigurationError(AuthzError):
    """The text is no configuration that can be read; the message is for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """One HTTP connection manager: where it stands, what it says, and the routes that it serves.

    `routes` is None when the configuration doesn't hold them (`unread` says why). `checks` are the ext_authz filters
    with their position. `tls` is None on plaintext.
    """

    listener: str
    chain: str
    message: HttpConnectionManager
    routes: RouteConfiguration | None
    checks: tuple[tuple[int, HttpFilter, ExtAuthz], ...] = ()
    unread: str = ""
    tls: DownstreamTlsContext | None = None

    def pending(self) -> bool:
        """Whether some filter comes from elsewhere (ECDS), so that it isn't known which ones there are."""
        return any(each.config_discovery is not None for each in self.message.http_filters)

    def served(self) -> Iterator[tuple[VirtualHost, int, Route]]:
        """Every route with its host and its position."""
        for host in () if self.routes is None else self.routes.virtual_hosts:
            for position, route in enumerate(host.routes):
                yield host, position, route

    def clusters(self) -> frozenset[str]:
        """Where its routes lead, as far as names are written."""
        return frozenset(name for _, _, route in self.served() for name in clusters_of(route))


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything read. `endpoints` are those of EDS by cluster."""

    managers: tuple[Manager, ...]
    clusters: Mapping[str, Cluster]
    endpoints: Mapping[str, ClusterLoadAssignment] = field(default_factory=dict)


def read(data: bytes, *, lenient: bool = False) -> Configuration:
    """Read a dump (JSON) or a bootstrap (YAML or JSON); raises `ConfigurationError`. With `lenient` unknown fields
    are skipped."""
    tree = _tree(data)
    if isinstance(tree.get("configs"), list):
        found = {what: list(_dumped(tree["configs"], ways)) for what, ways in _DUMPED.items()}
    elif isinstance(tree.get("static_resources"), dict):
        static = tree["static_resources"]
        found = {what: list(static.get(what) or ()) for what in ("listeners", "clusters")}
    else:
        raise ConfigurationError("it is neither a config dump (`configs`) nor a bootstrap with `static_resources`")
    reader = _Reader(lenient)
    listeners = [reader.message(Listener, each) for each in found["listeners"]]
    routes = {each.name: each for each in reader.all(RouteConfiguration, found.get("routes", ()))}
    return Configuration(
        managers=tuple(_managers(listeners, routes)),
        clusters={each.name: each for each in reader.all(Cluster, found["clusters"])},
        endpoints={each.cluster_name: each for each in reader.all(ClusterLoadAssignment, found.get("endpoints", ()))},
    )


def unpacked(packed: Any, kind: type[M]) -> M | None:
    """The message in an Any, if it is one of this kind."""
    if packed is None or _KEPT.get(packed.type_url) is not kind:
        return None
    message = packed.unpack()
    return message if isinstance(message, kind) else None


def clusters_of(route: Route) -> tuple[str, ...]:
    """The clusters that a route names."""
    action = route.route
    if action is None:
        return ()
    if action.weighted_clusters is not None:
        return tuple(each.name for each in action.weighted_clusters.clusters)
    return (action.cluster,) if action.cluster else ()


class _Reader:
    def __init__(self, lenient: bool) -> None:
        self._lenient = lenient

    def message(self, kind: type[M], tree: object) -> M:
        if not isinstance(tree, Mapping):
            raise ConfigurationError(f"a {kind.__name__} is no mapping")
        written = {name: value for name, value in tree.items() if name != "@type"}
        try:
            return kind.from_dict(_pruned(written), ignore_unknown_fields=self._lenient)
        except KeyError as error:
            raise ConfigurationError(
                f"{str(error.args[0]).rstrip('.')}: the installed envoy-data-plane doesn't know it; "
                "--ignore-unknown skips such fields"
            ) from error
        except (TypeError, ValueError, AttributeError, AssertionError) as error:
            name = tree.get("name") or tree.get("cluster_name") or "without a name"
            raise ConfigurationError(f"{kind.__name__} {name}: a value is none that Envoy takes ({error})") from error

    def all(self, kind: type[M], trees: Iterable[object]) -> list[M]:
        return [self.message(kind, tree) for tree in trees]


def _tree(data: bytes) -> dict[str, Any]:
    try:
        tree = json.loads(data)
    except ValueError:
        try:
            tree = yaml.load(data, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - safe loaders both
        except yaml.YAMLError as error:
            raise ConfigurationError("it is neither JSON nor YAML") from error
    except RecursionError as error:
        raise ConfigurationError("it is nested too deeply") from error
    if not isinstance(tree, dict):
        raise ConfigurationError("it is no mapping")
    return tree


def _dumped(sections: Iterable[Any], ways: Iterable[tuple[str, ...]]) -> Iterator[dict[str, Any]]:
    for section in sections:
        if not isinstance(section, Mapping):
            raise ConfigurationError("a section of the dump is no mapping")
        for listed, *way in ways:
            entries = section.get(listed) or []
            for step in way:
                entries = [entry[step] for entry in entries if isinstance(entry, Mapping) and entry.get(step)]
            yield from entries


def _pruned(tree: Any) -> Any:
    """The tree without the extensions that nobody reads."""
    if isinstance(tree, list):
        return [_pruned(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    if "@type" in tree and tree["@type"] not in _KEPT:
        return _LEFT_OUT
    return {name: _pruned(value) for name, value in tree.items()}


def _managers(listeners: Iterable[Listener], routes: Mapping[str, RouteConfiguration]) -> Iterator[Manager]:
    for listener in listeners:
        chains = [(each.name or str(number), each) for number, each in enumerate(listener.filter_chains)]
        if listener.default_filter_chain is not None:
            chains.append((listener.default_filter_chain.name or "default", listener.default_filter_chain))
        for name, chain in chains:
            for each in chain.filters:
                message = unpacked(each.typed_config, HttpConnectionManager)
                if message is not None:
                    own, unread = _routes(message, routes)
                    manager = Manager(
                        listener=listener.name or "unnamed",
                        chain=name,
                        message=message,
                        routes=own,
                        checks=tuple(_checks(message)),
                        unread=unread,
                        tls=_tls(chain),
                    )
                    yield replace(manager, unread=_PENDING) if manager.pending() and not unread else manager


def _checks(manager: HttpConnectionManager) -> Iterator[tuple[int, HttpFilter, ExtAuthz]]:
    for position, each in enumerate(manager.http_filters):
        settings = unpacked(each.typed_config, ExtAuthz)
        if settings is not None:
            yield position, each, settings


def _routes(
    manager: HttpConnectionManager, routes: Mapping[str, RouteConfiguration]
) -> tuple[RouteConfiguration | None, str]:
    if manager.route_config is not None:
        return manager.route_config, ""
    if manager.rds is None:
        return None, "its routes are scoped, which isn't read"
    found = routes.get(manager.rds.route_config_name)
    return found, "" if found else f"the route configuration {manager.rds.route_config_name} isn't in the dump"


def _tls(chain: FilterChain) -> DownstreamTlsContext | None:
    socket = chain.transport_socket
    return None if socket is None else unpacked(socket.typed_config, DownstreamTlsContext)
