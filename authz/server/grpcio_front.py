"""The front on grpcio's synchronous server: TCP and Unix sockets, plaintext or mTLS, raw bytes in and out.

The conservative front: it bounds messages and metadata itself and terminates TLS. Everything that can end a Check in
a gRPC error, which Envoy may take for an allow, is kept away from it: the method returns bytes whatever happens, the
bound is ours (`executor`), and gRPC's own limits stand well above those that we answer with a denial.

Not bounded here: grpcio waits for a call's message on the thread that will judge it, so a peer that opens calls and
sends nothing holds threads until its own deadline (Envoy always sends one). Who can connect at all is therefore
narrow: a socket's group, loopback, or certificates of the one CA.
"""

from __future__ import annotations

import errno
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import grpc

from authz.model.spiffe import SpiffeId
from authz.server import grpcio_inside
from authz.server.admission import Admission
from authz.server.executor import CheckExecutor, current
from authz.server.front import Answering, ListenError, Listening
from authz.server.health import HealthService, ReflectionService
from authz.server.tls import AllowedPeers, Material, ServerCertificate
from authz.server.unix_socket import SocketPath
from authz.wire.reflection import METHOD_PATH

if TYPE_CHECKING:
    Handler = grpc.GenericRpcHandler[bytes, bytes]
    Method = grpc.RpcMethodHandler[bytes, bytes]
else:
    Handler = grpc.GenericRpcHandler

DEFAULT_THREADS: Final = 8
_RECEIVE_HEADROOM: Final = 4
"""gRPC's limit on a message as a multiple of ours: what lies between gets a denial instead of an RPC error."""
_MAX_METADATA_BYTES: Final = 8 * 1024
_ABSOLUTE_METADATA_BYTES: Final = 16 * 1024
_MAX_STREAMS: Final = 1024
"""Calls that one connection may have open; what bounds the memory of a flood."""
_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True, kw_only=True)
class MutualTls:
    """mTLS on TCP addresses; `allowed` are the SPIFFE IDs that may connect."""

    material: Material
    allowed: tuple[SpiffeId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcioOptions:
    """`message_limit` in bytes; `waiting` checks may queue besides the `threads` at work."""

    addresses: tuple[str, ...]
    threads: int = DEFAULT_THREADS
    waiting: int = 256
    message_limit: int = 4 * 1024 * 1024
    tls: MutualTls | None = None


@dataclass(slots=True)
class _Open:
    """What has to be given back."""

    sockets: list[SocketPath] = field(default_factory=list)
    pools: list[ThreadPoolExecutor] = field(default_factory=list)


class GrpcioFront:
    """A `front.Front`."""

    name = "grpcio"

    def __init__(self, service: Answering, options: GrpcioOptions) -> None:
        self._service = service
        self._options = options
        self.admission = Admission(options.threads + options.waiting)
        self._health = HealthService()
        self._reflection = ReflectionService()
        self._server: grpc.Server | None = None
        self._open = _Open()

    def start(self) -> tuple[Listening, ...]:
        if self._options.tls is not None:
            self._options.tls.material.await_first(self._options.tls.allowed)
        check = _CheckHandler(self._service, self._options.tls)
        refuse = check.refuse if grpcio_inside.understood() else _refuse_nothing
        executor = CheckExecutor(self._options.threads, self.admission, refuse=refuse)
        check.judge = executor.judge
        self._open.pools.append(executor)
        handlers = [check, self._health.handler(), *self._reflection.handlers()]
        server = grpc.server(executor, handlers=handlers, options=_server_options(self._options))
        try:
            listening = tuple(self._bind(server, address) for address in self._options.addresses)
        except BaseException:
            server.stop(None)
            self.close()
            raise
        server.start()
        self._server = server
        return listening

    def serving(self, ready: bool) -> None:
        self._health.serving(ready)

    def stop(self, grace: float) -> Callable[[float], bool]:
        if self._server is None:
            return lambda _seconds: True
        stopped: threading.Event = self._server.stop(grace)
        return stopped.wait

    def close(self) -> None:
        for path in self._open.sockets:
            path.release()
        for pool in self._open.pools:
            pool.shutdown(wait=False, cancel_futures=True)
        self._health.close()
        self._reflection.close()
        self._open = _Open()

    def _bind(self, server: grpc.Server, address: str) -> Listening:
        if address.startswith(_UNIX):
            return self._bind_unix(server, address)
        tls = self._options.tls
        _probe(address)
        try:
            if tls is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, ServerCertificate(tls.material).credentials())
        except RuntimeError as error:
            raise ListenError(f"{address}: gRPC can't listen here") from error
        if port == 0:
            raise ListenError(f"{address}: gRPC can't listen here")
        return Listening(address=address, port=port, tls="plaintext" if tls is None else "mtls")

    def _bind_unix(self, server: grpc.Server, address: str) -> Listening:
        """A Unix socket is always plaintext: the file's mode says who may connect."""
        path = SocketPath(address.removeprefix(_UNIX))
        path.claim()
        self._open.sockets.append(path)
        with path.binding():
            try:
                server.add_insecure_port(address)
            except RuntimeError as error:
                raise ListenError(f"{address}: gRPC can't listen here") from error
        return Listening(address=address, port=0, tls="plaintext")


class _CheckHandler(Handler):
    """Routes the one method; bytes pass through untouched in both directions."""

    def __init__(self, service: Answering, tls: MutualTls | None) -> None:
        self._service = service
        self._peers = None if tls is None else AllowedPeers(tls.allowed)
        self._method = grpc.unary_unary_rpc_method_handler(self._check)
        self.judge: Callable[[Callable[[], bytes | None], Callable[[], bytes]], bytes] = _in_any_order

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Method | None:
        return self._method if handler_call_details.method == METHOD_PATH else None

    def refuse(self, work: tuple[Any, ...]) -> bool:
        """Answer `overloaded` on grpcio's own thread; whether that was possible."""
        return grpcio_inside.answer_here(work, self._method.unary_unary, self._service.overloaded)

    def _check(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        if current.shed:
            return self._service.overloaded()
        try:
            if not context.is_active():
                return self._service.last_resort()  # Whoever asked has gone: no work is spent on it.
            permitted = self._permitted(context)
            remaining = context.time_remaining()
        except Exception:  # noqa: BLE001 - a context that can't be read speaks for nobody
            return self._service.last_resort()
        if not permitted:
            return self._service.refused_peer()
        arrived, begun = current.arrived, time.monotonic()

        def left() -> float | None:
            return None if remaining is None else remaining - (time.monotonic() - begun)

        return self.judge(
            lambda: self._service.answer_at_once(message, remaining=left(), arrived=arrived),
            lambda: self._service.answer(message, remaining=left(), arrived=arrived),
        )

    def _permitted(self, context: grpc.ServicerContext) -> bool:
        if self._peers is None:
            return True
        # A Unix socket beside mTLS addresses is guarded by its mode and has no certificate.
        properties: Any = context.auth_context()  # Each a list of bytes, whatever the stubs say.
        return context.peer().startswith(_UNIX) or self._peers.permits(properties)


def _in_any_order(at_once: Callable[[], bytes | None], later: Callable[[], bytes]) -> bytes:
    answer = at_once()
    return later() if answer is None else answer


def _refuse_nothing(_work: tuple[Any, ...]) -> bool:
    return False


def _server_options(options: GrpcioOptions) -> list[tuple[str, int]]:
    return [
        # Two servers on one port would each get connections and neither would notice.
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", options.message_limit * _RECEIVE_HEADROOM),
        # A compressed message stays compressed and is refused as malformed: nothing is inflated before the limit.
        ("grpc.per_message_decompression", 0),
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", _ABSOLUTE_METADATA_BYTES),
        ("grpc.max_concurrent_streams", _MAX_STREAMS),
        # Envoy pings idle connections: allow it, or it is sent away as an abuser.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 1000),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def _probe(address: str) -> None:
    """Bind once ourselves: gRPC reports every failure alike, the system says which it is. Raises `ListenError`."""
    host, _, port = address.rpartition(":")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, target = found[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except socket.gaierror as error:
        raise ListenError(f"{address}: the host name can't be resolved") from error
    except ValueError as error:
        raise ListenError(f"{address}: write HOST:PORT or unix:PATH") from error
    except OSError as error:
        raise ListenError(f"{address}: {_PROBE_TEXTS.get(error.errno or 0, error.strerror)}") from error


_PROBE_TEXTS: Final = {
    errno.EADDRINUSE: "another process listens on this port",
    errno.EACCES: "not permitted to listen on this port",
    errno.EADDRNOTAVAIL: "this machine doesn't have that address",
}
