"""Unix socket paths: taken over only when nobody listens, owned through a lock, removed on the way out.

gRPC unlinks whatever stands at the path before it binds, so a second server would silently take the first one's
place; the lock beside the socket is what prevents that. Abstract sockets are not offered.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from authz.server.front import ListenError

SOCKET_MODE: Final = 0o660
"""Owner and group; nobody else may ask for decisions."""
_MAX_PATH_BYTES: Final = 107
"""`sun_path` without its NUL (unix(7))."""
_UMASK = threading.Lock()


class SocketPath:
    """One path that this process owns from `claim` to `release`."""

    def __init__(self, path: str, mode: int = SOCKET_MODE) -> None:
        self._path = Path(path)
        self._mode = mode & SOCKET_MODE
        self._lock_path = Path(f"{path}.lock")
        self._lock: int | None = None
        self._inode: tuple[int, int] | None = None

    def claim(self) -> None:
        """Take the path, removing a socket that nobody listens on; raises `ListenError`."""
        if len(os.fsencode(self._path)) > _MAX_PATH_BYTES:
            raise ListenError(f"unix:{self._path}: a socket path has at most {_MAX_PATH_BYTES} bytes")
        try:
            self._lock = _lock(self._lock_path)
            _remove_stale(self._path)
        except OSError as error:
            self.release()
            raise ListenError(f"unix:{self._path}: {error.strerror or 'not usable'}") from error
        except ListenError:
            self.release()
            raise

    @contextlib.contextmanager
    def binding(self) -> Iterator[None]:
        """Bind inside this: the socket is born with the narrow mode, without a moment in which it is wider."""
        with _UMASK:
            before = os.umask(0o777 & ~self._mode)
            try:
                yield
            finally:
                os.umask(before)
        try:
            self._path.chmod(self._mode)
            found = self._path.stat()
        except OSError as error:
            raise ListenError(f"unix:{self._path}: {error.strerror or 'not usable'}") from error
        self._inode = (found.st_dev, found.st_ino)

    def release(self) -> None:
        """Remove our socket, if it is still ours, and let the lock go."""
        with contextlib.suppress(OSError):
            found = self._path.lstat()
            if self._inode == (found.st_dev, found.st_ino):
                self._path.unlink()
        self._inode = None
        if self._lock is not None:
            # Unlinked while the lock is held: `_lock` checks that what it locked still stands at the path.
            with contextlib.suppress(OSError):
                self._lock_path.unlink()
            os.close(self._lock)
            self._lock = None


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _same_file(descriptor, path):
                return descriptor
        except BlockingIOError as error:
            os.close(descriptor)
            raise ListenError(f"unix:{path.with_suffix('')}: another authz serves this socket") from error
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        standing = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(descriptor), standing)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenError(f"unix:{path}: the path exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        code = probe.connect_ex(str(path))
    if code == errno.ECONNREFUSED:
        path.unlink()
    elif code != errno.ENOENT:
        raise ListenError(f"unix:{path}: another process listens on this socket")
