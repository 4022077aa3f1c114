"""One trust domain's bundle in a file of the policy directory: read at load, read again when the file changed.

Owns: the last good content of one file. Must not: run a thread (the reload loop polls it).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from authz.authn.svid import BundleError, TrustBundle, import_bundle
from authz.model.issuer import BundleEndpoint, BundleFile, BundleOrigin, PeerVerification, TrustSettings
from authz.policy.faults import Fault, FaultCode, Place, Severity
from authz.sources.files import FileError, WatchedFile
from authz.sources.state import Cause, Report, SourceEvent, SourceState, freshness_of, unreported


class FileBundle:
    """The bundle in one file. `max_stale` bounds how long a faulty file's predecessor serves."""

    def __init__(
        self, domain: str, path: str, directory: Path, *, max_stale: float, clock: Callable[[], float], report: Report
    ) -> None:
        self.domain = domain
        self.path = path
        self.error = ""
        self.missing = False
        """Whether `error` is that there is no such file."""
        self.cause = Cause.NONE
        """Whether `error` is about the file or about what is in it."""
        self.changed_at = 0.0
        """When what the file says last changed, by the clock."""
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
            self.cause = Cause.FILE if isinstance(error, FileError) else Cause.CONTENT
            self._refuse(str(error))

    def bundle(self) -> TrustBundle | None:
        """The bundle in use; None when there is none, or it is too old."""
        if self._good is None or self._clock() - self._good_at > self._max_stale:
            return None
        return self._good

    @property
    def content(self) -> TrustBundle | None:
        """The last good content, however old."""
        return self._good

    def tried(self) -> bool:
        return True

    def state(self) -> SourceState:
        good = self._good
        age = None if good is None else self._clock() - self._good_at
        return SourceState(
            name=self.domain,
            age=age,
            error=self.error,
            failures=self._failures,
            origin=f"file {self.path}",
            freshness=freshness_of(age, max_stale=self._max_stale, failing=bool(self.error)),
            cause=self.cause if self.error else Cause.NONE,
            size=0 if good is None else len(good.authorities),
            revision="" if good is None else good.revision,
        )

    def fault(self, *, unused: bool) -> Fault:
        """What `error` means for the platform's documents: an error, unless there is no file and nothing needs it."""
        code = FaultCode.FILE_MISSING if self.missing else FaultCode.FILE_CONTENT
        severity = Severity.WARNING if unused and self.missing else Severity.ERROR
        return Fault(
            place=Place(self.path),
            code=code.code,
            help=code.help,
            severity=severity,
            message=f"the bundle of trust domain {self.domain} can't be read: {self.error}",
        )

    def _adopt(self, bundle: TrustBundle) -> None:
        before = self._good
        changed = before is None or (before.revision, before.sequence) != (bundle.revision, bundle.sequence)
        news = changed or bool(self.error)
        self._good, self.error, self._failures = bundle, "", 0
        if changed:
            self.changed_at = self._clock()
        if news:
            self._report(
                SourceEvent(kind="bundle", name=self.domain, revision=bundle.revision, warnings=bundle.warnings)
            )

    def _refuse(self, error: str) -> None:
        news = error != self.error
        self.error, self._failures = error, self._failures + 1
        if news:
            self._report(SourceEvent(kind="bundle", name=self.domain, error=error))


def path_of(origin: BundleOrigin) -> str:
    """The file that an origin needs, relative to the policy directory; empty for none."""
    if isinstance(origin, BundleFile):
        return origin.path
    return origin.bootstrap if isinstance(origin, BundleEndpoint) else ""


def is_unused(trust: TrustSettings) -> bool:
    """Whether no credential is verified here with the bundles."""
    return trust.verified_by is PeerVerification.ENVOY and trust.jwt_svid is None


def file_faults(trust: TrustSettings, directory: Path) -> tuple[Fault, ...]:
    """What is wrong with the files of all trust domains, for tools that only look."""
    faults: list[Fault] = []
    for domain, origin in trust.bundles.items():
        if not path_of(origin):
            continue
        file = FileBundle(
            domain, path_of(origin), directory, max_stale=float("inf"), clock=time.monotonic, report=unreported
        )
        file.poll()
        if file.error:
            faults.append(file.fault(unused=is_unused(trust)))
    return tuple(faults)
