"""SPIFFE trust bundles in files of the policy directory: implements `engine.ports.TrustBundles`.

Owns: the last good bundle of each trust domain (SPIFFE Trust Domain and Bundle §4). Must not: run a thread
(the reload loop polls it), or take one domain's bundle for another's.

How to wire it (app): `BundleStore(directory, report=…)`, handed to `PolicyDirectory`; `states()` feeds
metrics and readiness.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from authz.authn.svid import BundleError, TrustBundle, import_bundle
from authz.model.issuer import BundleFile, PeerVerification, TrustSettings
from authz.policy.faults import Fault, FaultCode, Place, Severity, has_errors
from authz.sources.files import FileError, WatchedFile
from authz.sources.state import Freshness, Report, SourceEvent, SourceState, unreported

DEFAULT_MAX_STALE = 24 * 3600.0
"""Seconds that a bundle serves after its file became faulty: an authority taken out must stop counting some
day."""


class BundleSource:
    """One trust domain's bundle file."""

    def __init__(
        self, domain: str, path: str, directory: Path, *,
        max_stale: float, clock: Callable[[], float], report: Report,
    ) -> None:
        self.domain = domain
        self.path = path
        self.error = ""
        self.missing = False
        """Whether `error` is that there is no such file."""
        self._file = WatchedFile(directory, path)
        self._max_stale = max_stale
        self._clock = clock
        self._report = report
        self._good: TrustBundle | None = None
        self._good_at = 0.0
        self._failures = 0

    def poll(self) -> None:
        """Read the file if it changed; a faulty one keeps its predecessor and says why."""
        try:
            if self.error or self._file.changed():
                self._adopt(import_bundle(self._file.read(), self.domain))
            self._good_at = self._clock()
        except (FileError, BundleError) as error:
            self.missing = isinstance(error, FileError) and error.missing
            self._refuse(str(error))

    def bundle(self) -> TrustBundle | None:
        """The bundle in use; None when there is none, or it is too old."""
        if self._good is None or self._clock() - self._good_at > self._max_stale:
            return None
        return self._good

    def state(self) -> SourceState:
        good, age = self._good, self._clock() - self._good_at
        return SourceState(
            name=self.domain, freshness=self._freshness(age), age=None if good is None else age,
            size=0 if good is None else len(good.authorities),
            revision="" if good is None else good.revision, error=self.error, failures=self._failures,
        )

    def _freshness(self, age: float) -> Freshness:
        if self._good is None:
            return Freshness.ABSENT
        if age > self._max_stale:
            return Freshness.EXPIRED
        return Freshness.STALE if self.error else Freshness.FRESH

    def _adopt(self, bundle: TrustBundle) -> None:
        news = self._good is None or self._good.revision != bundle.revision or bool(self.error)
        self._good, self.error, self._failures = bundle, "", 0
        if news:
            self._report(SourceEvent(
                kind="bundle", name=self.domain, revision=bundle.revision, warnings=bundle.warnings,
            ))

    def _refuse(self, error: str) -> None:
        news = error != self.error
        self.error, self._failures = error, self._failures + 1
        if news:
            self._report(SourceEvent(kind="bundle", name=self.domain, error=error))


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What `apply` will put in force. With errors among `faults` it must not be applied."""

    sources: Mapping[str, BundleSource]
    faults: tuple[Fault, ...]


class BundleStore:
    """See the module. `directory` is the policy directory, which bundle files are relative to."""

    def __init__(
        self, directory: Path, *, report: Report = unreported, clock: Callable[[], float] = time.monotonic,
        max_stale: float = DEFAULT_MAX_STALE,
    ) -> None:
        self._directory = directory
        self._report = report
        self._clock = clock
        self._max_stale = max_stale
        self._sources: Mapping[str, BundleSource] = {}

    def bundle(self, trust_domain: str) -> TrustBundle | None:
        """`engine.ports.TrustBundles`: None also for a domain that nobody configured."""
        source = self._sources.get(trust_domain)
        return None if source is None else source.bundle()

    def prepare(self, trust: TrustSettings | None) -> BundlePlan:
        """Read what the trust domains need, reusing sources whose file is the same. Changes nothing in
        force."""
        wanted: Mapping[str, BundleFile] = {} if trust is None else trust.bundles
        sources = {domain: self._source(domain, file.path) for domain, file in wanted.items()}
        for source in sources.values():
            source.poll()
        unused = trust is not None and trust.verified_by is PeerVerification.ENVOY
        faults = tuple(_fault(source, unused=unused) for source in sources.values() if source.error)
        return BundlePlan(sources, faults)

    def apply(self, plan: BundlePlan) -> None:
        """Put a plan without errors in force."""
        if has_errors(plan.faults):
            raise ValueError("a plan with errors can't be applied")
        self._sources = plan.sources

    def reconfigure(self, trust: TrustSettings | None) -> tuple[Fault, ...]:
        """`prepare` and, without errors, `apply`."""
        plan = self.prepare(trust)
        if not has_errors(plan.faults):
            self.apply(plan)
        return plan.faults

    def poll(self) -> None:
        """Look at the files again; called by the reload loop."""
        for source in self._sources.values():
            source.poll()

    def states(self) -> tuple[SourceState, ...]:
        return tuple(source.state() for source in self._sources.values())

    def _source(self, domain: str, path: str) -> BundleSource:
        living = self._sources.get(domain)
        if living is not None and living.path == path:
            return living
        return BundleSource(
            domain, path, self._directory, max_stale=self._max_stale, clock=self._clock, report=self._report,
        )


def _fault(source: BundleSource, *, unused: bool) -> Fault:
    """An error, unless nothing needs the bundle: with `verified_by: envoy` a file that isn't there only may be."""
    code = FaultCode.FILE_MISSING if source.missing else FaultCode.FILE_CONTENT
    severity = Severity.WARNING if unused and source.missing else Severity.ERROR
    return Fault(
        place=Place(source.path), code=code.code, help=code.help, severity=severity,
        message=f"the bundle of trust domain {source.domain} can't be read: {source.error}",
    )
