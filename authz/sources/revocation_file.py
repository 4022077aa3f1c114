"""Revocations of one process in a file that is only appended to: the store where there is no Redis.

Owns: the file, its lock, what is on the disk before an act is acknowledged (fsync), a torn last line, and compaction.
Must not: decide which entries count. Lines that can't be read are kept where they are, counted and shown: whoever
insists on knowing everything (`revocation: strict`) is told that something is missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from authz.model.revocation import Revocation
from authz.sources.revocation_records import MAX_RECORD_BYTES, RecordError, decode, encode
from authz.sources.revocations import JournalError, JournalState, Receiver

FILE_MODE: Final = 0o600
"""Owner only: it names who was locked out."""
COMPACT_AT: Final = 1000
"""Lines; a smaller file isn't worth rewriting."""


class FileJournal:
    """See the module. `wall` is seconds since the epoch. Used by the list's own thread and by those of its doors."""

    def __init__(self, path: Path, *, wall: Callable[[], float] = time.time) -> None:
        self._path = path
        self._wall = wall
        self._lock: int | None = None
        self._descriptor: int | None = None
        self._writing = threading.Lock()
        self._lines = 0
        self._unreadable = 0
        self._error = ""
        self._loaded = False

    def open(self, receiver: Receiver) -> None:
        """Take the file for this process and read all of it; raises `OSError` when that can't be done."""
        try:
            self._lock = _locked(self._path.with_name(self._path.name + ".lock"))
            self._descriptor = _open(self._path)
            _cut_torn_tail(self._descriptor)
            self._load(receiver)
        except BaseException:
            self.close()
            raise
        self._loaded = True

    def round(self, receiver: Receiver, wait: Callable[[float], bool]) -> None:
        """What there is to do now and then; `wait` sleeps and says whether the end has come."""
        receiver.expire()
        with contextlib.suppress(JournalError):
            receiver.hand_over()
        if self._lines > COMPACT_AT and self._lines > 2 * receiver.size():
            with contextlib.suppress(JournalError):
                self.compact()
        wait(1.0)

    def reconcile(self, receiver: Receiver) -> None:
        """Read the file again, and write what it lacks; raises `JournalError`."""
        known = {(one.kind, one.key) for one in self.history() if not one.lifted}
        for one in self.history():
            receiver.receive(one)
        for filed in receiver.filed():
            if (filed.kind, filed.key) not in known:
                self.publish((Revocation(kind=filed.kind, key=filed.key, until=filed.until, before=filed.before),))

    def publish(self, records: tuple[Revocation, ...]) -> None:
        """On the disk when this returns; raises `JournalError`."""
        with self._writing:
            if self._descriptor is None:
                raise JournalError("the file is closed")
            end = os.fstat(self._descriptor).st_size
            try:
                _write(self._descriptor, b"".join(encode(one) + b"\n" for one in records))
                os.fsync(self._descriptor)
            except OSError as error:
                # A half-written line would spoil the one that is written after it.
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, end)
                self._error = _words(error)
                raise JournalError(self._error) from None
            self._lines += len(records)
            self._error = ""

    def history(self) -> Iterator[Revocation]:
        """Every record of the file, oldest first."""
        with self._path.open("rb") as file:
            for line in _lines(file):
                with contextlib.suppress(RecordError):
                    yield decode(line)

    def compact(self) -> None:
        """Write the file anew without what has ended; the old one stays until the new one is on the disk."""
        fresh = self._path.with_name(self._path.name + ".new")
        with self._writing:
            try:
                self._lines = _rewrite(self._path, fresh, self._wall())
                before, self._descriptor = self._descriptor, _open(self._path)
            except OSError as error:
                self._error = _words(error)
                raise JournalError(self._error) from None
            if before is not None:
                os.close(before)

    def state(self) -> JournalState:
        return JournalState(
            store="file",
            loaded=self._loaded,
            tried=self._loaded,
            age=0.0 if self._loaded else None,
            gaps=0,
            unreadable=self._unreadable,
            error=self._error,
        )

    def close(self) -> None:
        with self._writing:
            for descriptor in (self._descriptor, self._lock):
                if descriptor is not None:
                    os.close(descriptor)
            self._descriptor = self._lock = None

    def _load(self, receiver: Receiver) -> None:
        with self._path.open("rb") as file:
            for line in _lines(file):
                self._lines += 1
                try:
                    receiver.receive(decode(line))
                except RecordError:
                    self._unreadable += 1


def _cut_torn_tail(descriptor: int) -> None:
    """A line without its end was never acknowledged: the machine stopped while it was written."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - 2 * MAX_RECORD_BYTES)
    tail = os.pread(descriptor, size - start, start)
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(descriptor, start + tail.rfind(b"\n") + 1)
        os.fsync(descriptor)


def _rewrite(path: Path, fresh: Path, now: float) -> int:
    """Put the lines that still count in the file's place; how many they are."""
    kept = 0
    descriptor = _open(fresh, truncate=True)
    with path.open("rb") as old, os.fdopen(descriptor, "wb") as new:
        for line in _lines(old):
            if not _ended(line, now):
                new.write(line)
                kept += 1
        new.flush()
        os.fsync(new.fileno())
    fresh.replace(path)
    _sync_directory(path.parent)
    return kept


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends, each bounded: a longer one comes in pieces that nothing can read."""
    while line := file.readline(MAX_RECORD_BYTES + 1):
        yield line


def _ended(line: bytes, now: float) -> bool:
    try:
        return decode(line).until <= now
    except RecordError:
        return False


def _locked(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise OSError(11, "another authz keeps its revocations here; several need store.url", str(path)) from None
    return descriptor


def _open(path: Path, *, truncate: bool = False) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(path, flags | (os.O_TRUNC if truncate else 0), FILE_MODE)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _words(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno else "it can't be written"


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
