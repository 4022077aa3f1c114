"""The load generator: one HTTP/2 connection, requests made in advance, closed loop or open loop.

Owns: the little of HTTP/2 (RFC 9113) that a client needs which sends one kind of request and looks only at whether
the answer is a permit. A general client costs several times what is measured here; this one takes about 15 µs a call,
so that one core of it keeps any server of one core busy. Every single answer is looked at: permit, denial, error, and
the empty message, which Envoy would take for a permit. Latency in the open loop counts from the intended time.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

CHECK_PATH: Final = "/envoy.service.auth.v3.Authorization/Check"
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_MAX_STREAMS, _INITIAL_WINDOW = 3, 4
_LARGEST_WINDOW: Final = 2**31 - 1
_STATUS_200: Final = 0x88
"""`:status: 200` of HPACK's static table (RFC 7541 appendix A)."""
_TIMEOUT: Final = 20.0
"""Seconds without any answer after which a server counts as dead."""


class Broken(Exception):
    """The connection ended, or nothing came for too long."""


@dataclass(slots=True)
class Outcome:
    """What became of every call; latencies and moments in seconds."""

    permits: int = 0
    denials: int = 0
    errors: int = 0
    empty: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    denial_latencies: list[float] = field(default_factory=list)
    denial_sample: bytes = b""

    @property
    def calls(self) -> int:
        return self.permits + self.denials + self.errors + self.empty

    @property
    def rate(self) -> float:
        return self.calls / self.seconds if self.seconds else 0.0

    def percentile(self, share: float) -> float:
        """A latency of the permits, in milliseconds."""
        return percentile(self.latencies, share)

    def add(self, other: Outcome) -> None:
        for name in ("permits", "denials", "errors", "empty", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.latencies += other.latencies
        self.denial_latencies += other.denial_latencies


def percentile(seconds: list[float], share: float) -> float:
    """In milliseconds; not a number when there is nothing."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1e3 if ordered else float("nan")


def grpc_body(message: bytes) -> bytes:
    """A message with gRPC's prefix: not compressed, its length."""
    return b"\x00" + struct.pack(">I", len(message)) + message


class Connection:
    """One connection; `headers` go with every request, an `answer_is_grpc` connection sends bodies.

    Without gRPC a message that isn't empty is a request's whole header block (`header_block`) instead of `headers`.
    """

    def __init__(self, address: str, headers: dict[str, str], *, answer_is_grpc: bool) -> None:
        self._socket = _connect(address)
        self._grpc = answer_is_grpc
        # Sent as literals once with indexing, then as what they became in the dynamic table.
        self._first, self._later = _header_blocks(headers)
        self._next_stream = 1
        self._window = 65_535
        self._streams = 100
        self._received = bytearray()
        self._outgoing = bytearray(_PREFACE + _settings())
        self._consumed = 0
        self._bodies: dict[int, bytearray] = {}
        self._started: dict[int, float] = {}
        self._waiting: deque[tuple[float, bytes]] = deque()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def closed_loop(
        self, messages: Iterator[bytes], *, in_flight: int, calls: int = 0, seconds: float = 0.0
    ) -> Outcome:
        """Keep that many calls open until so many were made, or the time is over; then await the rest."""
        outcome, clock = Outcome(), time.perf_counter
        start = clock()
        end = start + seconds if seconds else float("inf")
        left = calls or 2**62
        while True:
            while left and len(self._started) < in_flight and clock() < end:
                self._start(next(messages), clock())
                left -= 1
            if not self._started:
                break
            self._exchange(outcome, _TIMEOUT)
            if not left or clock() >= end:
                left = 0
        outcome.seconds = clock() - start
        return outcome

    def open_loop(self, messages: Iterator[bytes], *, rate: float, seconds: float) -> Outcome:
        """A call every 1/rate seconds, whatever became of those before."""
        outcome, clock = Outcome(), time.perf_counter
        start = due = clock()
        step, end = 1 / rate, start + seconds
        while True:
            now = clock()
            while due <= now and due < end:
                self._waiting.append((due, next(messages)))
                due += step
            while self._waiting and len(self._started) < self._streams and self._window > 16_384:
                intended, message = self._waiting.popleft()
                self._start(message, intended)
            if due >= end and not self._started and not self._waiting:
                break
            self._exchange(outcome, max(0.0, due - clock()) if due < end else _TIMEOUT, patient=due < end)
        outcome.seconds = clock() - start
        return outcome

    def _start(self, message: bytes, moment: float) -> None:
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        block = self._first if stream == 1 else self._later
        self._started[stream] = moment
        if not self._grpc:
            self._outgoing += _frame(_HEADERS, _END_HEADERS | _END_STREAM, stream, message or block)
            return
        self._outgoing += _frame(_HEADERS, _END_HEADERS, stream, block)
        self._outgoing += _frame(_DATA, _END_STREAM, stream, message)
        self._window -= len(message)

    def _exchange(self, outcome: Outcome, timeout: float, *, patient: bool = False) -> None:
        """Send what is to be sent, then take in what has come within the time."""
        while self._outgoing:
            try:
                sent = self._socket.send(self._outgoing)
            except BlockingIOError:
                select.select([self._socket], [self._socket], [], _TIMEOUT)
                break
            except OSError as error:
                raise Broken(str(error)) from error
            del self._outgoing[:sent]
        if not select.select([self._socket], [], [], timeout)[0]:
            if patient:
                return
            raise Broken(f"no answer within {timeout:g} s")
        try:
            received = self._socket.recv(1 << 18)
        except OSError as error:
            raise Broken(str(error)) from error
        if not received:
            raise Broken("the server closed the connection")
        self._received += received
        self._read_frames(outcome, time.perf_counter())

    def _read_frames(self, outcome: Outcome, now: float) -> None:
        buffer, place = bytes(self._received), 0
        size = len(buffer)
        while size - place >= 9:
            length = int.from_bytes(buffer[place : place + 3])
            end = place + 9 + length
            if end > size:
                break
            kind, flags = buffer[place + 3], buffer[place + 4]
            stream = int.from_bytes(buffer[place + 5 : place + 9]) & _LARGEST_WINDOW
            self._read_frame(kind, flags, stream, buffer[place + 9 : end], outcome, now)
            place = end
        del self._received[:place]

    def _read_frame(self, kind: int, flags: int, stream: int, payload: bytes, outcome: Outcome, now: float) -> None:
        if kind == _HEADERS:
            if not self._grpc:
                self._bodies.setdefault(stream, bytearray(payload[:1]))
        elif kind == _DATA:
            self._consume(len(payload))
            if self._grpc:
                self._bodies.setdefault(stream, bytearray()).extend(payload)
        elif kind == _RESET:
            self._finish(stream, b"", outcome, now)
            return
        else:
            self._control(kind, flags, stream, payload)
            return
        if flags & _END_STREAM:
            self._finish(stream, bytes(self._bodies.pop(stream, b"")), outcome, now)

    def _finish(self, stream: int, body: bytes, outcome: Outcome, now: float) -> None:
        started = self._started.pop(stream, None)
        if started is None:
            return
        verdict = self._verdict(body)
        if verdict == "permits":
            outcome.permits += 1
            outcome.latencies.append(now - started)
        elif verdict == "denials":
            outcome.denials += 1
            outcome.denial_latencies.append(now - started)
            outcome.denial_sample = body[5:]
        else:
            setattr(outcome, verdict, getattr(outcome, verdict) + 1)

    def _verdict(self, body: bytes) -> str:
        if not body:
            return "errors"
        if not self._grpc:
            return "permits" if body[0] == _STATUS_200 else "denials"
        if len(body) == 5:
            return "empty"
        # CheckResponse.status is field 1 and comes first; a permit's has code 0, which isn't written at all.
        return "denials" if body[5] == 0x0A and body[6] else "permits"

    def _control(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS and not flags & _ACK:
            for place in range(0, len(payload), 6):
                name, value = struct.unpack(">HI", payload[place : place + 6])
                if name == _MAX_STREAMS:
                    self._streams = min(value, 1000)
            self._outgoing += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self._outgoing += _frame(_PING, _ACK, 0, payload)
        elif kind == _WINDOW and stream == 0:
            self._window += int.from_bytes(payload)
        elif kind == _GO_AWAY:
            raise Broken("the server sent GOAWAY")

    def _consume(self, size: int) -> None:
        self._consumed += size
        if self._consumed > 1 << 24:
            self._outgoing += _frame(_WINDOW, 0, 0, struct.pack(">I", self._consumed))
            self._consumed = 0


def check_connection(address: str) -> Connection:
    """To an ext_authz server, with the headers and the timeout that Envoy sends."""
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": CHECK_PATH,
        ":authority": "authz",
        "te": "trailers",
        "grpc-timeout": "5S",
        "content-type": "application/grpc",
    }
    return Connection(address, headers, answer_is_grpc=True)


def request_connection(address: str, headers: dict[str, str], *, path: str, host: str) -> Connection:
    """To an Envoy: GET requests, all alike unless each message is a header block of its own."""
    pseudo = {":method": "GET", ":scheme": "http", ":path": path, ":authority": host}
    return Connection(address, {**pseudo, **headers}, answer_is_grpc=False)


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address.removeprefix("unix:"))
    else:
        host, _, port = address.rpartition(":")
        connection = socket.create_connection((host, int(port)), timeout=5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)
    return connection


def _settings() -> bytes:
    """Both windows as wide as they go: the server never waits for us."""
    window = struct.pack(">I", _LARGEST_WINDOW - 65_535)
    return _frame(_SETTINGS, 0, 0, struct.pack(">HI", _INITIAL_WINDOW, _LARGEST_WINDOW)) + _frame(_WINDOW, 0, 0, window)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + payload


def _header_blocks(headers: dict[str, str]) -> tuple[bytes, bytes]:
    """The block that enters every header into the table (RFC 7541 §6.2.1), and the one that refers to them (§6.1).

    The first connection-wide table holds 4096 octets; a longer value (a token beside others) is sent whole each time.
    """
    first, later, room, entered = bytearray(), bytearray(), 4096, []
    for name, value in headers.items():
        size = len(name) + len(value) + 32
        if size > room:
            literal = b"\x00" + _text(name) + _text(value)
            first += literal
            entered.append(literal)
            continue
        room -= size
        first += b"\x40" + _text(name) + _text(value)
        entered.append(b"")
    indexed = [place for place, literal in enumerate(entered) if not literal]
    for place, literal in enumerate(entered):
        # The newest entry has the lowest index, 62.
        later += literal or _integer(62 + len(indexed) - 1 - indexed.index(place), 7, 0x80)
    return bytes(first), bytes(later)


def header_block(headers: Sequence[tuple[str, str]]) -> bytes:
    """Every header as a literal that enters no table (RFC 7541 §6.2.2)."""
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in headers)


def _text(value: str) -> bytes:
    return _integer(len(value), 7, 0) + value.encode()


def _integer(value: int, bits: int, flags: int) -> bytes:
    """RFC 7541 §5.1."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((flags | value,))
    encoded, value = bytearray((flags | limit,)), value - limit
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
