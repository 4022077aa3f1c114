"""The SPIFFE Workload API as a source: trust bundles and our own X.509-SVID, as they are pushed to us.

Owns: one connection at a time on a thread of its own, opened again with back-off; the last good of everything, kept
for a bounded time while there is no connection. What is pushed replaces all that was: a trust domain that isn't in it
any more has no bundle. Must not: speak gRPC itself (sources.workload_client does).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from authz.authn.svid import BundleError, TrustBundle, import_bundle
from authz.sources.background import Surroundings
from authz.sources.schedule import after_failure
from authz.sources.state import Cause, Freshness, SourceEvent, SourceState, freshness_of
from authz.sources.workload_client import (
    CertificateUpdate,
    Connect,
    Svid,
    TokenKeyUpdate,
    WorkloadApiError,
    connect,
    domain_of,
)

FIRST_ANSWER: Final = 10.0
"""Seconds that a new connection has for its first answers; an agent answers at once or says no."""
_SVID: Final = "svid"
_BUNDLE: Final = "bundle"
_NO_BUNDLE: Final = "the Workload API hands out no bundle of this trust domain"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSvid:
    """What a TLS listener needs: our SVID, and the certificates (PEM) of our own trust domain's authorities."""

    svid: Svid
    authorities: bytes


@dataclass(slots=True)
class _Pushed:
    """What this connection has brought so far."""

    certificates: CertificateUpdate | None = None
    token_keys: TokenKeyUpdate | None = None


class WorkloadApi:
    """See the module. `now` is seconds since the epoch: SVIDs expire by it. `wanted` is the ID of the SVID to show
    where there are several; without it the first counts (SPIFFE Workload API §5.3)."""

    def __init__(
        self,
        address: str,
        surroundings: Surroundings,
        *,
        wanted: str = "",
        opener: Connect = connect,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.address = address
        self._env = surroundings
        self._wanted = wanted
        self._open = opener
        self._now = now
        self._bundles: Mapping[str, TrustBundle] = {}
        self._faults: Mapping[str, str] = {}
        """Trust domains whose bundle was handed out and can't be read."""
        self._svids: tuple[Svid, ...] = ()
        self._renews = False
        """Whether our SVID was valid when it came: once it isn't, the agent renews no more."""
        self._stopped = False
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        # Guarded by the condition:
        self._connection: _Connection | None = None
        self._good_at: float | None = None
        self._failures = 0
        self._error = ""
        self._cause = Cause.UNTRIED

    # --- answers: never block ---

    def bundle(self, domain: str) -> TrustBundle | None:
        """The bundle in use; None when none was handed out, or it is too old."""
        return self._bundles.get(domain) if self._usable() else None

    def svid(self) -> ServingSvid | None:
        """Our SVID; None when there is none with authorities. Its own date bounds it, not ours."""
        chosen = self._chosen()
        bundle = self._bundles.get(domain_of(chosen.id)) if chosen is not None else None
        if chosen is None or bundle is None or not bundle.authorities:
            return None
        return ServingSvid(svid=chosen, authorities=b"".join(each.pem for each in bundle.authorities))

    def wait_for_svid(self, seconds: float) -> bool:
        """Wait for the first; whether there is one."""
        with self._changed:
            self._changed.wait_for(lambda: self.svid() is not None or self._stopped, seconds)
        return self.svid() is not None

    # --- for operators ---

    def tried(self) -> bool:
        """Whether a first attempt came to something, good or bad."""
        return self._cause is not Cause.UNTRIED

    def bundle_state(self, domain: str) -> SourceState:
        bundle = self._bundles.get(domain)
        missing = "" if bundle else self._faults.get(domain, _NO_BUNDLE)
        return self._state(
            domain,
            missing,
            size=0 if bundle is None else len(bundle.authorities),
            revision="" if bundle is None else bundle.revision,
        )

    def svid_state(self) -> SourceState:
        chosen = self._chosen()
        missing = "" if chosen else "the Workload API hands out no such identity"
        if chosen is not None and self._now() > chosen.not_after:
            missing = "our certificate has expired"
        return self._state(chosen.id if chosen else self._wanted or _SVID, missing, size=len(self._svids), revision="")

    def expires(self) -> float | None:
        """Seconds until our SVID expires, negative once it has; None without one."""
        chosen = self._chosen()
        return None if chosen is None else chosen.not_after - self._now()

    def _state(self, name: str, missing: str, *, size: int, revision: str) -> SourceState:
        with self._changed:
            age, error, failures, cause = self._age(), self._error, self._failures, self._cause
        freshness = freshness_of(age, max_stale=self._env.rules.max_stale, failing=bool(error))
        if missing:
            freshness, error = Freshness.ABSENT, error or missing
            cause = Cause.WORKLOAD_API if cause is Cause.NONE else cause
        return SourceState(
            name=name,
            freshness=freshness,
            age=None if missing else age,
            size=size,
            revision=revision,
            error=error,
            failures=failures,
            cause=cause,
            origin=f"workload API {self.address}",
        )

    def _age(self) -> float | None:
        """Nothing ages while the connection stands: what changes is pushed."""
        if self._good_at is None:
            return None
        standing = self._connection is not None and self._connection.standing
        return 0.0 if standing else self._env.clock() - self._good_at

    def _usable(self) -> bool:
        with self._changed:
            age = self._age()
        return age is not None and age <= self._env.rules.max_stale

    def _chosen(self) -> Svid | None:
        return next((svid for svid in self._svids if not self._wanted or svid.id == self._wanted), None)

    # --- the background ---

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="workload-api", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopped = True
        self._wake.set()
        with self._changed:
            connection = self._connection
            self._changed.notify_all()
        if connection is not None:
            connection.ended("closing")
        if self._thread is not None:
            self._thread.join(FIRST_ANSWER)

    def attempt(self) -> float:
        """One connection from its opening to its end. Seconds to wait before the next one."""
        connection = _Connection(self._accept)
        with self._changed:
            self._connection = connection
        try:
            close = self._open(self.address, connection)
        except WorkloadApiError as error:
            return self._failed(str(error))
        try:
            reason = connection.wait(first=FIRST_ANSWER, left=lambda: self.expires() if self._renews else None)
        finally:
            close()
        return self._failed(reason)

    def _run(self) -> None:
        while not self._stopped:
            delay = self.attempt()
            self._wake.wait(delay)

    def _accept(self, pushed: _Pushed) -> None:
        """Take what was pushed once both kinds are there, so that a bundle is never half of one."""
        if pushed.certificates is None or pushed.token_keys is None:
            return
        bundles, faults = _bundles(pushed.certificates, pushed.token_keys)
        with self._changed:
            before, svids, recovered = self._bundles, self._svids, bool(self._error)
            self._bundles, self._svids, self._faults = bundles, pushed.certificates.svids, faults
            self._good_at, self._failures = self._env.clock(), 0
            self._error, self._cause = "", Cause.NONE
            self._renews = (self.expires() or 0.0) > 0.0
            self._changed.notify_all()
        self._tell(before, faults, own=recovered or svids != self._svids)

    def _tell(self, before: Mapping[str, TrustBundle], faults: Mapping[str, str], *, own: bool) -> None:
        for domain, error in faults.items():
            self._env.report(SourceEvent(kind=_BUNDLE, name=domain, error=error))
        for domain, bundle in self._bundles.items():
            old = before.get(domain)
            if old is None or old.revision != bundle.revision:
                self._env.report(
                    SourceEvent(kind=_BUNDLE, name=domain, revision=bundle.revision, warnings=bundle.warnings)
                )
        if own:
            chosen = self._chosen()
            self._env.report(SourceEvent(kind=_SVID, name=chosen.id if chosen else self._wanted))

    def _failed(self, error: str) -> float:
        with self._changed:
            if self._connection is not None and self._connection.complete:
                self._good_at = self._env.clock()
            self._connection = None
            news = error != self._error and not self._stopped
            self._failures, self._error, self._cause = self._failures + 1, error, Cause.WORKLOAD_API
            delay = after_failure(self._env.rules, self._failures, self._env.random)
        if news:
            self._env.report(SourceEvent(kind=_SVID, name=self.address, error=error))
        return delay


class _Connection:
    """A `workload_client.Listener` for one connection."""

    def __init__(self, accept: Callable[[_Pushed], None]) -> None:
        self._accept = accept
        self._pushed = _Pushed()
        self._lock = threading.Lock()
        self._moved = threading.Event()
        self._reason = ""

    @property
    def complete(self) -> bool:
        """Whether both kinds of update have come."""
        return self._pushed.certificates is not None and self._pushed.token_keys is not None

    @property
    def standing(self) -> bool:
        """Whether it is complete and hasn't ended."""
        return self.complete and not self._reason

    def certificates(self, update: CertificateUpdate, /) -> None:
        with self._lock:
            self._pushed.certificates = update
            self._accept(self._pushed)
        self._moved.set()

    def token_keys(self, update: TokenKeyUpdate, /) -> None:
        with self._lock:
            self._pushed.token_keys = update
            self._accept(self._pushed)
        self._moved.set()

    def ended(self, reason: str, /) -> None:
        self._reason = self._reason or reason
        self._moved.set()

    def wait(self, *, first: float, left: Callable[[], float | None]) -> str:
        """Until the connection is of no use any more; why. `left`: seconds until our SVID expires."""
        deadline = time.monotonic() + first
        while not self._reason:
            remaining = deadline - time.monotonic()
            if self.complete:
                expires = left()
                remaining = _NEVER if expires is None else expires
            if remaining <= 0:
                return "our certificate expired and no new one came" if self.complete else "no answer"
            self._moved.wait(remaining)
            self._moved.clear()
        return self._reason


_NEVER: Final = 3600.0
"""Seconds; how long a wait without an end is at a time."""


def _bundles(
    certificates: CertificateUpdate, token_keys: TokenKeyUpdate
) -> tuple[dict[str, TrustBundle], dict[str, str]]:
    """The bundle of each trust domain by the rules of every bundle, and what is wrong with the others."""
    bundles: dict[str, TrustBundle] = {}
    faults: dict[str, str] = {**token_keys.faults, **certificates.faults}
    for domain in sorted((certificates.authorities.keys() | token_keys.keys.keys()) - faults.keys()):
        entries = [*certificates.authorities.get(domain, ()), *token_keys.keys.get(domain, ())]
        try:
            bundles[domain] = import_bundle(json.dumps({"keys": entries}).encode(), domain)
        except BundleError as error:
            faults[domain] = str(error)
    return bundles, faults
