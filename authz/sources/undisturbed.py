"""Loading a policy beside checks: what keeps a second of building from being felt by those who ask meanwhile.

Owns the process's garbage collector and switch interval while a set is built, and how an old set is freed. Python
holds every thread for a full collection and for the freeing of one object with all that hangs on it; both grow with
the number of routes. Must not know what is loaded, or when.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Final

from authz.policy.link import PolicySet

SWITCH_SECONDS: Final = 0.001
"""How long the loader may keep the interpreter from a check: Python's own 5 ms are many checks, and each check asks
more than once. Half of it wins little more."""
_YOUNG: Final = 1
"""The generation up to which a collection is a matter of a millisecond."""
_NEVER: Final = 1_000_000_000


@contextmanager
def undisturbed() -> Iterator[None]:
    """While a set is built: no full collection, and turns for other threads soon. What lives afterwards is never looked
    at by the collector again, the new set above all; it is still freed with its last reference, since a set has no
    cycles. Not reentrant, and one at a time: it changes the process."""
    gc.collect()  # Cheap: what was frozen before isn't looked at. Garbage must not be frozen.
    thresholds, interval = gc.get_threshold(), sys.getswitchinterval()
    gc.set_threshold(thresholds[0], thresholds[1], _NEVER)
    sys.setswitchinterval(min(interval, SWITCH_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.collect(_YOUNG)
        gc.freeze()
        gc.set_threshold(*thresholds)


def dismantle(retired: list[PolicySet]) -> None:
    """Free sets that nobody asks any more, route by route, so that other threads get their turns in between."""
    while retired:
        pieces = _pieces(retired.pop())
        while pieces:
            pieces.pop()


def _pieces(policy: PolicySet) -> list[object]:
    """What a set is large by: routes as compiled, and as written in its last good texts."""
    written = chain.from_iterable(text.document.routes for text in policy.kept.values())
    return [*policy.routes, *written]
