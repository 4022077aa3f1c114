"""Several processes of one service: starts them, restarts one that dies, drains them in turn.

Owns: the processes and their order. A worker is forked before any thread or gRPC exists here, so all of them have the
very settings that were read once. Signals are the supervisor's: workers ignore them and obey a socket, so that Ctrl-C
in a terminal or a service manager's signal to the whole group drains nobody twice. A worker whose supervisor is gone
drains and ends. Must not: know what a worker serves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from authz.server.lifecycle import SIGNALS, Event, Events

_LOG: Final = logging.getLogger("authz.server")

TICK_SECONDS: Final = 0.1
"""How soon the end of a worker is noticed."""
STEADY_SECONDS: Final = 10.0
"""A worker that lived as long is started again without a wait; one that didn't, at growing intervals."""
FIRST_WAIT: Final = 0.1
LONGEST_WAIT: Final = 30.0
AFTER_DRAIN: Final = 15.0
"""Seconds beyond its own drain after which a worker that won't end is killed."""

_BY_SIGNAL: Final = 128
"""Exit codes from here on mean a signal, as in a shell."""
_BUG: Final = 70
_STARTED: Final = b"s"
_ORDERS: Final = {Event.STOP: b"d", Event.RELOAD: b"r"}

Started = Callable[[], None]
"""To be called by a worker once it serves."""
Run = Callable[[int, Events, Started], int]
"""Runs one worker until it is told to stop; its exit code."""


@dataclass(slots=True, kw_only=True)
class _Worker:
    """One place; `pid` 0: nobody is there at the moment."""

    index: int
    pid: int = 0
    channel: socket.socket | None = None
    started: bool = False
    since: float = 0.0
    failures: int = 0
    again_at: float = 0.0

    def order(self, event: Event) -> None:
        """Tell it; one that is ending anyway doesn't hear it."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                self.channel.send(_ORDERS[event])

    def listen(self) -> None:
        """Take note of what it said."""
        if self.channel is not None:
            with contextlib.suppress(OSError):
                self.started = self.started or self.channel.recv(1, socket.MSG_DONTWAIT) == _STARTED


class Supervisor:
    """See the module. `drain_limit`: seconds that a worker may take from the order to stop until it has ended."""

    def __init__(
        self, count: int, run: Run, events: Events, *, failed: int, cut_short: int, drain_limit: float
    ) -> None:
        """`failed` and `cut_short` are exit codes: a worker that died at the start without one, a hurried drain."""
        self._workers = [_Worker(index=index) for index in range(count)]
        self._run = run
        self._events = events
        self._failed = failed
        self._cut_short = cut_short
        self._limit = drain_limit + AFTER_DRAIN

    def serve(self) -> int:
        """Until a stop is asked for, or the start fails; the exit code."""
        # The first alone: what keeps it from starting is said once, and the others needn't try.
        for group in (self._workers[:1], self._workers[1:]):
            code = self._start(group)
            if code is not None:
                self._hurry()
                return code
        _LOG.info("all workers serve", extra={"event": "workers_started", "workers": len(self._workers)})
        while (event := self._events.next(TICK_SECONDS)) is not Event.STOP:
            if event is Event.RELOAD:
                for worker in self._workers:
                    worker.order(event)
            self._look_after()
        return self._drain()

    def _start(self, group: Sequence[_Worker]) -> int | None:
        """Start some and wait until they serve; an exit code when that can't be."""
        for worker in group:
            self._fork(worker)
        while not all(worker.started for worker in group):
            if self._events.next(TICK_SECONDS / 2) is Event.STOP:
                return self._drain()
            for worker in group:
                worker.listen()
                code = self._ended(worker)
                if code is not None:
                    return code if 0 < code < _BY_SIGNAL else self._failed
        return None

    def _look_after(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            worker.listen()
            code = self._ended(worker)
            if code is not None:
                steady = worker.started and now - worker.since >= STEADY_SECONDS
                worker.failures = 0 if steady else worker.failures + 1
                wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** max(0, worker.failures - 1)) if worker.failures else 0.0
                worker.again_at = now + wait
                _LOG.error(
                    "a worker ended and is started again",
                    extra={"event": "worker_ended", "worker": worker.index, "code": code, "again_in_seconds": wait},
                )
            if worker.pid == 0 and now >= worker.again_at:
                self._fork(worker)

    def _drain(self) -> int:
        """One after the other: Envoy always has those whose turn hasn't come."""
        clean = True
        for worker in self._workers:
            code = self._drain_one(worker)
            if code is None:
                self._hurry()
                return self._cut_short
            clean = clean and code == 0
        return 0 if clean else self._cut_short

    def _drain_one(self, worker: _Worker) -> int | None:
        """Its exit code (0 when nobody is there); None when a second stop was asked for."""
        if worker.pid == 0:
            return 0
        _LOG.info("a worker drains", extra={"event": "worker_drain", "worker": worker.index})
        worker.order(Event.STOP)
        deadline = time.monotonic() + self._limit
        while (code := self._ended(worker)) is None:
            if time.monotonic() > deadline:
                os.kill(worker.pid, signal.SIGKILL)
            if self._events.stopped_within(TICK_SECONDS / 2):
                return None
        return code

    def _hurry(self) -> None:
        """End all at once, without waiting for their checks."""
        left = [worker for worker in self._workers if worker.pid]
        for worker in left:
            worker.order(Event.STOP)
            worker.order(Event.STOP)
        deadline = time.monotonic() + AFTER_DRAIN
        while left := [worker for worker in left if self._ended(worker) is None]:
            if time.monotonic() > deadline:
                for worker in left:
                    os.kill(worker.pid, signal.SIGKILL)
            time.sleep(TICK_SECONDS / 2)

    def _ended(self, worker: _Worker) -> int | None:
        """The exit code of one that has just ended, as a shell would say it; None while it runs or isn't there."""
        if worker.pid == 0:
            return None
        pid, status = os.waitpid(worker.pid, os.WNOHANG)
        if pid == 0:
            return None
        if worker.channel is not None:
            worker.channel.close()
        worker.pid, worker.channel = 0, None
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else _BY_SIGNAL - code

    def _fork(self, worker: _Worker) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for other in self._workers:
                # An end of the supervisor's in a sibling's hands would hide the supervisor's death.
                if other.channel is not None:
                    other.channel.close()
            _become(worker.index, theirs, self._run)
        theirs.close()
        worker.pid, worker.channel, worker.started, worker.since = pid, ours, False, time.monotonic()
        _LOG.info("a worker starts", extra={"event": "worker_start", "worker": worker.index, "pid": pid})


def _become(index: int, channel: socket.socket, run: Run) -> None:
    """The life of a worker, from the fork to its end; never returns."""
    code = _BUG
    try:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        events = Events()
        threading.Thread(target=_obey, args=(channel, events), name="orders", daemon=True).start()

        def started() -> None:
            with contextlib.suppress(OSError):
                channel.send(_STARTED)

        code = run(index, events, started)
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _obey(channel: socket.socket, events: Events) -> None:
    """Turn the supervisor's orders into events. Its death counts as a stop, unless one was ordered already."""
    stopping = False
    while order := channel.recv(1):
        event = Event.RELOAD if order == _ORDERS[Event.RELOAD] else Event.STOP
        stopping = stopping or event is Event.STOP
        events.put(event)
    if not stopping:
        events.put(Event.STOP)
