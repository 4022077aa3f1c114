"""From settled candidates to the index that requests are looked up in (policy language §1, §4, §6).

Owns what answers 503: hosts of policies that are faulty, hosts that a last good text lost, shares of policies that
are absent or faulty. None of it ever takes a host away from a policy that rightly serves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from authz.policy.candidates import Candidate
from authz.policy.clashes import Routers, points_of
from authz.policy.document import Bind
from authz.policy.hosts import HostKind, HostPattern, HostTable
from authz.policy.index import Binding, Index, Zone
from authz.policy.ownership import Division, Land


@dataclass(frozen=True, slots=True)
class _Site:
    """What builds zones: `absent` are names with a share and no document, `down` those and the unavailable."""

    candidates: Mapping[str, Candidate]
    land: Land
    routers: Routers
    absent: frozenset[str]
    down: frozenset[str]


def build_index(candidates: Mapping[str, Candidate], land: Land, routers: Routers) -> Index:
    """The index of everything that the candidates serve or close."""
    absent = land.given() - candidates.keys()
    down = absent | {name for name, candidate in candidates.items() if not candidate.live}
    site = _Site(candidates, land, routers, absent, down)
    roaming = frozenset(name for name in down if _is_roaming(name, site))
    by_name = frozenset(name for name, candidate in candidates.items() if candidate.by_name) | roaming
    everyone = candidates.keys() | absent
    single = land.bind is Bind.HOST
    return Index(
        zones={} if single else {point: _zone_at(point, roaming, site) for point in _points(site)},
        elsewhere=_zone(everyone - down, down, site) if single else _zone(frozenset(), roaming, site),
        named={name: _zone({name} - down, down & {name}, site) for name in sorted(everyone)},
        by_name=by_name,
        preflights=frozenset(
            name
            for name, candidate in candidates.items()
            if candidate.document is not None and candidate.document.preflight is not None
        ),
    )


def _points(site: _Site) -> Iterable[str]:
    points = {entry for candidate in site.candidates.values() for entry in candidate.at}
    return sorted(points | (site.land.destinations or {}).keys())


def _zone_at(point: str, roaming: frozenset[str], site: _Site) -> Zone:
    live = {
        name
        for name, candidate in site.candidates.items()
        if candidate.live and point in points_of(candidate, site.land)
    }
    standing = {name for name, candidate in site.candidates.items() if point in candidate.at}
    given = (site.land.destinations or {}).get(point, frozenset()) & site.down
    return _zone(live, (standing - live) | given | roaming, site)


def _is_roaming(name: str, site: _Site) -> bool:
    """Whether nothing tells where a policy that is down stands: its hosts are closed everywhere."""
    if site.land.bind is Bind.HOST:
        return False
    candidate = site.candidates.get(name)
    if candidate is not None and not candidate.at_known:
        return True
    known = candidate is not None and (candidate.at or candidate.by_name)
    return not known and not site.land.entries_of(name)


def _zone(live: AbstractSet[str], closed: AbstractSet[str], site: _Site) -> Zone:
    """One point: `live` serve there, `closed` only keep others from taking over what is theirs."""
    bindings: dict[HostPattern, Binding] = {}
    _bind_live([site.candidates[name] for name in sorted(live)], site, bindings)
    for pattern, division in site.land.divisions.items():
        if pattern not in bindings and not closed.isdisjoint(division.shares):
            bindings[pattern] = _divided(division, (), {}, site)
    _close(live, closed, site, bindings)
    # Who stands here no more can't be named here either; who is down may be, and answers 503.
    return Zone(HostTable(bindings.items()), frozenset(live | (closed & site.down)))


def _bind_live(live: Iterable[Candidate], site: _Site, bindings: dict[HostPattern, Binding]) -> None:
    owners: dict[HostPattern, list[tuple[Candidate, str]]] = {}
    for candidate in live:
        for claim in candidate.served:
            owners.setdefault(claim.entry.pattern, []).append((candidate, claim.entry.variable))
    for pattern, claims in owners.items():
        division = site.land.divisions.get(pattern)
        team = [candidate for candidate, _ in claims]
        variables = {candidate.name: variable for candidate, variable in claims if variable}
        if division is not None:
            bindings[pattern] = _divided(division, team, variables, site)
        else:
            router, _ = site.routers.of(team[:1])
            bindings[pattern] = Binding(policies=frozenset({team[0].name}), router=router, variables=variables)


def _divided(division: Division, team: Iterable[Candidate], variables: Mapping[str, str], site: _Site) -> Binding:
    members = tuple(team)
    router, _ = site.routers.of(members)
    return Binding(
        policies=frozenset(candidate.name for candidate in members),
        router=router,
        variables=variables,
        shares=division.lookup,
        unavailable=frozenset(division.shares) & site.down,
    )


def _close(live: AbstractSet[str], closed: AbstractSet[str], site: _Site, bindings: dict[HostPattern, Binding]) -> None:
    """Close what is claimed here and not served, unless someone serves the same host."""
    known: dict[tuple[HostKind, str], list[HostPattern]] = {}
    for pattern in bindings:
        known.setdefault((pattern.kind, pattern.name), []).append(pattern)
    for name in sorted((live | closed) - site.absent):
        candidate = site.candidates[name]
        lost = candidate.lost_hosts if name in live else {claim.entry.pattern for claim in candidate.claims}
        for pattern in sorted(lost, key=repr):
            if not any(pattern.meets(other) for other in known.get((pattern.kind, pattern.name), ())):
                bindings.setdefault(pattern, Binding(policies=frozenset({name}), router=None, closed=name))
