"""The guard: whatever happens inside, what goes out is one well-formed answer, and only a permit is an OK."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from authz.model.decision import Denial
from authz.model.errors import Unavailable, WouldBlock
from authz.model.patience import UNHURRIED, Patience
from authz.model.reason import Reason
from authz.model.record import DecisionRecord
from authz.model.request import AuthzRequest
from authz.server.decision_ids import DecisionIds
from authz.server.service import CheckService, Deadlines, Decider, Recorder
from authz.wire.encode import encode
from tests.fakes.deciders import (
    CallingDecider,
    Decided,
    FixedDecider,
    GarbageDecider,
    ListRecorder,
    RaisingDecider,
    RaisingRecorder,
    denial,
    permit,
)
from tests.mint.check_messages import check_message, read_answer

PERMISSION_DENIED = 7


class Clock:
    """Monotonic time by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def service(decider: Decider, *recorders: Recorder, **options: object) -> CheckService:
    return CheckService(decider, recorders, **options)


def last(recorder: ListRecorder) -> DecisionRecord:
    record = recorder.records[-1]
    assert isinstance(record, DecisionRecord)
    return record


def is_denied(answer: bytes) -> bool:
    read = read_answer(answer)
    return read.status.code != 0 and read.HasField("denied_response")


def test_a_permit_is_an_ok_response_and_is_recorded() -> None:
    """The good case: status 0, and one record with the id that the answer carries."""
    recorder = ListRecorder()

    answer = read_answer(service(FixedDecider(permit()), recorder).answer(check_message(), remaining=1.0))

    assert answer.status.code == 0
    assert last(recorder).decision == permit()
    assert last(recorder).view.path == "/orders/42"
    assert last(recorder).decision_id in str(answer)


def test_a_denial_is_an_ok_rpc_with_a_status() -> None:
    """A denial carries its HTTP status and is recorded."""
    recorder = ListRecorder()

    answer = service(FixedDecider(denial()), recorder).answer(check_message(), remaining=None)

    assert is_denied(answer)
    assert read_answer(answer).denied_response.status.code == 401
    assert last(recorder).decision == denial()


@pytest.mark.parametrize(
    "error",
    [
        ValueError("secret"),
        RecursionError(),
        MemoryError(),
        SystemExit(0),
        KeyboardInterrupt(),
        GeneratorExit(),
        AssertionError(),
        UnicodeDecodeError("utf-8", b"", 0, 1, "x"),
    ],
)
def test_whatever_a_decision_raises_ends_in_a_denial(error: BaseException) -> None:
    """No exception, not even SystemExit, gets out of a check; all are 503 and recorded as internal_error."""
    recorder = ListRecorder()

    answer = service(RaisingDecider(error), recorder).answer(check_message(), remaining=1.0)

    assert is_denied(answer)
    assert read_answer(answer).denied_response.status.code == 503
    assert last(recorder).decision.reason is Reason.INTERNAL_ERROR


@pytest.mark.parametrize(("error", "expected"), [(SystemExit(1), 1), (KeyboardInterrupt(), 1), (ValueError(), 0)])
def test_an_exit_inside_a_check_asks_the_process_to_stop(error: BaseException, expected: int) -> None:
    """SystemExit and KeyboardInterrupt are answered first and then end the process in order."""
    asked: list[bool] = []

    service(RaisingDecider(error), on_fatal=lambda: asked.append(True)).answer(check_message(), remaining=1.0)

    assert len(asked) == expected


@pytest.mark.parametrize(
    "garbage", [None, "allow", True, b"", 0, Decided(None), Decided("permit"), Decided(True), Decided(object())]
)
def test_garbage_from_the_decision_point_is_a_denial(garbage: object) -> None:
    """What is no decision is never an allow."""
    answer = service(GarbageDecider(garbage), ListRecorder()).answer(check_message(), remaining=1.0)

    assert is_denied(answer)


def test_a_recorder_that_fails_denies_the_request() -> None:
    """A decision that can't be recorded isn't given: the last-resort denial goes out."""
    answer = service(FixedDecider(permit()), RaisingRecorder()).answer(check_message(), remaining=1.0)

    assert is_denied(answer)


def test_a_full_audit_trail_that_must_not_lose_anything_denies() -> None:
    """The recorder's own reason goes out: 503 overloaded."""

    class Full:
        def record(self, record: DecisionRecord, /) -> None:
            raise Unavailable(Reason.OVERLOADED, "full")

    answer = service(FixedDecider(permit()), Full()).answer(check_message(), remaining=1.0)

    assert read_answer(answer).denied_response.status.code == 503
    assert read_answer(answer).dynamic_metadata.fields["reason"].string_value == "overloaded"


def test_failing_entropy_denies_the_request() -> None:
    """Without an id there is no decision, only the denial made at start."""

    def broken(_size: int) -> bytes:
        raise OSError

    answer = service(FixedDecider(permit()), ids=DecisionIds(broken)).answer(check_message(), remaining=1.0)

    assert is_denied(answer)


def test_a_permit_that_cant_be_sent_is_recorded_as_what_was_sent() -> None:
    """Audit says what Envoy was told: a permit with an unsendable header is an internal_error in both."""
    recorder = ListRecorder()
    broken = permit()
    object.__setattr__(broken, "set_headers", (("x-a", "b\r\nx: y"),))

    answer = service(FixedDecider(broken), recorder).answer(check_message(), remaining=1.0)

    assert is_denied(answer)
    assert isinstance(last(recorder).decision, Denial)


@pytest.mark.parametrize("message", [b"", b"\xff\xff", b"\x0a", bytes(100)])
def test_bytes_that_are_no_check_are_denied_and_recorded(message: bytes) -> None:
    """Refused requests are in the audit trail too."""
    recorder = ListRecorder()
    decider = FixedDecider(permit())

    answer = service(decider, recorder).answer(message, remaining=1.0)

    assert is_denied(answer)
    assert last(recorder).decision.reason is Reason.REQUEST_MALFORMED
    assert decider.requests == []


def test_a_refused_path_keeps_its_view_in_the_record() -> None:
    """The audit line of a refused request still says what was asked."""
    recorder = ListRecorder()

    service(FixedDecider(permit()), recorder).answer(check_message(path="/a/../b"), remaining=1.0)

    assert last(recorder).decision.reason is Reason.PATH_NOT_CANONICAL
    assert last(recorder).view.host == "orders.shop.example"


def test_a_check_without_time_left_is_not_begun() -> None:
    """Less than the margin left: 503 deadline_exceeded, and no decision is made."""
    recorder = ListRecorder()
    decider = FixedDecider(permit())

    answer = service(decider, recorder, deadlines=Deadlines(margin=0.01)).answer(check_message(), remaining=0.005)

    assert read_answer(answer).denied_response.status.code == 503
    assert last(recorder).decision.reason is Reason.DEADLINE_EXCEEDED
    assert decider.requests == []


def test_a_decision_that_took_too_long_is_a_denial() -> None:
    """A permit that comes after the caller's deadline isn't given."""
    clock = Clock()
    recorder = ListRecorder()

    def slow() -> None:
        clock.now += 0.2

    answer = service(CallingDecider(slow), recorder, monotonic=clock).answer(check_message(), remaining=0.1)

    assert is_denied(answer)
    assert last(recorder).decision.reason is Reason.DEADLINE_EXCEEDED
    assert last(recorder).duration == pytest.approx(0.2)


@pytest.mark.parametrize("remaining", [None, 3600.0, float("inf")])
def test_every_deadline_is_capped_by_our_own(remaining: float | None) -> None:
    """Time spent in the queue counts against our own maximum, whatever the caller grants."""
    clock = Clock()
    checks = service(FixedDecider(permit()), monotonic=clock, deadlines=Deadlines(maximum=2.0))

    assert is_denied(checks.answer(check_message(), remaining=remaining, arrived=clock.now - 3.0))
    assert not is_denied(checks.answer(check_message(), remaining=remaining, arrived=clock.now - 1.0))


def test_a_deadline_that_is_no_number_is_a_denial() -> None:
    """NaN compares as nothing: it must not disable the deadline."""
    clock = Clock()

    def slow() -> None:
        clock.now += 60.0

    assert is_denied(service(CallingDecider(slow), monotonic=clock).answer(check_message(), remaining=float("nan")))


def test_shed_calls_are_recorded_as_overloaded() -> None:
    """What the bound refuses is denied with 503 and a record."""
    recorder = ListRecorder()

    answer = service(FixedDecider(permit()), recorder).overloaded()

    assert read_answer(answer).denied_response.status.code == 503
    assert last(recorder).decision.reason is Reason.OVERLOADED


@pytest.mark.parametrize(
    ("refuse", "reason"),
    [(CheckService.overloaded, Reason.OVERLOADED), (CheckService.refused_peer, Reason.WORKLOAD_NOT_PERMITTED)],
)
def test_what_is_refused_unseen_is_answered_as_any_denial_is(
    refuse: Callable[[CheckService], bytes], reason: Reason
) -> None:
    """Byte for byte what encoding the recorded decision gives, each time with the id of its own record."""
    recorder = ListRecorder()
    refusing = service(FixedDecider(permit()), recorder)

    answers = [refuse(refusing) for _ in range(2)]

    records = [record for record in recorder.records if isinstance(record, DecisionRecord)]
    assert [record.decision.reason for record in records] == [reason] * 2
    assert answers == [
        encode(
            record.decision,
            decision_id=record.decision_id,
            revision=record.revision,
            transport=record.transport,
            grpc=record.grpc,
        )
        for record in records
    ]
    assert answers[0] != answers[1]


def test_a_grpc_caller_gets_a_grpc_status() -> None:
    """The content type of the caller's request decides the form of the denial, refused paths included."""
    message = check_message(path="/a/../b", headers={"content-type": "application/grpc"})

    answer = read_answer(service(FixedDecider(permit())).answer(message, remaining=1.0))

    assert any(option.header.key == "grpc-status" for option in answer.denied_response.headers)


# --- checks that wait ---


class WaitingDecider:
    """Says how long it may wait; where it may not, it has to."""

    def __init__(self) -> None:
        self.left: list[float] = []

    def decide(self, request: AuthzRequest, *, now: float, patience: Patience = UNHURRIED) -> Decided:
        if not patience.may_block:
            raise WouldBlock
        self.left.append(patience.left())
        return Decided(permit())


@pytest.mark.parametrize(("remaining", "left"), [(0.2, 0.17), (None, 4.97), (60.0, 4.97), (0.01, -0.02)])
def test_a_check_may_wait_for_what_is_left_of_its_deadline(remaining: float | None, left: float) -> None:
    """Less what the answer needs: who waited in vain still says for what."""
    decider = WaitingDecider()

    service(decider, monotonic=Clock()).answer(check_message(), remaining=remaining)

    assert decider.left == [pytest.approx(left)]


def test_a_check_that_has_to_wait_is_not_answered_at_once() -> None:
    """A front's receiving thread gets nothing, and nothing is recorded: the call is still to be judged."""
    recorder = ListRecorder()
    checks = service(WaitingDecider(), recorder)

    assert checks.answer_at_once(check_message(), remaining=1.0) is None
    assert recorder.records == []
    assert not is_denied(checks.answer(check_message(), remaining=1.0))


def test_other_checks_are_answered_at_once_and_recorded() -> None:
    """Permits, denials, malformed messages and bugs alike."""
    recorder = ListRecorder()

    answers = [
        service(decider, recorder).answer_at_once(message, remaining=1.0)
        for decider, message in [
            (FixedDecider(permit()), check_message()),
            (FixedDecider(denial()), check_message()),
            (FixedDecider(permit()), b"\xff"),
            (RaisingDecider(ValueError()), check_message()),
        ]
    ]

    assert [is_denied(answer or b"") for answer in answers] == [False, True, True, True]
    assert len(recorder.records) == 4
