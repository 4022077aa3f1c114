"""One thing from outside that a thread of its own keeps up to date: fetched, kept while fetches fail, too old one day.

Owns: the last good value, its age, what the last attempt came to, and the thread. Must not: fetch on a caller's
thread, hold the lock across a fetch, or let a failed fetch take a good value away. One thread per source: a slow one
delays nobody else.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Generic, TypeVar

from authz.model.errors import AuthzError
from authz.sources.fetch import FetchError
from authz.sources.schedule import RefreshRules, after_failure, after_success
from authz.sources.state import Cause, Report, SourceEvent, SourceState, freshness_of

T = TypeVar("T")

JOIN_SECONDS: Final = 6.0
"""How long the end of all sources may take together: the default fetch limit and a little."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a source needs besides settings. `clock` is monotonic seconds, `random` in [0, 1)."""

    rules: RefreshRules
    clock: Callable[[], float]
    random: Callable[[], float]
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Obtained(Generic[T]):
    """What an attempt brought. `suggested`: seconds that the other side wants to pass until the next one."""

    value: T
    revision: str
    size: int
    warnings: tuple[str, ...] = ()
    suggested: float | None = None


@dataclass(frozen=True, slots=True)
class Good(Generic[T]):
    """A value and when it was had, in one object: readers take both with one attribute access."""

    obtained: Obtained[T]
    at: float


class BackgroundSource(ABC, Generic[T]):
    """`start` begins; tests call `step` themselves."""

    kind: ClassVar[str]
    """As in `SourceEvent`; also the thread's name."""
    renews: ClassVar[bool] = False
    """Whether a value is taken although its revision is that of the one before (what isn't in the revision differs)."""

    def __init__(self, name: str, surroundings: Surroundings, *, origin: str) -> None:
        self.name = name
        self.origin = origin
        self._env = surroundings
        self._good: Good[T] | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None
        # Guarded by the lock:
        self._due = surroundings.clock()
        self._asked = False
        self._fetching = False
        self._completed: float | None = None
        self._failures = 0
        self._error = ""
        self._warnings: tuple[str, ...] = ()
        self._cause = Cause.UNTRIED

    @abstractmethod
    def _obtain(self) -> Obtained[T]:
        """One attempt, on the source's own thread. Raises `FetchError` or another `AuthzError` whose text is ours."""

    def _pause(self, obtained: Obtained[T]) -> float:
        """Seconds until the next attempt after a good one."""
        return after_success(self._env.rules, obtained.suggested, self._env.random)

    def ask(self) -> None:
        """Let the next attempt begin before it is due."""
        with self._lock:
            self._asked = True
        self._wake.set()

    # --- for operators ---

    def tried(self) -> bool:
        """Whether a first attempt has completed, well or not."""
        return self._completed is not None

    def state(self) -> SourceState:
        with self._lock:
            good, failures, error, cause = self._good, self._failures, self._error, self._cause
        age = None if good is None else self._env.clock() - good.at
        return SourceState(
            name=self.name,
            age=age,
            error=error,
            failures=failures,
            cause=cause,
            origin=self.origin,
            freshness=freshness_of(age, max_stale=self._env.rules.max_stale, failing=failures > 0),
            size=0 if good is None else good.obtained.size,
            revision="" if good is None else good.obtained.revision,
        )

    # --- the background ---

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"{self.kind}-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does once a fetch under way has ended."""
        self._stopped = True
        self._wake.set()

    def join(self, timeout: float) -> None:
        if self._thread is not None:
            self._thread.join(timeout)

    def alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def step(self) -> float:
        """Fetch if a fetch is due or asked for. Seconds until the next one."""
        with self._lock:
            now = self._env.clock()
            if not self._asked and now < self._due:
                return self._due - now
            self._asked, self._fetching = False, True
        try:
            obtained = self._obtain()
        except FetchError as error:
            return self._failed(error.reason, error.cause)
        except AuthzError as error:
            return self._failed(str(error), Cause.CONTENT)
        except Exception as error:  # noqa: BLE001 - a bug must cost one attempt, not the source's thread
            return self._failed(f"internal error ({type(error).__name__})", Cause.INTERNAL)
        return self._succeeded(obtained)

    def _run(self) -> None:
        while not self._stopped:
            delay = self.step()
            self._wake.wait(delay)
            # Cleared before the next step looks at `_asked`, so that no request to fetch is lost.
            self._wake.clear()

    def _failed(self, error: str, cause: Cause) -> float:
        with self._lock:
            self._complete()
            news = error != self._error
            self._failures, self._error, self._cause = self._failures + 1, error, cause
            delay = after_failure(self._env.rules, self._failures, self._env.random)
            self._due = self._env.clock() + delay
        if news:
            self._env.report(SourceEvent(kind=self.kind, name=self.name, error=error))
        return delay

    def _succeeded(self, obtained: Obtained[T]) -> float:
        with self._lock:
            self._complete()
            before = self._good
            same = before is not None and before.obtained.revision == obtained.revision
            warned = bool(obtained.warnings) and obtained.warnings != self._warnings
            news = not same or self._failures > 0 or warned
            # An unchanged value stays the very object that verdicts were cached with.
            kept = before.obtained if before is not None and same and not self.renews else obtained
            self._good = Good(kept, self._env.clock())
            self._failures, self._error, self._cause, self._warnings = 0, "", Cause.NONE, obtained.warnings
            delay = self._pause(obtained)
            self._due = self._env.clock() + delay
        if news:
            self._env.report(
                SourceEvent(kind=self.kind, name=self.name, revision=obtained.revision, warnings=obtained.warnings)
            )
        return delay

    def _complete(self) -> None:
        self._fetching = False
        self._completed = self._env.clock()


class Running:
    """The sources whose threads run, as settings come and go."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: tuple[BackgroundSource[Any], ...] = ()
        self._retired: list[BackgroundSource[Any]] = []
        self._closed = False

    def replace(self, sources: Iterable[BackgroundSource[Any]]) -> None:
        """From now on these: new ones start, those that are gone stop."""
        wanted = tuple(sources)
        with self._lock:
            if self._closed:
                return
            before, self._sources = self._sources, wanted
            self._retired = [source for source in self._retired if source.alive()]
            for source in before:
                if source not in wanted:
                    source.stop()
                    self._retired.append(source)
        for source in wanted:
            if source not in before:
                source.start()

    def close(self) -> None:
        """Stop all threads and wait for them, for at most JOIN_SECONDS."""
        with self._lock:
            self._closed = True
            ending = [*self._sources, *self._retired]
        for source in ending:
            source.stop()
        deadline = time.monotonic() + JOIN_SECONDS
        for source in ending:
            source.join(max(0.0, deadline - time.monotonic()))
