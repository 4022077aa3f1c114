"""CPU time of a call in this process, every thread counted: the median of several rounds, in microseconds."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

ROUND_SECONDS: Final = 0.12
"""Long enough that the clock's own cost vanishes, short enough that seven rounds of several steps take seconds."""

Given = TypeVar("Given")


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How often: `calls` are those of a round whose inputs are made in advance."""

    rounds: int = 7
    calls: int = 400
    seconds: float = ROUND_SECONDS


USUAL: Final = Effort()


def micros(call: Callable[[], object], effort: Effort = USUAL) -> float:
    """CPU µs of one call, which may be made again and again; the process's clock."""
    call()
    calls = _enough(call, effort.seconds)
    return statistics.median(_round(call, calls) for _ in range(effort.rounds)) / calls * 1e6


def over(
    prepare: Callable[[int], Sequence[Given]],
    call: Callable[[Given], object],
    effort: Effort = USUAL,
    *,
    settle: Callable[[], object] = lambda: None,
) -> float:
    """CPU µs of one call, each with an input of its own; making the inputs isn't measured.

    What another thread does on the calls' behalf counts too: `settle` waits until such a thread has caught up, so that
    each round pays for all that it caused, and for nothing else.
    """
    spent = []
    for number in range(effort.rounds + 1):
        gc.collect()  # Before the inputs: it drives everything else out of the processor's caches.
        inputs = prepare(effort.calls)
        settle()
        start = time.process_time()
        for one in inputs:
            call(one)
        settle()
        if number:  # The first round warms up.
            spent.append(time.process_time() - start)
    return statistics.median(spent) / effort.calls * 1e6


def _enough(call: Callable[[], object], seconds: float) -> int:
    calls = 1
    while (spent := _round(call, calls)) < seconds / 4:
        calls = min(calls * 10, max(calls * 2, int(calls * seconds / 4 / max(spent, 1e-6))))
    return max(1, int(calls * seconds / spent))


def _round(call: Callable[[], object], calls: int) -> float:
    start = time.process_time()
    for _ in range(calls):
        call()
    return time.process_time() - start
