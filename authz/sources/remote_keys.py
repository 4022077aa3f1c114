"""One issuer's keys over HTTP: fetched in the background on a thread of their own, kept while fetches fail.

Owns: one issuer's last good set, its age, the shared refetch for unknown key ids and its cooldown (policy
language §8). Must not: fetch on a caller's thread, hold the lock across a fetch, or let a failed or empty
fetch take good keys away. One thread per issuer: a slow provider delays nobody else.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from authz.authn.keys import KeySet, KeySetError, import_key_set
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import IssuerSettings, JwksUri
from authz.model.reason import Reason
from authz.sources.discovery import Get, discover
from authz.sources.fetch import FetchError
from authz.sources.schedule import RefreshRules, after_failure, after_success
from authz.sources.state import Freshness, Report, SourceEvent, SourceState


@dataclass(frozen=True, slots=True)
class _Good:
    """A set and when it was fetched, in one value: readers take both with one attribute access."""

    keys: KeySet
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a source needs besides settings. `clock` is monotonic seconds, `random` in [0, 1)."""

    get: Get
    rules: RefreshRules
    clock: Callable[[], float]
    random: Callable[[], float]
    report: Report


class RemoteKeys:
    """The keys of one issuer. `start` begins fetching; tests call `step` themselves."""

    def __init__(self, settings: IssuerSettings, environment: Environment) -> None:
        self._settings = settings
        self._env = environment
        self._good: _Good | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None
        # Guarded by the lock:
        self._due = environment.clock()
        self._asked = False
        self._fetching = False
        self._completed: float | None = None
        self._failures = 0
        self._error = ""

    # --- answers for checks: never block ---

    def keys(self) -> KeySet:
        good = self._good
        if good is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "the issuer's keys were never fetched")
        if self._env.clock() - good.at > self._env.rules.max_stale:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "the issuer's keys are too old")
        return good.keys

    def unknown(self) -> Refused:
        with self._lock:
            cooling = self._cooling()
            if not self._fetching and not cooling:
                self._asked = True
            if self._fetching or self._asked:
                self._wake.set()
                return Unavailable(Reason.KEYS_UNAVAILABLE, "the issuer's keys are being fetched again")
            if self._failures:
                return Unavailable(
                    Reason.KEYS_UNAVAILABLE, "the issuer's keys can't be fetched",
                    retry_after=math.ceil(cooling),
                )
            return Refused(Reason.TOKEN_KEY_UNKNOWN, "the issuer's keys were just fetched and lack this one")

    def _cooling(self) -> float:
        """Seconds of cooldown left. It runs from the end of each fetch, failed ones too: a provider in
        trouble isn't asked more often because of what clients send."""
        if self._completed is None:
            return 0.0
        return max(0.0, self._completed + self._env.rules.cooldown - self._env.clock())

    # --- for operators ---

    def tried(self) -> bool:
        """Whether a first attempt has completed, well or not."""
        return self._completed is not None

    def state(self) -> SourceState:
        with self._lock:
            good, failures, error = self._good, self._failures, self._error
        age = None if good is None else self._env.clock() - good.at
        return SourceState(
            name=self._settings.name, freshness=self._freshness(age, failures), age=age,
            size=0 if good is None else len(good.keys), revision="" if good is None else good.keys.revision,
            error=error, failures=failures,
        )

    def _freshness(self, age: float | None, failures: int) -> Freshness:
        if age is None:
            return Freshness.ABSENT
        if age > self._env.rules.max_stale:
            return Freshness.EXPIRED
        return Freshness.STALE if failures else Freshness.FRESH

    # --- the background ---

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"keys-{self._settings.name}", daemon=True)
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
            keys, warnings, max_age = self._fetch()
        except (FetchError, KeySetError) as error:
            return self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - a bug must cost one attempt, not the issuer's thread
            return self._failed(f"internal error ({type(error).__name__})")
        return self._succeeded(keys, warnings, max_age)

    def _run(self) -> None:
        while not self._stopped:
            delay = self.step()
            self._wake.wait(delay)
            # Cleared before the next step looks at `_asked`, so that no request to fetch is lost.
            self._wake.clear()

    def _fetch(self) -> tuple[KeySet, tuple[str, ...], float | None]:
        settings, get = self._settings, self._env.get
        url = settings.keys.url if isinstance(settings.keys, JwksUri) else discover(settings.issuer, get)
        fetched = get(url)
        keys, warnings = import_key_set(fetched.body, settings.algorithms)
        if not len(keys):
            # Nobody means to revoke every key by publishing none: a half-deployed provider does it.
            raise FetchError("the key set holds no usable key")
        return keys, warnings, fetched.max_age

    def _failed(self, error: str) -> float:
        with self._lock:
            self._complete()
            news = error != self._error
            self._failures, self._error = self._failures + 1, error
            delay = after_failure(self._env.rules, self._failures, self._env.random)
            self._due = self._env.clock() + delay
        if news:
            self._env.report(SourceEvent(kind="keys", name=self._settings.name, error=error))
        return delay

    def _succeeded(self, keys: KeySet, warnings: tuple[str, ...], max_age: float | None) -> float:
        with self._lock:
            self._complete()
            before = self._good
            news = before is None or before.keys.revision != keys.revision or self._failures > 0
            # An unchanged set stays the very object that verdicts were cached with.
            kept = before.keys if before is not None and before.keys.revision == keys.revision else keys
            self._good = _Good(kept, self._env.clock())
            self._failures, self._error = 0, ""
            delay = after_success(self._env.rules, max_age, self._env.random)
            self._due = self._env.clock() + delay
        if news:
            self._env.report(SourceEvent(
                kind="keys", name=self._settings.name, revision=keys.revision, warnings=warnings,
            ))
        return delay

    def _complete(self) -> None:
        self._fetching = False
        self._completed = self._env.clock()
