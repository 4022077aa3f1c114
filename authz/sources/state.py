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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """One issuer's keys or one trust domain's bundle. `age` is seconds since it was last known good (None:
    never), `size` the number of keys or authorities, `error` the last failure (empty once an attempt
    succeeded)."""

    name: str
    freshness: Freshness
    age: float | None
    size: int
    revision: str
    error: str
    failures: int = 0
    """Failed attempts in a row."""

    @property
    def usable(self) -> bool:
        return self.freshness in (Freshness.FRESH, Freshness.STALE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEvent:
    """Something changed: `kind` is keys, bundle or policy. `error` is empty when it is good news;
    `warnings` name what was skipped. Told once per change, not once per attempt."""

    kind: str
    name: str
    error: str = ""
    revision: str = ""
    warnings: tuple[str, ...] = ()


Report = Callable[[SourceEvent], None]
"""Called on the source's own thread: it must not block or raise."""


def unreported(event: SourceEvent) -> None:
    """For callers that want no reports (offline tools)."""
