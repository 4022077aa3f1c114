"""What a front is to the rest of the service, and which one takes which address.

A front owns a gRPC library and its sockets, and nothing else: judging is `service.CheckService`, the bound is
`admission.Admission`, the order of a shutdown is `lifecycle`. A second front is another module that meets
`Front`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from authz.model.errors import AuthzError


class ListenError(AuthzError):
    """An address can't be listened on, or a key can't be read (exit code 5). The message is for operators."""


class Answering(Protocol):
    """The guarded check: total, never empty, never an exception."""

    def answer(self, message: bytes, *, remaining: float | None, arrived: float | None = None) -> bytes: ...

    def answer_at_once(
        self, message: bytes, *, remaining: float | None, arrived: float | None = None
    ) -> bytes | None: ...

    def overloaded(self) -> bytes: ...

    def refused_peer(self) -> bytes: ...

    def last_resort(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """One address that is being listened on. `port` is the bound one (also where 0 was written); 0 for a
    Unix socket."""

    address: str
    port: int
    tls: str
    """`plaintext` or `mtls`."""


class Front(Protocol):
    """One gRPC server on any number of addresses."""

    @property
    def name(self) -> str: ...

    def start(self) -> tuple[Listening, ...]:
        """Bind every address and serve; raises `ListenError`, and then nothing is bound."""
        ...

    def serving(self, ready: bool) -> None:
        """What `grpc.health.v1` says from now on."""
        ...

    def stop(self, grace: float) -> Callable[[float], bool]:
        """Take no more calls; those in flight have `grace` seconds. Returns a wait: `(seconds) -> finished`.

        May be called again with a shorter grace.
        """
        ...

    def close(self) -> None:
        """Give back threads and socket files, after `stop`."""
        ...


def choose(wanted: str, address: str, *, near: bool, installed: bool, tls: bool) -> tuple[str, str]:
    """The front for an address and the reason in a few words, as start-up reports it.

    `near`: nobody but this machine can reach it; `installed`: the native front can be used; `tls`: mTLS is
    configured for addresses that have it. Raises `ListenError` rather than serve in plaintext what should be mTLS.
    """
    unix = address.startswith("unix:")
    if wanted == "native" and tls and not unix:
        raise ListenError(f"{address}: front native knows no TLS, and mTLS is configured; write `front: auto`")
    if wanted != "auto":
        return wanted, "configured"
    if tls and not unix:
        return "grpcio", "front auto: only it speaks TLS"
    if not near:
        return "grpcio", "front auto: the address can be reached from outside"
    if not installed:
        return "grpcio", "front auto: the extra `fast` is not installed"
    return "native", f"front auto: a {'Unix socket' if unix else 'loopback address'}"
