"""The audit trail: one JSON line for each decision and each act of revocation, written off the request's thread.

Owns: what a line says, the bounded queue, counting what was not written. Must not: hold up a check, write a
credential, or show more of a request than `RequestView` does. Subjects are written in clear (with their hash): who
was let in is what the trail is for; claims are not.

How to wire it (app): `audit = AuditLog(open_sink(path), capacity=…, deny_when_full=…)`, `audit.start()`; `record` is a
`Recorder` of the check service and belongs *before* the metrics, as it may refuse. SIGHUP calls `reopen()`. At
shutdown, after the last check, `close()` writes what is waiting.
"""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from authz.model.decision import Denial
from authz.model.errors import Unavailable
from authz.model.principal import User, Workload
from authz.model.reason import ALLOWED, Reason
from authz.model.record import DecisionRecord, RevocationRecord
from authz.observe.logs import timestamp
from authz.observe.redact import redact
from authz.observe.sinks import Sink

DEFAULT_CAPACITY: Final = 20_000
BATCH: Final = 256
"""Lines per write: one system call for a burst, and a rotation is noticed in time."""
RETRY_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 5.0

Record = DecisionRecord | RevocationRecord

_LOG: Final = logging.getLogger("authz.audit")
_WAKE: Final = None


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

    def __init__(self, sink: Sink, *, capacity: int = DEFAULT_CAPACITY, deny_when_full: bool = False) -> None:
        self._sink = sink
        self._capacity = capacity
        self._deny = deny_when_full
        # SimpleQueue: its put takes a fraction of a microsecond and its size is read without a lock. Several threads
        # may pass the bound at once, by their number at most.
        self._queue: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
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
        if self._queue.qsize() < self._capacity:
            self._queue.put(record)
            return
        with self._lock:
            self._overflow += 1
        if self._deny:
            raise Unavailable(Reason.OVERLOADED, "the decision could not be recorded")

    def act(self, record: RevocationRecord) -> None:
        """Queue one act of revocation. Such acts are few and each matters: they pass the bound of the queue."""
        self._queue.put(record)

    def counts(self) -> AuditCounts:
        with self._lock:
            return AuditCounts(
                waiting=self._queue.qsize(), overflow=self._overflow, failed=self._failed, written=self._written
            )

    def reopen(self) -> None:
        """After a rotation; the writer does it before its next line. Safe in a signal handler."""
        self._reopen = True
        self._queue.put(_WAKE)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is waiting (for at most CLOSE_SECONDS) and close the sink."""
        self._closing.set()
        self._queue.put(_WAKE)
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)
            if self._thread.is_alive():
                _LOG.error("the audit trail could not be finished", extra={"event": "audit_unfinished"})
                return
        self._sink.close()

    def _run(self) -> None:
        while True:
            batch = self._batch()
            self._write(batch)
            if self._closing.is_set() and self._queue.empty():
                return

    def _batch(self) -> list[Record]:
        """Waits for one record (or a wake-up) and takes what else is there."""
        batch = [self._queue.get()]
        while len(batch) < BATCH:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return [record for record in batch if record is not None]

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
        return _line({"event": "audit_dropped", "time": timestamp(time.time()), "count": fresh})

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


def encode(record: Record) -> bytes:
    """One line: a JSON object of which empty fields are left out."""
    fields = _revocation(record) if isinstance(record, RevocationRecord) else _decision(record)
    return _line({name: value for name, value in fields.items() if value not in ("", None)})


def _decision(record: DecisionRecord) -> dict[str, object]:
    decision, view = record.decision, record.view
    denial = decision if isinstance(decision, Denial) else None
    return {
        "event": "decision",
        "id": record.decision_id,
        "time": timestamp(record.time),
        "result": "allow" if denial is None else "deny",
        "reason": ALLOWED if denial is None else denial.reason.code,
        "status": 200 if denial is None else denial.reason.status,
        "policy": decision.policy,
        "route": decision.route,
        "detail": "" if denial is None else redact(denial.detail),
        "guardrail": "" if denial is None else denial.guardrail,
        "method": redact(view.method),
        "host": redact(view.host),
        "path": redact(view.path),
        "grpc": record.grpc,
        "transport": record.transport.value,
        "source": record.source_address,
        "destination": redact(record.destination),
        "user": _user(decision.user),
        "workload": _workload(decision.workload),
        "candidate": _candidate(record),
        "revision": record.revision,
        "duration_us": round(record.duration * 1_000_000),
    }


def _revocation(record: RevocationRecord) -> dict[str, object]:
    """A revoked `jti` or `sid` is no credential, so it is written in clear; the sentence is the operator's own."""
    return {
        "event": "revocation",
        "time": timestamp(record.time),
        "act": record.act,
        "result": record.result,
        "by": redact(record.by),
        "kind": record.kind,
        "issuer": record.issuer,
        "value": redact(record.value),
        "why": redact(record.why),
        "issued_before": timestamp(record.before) if record.before else "",
        "until": timestamp(record.until) if record.until else "",
        "error": record.error,
    }


def _candidate(record: DecisionRecord) -> dict[str, object] | None:
    """What the route's candidate would have said, and whether that is the same."""
    shadow = record.candidate
    if shadow is None:
        return None
    fields: dict[str, object] = {"verdict": shadow.verdict, "agrees": shadow.agrees_with(record.decision)}
    if shadow.detail:
        fields["detail"] = redact(shadow.detail)
    return fields


def _user(user: User | None) -> dict[str, object] | None:
    if user is None:
        return None
    fields: dict[str, object] = {
        "issuer": user.issuer,
        "subject": redact(user.subject),
        "subject_hash": user.subject_hash,
        "kind": user.kind.value,
    }
    if user.client is not None:
        fields["client"] = redact(user.client)
    return fields


def _workload(workload: Workload | None) -> dict[str, object] | None:
    return None if workload is None else {"id": str(workload.id), "via": workload.via.value}


def _encoded(batch: list[Record]) -> Iterator[bytes]:
    """A record that can't be encoded leaves a line that says so: it must neither vanish nor end the thread."""
    for record in batch:
        try:
            yield encode(record)
        except Exception as error:  # noqa: BLE001 - the writer must outlive any bug
            name = record.decision_id if isinstance(record, DecisionRecord) else ""
            yield _line({"event": "decision_unreadable", "id": name, "error": type(error).__name__})


def _line(fields: dict[str, object]) -> bytes:
    """ASCII only, so that no terminal or shipper reads a control or a line separator out of it."""
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"
