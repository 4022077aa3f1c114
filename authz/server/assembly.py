"""From settings to running fronts: which front takes which address, why, and all of them started or none.

The one place that knows every front; the composition root only asks for them.
"""

from __future__ import annotations

from collections.abc import Sequence

from authz.config.settings import Settings, TlsSettings
from authz.server import native_front
from authz.server.front import Front, Listening, choose
from authz.server.grpcio_front import GrpcioFront, GrpcioOptions, MutualTls
from authz.server.native_front import NativeFront, NativeOptions
from authz.server.service import CheckService
from authz.server.tls import TlsFiles, WorkloadMaterial
from authz.sources.workload_api import WorkloadApi


def choose_fronts(settings: Settings, own: WorkloadApi | None) -> dict[str, tuple[str, str]]:
    """For each address: which front takes it, and why."""
    has_tls, installed = _tls(settings.tls, own) is not None, native_front.installed()
    return {
        address: choose(settings.front, address, near=native_front.suits(address), installed=installed, tls=has_tls)
        for address in map(str, settings.listen)
    }


def make_fronts(
    settings: Settings, service: CheckService, chosen: dict[str, tuple[str, str]], own: WorkloadApi | None
) -> list[GrpcioFront | NativeFront]:
    """One front for each kind that some address needs; each has the whole bound, since they share the processor."""
    limits = settings.limits
    addresses = {
        name: tuple(address for address, (front, _) in chosen.items() if front == name) for name in ("native", "grpcio")
    }
    fronts: list[GrpcioFront | NativeFront] = []
    if addresses["native"]:
        options = NativeOptions(addresses=addresses["native"], threads=limits.concurrency, waiting=limits.queue)
        fronts.append(NativeFront(service, options))
    if addresses["grpcio"]:
        fronts.append(
            GrpcioFront(
                service,
                GrpcioOptions(
                    addresses=addresses["grpcio"],
                    threads=limits.concurrency,
                    waiting=limits.queue,
                    message_limit=limits.message,
                    tls=_tls(settings.tls, own),
                ),
            )
        )
    return fronts


def start_fronts(fronts: Sequence[Front]) -> tuple[Listening, ...]:
    """Start every front, or none."""
    listening: list[Listening] = []
    try:
        for front in fronts:
            listening.extend(front.start())
    except BaseException:
        for front in fronts:
            front.stop(0.0)
            front.close()
        raise
    return tuple(listening)


def tell_fronts(fronts: Sequence[Front], ready: bool) -> None:
    """Every front's health says the same."""
    for front in fronts:
        front.serving(ready)


def _tls(tls: TlsSettings, own: WorkloadApi | None) -> MutualTls | None:
    if own is not None:
        return MutualTls(material=WorkloadMaterial(own), allowed=tls.may_connect)
    if tls.cert is None or tls.key is None or tls.client_ca is None:
        return None
    files = TlsFiles(certificate=str(tls.cert), key=str(tls.key), client_ca=str(tls.client_ca))
    return MutualTls(material=files, allowed=tls.may_connect)
