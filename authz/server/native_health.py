"""`grpc.health.v1` for the front on pygrpc-native, which brings none: what Envoy's health checks ask.

Owns: the state that is told and who watches it. Must not: know when the service is ready (`front.Front.serving`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from authz.wire.reflection import SERVICE

HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
HEALTH_WATCH: Final = "/grpc.health.v1.Health/Watch"
# HealthCheckResponse{status}, gRPC health protocol v1: field 1, a varint.
_SERVING: Final = b"\x08\x01"
_NOT_SERVING: Final = b"\x08\x02"
_SERVICE_UNKNOWN: Final = b"\x08\x03"
_MAX_WATCHERS: Final = 256


class NativeHealth:
    """`grpc.health.v1` by hand: two messages of two bytes."""

    def __init__(self) -> None:
        self._state = _NOT_SERVING
        self._watchers: set[int] = set()
        self._lock = threading.Lock()
        self._send: Callable[[int, bytes], object] = lambda call, message: None

    def wire(self, send: Callable[[int, bytes], object]) -> None:
        self._send = send

    def tell(self, ready: bool) -> None:
        """Say it to whoever asks and to every watcher, once per change."""
        state = _SERVING if ready else _NOT_SERVING
        with self._lock:
            if state == self._state:
                return
            self._state = state
            watchers = list(self._watchers)
        for call in watchers:
            self._send(call, state)

    def answer(self, message: bytes) -> bytes | None:
        """The state of a service that is ours; None for another."""
        return self._state if _service_of(message) in ("", SERVICE) else None

    def watch(self, call: int, message: bytes) -> bool:
        """Whether one more watcher could be taken."""
        with self._lock:
            if len(self._watchers) >= _MAX_WATCHERS:
                return False
            self._watchers.add(call)
        self._send(call, self.answer(message) or _SERVICE_UNKNOWN)
        return True

    def forget(self, call: int) -> None:
        with self._lock:
            self._watchers.discard(call)


def _service_of(message: bytes) -> str:
    """HealthCheckRequest{service=1}; a message of another form names no service of ours."""
    from grpc_health.v1 import health_pb2

    try:
        return str(health_pb2.HealthCheckRequest.FromString(message).service)
    except Exception:  # noqa: BLE001 - whatever it is, it is not ours
        return "?"
