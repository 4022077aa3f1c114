"""How many checks may wait, and which is next: the bound on waiting, in time and not in number.

A burst may wait its turn: its last check is late by the burst's length, once. A queue that stands delays every check by
its length for as long as the load lasts, and serves nobody sooner. So: oldest first, while what waits is worked off
within BURST seconds. Beyond that newest first, so that only those wait that there is no time for. If that lasts for
STANDING seconds, or the limit is reached, the queue stands: only what keeps the one who answers at work may wait
(SHORTEST seconds, more where calls come in bursts) and the oldest are refused, until nothing was over that for CALM
seconds. What is refused then is refused soon, and what is accepted is answered about as soon as without the load.
Owns: this decision. Must not: read a clock, hold a queue, know of gRPC.
"""

from __future__ import annotations

from typing import Final

BURST: Final = 0.01
"""Seconds of work."""
CALLERS: Final = 64
"""Checks that are no long queue however slow they are: callers that each await their answer before they ask again."""
STANDING: Final = 0.1
"""Seconds: the length of the longest burst that is served in full."""
SHORTEST: Final = 0.001
"""Seconds of work that may always wait."""
FEWEST: Final = 16
"""Checks that may always wait."""
CALM: Final = 0.1
PROBE: Final = 5.0
"""Seconds after which a full burst is let in again, to see whether the load is still too high. Callers who only come
back because they were refused would otherwise be refused for ever."""
IDLE: Final = 0.05
"""The share of the time that may be lost because the queue ran empty while calls were refused: who gets the processor
only now and then finds many calls at once and none in between, and has to keep more of them."""
_FIRST_COST: Final = 0.000_1
_WEIGHT: Final = 1 / 32


class StandingQueue:
    """See the module; all times in seconds. `limit` holds whatever checks cost. For one thread."""

    def __init__(self, limit: int) -> None:
        self._limit = max(limit, 1)
        self._cost = _FIRST_COST
        self._target = SHORTEST
        self._since = 0.0
        self._crossed = 0.0
        self.newest_first = False
        self.stands = False
        """Whether more is asked than can be done."""

    def worked(self, checks: int, seconds: float) -> None:
        """So many checks took so long: at least one."""
        self._cost += (seconds / checks - self._cost) * _WEIGHT
        if self.stands:
            self._target = max(SHORTEST, self._target - seconds * IDLE)

    def rested(self, seconds: float) -> None:
        """There was nothing to do for so long."""
        if self.stands:
            self._target = min(BURST, self._target + seconds)

    def places(self, waiting: int, now: float) -> int:
        """How many of those that wait may go on waiting. To be asked whenever more than FEWEST wait, and as long as
        `newest_first`."""
        if self.stands and (now - self._crossed > CALM or now - self._since > PROBE):
            self.stands = self.newest_first = False
        if self.stands:
            return self._cut(waiting, now)
        if waiting <= max(CALLERS, self._within(BURST)):
            self.newest_first = False
            return self._limit
        if not self.newest_first:
            self.newest_first = True
            self._since = now
        if waiting <= self._limit and now - self._since <= STANDING:
            return self._limit
        self.stands = True
        self._since = now
        return self._cut(waiting, now)

    def _cut(self, waiting: int, now: float) -> int:
        room = self._within(self._target)
        if waiting > room:
            self._crossed = now
        return room

    def _within(self, seconds: float) -> int:
        return min(self._limit, max(FEWEST, int(seconds / self._cost)))
