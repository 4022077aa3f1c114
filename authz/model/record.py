"""One decision as it is recorded: the single source of the audit line, metrics and traces."""

from __future__ import annotations

from dataclasses import dataclass

from authz.model.decision import Decision, Shadow
from authz.model.request import RequestView, Transport


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """`time` is seconds since the epoch, `duration` seconds from the bytes' arrival to the answer."""

    decision_id: str
    time: float
    duration: float
    decision: Decision
    view: RequestView
    transport: Transport
    revision: str
    """The policy revision that decided; empty when there was none."""
    source_address: str = ""
    destination: str = ""
    """`destination.principal`: the protected workload as Envoy names itself."""
    grpc: bool = False
    candidate: Shadow | None = None
    """What the route's candidate would have said; None where it has none."""
