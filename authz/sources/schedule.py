"""When keys are fetched again: pure arithmetic over seconds, no clock and no threads.

Owns: refresh ahead of expiry, back-off after failure, the cooldown of fetches that requests ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

MIN_REFRESH: Final = 30.0
"""Seconds; a provider that says `max-age=0` isn't asked more often."""
MAX_REFRESH: Final = 3600.0
"""Seconds; a provider that says `max-age=1y` is asked at least this often: a key taken out must stop
counting."""
AHEAD: Final = 0.8
"""Fraction of `max-age` after which the next fetch begins: before a shared cache would call the set
expired."""
FIRST_RETRY: Final = 1.0
MAX_RETRY: Final = 60.0
"""Seconds; the cap of the back-off, so that a provider that comes back is noticed within a minute."""
JITTER: Final = 0.1
"""Fraction by which a delay may be shortened, so that many instances don't ask in step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRules:
    """All in seconds. `max_stale`: how long the last good set serves while fetches fail."""

    refresh: float = 300.0
    cooldown: float = 10.0
    max_stale: float = 24 * 3600.0


def after_success(rules: RefreshRules, max_age: float | None, random: Callable[[], float]) -> float:
    """Seconds until the next fetch; `max_age` shortens or lengthens it within the bounds. `random` is in
    [0, 1)."""
    return _next(rules, None if max_age is None else max_age * AHEAD, random)


def after_hint(rules: RefreshRules, hint: float | None, random: Callable[[], float]) -> float:
    """Seconds until a bundle is fetched again: as often as it says itself, within the same bounds (SPIFFE Federation
    §4.1)."""
    return _next(rules, hint, random)


def after_failure(rules: RefreshRules, failures: int, random: Callable[[], float]) -> float:
    """Seconds until the next try after `failures` in a row (counted from 1): doubling, capped."""
    exponent = min(failures - 1, 16)
    return _jittered(min(FIRST_RETRY * 2.0**exponent, MAX_RETRY, max(rules.refresh, FIRST_RETRY)), random)


def _next(rules: RefreshRules, suggested: float | None, random: Callable[[], float]) -> float:
    if suggested is None:
        return _jittered(rules.refresh, random)
    lowest, highest = min(MIN_REFRESH, rules.refresh), max(MAX_REFRESH, rules.refresh)
    return _jittered(min(max(suggested, lowest), highest), random)


def _jittered(delay: float, random: Callable[[], float]) -> float:
    return delay * (1.0 - JITTER * random())
