"""Three values: how absence and refusal are read, and how outcomes combine (policy language §5, "Three values").

What is absent (no credential, a refused one, a missing claim, a type that the operator can't compare, null, an
unresolved reference) is false outside `not` and unknown inside it; what could not be found out is undecided
everywhere: an interval, of which `all` takes the least ends, `any` the greatest, and which `not` turns round.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final

from authz.policy.compiled import Outcome, Scene, Test

TRUE: Final = Outcome.TRUE
FALSE: Final = Outcome.FALSE
UNKNOWN: Final = Outcome.UNKNOWN
UNDECIDED: Final = Outcome.UNDECIDED

_INTERVALS: Final = {(outcome.lowest, outcome.highest): outcome for outcome in Outcome}


class Mode(Enum):
    """How absence and refusal are read. In `deny` a refused credential leaves the condition hanging (§6)."""

    PLAIN = (FALSE, FALSE)
    UNDER_NOT = (UNKNOWN, UNKNOWN)
    DENY = (UNKNOWN, UNDECIDED)

    def __init__(self, absent: Outcome, refused: Outcome) -> None:
        self.absent = absent
        self.refused = refused


def interval(lowest: int, highest: int) -> Outcome:
    """The outcome that can still lie anywhere from `lowest` to `highest`."""
    return _INTERVALS[lowest, highest]


def truth(outcome: Outcome) -> int:
    """The order of settled outcomes, for `min` and `max`."""
    return outcome.lowest


def conjunction(tests: tuple[Test, ...]) -> Test:
    """`all`: the least of its outcomes."""
    return tests[0] if len(tests) == 1 else _fold(tests, min, TRUE)


def disjunction(tests: tuple[Test, ...]) -> Test:
    """`any`: the greatest of its outcomes."""
    return tests[0] if len(tests) == 1 else _fold(tests, max, FALSE)


def negation(test: Test) -> Test:
    """`not`: unknown stays unknown, what hangs goes on hanging."""

    def negated(scene: Scene) -> Outcome:
        outcome = test(scene)
        return _INTERVALS[2 - outcome.highest, 2 - outcome.lowest]

    return negated


def _fold(tests: tuple[Test, ...], choose: Callable[[int, int], int], start: Outcome) -> Test:
    def test(scene: Scene) -> Outcome:
        lowest, highest = start.lowest, start.highest
        for one in tests:
            outcome = one(scene)
            lowest, highest = choose(lowest, outcome.lowest), choose(highest, outcome.highest)
        return _INTERVALS[lowest, highest]

    return test
