"""Stand-ins for the decision point (`engine.check.DecisionPoint`), named after what they do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from authz.model.decision import Decision, Denial, Permit, Shadow
from authz.model.errors import WouldBlock
from authz.model.patience import UNHURRIED, Patience
from authz.model.reason import Reason
from authz.model.request import AuthzRequest


@dataclass(frozen=True, slots=True)
class Decided:
    decision: Decision
    revision: str = "rev-1"
    shadow: Callable[[], Shadow] | None = None


def permit() -> Permit:
    return Permit(
        route="orders.read",
        policy="orders",
        alternative=0,
        set_headers=(("x-authz-route", "orders/orders.read"),),
        remove_headers=("x-authz-subject",),
    )


def denial(reason: Reason = Reason.CREDENTIAL_MISSING) -> Denial:
    return Denial(reason=reason, route="orders.read", policy="orders")


class FixedDecider:
    """Always the same answer; remembers the requests."""

    def __init__(self, decision: Decision) -> None:
        self._decision = decision
        self.requests: list[AuthzRequest] = []

    def decide(self, request: AuthzRequest, *, now: float, patience: Patience = UNHURRIED) -> Decided:
        self.requests.append(request)
        return Decided(self._decision)


class RaisingDecider:
    """Raises what it was given."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def decide(self, request: AuthzRequest, *, now: float, patience: Patience = UNHURRIED) -> Decided:
        raise self._error


class GarbageDecider:
    """Returns something that is no decision at all."""

    def __init__(self, garbage: object) -> None:
        self._garbage = garbage

    def decide(self, request: AuthzRequest, *, now: float, patience: Patience = UNHURRIED) -> Decided:
        return self._garbage


class BlockingDecider:
    """Holds each check until `release`; `entered` counts those inside."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.release = threading.Event()

    def decide(self, request: AuthzRequest, *, now: float, patience: Patience = UNHURRIED) -> Decided:
        if not patience.may_block:
            raise WouldBlock
        self.entered.release()
        self.release.wait(30)
        return Decided(permit())


class CallingDecider:
    """Does something, then permits."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action

    def decide(self, request: AuthzRequest, *, now: float, patience: Patience = UNHURRIED) -> Decided:
        self._action()
        return Decided(permit())


class ListRecorder:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[object] = []

    def record(self, record: object, /) -> None:
        self.records.append(record)


class RaisingRecorder:
    """A recorder that is broken."""

    def record(self, record: object, /) -> None:
        raise RuntimeError("disk full")
