"""Answers from outside that checks wait for: one question at a time for each key, each waiter within its own patience.

Owns: the threads that ask, how many may, and how many checks may wait. Must not: know what is asked, or keep answers.
A question goes on when everybody who waited for it has left: its answer may serve the next one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from authz.model.errors import AuthzError, WouldBlock
from authz.model.patience import Patience

Answer = TypeVar("Answer")


class NoAnswer(AuthzError):
    """No answer within the waiter's patience, or no room to wait for one; the message says which."""


class Flights:
    """`limit` bounds the questions under way and the checks that wait: who comes then is told so at once, so that
    others, who need no answer from outside, keep their threads."""

    def __init__(self, name: str, *, limit: int) -> None:
        self._threads = ThreadPoolExecutor(max_workers=limit, thread_name_prefix=name)
        self._waiting = threading.BoundedSemaphore(limit)
        self._limit = limit
        self._lock = threading.Lock()
        self._flights: dict[Hashable, Future[Any]] = {}

    def answer(self, key: Hashable, ask: Callable[[], Answer], patience: Patience) -> Answer:
        """What `ask` returns or raises, asked once for all who come with this key meanwhile.

        Raises `WouldBlock` where waiting is forbidden, and `NoAnswer`.
        """
        if not patience.may_block:
            raise WouldBlock
        if not self._waiting.acquire(blocking=False):
            raise NoAnswer("too many checks wait already")
        try:
            flight = self._flight(key, ask)
            return self._wait(flight, patience)
        finally:
            self._waiting.release()

    def close(self) -> None:
        """Take no more questions; those under way end by their own limits."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _wait(self, flight: Future[Answer], patience: Patience) -> Answer:
        try:
            return flight.result(timeout=max(0.0, patience.left()))
        except TimeoutError:
            if flight.done():
                raise  # What was asked timed out by itself.
            raise NoAnswer("no answer within the check's deadline") from None

    def _flight(self, key: Hashable, ask: Callable[[], Answer]) -> Future[Answer]:
        with self._lock:
            flight = self._flights.get(key)
            if flight is not None:
                return flight
            if len(self._flights) >= self._limit:
                raise NoAnswer("too many questions are under way")
            try:
                flight = self._threads.submit(ask)
            except RuntimeError:
                raise NoAnswer("the service is ending") from None
            self._flights[key] = flight
        flight.add_done_callback(lambda _: self._landed(key))
        return flight

    def _landed(self, key: Hashable) -> None:
        with self._lock:
            self._flights.pop(key, None)
