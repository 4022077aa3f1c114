"""One check from bytes to bytes, guarded: whatever happens inside, the answer is a well-formed denial or a permit.

Decode, parse, decide, encode, record, in that order. Envoy takes an empty message and a status of zero for an allow
and an RPC that ends in an error for something it may let pass, so `answer` never returns an empty message, never
raises, and has its last-resort denials made before the first call. Front-independent: fronts hand in the message and
the time that the caller still has.
"""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Protocol

from authz.model.decision import Decision, Denial, Shadow
from authz.model.errors import Refused, Unavailable, WouldBlock
from authz.model.patience import AT_ONCE, Patience
from authz.model.reason import Reason
from authz.model.record import DecisionRecord
from authz.model.request import (
    AuthzRequest,
    Limits,
    RawRequest,
    RequestView,
    Transport,
    is_grpc,
    parse_request,
    transport_of,
)
from authz.server.decision_ids import DecisionIds
from authz.wire.decode import decode, view, view_of_parsed
from authz.wire.encode import Answer, answer, denial_bytes, encode
from authz.wire.fields import framed

if TYPE_CHECKING:
    from authz.engine.check import Decided

_LOG: Final = logging.getLogger("authz.server")
_RETRY_AFTER: Final = 1
"""Seconds, for what a moment later may go through."""
_OVERLOADED: Final = Denial(reason=Reason.OVERLOADED, retry_after=_RETRY_AFTER)
_REFUSED_PEER: Final = Denial(
    reason=Reason.WORKLOAD_NOT_PERMITTED,
    detail="the asking proxy's SPIFFE ID is not on the list of those that may connect",
)
_RESERVE: Final = 0.025
"""Seconds kept for what follows a wait, on a busy machine too: to say what was waited for in vain, instead of being
late."""


class Decider(Protocol):
    """`engine.check.DecisionPoint`."""

    def decide(self, request: AuthzRequest, *, now: float, patience: Patience) -> Decided:
        """May block within `patience`; raises `WouldBlock` where it forbids that."""
        ...


class Recorder(Protocol):
    """Whoever keeps decisions: the audit log, metrics. Must not block for long; what it raises denies the request."""

    def record(self, record: DecisionRecord, /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """In seconds. `maximum` caps what a caller may ask for, `margin` is what the answer needs to travel back."""

    maximum: float = 5.0
    margin: float = 0.005


@dataclass(slots=True)
class _Call:
    """What is known about one call so far, for whichever exit it takes. Times are monotonic."""

    decision_id: str
    begun: float
    arrived: float
    deadline: float
    raw: RawRequest | None = None
    request: AuthzRequest | None = None
    revision: str = ""
    shadow: Callable[[], Shadow] | None = None

    @property
    def grpc(self) -> bool:
        if self.request is not None:
            return self.request.grpc
        return self.raw is not None and is_grpc(self.raw.headers)

    @property
    def transport(self) -> Transport:
        if self.request is not None:
            return self.request.transport
        return Transport.PLAIN if self.raw is None else transport_of(self.raw)


class CheckService:
    """The guarded check. Any thread may call it; it holds no lock."""

    def __init__(
        self,
        decider: Decider,
        recorders: tuple[Recorder, ...],
        *,
        limits: Limits | None = None,
        deadlines: Deadlines | None = None,
        ids: DecisionIds | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        on_fatal: Callable[[], None] = lambda: None,
    ) -> None:
        self._decider = decider
        self._recorders = recorders
        self._limits = limits or Limits()
        self._deadlines = deadlines or Deadlines()
        self._ids = ids or DecisionIds()
        self._clock = clock
        self._monotonic = monotonic
        self._on_fatal = on_fatal
        # Made now, so that an answer exists even when nothing can be made any more.
        self._last_resort = denial_bytes(Reason.INTERNAL_ERROR)
        self._overloaded = _unlooked(_OVERLOADED)
        self._refused_peer = _unlooked(_REFUSED_PEER)

    def answer(self, message: bytes, *, remaining: float | None, arrived: float | None = None) -> bytes:
        """The answer to one serialized CheckRequest: total, never empty.

        `remaining` is the caller's own deadline in seconds from now (None: it gave none), `arrived` the monotonic
        time at which the call came in, if that was earlier than now.
        """
        try:
            return self._guarded(self._begin(remaining, arrived), message, at_once=False)
        except BaseException as error:  # noqa: BLE001 - the last line: an exception would be an error to Envoy
            return self._give_up(error)

    def answer_at_once(self, message: bytes, *, remaining: float | None, arrived: float | None = None) -> bytes | None:
        """As `answer`, for a front's receiving thread: None when something has to be asked for first, so that the
        call belongs to a thread that may wait. Nothing is recorded then."""
        try:
            return self._guarded(self._begin(remaining, arrived), message, at_once=True)
        except WouldBlock:
            return None
        except BaseException as error:  # noqa: BLE001 - as in `answer`
            return self._give_up(error)

    def overloaded(self) -> bytes:
        """The answer when the bound is reached; the message is not even decoded. It must cost a fraction of a check,
        or refusing is what the time goes to."""
        return self._refuse(_OVERLOADED, self._overloaded)

    def refused_peer(self) -> bytes:
        """The answer to a proxy that may not ask: its mTLS identity is not on the list."""
        return self._refuse(_REFUSED_PEER, self._refused_peer)

    def last_resort(self) -> bytes:
        """An unrecorded denial, made in advance: for callers that have gone and fronts that have lost their way."""
        return self._last_resort

    def _begin(self, remaining: float | None, arrived: float | None) -> _Call:
        now = self._monotonic()
        start = now if arrived is None else arrived
        deadline = start + self._deadlines.maximum
        if remaining is not None:
            deadline = min(deadline, now + remaining)
        return _Call(self._ids.next(), now, start, deadline - self._deadlines.margin)

    def _judge(self, message: bytes, call: _Call, *, at_once: bool) -> Decision:
        """The decision, and `call` filled in as far as it went."""
        if call.begun >= call.deadline:
            return _too_late("waited too long before it could begin")
        try:
            call.raw = raw = decode(message, self._limits)
            call.request = request = parse_request(raw, self._limits)
        except Refused as error:
            return _denial_of(error)
        patience = AT_ONCE if at_once else Patience(lambda: call.deadline - _RESERVE - self._monotonic())
        decided = self._decider.decide(request, now=self._clock(), patience=patience)
        call.revision, call.shadow = decided.revision, decided.shadow
        if self._monotonic() >= call.deadline:
            return _too_late("took too long")
        return decided.decision

    def _guarded(self, call: _Call, message: bytes, *, at_once: bool) -> bytes:
        try:
            return self._told(call, self._judge(message, call, at_once=at_once))
        except WouldBlock:
            raise
        except Refused as error:
            # The audit trail takes nothing more and may not lose anything.
            return self._fall_back(call, _denial_of(error))
        except BaseException as error:  # noqa: BLE001 - SystemExit in a handler would mean no answer at all
            self._note(error, call.decision_id)
            return self._fall_back(call, Denial(reason=Reason.INTERNAL_ERROR, detail=type(error).__name__))

    def _told(self, call: _Call, decision: Decision) -> bytes:
        """The answer, once it is recorded."""
        made = _encoded(call, decision)
        self._record(call, made.decision, None if call.shadow is None else call.shadow())
        return made.message

    def _fall_back(self, call: _Call, denial: Denial) -> bytes:
        """A denial goes out whether or not it can be recorded."""
        message = _encoded(call, denial).message
        with contextlib.suppress(Exception):
            self._record(call, denial)
        return message

    def _record(self, call: _Call, decision: Decision, candidate: Shadow | None = None) -> None:
        raw = call.raw
        record = DecisionRecord(
            call.decision_id,
            self._clock(),
            self._monotonic() - call.arrived,
            decision,
            _shown(call),
            call.transport,
            call.revision,
            "" if raw is None else raw.source.address,
            "" if raw is None else raw.destination.principal,
            call.grpc,
            candidate,
        )
        for recorder in self._recorders:
            recorder.record(record)

    def _refuse(self, denial: Denial, encoded: Callable[[str], bytes]) -> bytes:
        """A denial without a look at the message."""
        try:
            call = self._begin(None, None)
            try:
                self._record(call, denial)
            except Refused as error:
                return self._fall_back(call, _denial_of(error))
            return encoded(call.decision_id)
        except BaseException as error:  # noqa: BLE001 - as in `answer`
            return self._give_up(error)

    def _give_up(self, error: BaseException) -> bytes:
        try:
            self._note(error, "")
        except BaseException:  # noqa: BLE001 - nothing is left to tell it to; the denial still goes out
            return self._last_resort
        return self._last_resort

    def _note(self, error: BaseException, decision_id: str) -> None:
        """Say where it happened, never what the exception says: its text may hold the client's."""
        if not isinstance(error, Exception):
            self._on_fatal()
        _LOG.error(
            "a check failed inside; the request was denied",
            extra={"event": "check_failed", "id": decision_id, "error": type(error).__name__, "where": where(error)},
        )


def where(error: BaseException) -> str:
    """The last frames of an exception as `file:line function`, innermost last, without any values."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    return " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)


def _encoded(call: _Call, decision: Decision) -> Answer:
    made = answer(
        decision, decision_id=call.decision_id, revision=call.revision, transport=call.transport, grpc=call.grpc
    )
    # Envoy takes an empty message for an allow, and grpcio sends nothing at all for anything but bytes.
    if type(made.message) is not bytes or not made.message:
        raise TypeError("encoding gave no message")
    return made


def _unlooked(denial: Denial) -> Callable[[str], bytes]:
    """The answer to a request that isn't looked at, around its decision's id."""
    return framed(
        lambda decision_id: encode(denial, decision_id=decision_id, revision="", transport=Transport.PLAIN, grpc=False)
    )


def _shown(call: _Call) -> RequestView:
    raw = call.raw
    if raw is None:
        return RequestView()
    return view(raw) if call.request is None else view_of_parsed(raw, call.request)


def _too_late(detail: str) -> Denial:
    return Denial(reason=Reason.DEADLINE_EXCEEDED, detail=detail, retry_after=_RETRY_AFTER)


def _denial_of(error: Refused) -> Denial:
    retry_after = error.retry_after if isinstance(error, Unavailable) else None
    return Denial(reason=error.reason, detail=error.detail, retry_after=retry_after)
