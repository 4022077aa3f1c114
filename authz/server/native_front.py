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
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from authz.server.admission import Admission
from authz.server.front import Answering, ListenError, Listening
from authz.server.native_health import HEALTH_CHECK, HEALTH_WATCH, NativeHealth
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
_WAIT_MS: Final = 200
"""A receive without a limit would hold back all but one thread when the front is closed."""
_IO_THREADS: Final = 1
"""One is enough for several times what one interpreter can answer (measured; docs/performance.md)."""
_DIED: Final = 70
_UNIX: Final = "unix:"
_POLL: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeOptions:
    """`threads` are for checks that may block; `waiting` checks may queue besides."""

    addresses: tuple[str, ...]
    threads: int = 8
    waiting: int = 256


@dataclass(slots=True, kw_only=True)
class _Call:
    """One check between its arrival and its answer."""

    id: int
    message: bytes
    remaining: float | None
    arrived: float


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
        self.admission = Admission(options.threads + options.waiting)
        self._doors: list[_Door] = []
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


@dataclass(slots=True)
class _Pending:
    """Calls that wait for their turn or for a thread, so that one that is cancelled meanwhile is not worked on."""

    cancelled: set[int] = field(default_factory=set)
    waiting: set[int] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, call: int) -> None:
        with self.lock:
            self.waiting.add(call)

    def cancel(self, call: int) -> None:
        with self.lock:
            if call in self.waiting:
                self.cancelled.add(call)

    def take(self, call: int) -> bool:
        """Whether somebody still waits for the call."""
        with self.lock:
            self.waiting.discard(call)
            if call in self.cancelled:
                self.cancelled.discard(call)
                return False
            return True


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
        self._backlog: deque[_Call] = deque()
        self._pending = _Pending()
        self._receiver = threading.Thread(target=self._receive, name=f"receive {address}", daemon=True)
        self._quiet_since = time.monotonic()
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
        return not self._backlog and time.monotonic() - self._quiet_since > _POLL

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
                for event in events:
                    self._take(front, event)
                self._work(front)
        except BaseException:  # noqa: BLE001 - nothing may keep a dead door open
            if self._front is not None:
                self._on_death(_DIED)

    def _take(self, front: NativeGrpcFront, event: tuple[Any, ...]) -> None:
        _, call, method, payload, _, details = event
        self._quiet_since = time.monotonic()
        if payload is None:
            self._pending.cancel(call)
            self.health.forget(call)
        elif method == _CHECK:
            remaining = None if details is None else details[2]
            self._pending.add(call)
            self._backlog.append(_Call(id=call, message=payload, remaining=remaining, arrived=self._quiet_since))
        elif method == _HEALTH:
            state = self.health.answer(payload)
            if state is None:
                front.fail(call, _NOT_FOUND, "unknown service")
            else:
                front.respond(call, state)
        elif method == _WATCH and not self.health.watch(call, payload):
            front.fail(call, _RESOURCE_EXHAUSTED, "too many watchers")

    def _work(self, front: NativeGrpcFront) -> None:
        """Refuse what is over the bound, newest first served last: the surplus is answered at once. Then one call."""
        while len(self._backlog) > self._admission.limit - self._admission.count:
            surplus = self._backlog.pop()
            if self._pending.take(surplus.id):
                self._reply(front, surplus.id, self._service.overloaded)
        for _ in range(min(len(self._backlog), _BATCH)):
            self._judge(front, self._backlog.popleft())

    def _judge(self, front: NativeGrpcFront, call: _Call) -> None:
        if not self._pending.take(call.id):
            return
        if _gone(call):
            self._reply(front, call.id, self._service.last_resort)
        elif not self._admission.enter():
            self._reply(front, call.id, self._service.overloaded)
        elif self._answered_at_once(front, call):
            self._admission.leave()
        else:
            self._pending.add(call.id)
            self._threads.submit(self._later, front, call)

    def _answered_at_once(self, front: NativeGrpcFront, call: _Call) -> bool:
        """Whether the call needed nothing from outside; if it does, it may block."""
        try:
            answer = self._service.answer_at_once(call.message, remaining=_remaining(call), arrived=call.arrived)
        except BaseException:  # noqa: BLE001 - the service is total; should it not be, nobody may wait for ever
            answer = b""
        if answer is None:
            return False
        self._reply(front, call.id, lambda: answer)
        return True

    def _later(self, front: NativeGrpcFront, call: _Call) -> None:
        """On a thread of the pool."""
        try:
            if not self._pending.take(call.id) or _gone(call):
                self._reply(front, call.id, self._service.last_resort)
                return
            self._reply(
                front,
                call.id,
                lambda: self._service.answer(call.message, remaining=_remaining(call), arrived=call.arrived),
            )
        finally:
            self._admission.leave()

    def _reply(self, front: NativeGrpcFront, call: int, make: Callable[[], bytes]) -> None:
        """Answer with non-empty bytes or, if even the last resort is none, with an error."""
        try:
            front.respond(call, _checked(make(), self._service))
        except BaseException:  # noqa: BLE001 - an empty answer would be an allow
            front.fail(call, _INTERNAL, "internal error")


def _checked(answer: object, service: Answering) -> bytes:
    """The answer if it is one; Envoy takes an empty message for an allow."""
    if type(answer) is bytes and answer:
        return answer
    last = service.last_resort()
    if type(last) is not bytes or not last:
        raise TypeError("there is no answer")
    return last


def _gone(call: _Call) -> bool:
    remaining = _remaining(call)
    return remaining is not None and remaining <= 0


def _remaining(call: _Call) -> float | None:
    """Seconds that the caller still waits, the time in our own queue counted."""
    return None if call.remaining is None else call.remaining - (time.monotonic() - call.arrived)


def _system_text(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in _TEXTS:
        return _TEXTS[error.errno]
    return str(error) or "can't listen here"


_TEXTS: Final = {
    errno.EADDRINUSE: "another process listens on this port",
    errno.EACCES: "not permitted to listen here",
    errno.EADDRNOTAVAIL: "this machine doesn't have that address",
}
