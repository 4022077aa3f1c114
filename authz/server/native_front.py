"""The front on pygrpc-native's low-level API (extra `fast`): Unix sockets and loopback TCP only.

HTTP/2 and gRPC run in Rust outside the interpreter's lock; here is the thin layer that keeps every guard which that
library leaves out: nothing but non-empty bytes is ever answered, a receiving thread that dies ends the process, what
may block never holds a receiving thread, what is over the bound is refused with a denial and not with a gRPC error,
callers that have gone cost nothing, and a socket path has one owner. Never on an address that others can reach: the
library bounds no message, always inflates, and knows no TLS.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from authz.server.admission import Admission
from authz.server.front import Answering, ListenError, Listening
from authz.server.native_health import HEALTH_CHECK, HEALTH_WATCH, NativeHealth
from authz.server.standing import FEWEST, StandingQueue
from authz.server.unix_socket import SocketPath
from authz.wire.reflection import METHOD_PATH

if TYPE_CHECKING:
    from pygrpc_native import NativeGrpcFront

_METHODS: Final = ((METHOD_PATH, False), (HEALTH_CHECK, False), (HEALTH_WATCH, True))
_CHECK, _HEALTH, _WATCH = range(3)

_NOT_FOUND: Final = 5
_RESOURCE_EXHAUSTED: Final = 8
_INTERNAL: Final = 13

_BATCH: Final = 64
_IN_SIGHT: Final = 4096
_WAIT_MS: Final = 200
"""A receive without a limit would hold back all but one thread when the front is closed."""
_IO_THREADS: Final = 1
"""One is enough for several times what one interpreter can answer (measured; docs/performance.md)."""
_TURN: Final = 0.000_5
"""Seconds of work after which answers go out and what has come meanwhile is looked at. Answers that go out together are
written, read and acted upon together: through Envoy that takes a fifth off what both spend, and it is no later."""
_DIED: Final = 70
_UNIX: Final = "unix:"
_POLL: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeOptions:
    """`threads` are for checks that may block; `waiting` checks may queue besides."""

    addresses: tuple[str, ...]
    threads: int = 8
    waiting: int = 256


_Held = tuple[bytes, float | None, float]
"""A check that waits: its message, the seconds that its caller waited still when it came, and when it came."""


def suits(address: str) -> bool:
    """Whether nobody but this machine can reach the address."""
    if address.startswith(_UNIX):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def installed() -> bool:
    """Whether the extra `fast` is there."""
    try:
        import pygrpc_native  # noqa: F401 - only whether it can be imported
    except ImportError:
        return False
    return True


class NativeFront:
    """A `front.Front`."""

    name = "native"

    def __init__(
        self, service: Answering, options: NativeOptions, *, on_death: Callable[[int], None] = os._exit
    ) -> None:
        self._service = service
        self._options = options
        self._on_death = on_death
        self._doors: list[_Door] = []
        self.admission = Admission(
            options.threads + options.waiting, besides=lambda: sum(door.waiting for door in self._doors)
        )
        self._threads: ThreadPoolExecutor | None = None

    def start(self) -> tuple[Listening, ...]:
        if not installed():
            raise ListenError("front native: the extra `fast` (pygrpc-native) is not installed")
        # What it warns of is in the errors that it raises.
        logging.getLogger("pygrpc_native").setLevel(logging.ERROR)
        self._threads = ThreadPoolExecutor(self._options.threads, thread_name_prefix="check")
        listening = []
        try:
            for address in self._options.addresses:
                door = _Door(address, self._service, self.admission, self._threads, self._on_death)
                listening.append(door.open())
                self._doors.append(door)
        except BaseException:
            self.close()
            raise
        for door in self._doors:
            door.serve()
        return tuple(listening)

    def serving(self, ready: bool) -> None:
        for door in self._doors:
            door.health.tell(ready)

    def stop(self, grace: float) -> Callable[[float], bool]:
        """Calls that still come are answered: ending them would be an error to Envoy. `close` ends the rest."""

        def wait(seconds: float) -> bool:
            return self.admission.wait_until_idle(seconds) and all(door.idle() for door in self._doors)

        return wait

    def close(self) -> None:
        for door in self._doors:
            door.close()
        self._doors = []
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)


class _Door:
    """One address: a native front, the thread that receives from it, and what is under way."""

    def __init__(
        self,
        address: str,
        service: Answering,
        admission: Admission,
        threads: ThreadPoolExecutor,
        on_death: Callable[[int], None],
    ) -> None:
        self._address = address
        self._service = service
        self._admission = admission
        self._threads = threads
        self._on_death = on_death
        self._front: NativeGrpcFront | None = None
        self._path: SocketPath | None = None
        self._backlog: OrderedDict[int, _Held] = OrderedDict()
        """By call, in order of arrival. Only the receiving thread touches it."""
        self._handed: dict[int, bool] = {}
        """Calls that wait for a thread of the pool. Each operation on it is atomic."""
        self._standing = StandingQueue(admission.limit)
        self._busy = False
        self._ready: list[tuple[int, bytes]] = []
        """Answers of the present turn."""
        self._receiver = threading.Thread(target=self._receive, name=f"receive {address}", daemon=True)
        self._quiet_since = self._worked_until = time.monotonic()
        self.health = NativeHealth()

    def open(self) -> Listening:
        """Bind; raises `ListenError`."""
        from pygrpc_native import NativeGrpcFront

        if not suits(self._address):
            raise ListenError(f"{self._address}: front native is for Unix sockets and loopback addresses only")
        target = self._target()
        try:
            with contextlib.nullcontext() if self._path is None else self._path.binding():
                front = NativeGrpcFront(target, list(_METHODS), io_threads=_IO_THREADS, call_details=True)
                front.start()
        except Exception as error:
            self._release()
            raise ListenError(f"{self._address}: {_system_text(error)}") from error
        self._front = front
        self.health.wire(front.stream_send)
        port = 0 if self._path is not None else front.bound_port
        return Listening(address=self._address, port=port, tls="plaintext")

    def serve(self) -> None:
        self._receiver.start()

    def idle(self) -> bool:
        """Nothing has come for a moment, so that nothing is on its way through the native queue either."""
        return self.waiting == 0 and time.monotonic() - self._quiet_since > _POLL

    @property
    def waiting(self) -> int:
        """Checks that the receiving thread has to deal with, the one at work included."""
        return len(self._backlog) + self._busy

    def close(self) -> None:
        front, self._front = self._front, None
        if front is not None:
            front.close()
            if self._receiver.is_alive():
                self._receiver.join(2 * _WAIT_MS / 1000)
        self._release()

    def _target(self) -> str:
        if not self._address.startswith(_UNIX):
            return self._address.replace("localhost:", "127.0.0.1:", 1)
        path = SocketPath(self._address.removeprefix(_UNIX))
        path.claim()
        self._path = path
        return self._address

    def _release(self) -> None:
        path, self._path = self._path, None
        if path is not None:
            path.release()

    # --- the receiving thread ---

    def _receive(self) -> None:
        """Ends when the front is closed. If it ends for any other reason, so does the process: Envoy would wait for
        answers that never come."""
        try:
            while (front := self._front) is not None:
                # With work at hand only what has come meanwhile is taken, so that a backlog is seen as it grows.
                events = front.recv_batch_details(_BATCH, 0 if self._backlog else _WAIT_MS)
                if events is None:
                    break
                if events:
                    self._busy = True
                    self._take(front, events)
                    if len(events) == _BATCH and len(self._backlog) < _IN_SIGHT:
                        continue  # What the library still holds is part of the queue: first see it.
                if self._backlog:
                    self._work(front)
                self._busy = bool(self._backlog)
        except BaseException:  # noqa: BLE001 - nothing may keep a dead door open
            if self._front is not None:
                self._on_death(_DIED)

    def _take(self, front: NativeGrpcFront, events: list[tuple[Any, ...]]) -> None:
        """Checks into the backlog; the rest is dealt with here."""
        backlog = self._backlog
        self._quiet_since = arrived = time.monotonic()
        if self._standing.stands and not backlog:
            self._standing.rested(arrived - self._worked_until)
        for _, call, method, payload, _, details in events:
            if payload is None:
                self._forget(call)
            elif method == _CHECK:
                backlog[call] = (payload, None if details is None else details[2], arrived)
            else:
                self._ask_health(front, call, method, payload)

    def _forget(self, call: int) -> None:
        """Whoever asked has gone: nothing is worked on for it."""
        self._backlog.pop(call, None)
        self._handed.pop(call, None)
        self.health.forget(call)

    def _ask_health(self, front: NativeGrpcFront, call: int, method: int, payload: bytes) -> None:
        if method == _HEALTH:
            state = self.health.answer(payload)
            if state is None:
                front.fail(call, _NOT_FOUND, "unknown service")
            else:
                front.respond(call, state)
        elif method == _WATCH and not self.health.watch(call, payload):
            front.fail(call, _RESOURCE_EXHAUSTED, "too many watchers")

    def _work(self, front: NativeGrpcFront) -> None:
        """Refuse those that are too many, then answer for a moment."""
        backlog, standing = self._backlog, self._standing
        start = now = time.monotonic()
        if standing.newest_first or len(backlog) > FEWEST:
            for _ in range(len(backlog) - standing.places(len(backlog), now)):
                call, _ = backlog.popitem(last=False)
                self._refuse(front, call)
            start = now = time.monotonic()
        end = now + _TURN
        judged = 0
        while backlog and now < end:
            call, held = backlog.popitem(last=standing.newest_first)
            self._judge(front, call, held, now)
            judged += 1
            now = time.monotonic()
        ready, self._ready = self._ready, []
        for call, answer in ready:
            self._reply(front, call, answer)
        standing.worked(judged, now - start)
        self._worked_until = now

    def _judge(self, front: NativeGrpcFront, call: int, held: _Held, now: float) -> None:
        """Answer what needs nothing from outside; what does, may block, and goes to the threads."""
        message, remaining, arrived = held
        if remaining is not None:
            remaining -= now - arrived
            if remaining <= 0:
                self._reply(front, call, b"")
                return
        try:
            answer = self._service.answer_at_once(message, remaining=remaining, arrived=arrived)
        except BaseException:  # noqa: BLE001 - the service is total; should it not be, nobody may wait for ever
            answer = b""
        if answer is not None:
            self._ready.append((call, answer))
        elif self._admission.enter():
            self._handed[call] = True
            self._threads.submit(self._later, front, call, held)
        else:
            self._refuse(front, call)

    def _later(self, front: NativeGrpcFront, call: int, held: _Held) -> None:
        """On a thread of the pool. Whoever takes the call out of `_handed` decides what becomes of it."""
        message, remaining, arrived = held
        try:
            if not self._handed.pop(call, False):
                return
            if remaining is not None:
                remaining -= time.monotonic() - arrived
                if remaining <= 0:
                    self._reply(front, call, b"")
                    return
            self._reply(front, call, self._service.answer(message, remaining=remaining, arrived=arrived))
        except BaseException:  # noqa: BLE001 - as in `_reply`
            front.fail(call, _INTERNAL, "internal error")
        finally:
            self._admission.leave()

    def _refuse(self, front: NativeGrpcFront, call: int) -> None:
        try:
            self._reply(front, call, self._service.overloaded())
        except BaseException:  # noqa: BLE001 - as in `_reply`
            front.fail(call, _INTERNAL, "internal error")

    def _reply(self, front: NativeGrpcFront, call: int, answer: object) -> None:
        """Answer with non-empty bytes or, if even the last resort is none, with an error: Envoy takes an empty message
        for an allow."""
        try:
            if type(answer) is not bytes or not answer:
                answer = self._service.last_resort()
                if type(answer) is not bytes or not answer:
                    raise TypeError("there is no answer")
            front.respond(call, answer)
        except BaseException:  # noqa: BLE001 - whatever it is, no call stays open
            front.fail(call, _INTERNAL, "internal error")


def _system_text(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _TEXTS:
        return _TEXTS[error.errno]
    return str(error) or "can't listen here"


_TEXTS: Final = {
    errno.EADDRINUSE: "another process listens on this port",
    errno.EACCES: "not permitted to listen here",
    errno.EADDRNOTAVAIL: "this machine doesn't have that address",
}
