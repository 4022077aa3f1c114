"""Which alternatives of a directory's routes its tests exercise (policy language §8, §9).

A cell is one alternative of one route and one verdict: allowed through it, or denied with none closer. Only
tests that pass count. A cell that can't be filled (a `public` that nothing narrows, a `nobody`) isn't asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from authz.model.decision import Denial
from authz.model.reason import Reason
from authz.policy.compiled import CompiledRoute
from authz.policy.faults import Place
from authz.policy.plan import Alternative, RoutePlan
from authz.policy.rehearse import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class AlternativeCover:
    """One alternative (`number` counts from 1). `allow` and `deny` name the tests; None: the cell can't be filled."""

    policy: str
    route: str
    place: Place
    number: int
    text: str
    allow: tuple[str, ...] | None
    deny: tuple[str, ...] | None

    @property
    def cells(self) -> tuple[tuple[str, ...], ...]:
        """Those that can be filled."""
        return tuple(cell for cell in (self.allow, self.deny) if cell is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """Every alternative of every route, by policy and in the order written."""

    rows: tuple[AlternativeCover, ...]

    @property
    def filled(self) -> int:
        return sum(bool(cell) for row in self.rows for cell in row.cells)

    @property
    def total(self) -> int:
        return sum(len(row.cells) for row in self.rows)

    @property
    def percent(self) -> float:
        """100 where there is nothing to fill."""
        return 100.0 * self.filled / self.total if self.total else 100.0


Places = Mapping[tuple[str, str], Place]
"""Where each route is written, by policy and route."""


def coverage(routes: Iterable[CompiledRoute], places: Places, results: Iterable[Result]) -> Coverage:
    """What the passing tests exercise of the routes."""
    seen = _Seen()
    for result in results:
        seen.add(result)
    return Coverage(rows=tuple(row for route in routes for row in _rows(route, places, seen)))


@dataclass(slots=True)
class _Seen:
    """Names of tests by route and alternative."""

    allowed: dict[tuple[str, str, int], list[str]] = field(default_factory=dict)
    denied: dict[tuple[str, str, int], list[str]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        if not result.passed or result.matched is None or result.matched.preflight:
            return
        route, decision = result.matched.route, result.decision
        if not isinstance(decision, Denial):
            self.allowed.setdefault((route.policy, route.id, decision.alternative), []).append(result.case.name)
            return
        for index in _closest(result):
            self.denied.setdefault((route.policy, route.id, index), []).append(result.case.name)


def _closest(result: Result) -> tuple[int, ...]:
    """Which of the route's alternatives the denial is about: the closest one, and those that were as close (the first
    written wins a tie, so that some could never be reported). Empty when a `deny` guardrail answered before."""
    assert result.matched is not None
    trace = result.decision.trace
    alternatives = () if trace is None else trace.alternatives
    closest = next((one for one in alternatives if one.closest), None)
    if closest is None:
        return ()
    # The choices of `require` guardrails are multiplied in, those of the first alternative first.
    each = len(alternatives) // len(plan_of(result.matched.route).alternatives)
    near = (
        index // each for index, one in enumerate(alternatives) if one.closest or one.distance == closest.distance > 0
    )
    return tuple(dict.fromkeys(near))


def plan_of(route: CompiledRoute) -> RoutePlan:
    """What the route asks, for tools."""
    assert isinstance(route.plan, RoutePlan)
    return route.plan


def text_of(alternative: Alternative) -> str:
    """An alternative in one line."""
    return ", ".join(condition.text for condition in alternative.conditions)


def _rows(route: CompiledRoute, places: Places, seen: _Seen) -> Iterator[AlternativeCover]:
    alternatives = plan_of(route).alternatives
    always = any(_is_open(alternative) for alternative in alternatives)
    for index, alternative in enumerate(alternatives):
        key = (route.policy, route.id, index)
        yield AlternativeCover(
            policy=route.policy,
            route=route.id,
            place=places[route.policy, route.id],
            number=index + 1,
            text=text_of(alternative),
            allow=None if _is_closed(alternative) else tuple(seen.allowed.get(key, ())),
            deny=None if always else tuple(seen.denied.get(key, ())),
        )


def _is_open(alternative: Alternative) -> bool:
    """Whether it holds for everybody: then no other is ever the reason of a denial."""
    return alternative.public and all(condition.text.startswith("public ") for condition in alternative.conditions)


def _is_closed(alternative: Alternative) -> bool:
    return any(
        condition.reason is Reason.NOBODY and not condition.text.startswith("public ")
        for condition in alternative.conditions
    )
