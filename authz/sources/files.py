"""Files that the policy directory refers to (`jwks_file`, trust bundles): found safely, read bounded,
watched.

Owns: what a relative path may be, and noticing that a file changed. Must not: interpret what is in a file.
Symbolic links are followed: a Kubernetes mount is made of them, and who can write links there can write
files.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from authz.model.errors import AuthzError

MAX_FILE_BYTES: Final = 4 * 1024 * 1024

Signature = tuple[int, int, int, int, int]
"""Device, inode, size, mtime and ctime in nanoseconds: changes whenever the content does."""


class FileError(AuthzError):
    """A file can't be used; `reason` is a short sentence that names the rule or the system's own word for
    it."""

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.missing = missing
        """Whether there simply is no such file."""


def resolve_inside(directory: Path, relative: str) -> Path:
    """`directory/relative` as written; raises `FileError` for a path that is absolute or climbs out."""
    parts = relative.split("/")
    if not relative or relative.startswith("/") or ".." in parts or "\0" in relative:
        raise FileError("the path is relative to the policy directory and holds no '..'")
    return directory.joinpath(*(part for part in parts if part not in ("", ".")))


def signature(path: Path) -> Signature:
    """What `os.stat` says of the file behind `path`; raises `FileError`."""
    try:
        status = path.stat()
    except (OSError, ValueError) as error:
        raise FileError(describe(error), missing=isinstance(error, FileNotFoundError)) from None
    return _signature(status)


def read_bounded(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """The whole content of a regular file; raises `FileError` for anything else, or for more than `limit`
    bytes."""
    return read_signed(path, limit=limit)[0]


def read_signed(path: Path, *, limit: int = MAX_FILE_BYTES) -> tuple[bytes, Signature]:
    """The content, and the signature of the very file that was read (not of what the path names by then)."""
    try:
        # O_NONBLOCK: opening a FIFO that somebody left there must not hang the reload.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise FileError("it is not a regular file")
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise FileError(describe(error), missing=isinstance(error, FileNotFoundError)) from None
    if len(content) > limit:
        raise FileError(f"it is over {limit} bytes")
    return content, _signature(status)


def describe(error: Exception) -> str:
    """The system's word for what went wrong, without the path (the caller names it)."""
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    return "the name can't be used"


@dataclass(slots=True)
class WatchedFile:
    """One file under the policy directory that is read again when it changed."""

    directory: Path
    relative: str
    _seen: Signature | None = None

    def changed(self) -> bool:
        """Whether there is something to read that `read` hasn't returned. Raises `FileError`."""
        return signature(resolve_inside(self.directory, self.relative)) != self._seen

    def read(self) -> bytes:
        """The content now. Raises `FileError`, after which `changed` stays true."""
        self._seen = None
        content, seen = read_signed(resolve_inside(self.directory, self.relative))
        self._seen = seen
        return content


def _signature(status: os.stat_result) -> Signature:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
