"""The audit trail: that no decision is lost without a word, and when lines are written."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from authz.model.errors import Unavailable
from authz.model.reason import Reason
from authz.model.record import RevocationRecord
from authz.observe.audit import AuditLog
from authz.observe.sinks import FileSink, open_sink
from tests.mint.records import permit, record

FOREVER = 3600.0
ACT = RevocationRecord(time=1_795_255_200.0, act="revoke", by="unix:root", result="everywhere")


class MemorySink:
    """Keeps what was written; `down` makes each write fail; `gate` holds the writer up."""

    def __init__(self) -> None:
        self.data = b""
        self.down = False
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.reopened = 0
        self.writes = 0
        self.wrote = threading.Event()

    def write(self, lines: bytes) -> None:
        self.gate.wait(10)
        if self.down:
            raise OSError(28, "No space left on device")
        self.data += lines
        self.writes += 1
        self.wrote.set()

    def reopen(self) -> None:
        self.reopened += 1

    def close(self) -> None:
        self.closed = True

    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.data.splitlines()]


def test_what_waits_is_written_at_shutdown() -> None:
    """And then the sink is closed."""
    sink = MemorySink()
    audit = AuditLog(sink)
    for _ in range(1000):
        audit.record(record(permit()))
    audit.start()
    audit.close()

    assert len(sink.events()) == 1000
    assert sink.closed
    assert audit.counts().written == 1000


def test_a_full_queue_drops_counts_and_says_so() -> None:
    """The gap is itself on the trail."""
    sink = MemorySink()
    audit = AuditLog(sink, capacity=10)
    for _ in range(15):
        audit.record(record(permit()))
    assert audit.counts().overflow == 5
    audit.start()
    audit.close()

    events = sink.events()
    assert [event["event"] for event in events] == ["decision"] * 10 + ["audit_dropped"]
    assert events[-1]["count"] == 5


def test_a_full_queue_denies_when_nothing_may_go_unrecorded() -> None:
    """`audit.on_full: deny`"""
    audit = AuditLog(MemorySink(), capacity=1, deny_when_full=True)
    audit.record(record(permit()))

    with pytest.raises(Unavailable) as caught:
        audit.record(record(permit()))
    assert caught.value.reason is Reason.OVERLOADED


def test_lines_that_a_sink_refuses_are_counted_and_the_writer_goes_on() -> None:
    """A full disk costs lines, not the thread."""
    sink = MemorySink()
    sink.down = True
    audit = AuditLog(sink)
    audit.record(record(permit()))
    audit.start()
    audit.close()

    assert audit.counts().failed == 1


def test_records_are_gathered_into_one_write() -> None:
    """Not one wake-up of the writer for each: they wait for its pause to end, here by the end of it all."""
    sink = MemorySink()
    audit = AuditLog(sink, gather=FOREVER)
    audit.start()
    for _ in range(50):
        audit.record(record(permit()))
    audit.close()

    assert (len(sink.events()), sink.writes) == (50, 1)


def test_an_act_of_revocation_is_written_at_once_and_in_its_place() -> None:
    """It ends the pause, and what waits with it comes first."""
    sink = MemorySink()
    audit = AuditLog(sink, gather=FOREVER)
    audit.start()
    audit.record(record(permit()))
    audit.act(ACT)

    assert sink.wrote.wait(10)
    assert [event["event"] for event in sink.events()] == ["decision", "revocation"]
    sink.wrote.clear()
    audit.act(ACT)
    assert sink.wrote.wait(10), "also when the writer was idle"
    audit.close()


def test_a_queue_that_fills_ends_the_pause() -> None:
    """A quarter of it is enough: a short queue must not run over while the writer gathers."""
    sink = MemorySink()
    audit = AuditLog(sink, capacity=40, gather=FOREVER)
    audit.start()
    for _ in range(11):
        audit.record(record(permit()))

    assert sink.wrote.wait(10)
    audit.close()
    assert audit.counts().overflow == 0


def test_a_single_record_never_waits_for_another() -> None:
    """Whenever it comes, also in the moment in which the writer goes idle."""
    sink = MemorySink()
    audit = AuditLog(sink, gather=0.0)
    audit.start()
    for _ in range(2000):
        audit.record(record(permit()))
        assert sink.wrote.wait(10)
        sink.wrote.clear()
    audit.close()

    assert audit.counts().written == 2000


def test_every_record_of_many_threads_is_written_or_counted() -> None:
    """However short the queue is."""
    sink = MemorySink()
    audit = AuditLog(sink, capacity=100, gather=0.001)
    audit.start()
    one = record(permit())
    threads = [threading.Thread(target=lambda: [audit.record(one) for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.close()

    counts = audit.counts()
    decisions = [event for event in sink.events() if event["event"] == "decision"]
    assert counts.written == len(decisions)
    assert counts.written + counts.overflow == 20_000


def test_a_sink_that_comes_back_gets_what_waited_when_nothing_may_be_lost() -> None:
    """`audit.on_full: deny` tries again with the same lines."""
    sink = MemorySink()
    audit = AuditLog(sink, deny_when_full=True, gather=0.0)
    sink.down = True
    audit.record(record(permit()))
    audit.start()
    sink.down = False
    assert sink.wrote.wait(10)
    audit.close()

    assert (audit.counts().failed, len(sink.events())) == (0, 1)


def test_a_record_that_cannot_be_written_leaves_a_line_that_says_so() -> None:
    """And the writer goes on."""
    sink = MemorySink()
    audit = AuditLog(sink)
    audit.record(record(permit(), duration=float("nan")))
    audit.record(record(permit()))
    audit.start()
    audit.close()

    first, second = sink.events()
    assert first == {"event": "decision_unreadable", "id": "d-1", "error": "ValueError"}
    assert second["event"] == "decision"


def test_a_reopen_reaches_the_sink() -> None:
    """What SIGHUP does after a rotation."""
    sink = MemorySink()
    audit = AuditLog(sink)
    audit.reopen()
    audit.start()
    audit.close()

    assert sink.reopened == 1


def test_a_file_is_opened_again_after_it_was_moved(tmp_path: Path) -> None:
    """Also without a signal."""
    path = tmp_path / "audit.log"
    sink = FileSink(path)
    sink.write(b"1\n")
    path.rename(tmp_path / "audit.log.1")
    sink.write(b"2\n")
    sink.close()

    assert path.read_bytes() == b"2\n"
    assert (tmp_path / "audit.log.1").read_bytes() == b"1\n"
    assert path.stat().st_mode & 0o007 == 0


def test_a_file_that_can_not_be_opened_is_known_at_start(tmp_path: Path) -> None:
    """Not at the first decision."""
    with pytest.raises(OSError, match="No such file"):
        open_sink(tmp_path / "missing/audit.log")
