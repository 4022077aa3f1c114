"""`grpc.health.v1` and server reflection for the grpcio front, each on threads of its own.

Envoy's health checks must be answered while every check thread is busy, and a reflection client that keeps
its stream open must not hold one up either. Check, Watch and the service names are gRPC's health protocol;
both names answer alike.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from authz.wire.reflection import SERVICE, reflection_pool

_NAMES: Final = ("", SERVICE)
_HEALTH_SERVICE: Final = "grpc.health.v1.Health"
_REFLECTION_SERVICES: Final = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")
"""The messages of both versions are the same on the wire."""
_TELL_SECONDS: Final = 1.0
"""How long a watcher that doesn't read may hold up a change of state."""


class HealthService:
    """NOT_SERVING until told otherwise."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="health")
        self._servicer = health.HealthServicer(experimental_non_blocking=True, experimental_thread_pool=self._threads)
        self._told = False
        self._tell(False)

    def serving(self, ready: bool) -> None:
        """Say SERVING or NOT_SERVING to who asks and to every watcher; nothing when it has been said."""
        if ready == self._told:
            return
        self._told = ready
        teller = threading.Thread(target=self._tell, args=(ready,), name="health-tell", daemon=True)
        teller.start()
        teller.join(_TELL_SECONDS)

    def handler(self) -> grpc.GenericRpcHandler[Any, Any]:
        servicer = self._servicer
        return grpc.method_handlers_generic_handler(
            _HEALTH_SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    _on_threads(self._threads, servicer.Check),
                    request_deserializer=health_pb2.HealthCheckRequest.FromString,
                    response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    servicer.Watch,
                    request_deserializer=health_pb2.HealthCheckRequest.FromString,
                    response_serializer=health_pb2.HealthCheckResponse.SerializeToString,
                ),
            },
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _tell(self, ready: bool) -> None:
        states = health_pb2.HealthCheckResponse
        for name in _NAMES:
            self._servicer.set(name, states.SERVING if ready else states.NOT_SERVING)


class ReflectionService:
    """Describes our services to tools such as grpcurl."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="reflection")
        names = (SERVICE, _HEALTH_SERVICE, _REFLECTION_SERVICES[0])
        pool = reflection_pool((health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR))
        self._servicer = reflection.ReflectionServicer(names, pool=pool)

    def handlers(self) -> tuple[grpc.GenericRpcHandler[Any, Any], ...]:
        answers: Callable[..., Any] = self._servicer.ServerReflectionInfo
        method = grpc.stream_stream_rpc_method_handler(
            _on_threads(self._threads, answers),
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
        return tuple(
            grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method})
            for name in _REFLECTION_SERVICES
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _on_threads(threads: ThreadPoolExecutor, behavior: Callable[..., Any]) -> Callable[..., Any]:
    """The same behaviour, marked for grpcio to run it on `threads` instead of the server's own pool."""

    def marked(request: Any, context: grpc.ServicerContext) -> Any:
        return behavior(request, context)

    # grpcio looks for the pool on the function itself.
    marked.experimental_thread_pool = threads  # type: ignore[attr-defined]
    return marked
