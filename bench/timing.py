"""CPU time of a call in this process, every thread counted: the median of several rounds, in microseconds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

ROUNDS: Final = 7
ROUND_SECONDS: Final = 0.12
"""Long enough that the clock's own cost vanishes, short enough that seven rounds of twenty steps take seconds."""


def micros(call: Callable[[], object], *, settle: Callable[[], object] = lambda: None, rounds: int = ROUNDS) -> float:
    """CPU µs of one call; the process's clock, so that what another thread does on its behalf counts too.

    `settle` waits until such a thread has caught up: each round pays for all that it caused, and for nothing else.
    """
    call()
    settle()
    calls = _enough(call, settle)
    return statistics.median(_round(call, calls, settle) for _ in range(rounds)) / calls * 1e6


def _enough(call: Callable[[], object], settle: Callable[[], object]) -> int:
    calls = 1
    while (spent := _round(call, calls, settle)) < ROUND_SECONDS / 4:
        calls = min(calls * 10, max(calls * 2, int(calls * ROUND_SECONDS / 4 / max(spent, 1e-6))))
    return max(1, int(calls * ROUND_SECONDS / spent))


def _round(call: Callable[[], object], calls: int, settle: Callable[[], object]) -> float:
    start = time.process_time()
    for _ in range(calls):
        call()
    settle()
    return time.process_time() - start
