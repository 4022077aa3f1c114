"""The audit trail: what a line says, and that no decision is lost without a word."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from authz.model.errors import Unavailable
from authz.model.reason import Reason
from authz.observe.audit import AuditLog, encode
from authz.observe.sinks import FileSink, open_sink
from tests.mint.records import denial, permit, record


class MemorySink:
    """Keeps what was written; `down` makes each write fail; `gate` holds the writer up."""

    def __init__(self) -> None:
        self.data = b""
        self.down = False
        self.gate = threading.Event()
        self.gate.set()
        self.closed = False
        self.reopened = 0

    def write(self, lines: bytes) -> None:
        self.gate.wait(10)
        if self.down:
            raise OSError(28, "No space left on device")
        self.data += lines

    def reopen(self) -> None:
        self.reopened += 1

    def close(self) -> None:
        self.closed = True

    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.data.splitlines()]


def test_a_permit_line_says_who_did_what() -> None:
    """Subject in clear, claims not at all, empty fields left out."""
    assert json.loads(encode(record(permit()))) == {
        "event": "decision",
        "id": "d-1",
        "time": "2026-11-21T10:00:00.250Z",
        "result": "allow",
        "reason": "allowed",
        "status": 200,
        "policy": "orders",
        "route": "orders.read",
        "method": "GET",
        "host": "orders.shop.example",
        "path": "/orders/42",
        "grpc": False,
        "transport": "mtls",
        "source": "10.1.2.3",
        "destination": "spiffe://shop.example/ns/shop/sa/orders",
        "user": {"issuer": "corp", "subject": "alice", "subject_hash": "ab12", "kind": "person", "client": "spa"},
        "workload": {"id": "spiffe://shop.example/ns/shop/sa/frontend", "via": "mtls"},
        "revision": "r1",
        "duration_us": 400,
    }


def test_a_denial_line_says_why() -> None:
    """Reason, status and the broken rule."""
    line = json.loads(encode(record(denial(Reason.TOKEN_EXPIRED, detail="exp has passed"))))

    assert (line["result"], line["reason"], line["status"], line["detail"]) == (
        "deny",
        "token_expired",
        401,
        "exp has passed",
    )


def test_a_line_is_one_line_of_ascii_whatever_the_request_held() -> None:
    """No control or separator reaches a terminal or a shipper."""
    line = encode(record(denial(), path='/a\n{"event":"decision"}\u2028\x1b[31mü'))

    assert line.count(b"\n") == 1
    assert line.isascii()
    assert b"\x1b" not in line


def test_a_token_in_a_path_is_not_written() -> None:
    """Password-reset links and the like."""
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"

    assert token.encode() not in encode(record(denial(), path=f"/reset/{token}"))


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
