"""Signals and the order of a shutdown: what turns SIGTERM into a restart that loses nothing.

Health says NOT_SERVING first and `/readyz` 503; then Envoy gets time to notice; then no more calls are taken and those
in flight finish within the grace; then the rest is closed and the audit log flushed. A second signal cuts every wait
short. Nothing here knows gRPC or HTTP: fronts are `front.Front`, the rest are callables.
"""

from __future__ import annotations

import logging
import queue
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from authz.server.front import Front

_LOG: Final = logging.getLogger("authz.server")
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
TICK_SECONDS: Final = 0.2
"""How soon a change of readiness shows in gRPC health."""
_AFTER_GRACE: Final = 1.0
"""Seconds that a front gets to cancel what outlived the grace."""


class Event(Enum):
    """What the process is asked to do."""

    STOP = "stop"
    RELOAD = "reload"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainTimes:
    """In seconds: `notice` is how long Envoy has to see NOT_SERVING, `grace` what calls in flight get after it."""

    notice: float = 5.0
    grace: float = 10.0


class Events:
    """What the process is asked to do, from signal handlers and from other threads."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Event] = queue.SimpleQueue()  # Its `put` may be called in a signal handler.

    def install(self) -> None:
        """Take SIGTERM, SIGINT and SIGHUP; from the main thread only."""
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def put(self, event: Event) -> None:
        self._queue.put(event)

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event; None when `timeout` seconds passed without one."""
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def stopped_within(self, seconds: float) -> bool:
        """Wait; True as soon as a stop is asked for, False when the time is over."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                if self._queue.get(timeout=left) is Event.STOP:
                    return True
            except queue.Empty:
                return False
        return False

    def _on_signal(self, number: int, _frame: object) -> None:
        self._queue.put(Event.RELOAD if number == signal.SIGHUP else Event.STOP)


def run(events: Events, *, reload: Callable[[], None], tick: Callable[[], None]) -> None:
    """Serve until a stop is asked for; each SIGHUP reloads, and in between `tick` looks around.

    What either raises ends nothing: what is in force stays.
    """
    tasks = {Event.RELOAD: reload, None: tick}
    while (event := events.next(TICK_SECONDS)) is not Event.STOP:
        try:
            tasks[event]()
        except Exception as error:  # noqa: BLE001 - nothing but a stop may end the service
            _LOG.error("a task of the main loop failed", extra={"event": "loop_failed", "error": type(error).__name__})


def drain(events: Events, fronts: Sequence[Front], times: DrainTimes, *, begin: Callable[[], None]) -> bool:
    """Stop taking calls without losing one; whether all in flight finished. `begin` turns `/readyz` to 503."""
    _LOG.info("draining", extra={"event": "drain", "notice_seconds": times.notice, "grace_seconds": times.grace})
    begin()
    for front in fronts:
        front.serving(False)
    hurried = events.stopped_within(times.notice)
    waits = [front.stop(0.0 if hurried else times.grace) for front in fronts]
    clean = not hurried and _wait(events, waits, times.grace)
    if not clean:
        waits = [front.stop(0.0) for front in fronts]
        for wait in waits:
            wait(_AFTER_GRACE)
    for front in fronts:
        front.close()
    _LOG.info("drained", extra={"event": "drained", "clean": clean})
    return clean


def _wait(events: Events, waits: Sequence[Callable[[float], bool]], grace: float) -> bool:
    """Wait for every front, looking for a second stop now and then."""
    deadline = time.monotonic() + grace
    pending = list(waits)
    while pending and time.monotonic() < deadline:
        pending = [wait for wait in pending if not wait(_POLL)]
        if pending and events.stopped_within(_POLL):
            return False
    return not pending


_POLL: Final = 0.05
