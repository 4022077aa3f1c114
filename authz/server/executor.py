"""The thread pool under grpcio's synchronous server: bounded, and honest about what is over the bound.

grpcio hands every call to `submit` and queues without limit. Here a call that `Admission` lets in goes to the
workers; one that it doesn't goes to a tiny reserve whose threads only ever answer `overloaded`, so the refusal is
immediate however busy the workers are. Which of the two a thread is doing stands in `current`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

from authz.server.admission import Admission

P = ParamSpec("P")
T = TypeVar("T")

RESERVE_THREADS: Final = 2
"""Enough to refuse faster than one interpreter can accept."""


class _Current(threading.local):
    """What the running thread is doing: `shed` means refuse at once, `arrived` is monotonic seconds."""

    shed: bool = False
    arrived: float | None = None


current: Final = _Current()


class CheckExecutor(ThreadPoolExecutor):
    """`workers` threads for admitted calls and a reserve for the rest."""

    def __init__(self, workers: int, admission: Admission, *, reserve: int = RESERVE_THREADS) -> None:
        super().__init__(max_workers=workers, thread_name_prefix="check")
        self._admission = admission
        self._reserve = ThreadPoolExecutor(max_workers=reserve, thread_name_prefix="shed")

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue an admitted call, or have the reserve refuse it; never waits."""
        if not self._admission.enter():
            return self._reserve.submit(_shed, fn, *args, **kwargs)
        try:
            return super().submit(self._work, time.monotonic(), fn, *args, **kwargs)
        except BaseException:
            self._admission.leave()
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._reserve.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)

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
