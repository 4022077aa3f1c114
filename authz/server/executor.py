"""The thread pool under grpcio's synchronous server: bounded, and honest about what is over the bound.

grpcio hands every call to `submit` and queues without limit. Here a call goes to the workers if `Admission` lets it in
and the queue doesn't stand (`standing`). One that may not is refused where it is, on grpcio's own thread; where that
can't be, by a tiny reserve whose threads only ever answer `overloaded`, so the refusal doesn't wait for a worker. What
a thread is doing stands in `current`. One check at a time is worked on (`judge`): more at once would only take the
interpreter's lock from each other and from the thread that takes calls in. What waits for the outside holds no turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

from authz.server.admission import Admission
from authz.server.standing import FEWEST, StandingQueue

P = ParamSpec("P")
T = TypeVar("T")

RESERVE_THREADS: Final = 2
"""Enough to refuse faster than one interpreter can accept."""

_ALONE: Final = 2
"""Checks in hand with which there may have been nothing to do between two."""
_OUTSIDE_COUNTS: Final = 1.0
"""Seconds for which it counts that all threads were outside: some come back all the time."""


class _Current(threading.local):
    """What the running thread is doing: `shed` means refuse at once, `arrived` is monotonic seconds."""

    shed: bool = False
    arrived: float | None = None


current: Final = _Current()


class CheckExecutor(ThreadPoolExecutor):
    """`workers` threads for admitted calls and a reserve for the rest.

    `refuse` is given what a call over the bound would have been worked on with, on the thread that calls `submit`;
    whether it answered the call.
    """

    def __init__(
        self,
        workers: int,
        admission: Admission,
        *,
        reserve: int = RESERVE_THREADS,
        refuse: Callable[[tuple[Any, ...]], bool] = lambda work: False,
    ) -> None:
        super().__init__(max_workers=workers, thread_name_prefix="check")
        self._admission = admission
        self._reserve = ThreadPoolExecutor(max_workers=reserve, thread_name_prefix="shed")
        self._refuse = refuse
        self._standing = StandingQueue(admission.limit)
        self._turn = threading.Lock()
        self._worked_until = time.monotonic()
        self._lock = threading.Lock()
        self._workers = workers
        self._outside = 0
        self._all_outside = float("-inf")
        self._refused: Future[Any] = Future()
        self._refused.set_result(None)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue an admitted call, or have it refused; never waits."""
        now = time.monotonic()
        if self._crowded(now) or not self._admission.enter():
            return self._over(fn, *args, **kwargs)
        try:
            return super().submit(self._work, now, fn, *args, **kwargs)
        except BaseException:
            self._admission.leave()
            raise

    def judge(self, at_once: Callable[[], bytes | None], later: Callable[[], bytes]) -> bytes:
        """The answer of `at_once`, in turn; where it has none, that of `later`, which may wait for the outside."""
        with self._turn:
            start = time.monotonic()
            try:
                answer = at_once()
            finally:
                end = time.monotonic()
                # With others waiting, the time since the last one is what a check costs, the library's part included.
                alone = self._admission.count <= _ALONE or self._outside
                self._standing.worked(1, end - (start if alone else self._worked_until))
                self._worked_until = end
        if answer is not None:
            return answer
        self._go_outside(1)
        try:
            return later()
        finally:
            self._go_outside(-1)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._reserve.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)

    def _crowded(self, now: float) -> bool:
        """Whether too many wait for the interpreter. Those that wait for a thread while all of them are outside are
        bounded in number only: how long they wait isn't in our hands."""
        waiting = self._admission.count + 1 - self._outside
        if now - self._all_outside < _OUTSIDE_COUNTS:
            return False
        if waiting <= FEWEST and not self._standing.stands:
            return False
        return waiting > self._standing.places(waiting, now)

    def _go_outside(self, step: int) -> None:
        with self._lock:
            self._outside += step
            if self._outside >= self._workers:
                self._all_outside = time.monotonic()

    def _over(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        try:
            if self._refuse(args):
                return self._refused
        except BaseException:  # noqa: BLE001 - this is the thread that takes every call in
            return self._reserve.submit(_shed, fn, *args, **kwargs)
        return self._reserve.submit(_shed, fn, *args, **kwargs)

    def _work(self, arrived: float, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        current.arrived = arrived
        try:
            return fn(*args, **kwargs)
        finally:
            self._admission.leave()


def _shed(fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    current.shed = True
    try:
        return fn(*args, **kwargs)
    finally:
        current.shed = False
