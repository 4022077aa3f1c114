"""What sources say about themselves, for logs, metrics and readiness. Values only; no text here comes from
clients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum


class Freshness(Enum):
    """FRESH: as of the last attempt. STALE: the last good one serves while attempts fail. EXPIRED: it is
    too old and no longer serves. ABSENT: there never was one."""

    FRESH = "fresh"
    STALE = "stale"
    EXPIRED = "expired"
    ABSENT = "absent"


class Cause(Enum):
    """Why the last attempt failed, as a closed set for metrics: `error` says the same in a sentence."""

    NONE = ""
    UNTRIED = "untried"
    NAME = "name_unresolved"
    ADDRESS = "address_refused"
    CONNECTION = "connection"
    TIMEOUT = "timeout"
    TLS = "tls"
    REDIRECT = "redirect"
    STATUS = "status"
    SIZE = "too_large"
    CONTENT = "content"
    ISSUER = "issuer_mismatch"
    ROLLBACK = "sequence_went_back"
    FILE = "file"
    WORKLOAD_API = "workload_api"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """One issuer's keys, one trust domain's bundle or our own certificate. `age` is seconds since it was last known
    good (None: never), `size` the number of keys or authorities, `error` and `cause` the last failure (empty once an
    attempt succeeded), `origin` where it comes from."""

    name: str
    freshness: Freshness
    age: float | None
    size: int
    revision: str
    error: str
    failures: int = 0
    """Failed attempts in a row."""
    cause: Cause = Cause.NONE
    origin: str = ""

    @property
    def usable(self) -> bool:
        return self.freshness in (Freshness.FRESH, Freshness.STALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent:
    """Something changed: `kind` is keys, bundle, svid or policy. `error` is empty when it is good news;
    `warnings` name what was skipped. Told once per change, not once per attempt."""

    kind: str
    name: str
    error: str = ""
    revision: str = ""
    warnings: tuple[str, ...] = ()


def freshness_of(age: float | None, *, max_stale: float, failing: bool) -> Freshness:
    """What something is that was last known good `age` seconds ago (None: never) and serves for `max_stale`."""
    if age is None:
        return Freshness.ABSENT
    if age > max_stale:
        return Freshness.EXPIRED
    return Freshness.STALE if failing else Freshness.FRESH


Report = Callable[[SourceEvent], None]
"""Called on the source's own thread: it must not block or raise."""


def unreported(event: SourceEvent) -> None:
    """For callers that want no reports (offline tools)."""
