"""The order of a shutdown, with fronts that only write down what is asked of them."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

from authz.server.front import Listening
from authz.server.lifecycle import DrainTimes, Event, Events, drain, run

QUICK = DrainTimes(notice=0.0, grace=5.0)


class FakeFront:
    """Finishes at once, or never within its grace."""

    name = "fake"

    def __init__(self, log: list[str], *, stuck: bool = False) -> None:
        self._log = log
        self._stuck = stuck

    def start(self) -> tuple[Listening, ...]:
        return ()

    def serving(self, ready: bool) -> None:
        self._log.append(f"serving {ready}")

    def stop(self, grace: float) -> Callable[[float], bool]:
        self._log.append(f"stop {grace}")
        return lambda _seconds: not self._stuck

    def close(self) -> None:
        self._log.append("close")


def test_a_drain_says_so_before_it_stops_anything() -> None:
    """readyz, then health, then no more calls, then close."""
    log: list[str] = []

    clean = drain(Events(), [FakeFront(log)], QUICK, begin=lambda: log.append("begin"))

    assert clean
    assert log == ["begin", "serving False", "stop 5.0", "close"]


def test_calls_that_outlive_the_grace_are_cut() -> None:
    """After the grace a front is stopped at once and the drain isn't clean."""
    log: list[str] = []

    clean = drain(Events(), [FakeFront(log, stuck=True)], DrainTimes(notice=0.0, grace=0.1), begin=lambda: None)

    assert not clean
    assert log == ["serving False", "stop 0.1", "stop 0.0", "close"]


def test_a_second_signal_cuts_the_notice_short() -> None:
    """Who asks twice doesn't want to wait."""
    events = Events()
    events.put(Event.STOP)
    log: list[str] = []

    clean = drain(events, [FakeFront(log)], DrainTimes(notice=60.0, grace=60.0), begin=lambda: None)

    assert not clean
    assert log[1] == "stop 0.0"


def test_a_second_signal_cuts_the_grace_short() -> None:
    """Also while calls are in flight."""
    events = Events()
    log: list[str] = []
    timer = threading.Timer(0.05, events.put, [Event.STOP])
    timer.start()

    clean = drain(events, [FakeFront(log, stuck=True)], DrainTimes(notice=0.0, grace=60.0), begin=lambda: None)

    assert not clean
    timer.join()


def test_a_reload_during_the_drain_changes_nothing() -> None:
    """SIGHUP while draining is no reason to stop waiting."""
    events = Events()
    events.put(Event.RELOAD)

    assert drain(events, [FakeFront([])], DrainTimes(notice=0.05, grace=1.0), begin=lambda: None)


def test_each_reload_runs_and_a_failing_one_ends_nothing() -> None:
    """The service goes on with what it has until a stop is asked for."""
    events = Events()
    calls: list[int] = []
    for event in (Event.RELOAD, Event.RELOAD, Event.STOP):
        events.put(event)

    def reload() -> None:
        calls.append(1)
        raise RuntimeError

    run(events, reload=reload, tick=lambda: None)

    assert len(calls) == 2


def test_signals_become_events() -> None:
    """SIGHUP reloads, SIGTERM and SIGINT stop."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    events = Events()
    events.install()
    try:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

    assert [events.next() for _ in range(3)] == [Event.RELOAD, Event.STOP, Event.STOP]
