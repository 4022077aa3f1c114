"""Waiting for what another thread is about to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def until(condition: Callable[[], object], *, within: float = 10.0) -> None:
    """Return once the condition holds; fails after `within` seconds."""
    deadline = time.monotonic() + within
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        tick.wait(0.005)
