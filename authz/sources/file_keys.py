"""One issuer's keys in a file of the policy directory: read at load, read again when the file changed.

Owns: the last good content of one `jwks_file`. Nothing can be fetched here, so an unknown key id is unknown
at once, also for an empty set (docs/verification.md, "The token"). Must not: run a thread; the reload loop
polls it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from authz.authn.keys import KeySet, KeySetError, import_key_set
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import IssuerSettings, JwksFile
from authz.model.reason import Reason
from authz.policy.faults import Fault, FaultCode, Place
from authz.sources.files import FileError, WatchedFile
from authz.sources.state import Cause, Report, SourceEvent, SourceState, freshness_of

_NO_KEYS: Final = "the issuer's key file was never readable"
_TOO_OLD: Final = "the issuer's key file has been faulty for too long"


class FileKeys:
    """The keys of one issuer out of `keys.path`. `max_stale` bounds how long a faulty file's predecessor
    serves."""

    def __init__(
        self,
        settings: IssuerSettings,
        keys: JwksFile,
        directory: Path,
        *,
        max_stale: float,
        clock: Callable[[], float],
        report: Report,
    ) -> None:
        self._settings = settings
        self._file = WatchedFile(directory, keys.path)
        self._max_stale = max_stale
        self._clock = clock
        self._report = report
        self._lock = threading.Lock()
        self._good: KeySet | None = None
        self._good_at = 0.0
        self._failures = 0
        self._warnings: tuple[str, ...] = ()
        self.error = ""
        """Why the file as it is now can't be used; empty when it can."""
        self.missing = False
        """Whether `error` is that there is no such file."""
        self.cause = Cause.NONE
        """Whether `error` is about the file or about what is in it."""

    @property
    def path(self) -> str:
        return self._file.relative

    def poll(self) -> None:
        """Read the file if it changed. A faulty one keeps the last good set and says why."""
        with self._lock:
            try:
                if self.error or self._file.changed():
                    self._adopt(*import_key_set(self._file.read(), self._settings.algorithms))
                self._good_at = self._clock()
            except (FileError, KeySetError) as error:
                self.missing = isinstance(error, FileError) and error.missing
                self.cause = Cause.FILE if isinstance(error, FileError) else Cause.CONTENT
                self._refuse(str(error))

    def keys(self) -> KeySet:
        good = self._good
        if good is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, _NO_KEYS)
        if self._clock() - self._good_at > self._max_stale:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, _TOO_OLD)
        return good

    def unknown(self) -> Refused:
        return Refused(Reason.TOKEN_KEY_UNKNOWN, "the issuer's key file lacks this key")

    def fault(self) -> Fault:
        """What `error` means for the platform's documents: a file that can't be used refuses them."""
        code = FaultCode.FILE_MISSING if self.missing else FaultCode.FILE_CONTENT
        return Fault(
            place=Place(self.path),
            code=code.code,
            help=code.help,
            message=f"the keys of issuer {self._settings.name} can't be read: {self.error}",
        )

    def tried(self) -> bool:
        return True

    def state(self) -> SourceState:
        with self._lock:
            good, failures, error = self._good, self._failures, self.error
            age = None if good is None else self._clock() - self._good_at
        return SourceState(
            name=self._settings.name,
            age=age,
            error=error,
            failures=failures,
            origin=f"file {self.path}",
            freshness=freshness_of(age, max_stale=self._max_stale, failing=bool(error)),
            cause=self.cause if error else Cause.NONE,
            size=0 if good is None else len(good),
            revision="" if good is None else good.revision,
        )

    def _adopt(self, keys: KeySet, warnings: tuple[str, ...]) -> None:
        # Keys that can't be used are no part of the set's revision.
        warned = bool(warnings) and warnings != self._warnings
        news = self._good is None or self._good.revision != keys.revision or bool(self.error) or warned
        if self._good is None or self._good.revision != keys.revision:
            self._good = keys
        self.error, self._failures, self._warnings = "", 0, warnings
        if news:
            self._report(SourceEvent(kind="keys", name=self._settings.name, revision=keys.revision, warnings=warnings))

    def _refuse(self, error: str) -> None:
        news = error != self.error
        self.error, self._failures = error, self._failures + 1
        if news:
            self._report(SourceEvent(kind="keys", name=self._settings.name, error=error))
