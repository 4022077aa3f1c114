"""The bound on checks, and the executor that keeps it under grpcio."""

from __future__ import annotations

import threading
import time

import pytest

from authz.server.admission import Admission
from authz.server.decision_ids import DecisionIds
from authz.server.executor import CheckExecutor, current


def test_the_bound_lets_in_no_more_than_its_limit() -> None:
    """Two places: the third is refused until one leaves."""
    admission = Admission(2)

    assert [admission.enter() for _ in range(3)] == [True, True, False]
    admission.leave()
    assert admission.enter()


def test_a_bound_without_a_place_cant_be_made() -> None:
    """A limit of nothing would refuse everything."""
    with pytest.raises(ValueError, match="at least one"):
        Admission(0)


def test_idle_is_reached_when_the_last_check_leaves() -> None:
    """The drain waits for our own count."""
    admission = Admission(1)
    admission.enter()

    assert not admission.wait_until_idle(0.0)
    admission.leave()
    assert admission.wait_until_idle(0.0)


def test_calls_over_the_bound_run_at_once_and_marked() -> None:
    """One worker busy and one waiting: the third call runs in the reserve, marked to be refused."""
    executor = CheckExecutor(1, Admission(2))
    release = threading.Event()
    seen = [executor.submit(lambda: release.wait(10) and current.shed) for _ in range(2)]

    over = executor.submit(lambda: current.shed)

    assert over.result(timeout=10) is True
    release.set()
    assert [future.result(timeout=10) for future in seen] == [False, False]
    executor.shutdown()


def test_a_call_over_the_bound_may_be_refused_where_it_is_submitted() -> None:
    """No thread changes hands: `refuse` gets what the call would have been worked on with."""
    refused: list[tuple[object, ...]] = []
    threads: list[threading.Thread] = []

    def refuse(work: tuple[object, ...]) -> bool:
        refused.append(work)
        threads.append(threading.current_thread())
        return True

    executor = CheckExecutor(1, Admission(1), refuse=refuse)
    release = threading.Event()
    executor.submit(release.wait, 10)

    over = executor.submit(release.wait, 20)

    assert over.done()
    assert (refused, threads) == ([(20,)], [threading.current_thread()])
    release.set()
    executor.shutdown()


@pytest.mark.parametrize("error", [None, RuntimeError, SystemExit])
def test_a_refusal_that_isnt_possible_there_goes_to_the_reserve(error: type[BaseException] | None) -> None:
    """Also when trying raises: the submitting thread takes every call in and has to live."""

    def refuse(_work: tuple[object, ...]) -> bool:
        if error is not None:
            raise error
        return False

    executor = CheckExecutor(1, Admission(1), refuse=refuse)
    release = threading.Event()
    executor.submit(release.wait, 10)

    assert executor.submit(lambda: current.shed).result(timeout=10) is True
    release.set()
    executor.shutdown()


def test_one_check_at_a_time_is_judged_while_others_wait_for_the_outside() -> None:
    """`later` runs beside another's `at_once`; two `at_once` never run together."""
    executor = CheckExecutor(3, Admission(3))
    outside, release = threading.Event(), threading.Event()
    inside: list[int] = []
    most: list[int] = []

    def later() -> bytes:
        outside.set()
        release.wait(10)
        return b"late"

    def at_once() -> bytes:
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        inside.pop()
        return b"soon"

    slow = executor.submit(executor.judge, lambda: None, later)
    assert outside.wait(10)
    quick = [executor.submit(executor.judge, at_once, later) for _ in range(2)]

    assert [each.result(timeout=10) for each in quick] == [b"soon"] * 2
    assert most == [1, 1]
    release.set()
    assert slow.result(timeout=10) == b"late"
    executor.shutdown()


def test_the_count_shows_what_a_front_holds_besides() -> None:
    """For the metric; places are not taken by it."""
    admission = Admission(1, besides=lambda: 5)

    assert admission.enter()
    assert admission.count == 6
    admission.leave()
    assert admission.wait_until_idle(0)


def test_a_call_that_raises_gives_its_place_back() -> None:
    """An exception in a call doesn't shrink the bound."""
    admission = Admission(1)
    executor = CheckExecutor(1, admission)

    def fail() -> None:
        raise SystemExit

    for _ in range(3):
        assert isinstance(executor.submit(fail).exception(timeout=10), SystemExit)
    assert admission.wait_until_idle(10)
    executor.shutdown()


def test_the_arrival_is_when_the_call_was_queued() -> None:
    """Waiting counts: a call knows when it came in."""
    executor = CheckExecutor(1, Admission(2))
    release = threading.Event()
    executor.submit(release.wait, 10)
    waiting = executor.submit(lambda: current.arrived)
    release.set()

    assert waiting.result(timeout=10) is not None
    executor.shutdown()


def test_decision_ids_are_distinct_and_drawn_in_batches() -> None:
    """A thousand ids cost a handful of system calls and are 128 bits each."""
    draws: list[int] = []

    def entropy(size: int) -> bytes:
        draws.append(size)
        return b"".join((len(draws) * 65536 + number).to_bytes(16, "big") for number in range(size // 16))

    ids = DecisionIds(entropy)
    made = [ids.next() for _ in range(1000)]

    assert len(set(made)) == 1000
    assert all(len(text) == 32 for text in made)
    assert len(draws) == 4
