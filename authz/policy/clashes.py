"""Policies against each other: hosts, destinations and routes that two of them claim, and who is faulty (§1, §4).

The rule: of two that clash, the one outside the last good set is faulty (its claim is new); without such a
difference both are. What the platform gave or withheld has been settled before (`policy.candidates`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from authz.policy.candidates import Candidate, Claim, Kept, PolicyStatus
from authz.policy.compiled import CompiledRoute
from authz.policy.crossing import find_crossings
from authz.policy.document import Bind
from authz.policy.faults import Fault, FaultCode, Faults
from authz.policy.hosts import HostPattern, parse_host
from authz.policy.ownership import Land, parse_destination
from authz.policy.router import RouteConflict, Router, build_router
from authz.policy.values import Text

Team = frozenset[str]
"""The policies whose routes are matched together."""


@dataclass(frozen=True, slots=True)
class Blame:
    """One policy's part in a clash; `host` or `entry` is the claim to give up, neither: routes."""

    policy: str
    fault: Fault
    host: HostPattern | None = None
    entry: str | None = None


class Routers:
    """The tries of one linking, each built and checked once for a team and the texts in force."""

    def __init__(self) -> None:
        self._built: dict[tuple[tuple[str, PolicyStatus], ...], tuple[Router, tuple[RouteConflict, ...]]] = {}

    def of(self, team: Iterable[Candidate]) -> tuple[Router, tuple[RouteConflict, ...]]:
        members = sorted(team, key=lambda candidate: candidate.name)
        # A candidate's routes change only together with its status.
        key = tuple((candidate.name, candidate.status) for candidate in members)
        if key not in self._built:
            router, conflicts = build_router(route for candidate in members for route in candidate.routes)
            self._built[key] = (router, conflicts + find_crossings(router))
        return self._built[key]


def points_of(candidate: Candidate, land: Land) -> tuple[str, ...]:
    """The enforcement points where a policy stands without being named; "" is the only one with `bind: host`."""
    if land.bind is Bind.HOST:
        return ("",)
    return tuple(entry for entry in candidate.at if entry not in candidate.lost_at)


def find_clashes(
    candidates: Mapping[str, Candidate], land: Land, previous: Mapping[str, Kept], routers: Routers
) -> list[Blame]:
    """Every clash between the candidates as they stand now."""
    return [
        *_destination_clashes(candidates, land, previous),
        *_host_clashes(candidates, land, previous),
        *_route_clashes(candidates, land, previous, routers),
    ]


def teams(candidates: Mapping[str, Candidate], land: Land) -> Iterator[Team]:
    """Each policy alone, and those that share a divided host at a point."""
    live = [candidate for candidate in candidates.values() if candidate.live]
    shared: dict[tuple[str, HostPattern], set[str]] = {}
    for candidate in live:
        yield frozenset({candidate.name})
        for claim in candidate.served:
            if claim.entry.pattern in land.divisions:
                for point in points_of(candidate, land):
                    shared.setdefault((point, claim.entry.pattern), set()).add(candidate.name)
    yield from dict.fromkeys(frozenset(names) for names in shared.values() if len(names) > 1)


def _destination_clashes(
    candidates: Mapping[str, Candidate], land: Land, previous: Mapping[str, Kept]
) -> Iterator[Blame]:
    if land.bind is Bind.HOST or land.destinations is not None:
        return
    claims: dict[str, list[tuple[str, Text]]] = {}
    for candidate in candidates.values():
        for entry in points_of(candidate, land):
            claims.setdefault(entry, []).append((candidate.name, candidate.at[entry]))
    for entry, claimants in claims.items():
        for one, other in combinations(claimants, 2):
            held = {name for name in (one[0], other[0]) if entry in _entries(previous.get(name))}
            for policy, text, rival in _losers(one, other, held):
                message = f"`{text.value}` belongs to `{rival}` too"
                yield Blame(policy, _fault(text, FaultCode.DESTINATION_CLASH, message, policy), entry=entry)


def _host_clashes(candidates: Mapping[str, Candidate], land: Land, previous: Mapping[str, Kept]) -> Iterator[Blame]:
    groups: dict[tuple[str, object, str], list[tuple[str, Claim]]] = {}
    for candidate in candidates.values():
        for claim in candidate.served:
            pattern = claim.entry.pattern
            if pattern not in land.divisions and land.withholds(pattern, candidate.name) is None:
                for point in points_of(candidate, land):
                    groups.setdefault((point, pattern.kind, pattern.name), []).append((candidate.name, claim))
    for claimants in groups.values():
        for one, other in combinations(claimants, 2):
            if one[0] != other[0] and one[1].entry.pattern.meets(other[1].entry.pattern):
                yield from _blame_hosts(one, other, previous)


def _blame_hosts(one: tuple[str, Claim], other: tuple[str, Claim], previous: Mapping[str, Kept]) -> Iterator[Blame]:
    claims = dict((one, other))
    held = {name for name, claim in claims.items() if claim.entry.pattern in _hosts(previous.get(name))}
    for policy, text, rival in _losers((one[0], one[1].text), (other[0], other[1].text), held):
        fault = _fault(text, FaultCode.HOST_CLASH, f"the host `{text.value}` belongs to `{rival}` too", policy)
        yield Blame(policy, fault, host=claims[policy].entry.pattern)


def _route_clashes(
    candidates: Mapping[str, Candidate], land: Land, previous: Mapping[str, Kept], routers: Routers
) -> Iterator[Blame]:
    for team in teams(candidates, land):
        _, conflicts = routers.of(candidates[name] for name in team)
        for conflict in conflicts:
            if len(team) == 1 or conflict.first.policy != conflict.second.policy:
                yield from _blame_routes(conflict, candidates, previous)


def _blame_routes(
    conflict: RouteConflict, candidates: Mapping[str, Candidate], previous: Mapping[str, Kept]
) -> Iterator[Blame]:
    first, second = conflict.first, conflict.second
    routes = {first.policy: first, second.policy: second}
    known = {name for name, route in routes.items() if _had_route(previous.get(name), name, route, candidates)}
    # A route can be old and clash all the same: its policy's new text brings it to another host or point.
    settled = {name for name in routes if _is_in_force(candidates[name], previous.get(name))}
    for name in sorted(set(routes) - known or set(routes) - settled or set(routes)):
        path = candidates[name].path_of(routes[name].id)
        yield Blame(name, _fault(path, conflict.code, conflict.message, name))


def _losers(one: tuple[str, Text], other: tuple[str, Text], held: Collection[str]) -> Iterator[tuple[str, Text, str]]:
    """Who of two claimants is faulty, with the other's name. `held` are those whose last good text claims it."""
    (first, first_text), (second, second_text) = one, other
    if first not in held or second in held:
        yield first, first_text, second
    if second not in held or first in held:
        yield second, second_text, first


def _entries(kept: Kept | None) -> frozenset[str | None]:
    return frozenset() if kept is None else frozenset(parse_destination(text.value) for text in kept.document.at)


def _hosts(kept: Kept | None) -> frozenset[HostPattern]:
    return frozenset() if kept is None else frozenset(parse_host(text.value).pattern for text in kept.document.hosts)


def _had_route(kept: Kept | None, policy: str, route: CompiledRoute, candidates: Mapping[str, Candidate]) -> bool:
    """Whether the policy's last good text has the same route: same path, methods and upgrade."""
    if kept is None:
        return False
    path = candidates[policy].path_of(route.id).value
    return any(
        (old.path.value, old.methods, old.upgrade) == (path, route.methods, route.upgrade)
        for old in kept.document.routes
    )


def _is_in_force(candidate: Candidate, kept: Kept | None) -> bool:
    """Whether this is the text of the last good set, unchanged."""
    return kept is not None and candidate.digest == kept.digest


def _fault(text: Text, code: FaultCode, message: str, policy: str) -> Fault:
    faults = Faults()
    faults.add(text.place, code, message, policy=policy)
    return next(iter(faults))
