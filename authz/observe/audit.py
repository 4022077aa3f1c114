"""The audit trail: one JSON line for each decision and each act of revocation, written off the request's thread.

Owns: the bounded queue, the writer's thread, counting what was not written. Must not: hold up a check. What a line says
is `observe.lines`' matter.

To wake a thread costs more than to write its line, so the writer gathers: the first record after a quiet time wakes it,
and it writes what has come when GATHER_SECONDS have passed, earlier only when many wait or an act of revocation does.
A process that is killed (SIGKILL, the machine's end) therefore loses the lines of its last GATHER_SECONDS, though their
answers went out, and with a sink that stalls up to the whole queue; an orderly end loses none.

How to wire it (app): `audit = AuditLog(open_sink(path), capacity=…, deny_when_full=…)`, `audit.start()`; `record` is a
`Recorder` of the check service and belongs *before* the metrics, as it may refuse. SIGHUP calls `reopen()`. At
shutdown, after the last check, `close()` writes what is waiting.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from authz.model.errors import Unavailable
from authz.model.reason import Reason
from authz.model.record import DecisionRecord, RevocationRecord
from authz.observe.lines import Record, encode, line
from authz.observe.logs import timestamp
from authz.observe.sinks import Sink

DEFAULT_CAPACITY: Final = 20_000
GATHER_SECONDS: Final = 0.05
ENOUGH: Final = 1024
"""Records for which the writer waits no longer; less if the queue is short."""
BATCH: Final = 64
"""Lines per write: few system calls for a burst, a rotation is noticed in time, and checks get their turn between."""
RETRY_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 5.0

_LOG: Final = logging.getLogger("authz.audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCounts:
    """For metrics. `overflow`: the queue was full; `failed`: the sink refused the write."""

    waiting: int
    overflow: int
    failed: int
    written: int


class AuditLog:
    """See the module. With `deny_when_full` a decision that can't be queued is refused, and a failing sink is
    tried again until it takes the lines; without it both are counted and dropped."""

    def __init__(
        self,
        sink: Sink,
        *,
        capacity: int = DEFAULT_CAPACITY,
        deny_when_full: bool = False,
        gather: float = GATHER_SECONDS,
    ) -> None:
        self._sink = sink
        self._capacity = capacity
        self._deny = deny_when_full
        self._gather = gather
        self._enough = max(1, min(ENOUGH, capacity // 4))
        # Both are appended to, measured and emptied without a lock. Several threads may pass the bound at once, by
        # their number at most.
        self._queue: deque[Record] = deque()
        self._signals: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._wake_at = capacity
        """How many must be waiting for a record to wake the writer: 0 while it is idle, the capacity (never) while it
        is at work."""
        self._lock = threading.Lock()
        self._overflow = 0
        self._failed = 0
        self._written = 0
        self._told = 0
        self._broken = False
        self._reopen = False
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def record(self, record: DecisionRecord) -> None:
        """Queue one decision. Raises `Unavailable(OVERLOADED)` when it can't be recorded and must not pass so."""
        waiting = len(self._queue)
        if waiting < self._capacity:
            self._queue.append(record)
            if waiting >= self._wake_at:
                self._wake(urgent=False)
            return
        with self._lock:
            self._overflow += 1
        if self._deny:
            raise Unavailable(Reason.OVERLOADED, "the decision could not be recorded")

    def act(self, record: RevocationRecord) -> None:
        """Queue one act of revocation. Such acts are few and each matters: they pass the bound of the queue, and are
        written at once."""
        self._queue.append(record)
        self._wake(urgent=True)

    def counts(self) -> AuditCounts:
        with self._lock:
            return AuditCounts(
                waiting=len(self._queue), overflow=self._overflow, failed=self._failed, written=self._written
            )

    def reopen(self) -> None:
        """After a rotation; the writer does it before its next line. Safe in a signal handler."""
        self._reopen = True
        self._wake(urgent=True)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is waiting (for at most CLOSE_SECONDS) and close the sink."""
        self._closing.set()
        self._wake(urgent=True)
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                _LOG.error("the audit trail could not be finished", extra={"event": "audit_unfinished"})
                return
        self._sink.close()

    def _wake(self, *, urgent: bool) -> None:
        # In this order: the writer sets its own bound when the signal reaches it.
        self._wake_at = self._capacity
        self._signals.put(urgent)

    def _run(self) -> None:
        while True:
            self._await()
            self._drain()
            if self._closing.is_set() and not self._queue:
                return

    def _await(self) -> None:
        """Idle until there is a record, then gather others; what is urgent ends either."""
        if self._closing.is_set():
            return
        if not self._queue:
            self._wake_at = 0
            # Asked again: a record that came before the line above woke nobody.
            if not self._queue and self._signals.get():
                return
        self._wake_at = self._enough
        if len(self._queue) < self._enough:
            with contextlib.suppress(queue.Empty):
                self._signals.get(timeout=self._gather)
        self._wake_at = self._capacity

    def _drain(self) -> None:
        """Write what waits now; what comes meanwhile is gathered again. Also with nothing there: a file may have to be
        opened again, or a gap to be told."""
        left = len(self._queue)
        while True:
            batch = [self._queue.popleft() for _ in range(min(left, BATCH))]
            self._write(batch)
            left -= len(batch)
            if not left:
                return

    def _write(self, batch: list[Record]) -> None:
        lines = b"".join(_encoded(batch)) + self._drop_notice()
        while lines or self._reopen:
            try:
                if self._reopen:
                    self._reopen = False
                    self._sink.reopen()
                self._sink.write(lines)
            except OSError as error:
                self._tell_broken(error)
                if self._deny and not self._closing.wait(RETRY_SECONDS):
                    continue
                with self._lock:
                    self._failed += len(batch)
                return
            self._tell_mended()
            with self._lock:
                self._written += len(batch)
            return

    def _drop_notice(self) -> bytes:
        """A gap in the trail is itself on the trail."""
        with self._lock:
            lost = self._overflow + self._failed
            fresh, self._told = lost - self._told, lost
        if not fresh:
            return b""
        _LOG.error("decisions were not recorded", extra={"event": "audit_dropped", "count": fresh})
        return line({"event": "audit_dropped", "time": timestamp(time.time()), "count": fresh})

    def _tell_broken(self, error: OSError) -> None:
        if not self._broken:
            self._broken = True
            _LOG.error(
                "the audit trail can't be written",
                extra={"event": "audit_failed", "error": error.strerror or type(error).__name__},
            )

    def _tell_mended(self) -> None:
        if self._broken:
            self._broken = False
            _LOG.info("the audit trail can be written again", extra={"event": "audit_recovered"})


def _encoded(batch: list[Record]) -> Iterator[bytes]:
    """A record that can't be encoded leaves a line that says so: it must neither vanish nor end the thread."""
    for record in batch:
        try:
            yield encode(record)
        except Exception as error:  # noqa: BLE001 - the writer must outlive any bug
            name = record.decision_id if isinstance(record, DecisionRecord) else ""
            yield line({"event": "decision_unreadable", "id": name, "error": type(error).__name__})
