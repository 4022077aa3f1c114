"""What is recorded: a decision (the single source of the audit line, metrics and traces), or an act of revocation."""

from __future__ import annotations

from dataclasses import dataclass

from authz.model.decision import Decision, Shadow
from authz.model.light import light_value
from authz.model.request import RequestView, Transport


@light_value
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


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationRecord:
    """One act on the revocation list: who did what to whom, why, and what became of it.

    `act` is revoke, lift or logout; `by` names the caller as its door proved it; `result` is everywhere, here (the
    store couldn't take it yet) or refused. Times are seconds since the epoch; 0 where there is none.
    """

    time: float
    act: str
    by: str
    result: str
    kind: str = ""
    issuer: str = ""
    value: str = ""
    why: str = ""
    before: int = 0
    until: int = 0
    error: str = ""
