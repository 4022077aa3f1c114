"""Name resolution with a limit on its time: the system's resolver has none, and a fetch waits for it.

Owns: one look-up at a time for a host, on a thread that may outlive whoever asked. Must not: keep answers; where a
name points is asked for each fetch.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Final

Resolve = Callable[[str, int], tuple[str, ...]]
"""Host and port to address literals; raises OSError."""

MAX_LOOKUPS: Final = 64
"""Look-ups that may hang at the same time. Hosts come from the policy directory; this bounds threads all the same."""


class _Lookup:
    """One look-up under way; whoever asks for the same host waits for it too."""

    __slots__ = ("done", "error", "found")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.found: tuple[str, ...] = ()
        self.error: Exception | None = None


class BoundedResolver:
    """Threads may share it."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], _Lookup] = {}

    def addresses(self, host: str, port: int, *, within: float) -> tuple[str, ...]:
        """What the resolver says. Raises OSError; TimeoutError (which is one) when `within` seconds have passed."""
        lookup = self._lookup(host, port)
        if not lookup.done.wait(within):
            raise TimeoutError
        if lookup.error is not None:
            raise lookup.error
        return lookup.found

    def _lookup(self, host: str, port: int) -> _Lookup:
        key = host, port
        with self._lock:
            lookup = self._pending.get(key)
            if lookup is None:
                if len(self._pending) >= MAX_LOOKUPS:
                    raise OSError("too many look-ups hang")
                lookup = self._pending[key] = _Lookup()
                threading.Thread(target=self._work, args=(key, lookup), name=f"resolve-{host}", daemon=True).start()
            return lookup

    def _work(self, key: tuple[str, int], lookup: _Lookup) -> None:
        try:
            lookup.found = self._resolve(*key)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            lookup.error = error
        finally:
            with self._lock:
                del self._pending[key]
            lookup.done.set()


def system_resolve(host: str, port: int) -> tuple[str, ...]:
    """What the system's resolver says, in its order."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
