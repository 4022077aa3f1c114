"""What was used once: implements `engine.ports.ReplayStore`, in the shared store or in this process alone.

Owns: the one atomic step that tells a first use from a second one. Must not: know what a key stands for. In the store
it is `SET NX EX` of a digest, so that no two replicas can both be first; without one, a dictionary under a lock, for a
service of a single process. When it can't be told, the answer is "unavailable", never "first".
"""

from __future__ import annotations

import heapq
import math
import threading
from typing import TYPE_CHECKING, Final

from authz.authn.encoding import encode_base64url
from authz.model.errors import Unavailable
from authz.model.patience import Patience
from authz.model.reason import Reason
from authz.sources.flights import Flights, NoAnswer
from authz.sources.store import StoreAddress, connect, describe, failures

if TYPE_CHECKING:
    from redis import Redis

CAPACITY: Final = 100_000
"""Uses that one process remembers: with the default window 1,600 a second, in about 20 MB."""
GRACE: Final = 60.0
"""Seconds that a use is remembered beyond its time: replicas' clocks differ."""


class StoredReplays:
    """Shared by all processes through Redis or Valkey."""

    def __init__(self, address: StoreAddress, *, limit: int) -> None:
        self._client: Redis = connect(address)
        self._prefix = f"{address.prefix}proof:"
        self._failures = failures()
        self._flights = Flights("replays", limit=limit)

    def first_use(self, key: bytes, until: float, *, now: float, patience: Patience) -> bool:
        """See the port. A write that is under way when the caller leaves may still count: the key is then used."""
        name, seconds = self._prefix + encode_base64url(key), max(1, math.ceil(until - now + GRACE))
        try:
            # Each caller is a question of its own: two that came together would both be told that they are first.
            return self._flights.answer(object(), lambda: self._set(name, seconds), patience)
        except NoAnswer as error:
            raise Unavailable(Reason.STORE_UNAVAILABLE, str(error)) from None
        except self._failures as error:
            raise Unavailable(Reason.STORE_UNAVAILABLE, f"the store: {describe(error)}") from None

    def close(self) -> None:
        self._flights.close()
        self._client.close()

    def _set(self, name: str, seconds: int) -> bool:
        return self._client.set(name, b"", nx=True, ex=seconds) is True


class LocalReplays:
    """For one process alone: another one would not know of these uses."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._used: set[bytes] = set()
        self._ends: list[tuple[float, bytes]] = []

    def first_use(self, key: bytes, until: float, *, now: float, patience: Patience) -> bool:
        """See the port; never blocks. When all room is taken nothing is forgotten early: who comes then waits."""
        with self._lock:
            while self._ends and self._ends[0][0] <= now:
                self._used.discard(heapq.heappop(self._ends)[1])
            if key in self._used:
                return False
            if len(self._used) >= self._capacity:
                raise Unavailable(Reason.STORE_UNAVAILABLE, "there is no room to remember another proof")
            self._used.add(key)
            heapq.heappush(self._ends, (until + GRACE, key))
            return True

    def close(self) -> None:
        """Nothing to give back."""
