"""How many checks may be at work and waiting: the bound that every front asks before it takes one.

Ours and not the gRPC library's, because a library sheds by ending the RPC with an error, which Envoy may read as an
allow (`failure_mode_allow`); what is refused here is answered with an `overloaded` denial. Knows nothing of gRPC.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Admission:
    """A counter with a limit. `enter` never waits; whoever entered must `leave` exactly once.

    `besides` says how many a front has in hand without asking here: the count shows them.
    """

    def __init__(self, limit: int, *, besides: Callable[[], int] = lambda: 0) -> None:
        if limit < 1:
            raise ValueError("at least one check must be admitted")
        self._limit = limit
        self._besides = besides
        self._count = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        return self._limit

    @property
    def count(self) -> int:
        """Checks at work or waiting right now."""
        return self._count + self._besides()

    def enter(self) -> bool:
        """Whether one more check may come in."""
        with self._changed:
            if self._count >= self._limit:
                return False
            self._count += 1
            return True

    def leave(self) -> None:
        with self._changed:
            self._count -= 1
            if self._count == 0:
                self._changed.notify_all()

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until no check is left; whether that happened."""
        with self._changed:
            return self._changed.wait_for(lambda: self._count == 0, timeout)
