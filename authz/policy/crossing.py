"""Templates that cross: some path fits both and neither contains the other (policy language §4).

Such a pair is a load error with a witness path, unless the templates' intersection has a template of its
own; the zero-segment case of `/**` is left out. The check walks pairs of trie nodes that a common path can
reach, so its cost follows how much the routes overlap, not the square of their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from authz.policy.compiled import CompiledRoute, VariableType
from authz.policy.faults import FaultCode
from authz.policy.router import Leaf, Node, RouteConflict, Router, name_of
from authz.policy.templates import covers, format_template, takes

MAX_CONFLICTS: Final = 100
"""Crossings reported for one router; more say nothing new."""
MAX_PAIRS: Final = 1_000_000
"""Pairs of nodes looked at for one router, some seconds' work. 10,000 ordinary routes need about as many pairs as
there are routes; templates that need more are refused rather than let one policy hold up every reload."""

_SAMPLES: Final = {
    VariableType.TEXT: "x",
    VariableType.SLUG: "x",
    VariableType.INT: "1",
    VariableType.UUID: "00000000-0000-4000-8000-000000000000",
}

_Way = tuple["_Way | None", str]
"""A path from the root as a linked list, the last segment first: cheap to extend, read only for a witness."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two nodes that one path reaches by different branches.

    Until `crossed`, every position of `one` is the narrower. `meet` is the node of the positionwise narrower
    parts, where the intersection's own template would stand; None when there is none.
    """

    one: Node
    other: Node
    meet: Node | None
    crossed: bool
    way: _Way


def find_crossings(router: Router) -> tuple[RouteConflict, ...]:
    """Every crossing, at most `MAX_CONFLICTS`, in an order that depends on the routes only."""
    conflicts: list[RouteConflict] = []
    pending = list(_branchings(router.root))
    pending.reverse()
    looked_at = 0
    while pending and len(conflicts) < MAX_CONFLICTS:
        pair = pending.pop()
        looked_at += 1
        if looked_at > MAX_PAIRS:
            conflicts.append(_too_many(pair))
            break
        conflicts.extend(_crossings_at(pair))
        pending.extend(_next(pair))
    return tuple(conflicts)


def _branchings(root: Node) -> Iterator[_Pair]:
    """Where two ways part for the first time: a literal that the variable beside it would take as well."""
    pending: list[tuple[Node, _Way | None]] = [(root, None)]
    while pending:
        node, way = pending.pop()
        variable, part = node.variable, node.variable_part
        for text, child in node.literals.items():
            step = (way, text)
            pending.append((child, step))
            if variable is not None and part is not None and takes(part, text):
                yield _Pair(child, variable, child, False, step)
        if variable is not None and part is not None:
            pending.append((variable, (way, _SAMPLES[part.type])))


def _crossings_at(pair: _Pair) -> Iterator[RouteConflict]:
    one, other, meet = pair.one, pair.other, pair.meet
    if pair.crossed:
        if one.leaf and other.leaf and not (meet and meet.leaf):
            yield _conflict(one.leaf, other.leaf, pair.way)
        if one.rest and other.rest and not (meet and meet.rest):
            yield _conflict(one.rest, other.rest, (pair.way, "x"))
        if other.rest:
            yield from _below(other.rest, one, meet, pair.way)
    if one.rest:
        yield from _below(one.rest, other, meet, pair.way)


def _below(rest: Leaf, node: Node, meet: Node | None, way: _Way) -> Iterator[RouteConflict]:
    """The first template below `node` that crosses the `/**`, if any. It is at least one segment below: with
    none (a trailing slash included) the `/**` is left out of the check."""
    pending = [(child, at, step) for child, at, step in _steps(node, meet, way) if step[1]]
    while pending:
        child, at, step = pending.pop()
        if child.leaf and not (at and at.leaf):
            yield _conflict(rest, child.leaf, step)
            return
        if child.rest and not (at and at.rest):
            yield _conflict(rest, child.rest, (step, "x"))
            return
        pending.extend(_steps(child, at, step))


def _steps(node: Node, meet: Node | None, way: _Way) -> Iterator[tuple[Node, Node | None, _Way]]:
    for text, child in node.literals.items():
        yield child, _literal(meet, text), (way, text)
    if node.variable is not None and node.variable_part is not None:
        type_ = node.variable_part.type
        yield node.variable, _variable(meet, type_), (way, _SAMPLES[type_])


def _next(pair: _Pair) -> Iterator[_Pair]:
    """The pairs one common segment further on."""
    one, other, meet, crossed, way = pair.one, pair.other, pair.meet, pair.crossed, pair.way
    few, many = sorted((one.literals, other.literals), key=len)
    for text in few:
        if text in many:
            yield _Pair(one.literals[text], other.literals[text], _literal(meet, text), crossed, (way, text))
    if other.variable is not None and other.variable_part is not None:
        for text, child in one.literals.items():
            if takes(other.variable_part, text):
                yield _Pair(child, other.variable, _literal(meet, text), crossed, (way, text))
    if one.variable is not None and one.variable_part is not None:
        for text, child in other.literals.items():
            if takes(one.variable_part, text):
                yield _Pair(one.variable, child, _literal(meet, text), True, (way, text))
    yield from _variables(pair)


def _variables(pair: _Pair) -> Iterator[_Pair]:
    one, other = pair.one.variable, pair.other.variable
    one_part, other_part = pair.one.variable_part, pair.other.variable_part
    if one is None or other is None or one_part is None or other_part is None:
        return
    if covers(other_part, one_part):
        type_, crossed = one_part.type, pair.crossed
    elif covers(one_part, other_part):
        type_, crossed = other_part.type, True
    else:
        return
    yield _Pair(one, other, _variable(pair.meet, type_), crossed, (pair.way, _SAMPLES[type_]))


def _literal(node: Node | None, text: str) -> Node | None:
    return None if node is None else node.literals.get(text)


def _variable(node: Node | None, type_: VariableType) -> Node | None:
    if node is None or node.variable_part is None or node.variable_part.type is not type_:
        return None
    return node.variable


def _conflict(one: Leaf, other: Leaf, way: _Way) -> RouteConflict:
    first, second = one.first(), other.first()
    return RouteConflict(
        code=FaultCode.PATH_CROSSING,
        first=first,
        second=second,
        message=(
            f"`{format_template(second.template)}` of `{name_of(second)}` and `{format_template(first.template)}` "
            f"of `{name_of(first)}` both match `{_witness(way)}` and neither contains the other"
        ),
    )


def _too_many(pair: _Pair) -> RouteConflict:
    first, second = _some_route(pair.one), _some_route(pair.other)
    return RouteConflict(
        code=FaultCode.PATH_CROSSING,
        first=first,
        second=second,
        message=(
            f"the templates around `{name_of(first)}` and `{name_of(second)}` overlap in more ways than are checked "
            f"({MAX_PAIRS} pairs)"
        ),
    )


def _some_route(node: Node) -> CompiledRoute:
    """A route at or below a node: every node of a trie leads to one."""
    while (leaf := node.leaf or node.rest) is None:
        node = next(iter(node.children()))
    return leaf.first()


def _witness(way: _Way) -> str:
    segments: list[str] = []
    step: _Way | None = way
    while step is not None:
        step, segment = step
        segments.append(quote(segment, safe="!$&'()*+,=:@~-._"))
    return "/" + "/".join(reversed(segments))
