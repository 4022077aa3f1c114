"""Waiting for `docker stop`. A process with number 1 gets no signal that it has no handler for.

Owns: the handlers. Must not: end the process; its caller does that in its own order.
"""

from __future__ import annotations

import signal
import threading


def told_to_stop() -> threading.Event:
    """Set once SIGTERM or SIGINT has come."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended
