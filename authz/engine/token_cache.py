"""Verified credentials that need not be verified again for a while.

Owns: how long and under which circumstances a verification may be reused. Must not: cache who may do what
(authorization is decided anew for each request), or hold a credential: keys are SHA-256 digests. An entry is bound
to the versions of what it was verified with; when one of them changes, it is verified anew.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Generic, Protocol, TypeVar

from authz.authn.leaf import VerifiedSvid
from authz.engine.revocations import Marks, marks_of
from authz.model.principal import User

DEFAULT_TOKENS: Final = 20_000
"""Entries of under 2 KB for typical tokens: 40 MB when full."""
DEFAULT_CERTIFICATES: Final = 4_096
MAX_AGE: Final = 300.0
"""Seconds after which even a long-lived token is verified anew."""


class _Entry(Protocol):
    @property
    def until(self) -> float: ...


Value = TypeVar("Value", bound=_Entry)


@dataclass(slots=True, eq=False)
class CachedToken:
    """The user of a verified token, with the revisions of the settings and keys that verified it.

    `since` and `until` are in seconds since the epoch. Before `since` the token isn't valid. From `until` on, which is
    never later than its end, the entry is no longer used.
    """

    user: User
    settings: str
    keys: str
    since: float
    until: float
    _marks: Marks | None = field(default=None, init=False, repr=False)

    def marks(self) -> Marks:
        """Where entries that revoke the token would be filed: worked out at the first question, then kept."""
        if self._marks is None:
            self._marks = marks_of(self.user)
        return self._marks


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedCertificate:
    """A verified certificate; `svid.revision` is the bundle's. `until` as above."""

    svid: VerifiedSvid
    until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCounters:
    """How a cache fared since it was made. Evictions are entries that had to go for others, still usable."""

    hits: int
    misses: int
    evictions: int
    entries: int


class BoundedCache(Generic[Value]):
    """A bounded map from the digest of a credential to what was verified, least recently used out first; any thread may
    use it."""

    def __init__(self, entries: int) -> None:
        self._lock: Final = threading.Lock()
        self._map: Final[OrderedDict[bytes, Value]] = OrderedDict()
        self._room: Final = entries
        self._hits = 0
        self._misses = 0
        self._evictions = 0

    def hit(self, digest: bytes, *, now: float) -> Value | None:
        """The entry, None when there is none or its time is over. Says nothing about revisions: see `reject`.

        Only hits are counted: who gets none looks closer and asks by `get`.
        """
        with self._lock:
            entry = self._map.get(digest)
            if entry is None or now >= entry.until:
                return None
            self._map.move_to_end(digest)
            self._hits += 1
            return entry

    def get(self, digest: bytes, *, now: float) -> Value | None:
        """As `hit`, and None counts as a miss: the credential is going to be verified."""
        entry = self.hit(digest, now=now)
        if entry is None:
            with self._lock:
                self._misses += 1
                self._map.pop(digest, None)
        return entry

    def reject(self, digest: bytes) -> None:
        """Take back a hit whose entry was verified with what is no longer in force."""
        with self._lock:
            self._hits -= 1
            self._misses += 1
            self._map.pop(digest, None)

    def put(self, digest: bytes, entry: Value) -> None:
        with self._lock:
            self._map[digest] = entry
            self._map.move_to_end(digest)
            if len(self._map) > self._room:
                self._map.popitem(last=False)
                self._evictions += 1

    @property
    def counters(self) -> CacheCounters:
        with self._lock:
            return CacheCounters(
                hits=self._hits, misses=self._misses, evictions=self._evictions, entries=len(self._map)
            )


class TokenCache(BoundedCache[CachedToken]):
    """Verified tokens, at most `entries` of them, each for at most `max_age` seconds."""

    def __init__(self, entries: int = DEFAULT_TOKENS, max_age: float = MAX_AGE) -> None:
        super().__init__(entries)
        self.max_age: Final = max_age


class CertificateCache(BoundedCache[CachedCertificate]):
    """Verified certificates, likewise."""

    def __init__(self, entries: int = DEFAULT_CERTIFICATES, max_age: float = MAX_AGE) -> None:
        super().__init__(entries)
        self.max_age: Final = max_age


def digest_of(credential: str) -> bytes:
    """What a credential is filed under: SHA-256 of all of its text."""
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
