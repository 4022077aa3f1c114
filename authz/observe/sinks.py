"""Where audit lines go: a file that may be rotated, or standard output.

Owns: opening, whole-line writes, noticing rotation. Must not: buffer beyond one write, or know what a line says.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

FILE_MODE: Final = 0o640
"""Owner writes, group reads (log shippers), others nothing: lines hold who did what."""


class Sink(Protocol):
    """Used by one thread."""

    def write(self, lines: bytes) -> None:
        """Write whole lines, or raise OSError."""
        ...

    def reopen(self) -> None:
        """Whoever rotates has moved the file away."""
        ...

    def close(self) -> None: ...


class FileSink:
    """Appends to a file; opens it again when it was moved, removed or replaced."""

    def __init__(self, path: Path) -> None:
        """Raises OSError: a trail that can't be opened should be known at start."""
        self._path = path
        self._descriptor = _open(path)

    def write(self, lines: bytes) -> None:
        if self._moved():
            self.reopen()
        _write_all(self._descriptor, lines)

    def reopen(self) -> None:
        fresh = _open(self._path)
        os.close(self._descriptor)
        self._descriptor = fresh

    def close(self) -> None:
        os.close(self._descriptor)

    def _moved(self) -> bool:
        try:
            there = self._path.stat()
        except OSError:
            return True
        here = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


class DescriptorSink:
    """Writes to a descriptor that somebody else owns: standard output.

    Several workers share it. A pipe takes more than 4 KiB in pieces (pipe(7), PIPE_BUF), so whoever writes holds a
    lock on it; a file opened for appending needs none.
    """

    def __init__(self, descriptor: int = 1) -> None:
        self._descriptor = descriptor

    def write(self, lines: bytes) -> None:
        with _alone(self._descriptor):
            _write_all(self._descriptor, lines)

    def reopen(self) -> None:
        """Nothing to do: whoever rotates holds the other end."""

    def close(self) -> None:
        """Nothing to do: the descriptor isn't ours."""


def open_sink(path: Path | None) -> Sink:
    """The sink for a file, or for standard output. Raises OSError."""
    return DescriptorSink() if path is None else FileSink(path)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


@contextlib.contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Hold the lock of a pipe; anything else (a terminal, /dev/null) takes a write whole, or isn't ours to lock."""
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        yield
        return
    fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
