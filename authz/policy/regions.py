"""The kinds of requests that two directories tell apart, each with one request that stands for all of it.

Where a request goes is settled by finitely many tests: which destination, which host entry, which template's literals
and types, which method. This walks both sides' indexes at once and yields one `Sample` for every combination that
could matter; the directories' own `match` then says what each side makes of it. What is the same on both sides
(equal policies behind an entry, equal platform documents) is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from authz.model.headers import Headers
from authz.model.host import Authority
from authz.model.path import fold
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits, Peer, RawRequest, parse_request
from authz.policy.compiled import CompiledRoute, Literal, PathTemplate, Variable, VariableType
from authz.policy.guardrails import Cover, covers_host
from authz.policy.hosts import AnyPort, HostKind, HostPattern
from authz.policy.index import DNS, Binding
from authz.policy.meaning import Side
from authz.policy.router import ANY_METHOD, PREFLIGHT_METHOD, REQUESTED_METHOD, WEBSOCKET, Leaf, Node, Router
from authz.policy.templates import takes
from authz.policy.universe import Part

OTHER_DESTINATION: Final = "spiffe://elsewhere.example/some/workload"
OTHER_METHOD: Final = "REPORT"
OTHER_PORT: Final = 8099
OTHER_LABEL: Final = "any"

_SAMPLES: Final = {
    VariableType.TEXT: "Any-1",
    VariableType.SLUG: "some-name",
    VariableType.INT: "7",
    VariableType.UUID: "00000000-0000-4000-8000-000000000000",
}
_LOOK_ALIKES: Final = str.maketrans({chr(ord("0") + digit): chr(0xFF10 + digit) for digit in range(10)})
_PATH_SAFE: Final = "!$&'()*+,=:@~-._"


@dataclass(frozen=True, slots=True)
class Site:
    """One way to arrive: a destination, `authz.service`, an authority. `label` is the host's first label."""

    destination: str
    service: str
    authority: Authority
    label: Part


@dataclass(slots=True, eq=False)
class Area:
    """The sites at which the same entries answer on both sides, covered by the same guardrails' hosts."""

    bindings: tuple[Binding | None, Binding | None]
    sites: list[Site] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Sample:
    """One request of an area, and what its path stands for."""

    request: AuthzRequest
    parts: tuple[Part, ...]
    site: Site


def find_areas(old: Side, new: Side, *, same_too: bool = False) -> list[Area]:
    """The areas whose answers can differ; with `same_too` every area."""
    areas: dict[object, Area] = {}
    same_platform = not same_too and old.platform_key == new.platform_key
    covers = [*old.covers.values(), *new.covers.values()]
    points = old.policy.index.points() | new.policy.index.points()
    for destination in (*sorted(points), OTHER_DESTINATION if points else ""):
        services = old.policy.index.services(destination) | new.policy.index.services(destination)
        for service in ("", *sorted(services)):
            _add_areas(old, new, destination, service, covers, areas, same_platform=same_platform)
    return list(areas.values())


def _add_areas(
    old: Side,
    new: Side,
    destination: str,
    service: str,
    covers: list[Cover],
    areas: dict[object, Area],
    *,
    same_platform: bool,
) -> None:
    zones = [side.policy.index.zone(destination, service) for side in (old, new)]
    patterns = {pattern for zone in zones if zone is not None for pattern, _ in zone.hosts.items()}
    keys: dict[tuple[int, int], bool] = {}
    for authority, label in _authorities(patterns, covers):
        one, other = (None if zone is None else zone.hosts.find(authority) for zone in zones)
        if one is None and other is None:
            continue
        pair = (id(one), id(other))
        if pair not in keys:
            keys[pair] = same_platform and old.binding_key(one) == new.binding_key(other)
        if keys[pair]:
            continue
        covered = tuple(
            not cover.hosts or any(covers_host(item, authority) for item in cover.hosts) for cover in covers
        )
        key = (_answer_key(one), _answer_key(other), covered, label.kind)
        area = areas.setdefault(key, Area((one, other)))
        area.sites.append(Site(destination.removeprefix(DNS), service, authority, label))


def _answer_key(binding: Binding | None) -> object:
    if binding is None:
        return None
    return id(binding.router), id(binding.shares), tuple(binding.variables.items()), binding.unavailable, binding.closed


# --- hosts -----------------------------------------------------------------------------------------------


def _authorities(patterns: Iterable[HostPattern], covers: list[Cover]) -> Iterator[tuple[Authority, Part]]:
    """One authority for each set of entries that can match one, with what its first label stands for."""
    every = {*patterns, *(pattern for cover in covers for pattern in cover.hosts)}
    names: dict[str, bool] = {}
    for pattern in sorted(every, key=lambda one: (one.kind.value, one.name)):
        if pattern.kind is HostKind.EXACT:
            names.setdefault(pattern.name, False)
        else:
            names.setdefault(f"{OTHER_LABEL}.{pattern.name}", True)
            if pattern.kind is HostKind.LABELS:
                names.setdefault(f"{OTHER_LABEL}.some.{pattern.name}", True)
    ports = {pattern.port for pattern in every}
    numbers: list[int | None] = [None, *sorted(port for port in ports if isinstance(port, int))]
    if AnyPort.ANY in ports or len(numbers) > 1:
        numbers += [port for port in (443, OTHER_PORT) if port not in numbers]
    for name, free in names.items():
        first, _, suffix = name.partition(".")
        taken = frozenset(
            other.partition(".")[0] for other, loose in names.items() if not loose and other.partition(".")[2] == suffix
        )
        label = Part(first, VariableType.TEXT, frozenset(), taken) if free else Part(first)
        for port in numbers:
            yield Authority(name, port), label


# --- paths -----------------------------------------------------------------------------------------------


class _Position:
    """A node of all templates that may tell paths of an area apart, both sides' and the guardrails' together."""

    __slots__ = ("ends", "folded", "literals", "rest", "sides", "variables")

    def __init__(self) -> None:
        self.literals: dict[str, _Position] = {}
        self.variables: dict[VariableType, _Position] = {}
        self.folded: dict[str, _Position] = {}
        self.sides: dict[str, set[int]] = {}
        self.rest = False
        self.ends = False

    def add(self, template: PathTemplate, side: int) -> None:
        node = self
        for part in template.segments:
            if isinstance(part, Literal):
                node.sides.setdefault(part.text, set()).add(side)
                node = node.literals.setdefault(part.text, _Position())
            else:
                node = node.variables.setdefault(part.type, _Position())
        node.rest = node.rest or template.rest
        node.ends = True

    def cover(self, literals: tuple[str, ...], rest: bool) -> None:
        node = self
        for text in literals:
            node = node.folded.setdefault(text, _Position())
        node.rest = node.rest or rest
        node.ends = True


_State = tuple[_Position, ...]


def _paths(root: _Position) -> Iterator[tuple[Part, ...]]:
    """One path for each way through the positions, ended at each of them with and without a slash."""
    pending: list[tuple[_State, tuple[Part, ...], bool]] = [((root,), (), False)]
    while pending:
        state, parts, beyond = pending.pop()
        slash = not parts or beyond or any(node.rest or "" in node.literals for node in state)
        if parts and parts[-1].text:
            yield parts
        if slash:
            yield (*parts, Part(""))
        beyond = beyond or any(node.rest for node in state)
        # The last is taken first: what is written comes before what only looks like it.
        following = [(after, (*parts, part), beyond) for part, after in _steps(state, beyond)]
        pending.extend(reversed(following))


def _steps(state: _State, beyond: bool) -> Iterator[tuple[Part, _State]]:
    if not state:
        return
    literals = {text for node in state for text in node.literals if text}
    literals |= {text for node in state for text in node.folded if text not in {fold(known) for known in literals}}
    for text in sorted(literals):
        yield Part(text), _after(state, text)
    types = frozenset(type_ for node in state for type_ in node.variables)
    if not types and not beyond:
        return
    for text in sorted(literals):
        seen = {side for node in state for side in node.sides.get(text, ())}
        other = text.swapcase() if text.swapcase() != text else text.translate(_LOOK_ALIKES)
        if len(seen) == 1 and other not in literals and other != text and fold(other) == fold(text):
            yield Part(other), _after(state, other)
    others = frozenset(fold(text) for text in literals)
    for kind in (VariableType.TEXT, *sorted(types - {VariableType.TEXT}, key=lambda one: one.value)):
        text = _SAMPLES[kind]
        while fold(text) in others:
            text = _another(text, kind)
        following = _after(state, text)
        if following or beyond:
            yield Part(text, kind, types, others), following


def _after(state: _State, text: str) -> _State:
    found: dict[int, _Position] = {}
    for node in state:
        if (literal := node.literals.get(text)) is not None:
            found[id(literal)] = literal
        if (folded := node.folded.get(fold(text))) is not None:
            found[id(folded)] = folded
        for type_, variable in node.variables.items():
            if takes(Variable("", type_), text):
                found[id(variable)] = variable
    return tuple(found.values())


def _another(text: str, kind: VariableType) -> str:
    if kind is VariableType.UUID:
        return f"{int(text[:8], 16) + 1:08x}{text[8:]}"
    return f"{text}7" if kind is VariableType.INT else f"{text}x"


def _positions(area: Area, old: Side, new: Side) -> _Position:
    root = _Position()
    for side, binding in enumerate(area.bindings):
        if binding is None:
            continue
        for leaf in _leaves(binding.router):
            root.add(leaf.template, side)
        if binding.shares is not None:
            for template in binding.shares.templates():
                root.add(template, side)
    for cover in (*old.covers.values(), *new.covers.values()):
        for literals, rest in cover.paths:
            root.cover(literals, rest)
    return root


def routes_of(side: Side) -> dict[tuple[str, str], CompiledRoute]:
    """Every compiled route of the directory, by policy and id."""
    index = side.policy.index
    found: dict[tuple[str, str], CompiledRoute] = {}
    seen: set[int] = set()
    zones = [index.zone(point, "") for point in (*sorted(index.points()), OTHER_DESTINATION)]
    zones += [index.zone(OTHER_DESTINATION, name) for name in sorted(index.services(OTHER_DESTINATION))]
    for zone in zones:
        for _, binding in () if zone is None else zone.hosts.items():
            if id(binding.router) in seen:
                continue
            seen.add(id(binding.router))
            for leaf in _leaves(binding.router):
                found.update({(route.policy, route.id): route for route in leaf.routes()})
    return found


def _leaves(router: Router | None) -> Iterator[Leaf]:
    pending: list[Node] = [] if router is None else [router.root]
    while pending:
        node = pending.pop()
        yield from (leaf for leaf in (node.leaf, node.rest) if leaf is not None)
        pending.extend(node.children())


# --- requests --------------------------------------------------------------------------------------------


def samples(area: Area, old: Side, new: Side) -> Iterator[Sample]:
    """One request of each kind in the area, at its first site."""
    site = area.sites[0]
    granted = old.policy.index.preflights | new.policy.index.preflights
    covered = {method for side in (old, new) for cover in side.covers.values() for method in cover.methods}
    for parts in _paths(_positions(area, old, new)):
        segments = tuple(part.text for part in parts)
        found = [
            leaf
            for binding in area.bindings
            if binding is not None
            and binding.router is not None
            and not isinstance(leaf := binding.router.find(segments), Reason)
        ]
        for method, headers in _methods(found, granted, covered):
            yield Sample(request_at(site, method, parts, headers), parts, site)


def request_at(
    site: Site, method: str, parts: tuple[Part, ...], headers: tuple[tuple[str, str], ...] = (), *, address: str = ""
) -> AuthzRequest:
    """The request as Envoy would describe it."""
    target = "/" + "/".join(quote(part.text, safe=_PATH_SAFE) for part in parts)
    return parse_request(
        RawRequest(
            method=method,
            target=target,
            authority=str(site.authority),
            scheme="https",
            headers=Headers(headers),
            protocol="HTTP/1.1",
            source=Peer(address=address),
            destination=Peer(principal=site.destination),
            service=site.service,
            tls=True,
        ),
        Limits(),
    )


def _methods(
    leaves: list[Leaf], granted: frozenset[str], covered: set[str]
) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    plain = _named([leaf.plain for leaf in leaves], covered)
    for method in plain:
        yield method, ()
    for method in _named([leaf.upgrades or {} for leaf in leaves], covered):
        yield method, (("connection", "upgrade"), ("upgrade", WEBSOCKET))
    if any(leaf.policy in granted for leaf in leaves):
        for method in plain:
            yield PREFLIGHT_METHOD, (("origin", "https://web.example"), (REQUESTED_METHOD, method))


def _named(tables: list[Mapping[str, object]], covered: set[str]) -> list[str]:
    """The methods that the tables name; where one takes any, also those of guardrails and one of nobody's."""
    named = {method for table in tables for method in table}
    if ANY_METHOD in named:
        named = (named - {ANY_METHOD}) | covered | {"GET", OTHER_METHOD}
    return sorted(named - {"CONNECT"})
