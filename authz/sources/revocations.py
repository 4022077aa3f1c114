"""The revocation list of this process: implements `engine.ports.Revocations`, and takes new acts.

Owns: putting an act in force here at once and handing it to the store; what the store couldn't take yet; how old
what we know is; the thread that follows the store. Must not: wait for the store on a check's thread, or forget an
entry because the store did.

    act ──> plane (in force here) ──> journal ──> every other process
    journal ──> receive ──> plane

How to wire it (app): `RevocationList(plane, journal, rules)`, `open()` before the first check, `start()`, `close()`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from authz.engine.revocations import Filed, Marks, PlaneFull, RevocationPlane
from authz.model.errors import AuthzError
from authz.model.principal import User
from authz.model.revocation import Revocation, RevocationKind
from authz.model.spiffe import SpiffeId

_LOG: Final = logging.getLogger("authz.sources")
MAX_PENDING: Final = 10_000
"""Acts that wait for the store; they are in force here all the same."""
EXPIRE_SECONDS: Final = 5.0
JOIN_SECONDS: Final = 3.0


class JournalError(AuthzError):
    """The store didn't take or give records; `str` is a few words for operators."""


class RevocationRefused(AuthzError):
    """An act that isn't in force anywhere: the list is full."""


class NotEverywhere(AuthzError):
    """An act that is in force in this process, but not yet in the store: it is handed over when the store is back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalState:
    """What a store says of itself. `age`: seconds since it last answered (None: never). `loaded`: whether all that it
    held at the start was read, `tried`: whether it was or once couldn't be. `gaps`: how often it had lost what it held
    before. `unreadable`: records that this version can't read."""

    store: str
    loaded: bool
    tried: bool
    age: float | None
    gaps: int
    unreadable: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevocationState:
    """For readiness and metrics. `stale`: older than the bound or incomplete, so that strict issuers deny."""

    journal: JournalState
    entries: dict[RevocationKind, int]
    capacity: int
    pending: int
    overflowed: bool
    stale: bool


class Receiver(Protocol):
    """What a journal may do with the list."""

    def receive(self, one: Revocation) -> None:
        """Put in force what stands in the store."""
        ...

    def hand_over(self) -> None:
        """Give the store what it couldn't take before; raises `JournalError`."""
        ...

    def expire(self) -> None:
        """Forget what has ended."""
        ...

    def find(self, kind: RevocationKind, key: bytes) -> Filed | None: ...

    def filed(self) -> Iterator[Filed]: ...

    def size(self) -> int: ...


class Journal(Protocol):
    """Where acts are kept: a file, or a stream in a shared store."""

    def open(self, receiver: Receiver) -> None: ...

    def round(self, receiver: Receiver, wait: Callable[[float], bool]) -> None:
        """One turn of the following thread; mustn't raise."""
        ...

    def publish(self, records: tuple[Revocation, ...]) -> None:
        """Kept when this returns; raises `JournalError`."""
        ...

    def history(self) -> Iterator[Revocation]:
        """Every record, oldest first; raises `JournalError`."""
        ...

    def reconcile(self, receiver: Receiver) -> None:
        """Have all of it read again, and given back what it lacks; raises `JournalError`."""
        ...

    def state(self) -> JournalState: ...

    def close(self) -> None: ...


class RevocationList:
    """See the module. `max_stale` is in seconds; `wall` tells the time of day, `clock` measures."""

    def __init__(
        self,
        plane: RevocationPlane,
        journal: Journal,
        *,
        max_stale: float,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._plane = plane
        self._journal = journal
        self._max_stale = max_stale
        self._wall = wall
        self._clock = clock
        self._pending: deque[Revocation] = deque()
        self._handing_over = threading.Lock()
        self._overflowed = False
        self._reconcile = False
        """Whether there was something that memory or the store couldn't take: all is compared when both can again."""
        self._expired_at = clock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- engine.ports.Revocations ---

    def revoked(self, user: User, *, now: float, marks: Callable[[], Marks] | None = None) -> RevocationKind | None:
        return self._plane.revoked(user, now=now, marks=marks)

    def revoked_workload(self, workload: SpiffeId, *, now: float) -> bool:
        return self._plane.revoked_workload(workload, now=now)

    def stale(self) -> bool:
        return self._is_stale(self._journal.state())

    # --- acts ---

    def enact(self, one: Revocation, *, reserved: bool = True) -> None:
        """Put an act in force here and hand it to the store.

        Raises `RevocationRefused` when there is no room (without `reserved` a little earlier), and `NotEverywhere`
        when it is in force here only, for now.
        """
        new = not one.lifted and self._plane.find(one.kind, one.key) is None
        if new and not self._plane.has_room(reserved=reserved):
            raise RevocationRefused("the revocation list is full (revocation.capacity)")
        try:
            self._plane.apply(one)
        except PlaneFull as error:
            raise RevocationRefused(f"{error} (revocation.capacity)") from None
        with self._handing_over:
            try:
                self._flush()
                self._journal.publish((one,))
            except JournalError as error:
                self._wait_for_store(one)
                raise NotEverywhere(str(error)) from None

    def covers(self, one: Revocation) -> bool:
        """Whether what is known already says all that this act says, and the store has it."""
        return self._plane.covers(one) and not self._pending

    def find(self, kind: RevocationKind, key: bytes) -> Filed | None:
        return self._plane.find(kind, key)

    def history(self) -> Iterator[Revocation]:
        """Every act that the store still has, oldest first; raises `JournalError`."""
        return self._journal.history()

    # --- what journals use ---

    def receive(self, one: Revocation) -> None:
        if one.until <= self._wall():
            return
        try:
            self._plane.apply(one)
        except PlaneFull:
            if not self._overflowed:
                self._overflowed = True
                _LOG.error(
                    "the revocation list is full: not all that is revoked is refused here",
                    extra={"event": "revocations_full", "capacity": self._plane.capacity},
                )

    def hand_over(self) -> None:
        if self._pending and self._handing_over.acquire(blocking=False):
            try:
                self._flush()
            finally:
                self._handing_over.release()
        if self._reconcile:
            self._journal.reconcile(self)
            self._reconcile = False

    def expire(self) -> None:
        if self._clock() - self._expired_at < EXPIRE_SECONDS:
            return
        self._expired_at = self._clock()
        self._plane.expire(now=self._wall())
        if self._overflowed and self._plane.has_room(reserved=False):
            self._overflowed = False
            self._reconcile = True

    def filed(self) -> Iterator[Filed]:
        return self._plane.filed()

    def size(self) -> int:
        return len(self._plane)

    # --- for operators ---

    def state(self) -> RevocationState:
        journal = self._journal.state()
        return RevocationState(
            journal=journal,
            entries=self._plane.counts(),
            capacity=self._plane.capacity,
            pending=len(self._pending),
            overflowed=self._overflowed,
            stale=self._is_stale(journal),
        )

    def open(self) -> None:
        """Read what the store holds, where that takes no network; raises `OSError`."""
        self._journal.open(self)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._follow, name="revocations", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)
        self._journal.close()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                self._journal.round(self, self._stopping.wait)
            except Exception as error:  # noqa: BLE001 - the thread must outlive any bug; staleness shows what it costs
                _LOG.error(
                    "following the revocations failed",
                    extra={"event": "revocations_failed", "error": type(error).__name__},
                )
                self._stopping.wait(1.0)

    def _wait_for_store(self, one: Revocation) -> None:
        """Beyond the bound the note is dropped; memory has the entry, and it is given back with all others."""
        if len(self._pending) < MAX_PENDING:
            self._pending.append(one)
        else:
            self._reconcile = True

    def _flush(self) -> None:
        """Hand over what waited, in order. Under the lock."""
        while self._pending:
            self._journal.publish((self._pending[0],))
            self._pending.popleft()

    def _is_stale(self, journal: JournalState) -> bool:
        if not journal.loaded or journal.age is None or journal.age > self._max_stale:
            return True
        return self._overflowed or journal.unreadable > 0
