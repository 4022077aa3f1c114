"""Where Envoy and the policies have drifted apart: what one serves and the other doesn't know.

Owns: the comparison. A route of Envoy's is covered when some route of a policy can be met through it; a route of a
policy is dead when no route of Envoy's that asks leads to it. Envoy routes by more than host and path (headers, query),
and by regular expressions: those are taken to match, and said to be undecided where that matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from envoy_data_plane.envoy.config.route.v3 import Route, RouteMatch, VirtualHost

from authz.envoy.configuration import Configuration, Manager
from authz.envoy.hazard import place_of
from authz.envoy.manager_rules import is_asked, is_refusal, route_name
from authz.envoy.serving import How, PathMatch, Served, reached, unshadowed
from authz.policy.compiled import PathTemplate
from authz.policy.hosts import HostPattern
from authz.policy.templates import format_template

SHOWN: Final = 3
"""Names that a sentence lists before it counts them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """A route of a policy, as far as host and path go; `hosts` as written, with their patterns."""

    policy: str
    route: str
    hosts: tuple[tuple[str, HostPattern], ...]
    template: PathTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference. `undecided` ones are told, and count as none."""

    code: str
    where: str
    why: str

    @property
    def undecided(self) -> bool:
        return self.code == "undecided"


class _Table:
    """One route configuration: each virtual host's routes, and all domains, among which the best one wins."""

    def __init__(self, hosts: Iterable[tuple[Served, ...]], *, any_port: bool) -> None:
        self.hosts = tuple(tuple(unshadowed(routes)) for routes in hosts if routes)
        self._any_port = any_port
        self._domains = tuple(domain for routes in self.hosts for domain in routes[0].domains)
        self._reached: dict[HostPattern, frozenset[str]] = {}

    def reached(self, pattern: HostPattern) -> frozenset[str]:
        """The domains that take requests for a policy's host; found once, since routes share their hosts."""
        found = self._reached.get(pattern)
        if found is None:
            found = self._reached[pattern] = reached(pattern, self._domains, any_port=self._any_port)
        return found

    def leading(self, pattern: HostPattern) -> Iterator[Served]:
        """The routes that requests for a host can take, and that are asked about."""
        best = self.reached(pattern)
        for routes in self.hosts:
            if best.intersection(routes[0].domains):
                yield from (route for route in routes if route.asked and not route.refused)


def drift(configurations: Iterable[Configuration], owned: Sequence[Owned]) -> tuple[Drift, ...]:
    """Every difference between what Envoys serve and what policies own. A listener that never asks (a service's
    outbound side) is no enforcement point; `authz doctor` says if it is a hole."""
    tables = [_table(manager) for each in configurations for manager in each.managers if manager.checks]
    found = [one for table in tables for one in _of_table(table, owned)]
    found += _dead(tables, owned)
    return tuple(dict.fromkeys(found))


def _of_table(table: _Table, owned: Sequence[Owned]) -> Iterator[Drift]:
    at_domain: dict[str, list[Owned]] = {}
    for one in owned:
        for domain in frozenset().union(*(table.reached(pattern) for _, pattern in one.hosts)):
            at_domain.setdefault(domain, []).append(one)
    for route in (route for routes in table.hosts for route in routes if not route.refused):
        if route.asked:
            yield from _uncovered(route, at_domain)
        else:
            yield Drift(code="unchecked", where=route.place, why=f"{_said(route)} is served without a decision")


def _uncovered(route: Served, at_domain: Mapping[str, Sequence[Owned]]) -> Iterator[Drift]:
    for domain in route.domains:
        here = at_domain.get(domain)
        if not here:
            yield Drift(code="uncovered-host", where=route.host, why=f"no policy has a host of the domain {domain}")
            continue
        met = [route.match.meets(one.template) for one in here]
        if any(met):
            continue
        if None in met:
            yield Drift(code="undecided", where=route.place, why=f"{_said(route)} may meet any policy there")
        else:
            yield Drift(
                code="uncovered-route",
                where=route.place,
                why=f"no route of {_policies(here)} covers {route.match} on {domain}",
            )


def _dead(tables: Sequence[_Table], owned: Sequence[Owned]) -> Iterator[Drift]:
    gone: set[tuple[str, str]] = set()
    for one in owned:
        alive = []
        for text, pattern in one.hosts:
            routes = [route for table in tables for route in table.leading(pattern)]
            if not routes and (one.policy, text) not in gone:
                gone.add((one.policy, text))
                yield Drift(
                    code="dead-host", where=f"policy {one.policy}", why=f"no route that is asked about serves {text}"
                )
            alive += routes
        if not alive:
            continue
        met = [route.match.meets(one.template) for route in alive]
        where, path = f"policy {one.policy} / route {one.route}", format_template(one.template)
        if any(met):
            continue
        if None in met:
            yield Drift(code="undecided", where=where, why=f"{path} may be reached by a regular expression")
        else:
            yield Drift(code="dead-route", where=where, why=f"no route of Envoy's leads to {path}")


def _policies(owned: Sequence[Owned]) -> str:
    names = sorted({one.policy for one in owned})
    return ", ".join(names) if len(names) <= SHOWN else f"{len(names)} policies"


def _said(route: Served) -> str:
    return f"{route.match} on {', '.join(route.domains)}"


# --- from Envoy's messages -------------------------------------------------------------------------------


def _table(manager: Manager) -> _Table:
    routes = manager.routes
    any_port = bool(
        (routes is not None and routes.ignore_port_in_host_matching)
        or manager.message.strip_any_host_port
        or manager.message.strip_matching_host_port
    )
    hosts = () if routes is None else routes.virtual_hosts
    listed = (tuple(_served(manager, host, *each) for each in enumerate(host.routes)) for host in hosts)
    return _Table(listed, any_port=any_port)


def _served(manager: Manager, host: VirtualHost, position: int, route: Route) -> Served:
    return Served(
        host=str(place_of(manager, host=host.name)),
        place=str(place_of(manager, host=host.name, route=route_name(position, route))),
        domains=tuple(host.domains),
        match=_match(route.match or RouteMatch()),
        asked=is_asked(host, route, manager),
        refused=is_refusal(route),
    )


def _match(match: RouteMatch) -> PathMatch:
    conditional = bool(
        match.headers
        or match.query_parameters
        or match.cookies
        or match.dynamic_metadata
        or match.filter_state
        or match.grpc
        or match.tls_context
        or match.runtime_fraction
    )
    how, text = _path(match)
    return PathMatch(how=how, text=text, folded=match.case_sensitive is False, conditional=conditional)


def _path(match: RouteMatch) -> tuple[How, str]:
    if match.prefix is not None:
        return How.PREFIX, match.prefix
    if match.path is not None:
        return How.PATH, match.path
    if match.path_separated_prefix is not None:
        return How.SEPARATED, match.path_separated_prefix
    if match.connect_matcher is not None:
        return How.CONNECT, ""
    return How.UNDECIDABLE, "" if match.safe_regex is None else match.safe_regex.regex
