"""The keys of the nonces that proofs of possession have to hold (RFC 9449 §9).

Owns: reading them, and noticing that the file changed. The newest key signs, the one before it is taken for as long as
a nonce lives: replicas that read a new file a moment apart take each other's nonces. Without a file the key is made
here, for a service of a single process.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from authz.authn.nonce import MIN_KEY_BYTES
from authz.model.errors import SettingsError
from authz.sources.files import FileError, Signature, read_signed, signature
from authz.sources.state import Report, SourceEvent, unreported

MAX_KEY_BYTES: Final = 4096
CHECK_SECONDS: Final = 1.0
"""How often the file is looked at, at most."""


class NonceKeys:
    """Any thread may ask. Raises `SettingsError` when the file can't be used at start."""

    def __init__(
        self, file: Path | None, *, report: Report = unreported, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = file
        self._report = report
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._seen: Signature | None = None
        self._error = ""
        self._keys: tuple[bytes, ...] = ()
        if file is None:
            self._keys = (secrets.token_bytes(MIN_KEY_BYTES),)
            return
        try:
            self._read(file)
        except FileError as error:
            raise SettingsError(f"dpop.nonce_key_file: {error.reason}") from None

    def keys(self) -> tuple[bytes, ...]:
        """The key that makes nonces, then the one before it. A file that can't be read keeps its predecessor."""
        file = self._file
        if file is None or self._clock() < self._looked + CHECK_SECONDS or not self._lock.acquire(blocking=False):
            return self._keys
        try:
            self._look(file)
        finally:
            self._lock.release()
        return self._keys

    def _look(self, file: Path) -> None:
        self._looked = self._clock()
        try:
            if signature(file) != self._seen:
                self._read(file)
            self._error = ""
        except FileError as error:
            if error.reason != self._error:
                self._error = error.reason
                self._report(SourceEvent(kind="nonce_key", name="dpop", error=error.reason))

    def _read(self, file: Path) -> None:
        content, seen = read_signed(file, limit=MAX_KEY_BYTES)
        key = content.rstrip(b"\r\n")
        if len(key) < MIN_KEY_BYTES:
            raise FileError(f"a key has at least {MIN_KEY_BYTES} octets")
        self._keys = (key, *(old for old in self._keys[:1] if old != key))
        self._seen = seen
