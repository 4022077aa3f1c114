"""A container's life: saying that it is ready, waiting for `docker stop`.

Owns: the file that health checks look for, and the handlers: a process with number 1 gets no signal without one.
Must not: end the process; its caller does that in its own order.
"""

from __future__ import annotations

import signal
import threading
from pathlib import Path

_READY = Path("/tmp/ready")
"""In the container's own memory."""


def ready() -> None:
    """What others wait for is in place."""
    _READY.touch()


def told_to_stop() -> threading.Event:
    """Set once SIGTERM or SIGINT has come."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended
