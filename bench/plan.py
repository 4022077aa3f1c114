"""How long a run is meant to take, from its configured durations: `python -m bench --plan` prints it and runs nothing.

`make bench` is about ten minutes and `make bench-quick` about one, on a machine that does nothing else. What isn't
configured (starting a process, signing, the rate of checks) stands here as this project's machines have it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bench import matching
from bench.contenders import table
from bench.scenarios import decision, scale, through_envoy
from bench.scenarios.stage import Length

QUICK_LIMIT: Final = 75.0
LIMIT: Final = 720.0
"""Seconds: about one minute, about ten."""
WORKBENCH: Final = 50.0
"""`bench.diff` and `bench.cli`, which `make bench` runs as well."""
_START: Final = 1.5
"""Seconds until a process of ours is ready."""
_ENVOYS: Final = 0.8
_SIGN: Final = 0.0007
"""Seconds for an RS256 token."""
_COLD: Final = 0.0003
"""Seconds for a check whose token is new, client included."""
_ENDURANCE: Final = 5_000.0
"""Checks a second, every token new."""


def profile(length: Length) -> float:
    del length
    return 2 * (20 + 2.5 * len(matching.SIZES))


def decisions(length: Length, *, quick: bool = False) -> float:
    contenders = decision.QUICK if quick else table.ALL
    regimes = 2 if quick else 3
    deciding = sum(each.decides for each in contenders)
    starts = len(contenders) * (_START + length.seconds)
    cold = length.rounds * length.cold * (_SIGN + deciding * _COLD)
    return starts + length.rounds * regimes * len(contenders) * length.seconds + cold


def envoys(length: Length) -> float:
    paths = through_envoy.PATHS
    runs = len(through_envoy.CONNECTIONS) + len(through_envoy.RATES)
    return paths * (_START / 2 + _ENVOYS) + through_envoy.rounds(length) * paths * runs * length.through


def scales(length: Length) -> float:
    growing = (len(scale.ROUTES) + len(scale.ISSUERS)) * (_START + 0.5 + length.seconds) + 3
    tokens = sum(_START + scale.checks(size) * _COLD for size in scale.TOKENS if size <= length.tokens)
    processes = len(scale.PROCESSES) * (2 * _START + _ENVOYS + 1 + length.through + length.seconds)
    reload = _START + 3 + 3 * scale.RELOAD_SECONDS
    return growing + tokens + processes + reload + 12


def resiliences(length: Length) -> float:
    return 2 * (_START + 5 * 2 * length.seconds) + 2 * 14


def endurances(length: Length) -> float:
    return _START + length.endurance / _ENDURANCE


PLANNED: Final[dict[str, Callable[[Length], float]]] = {
    "profile": profile,
    "decision": decisions,
    "envoy": envoys,
    "scale": scales,
    "resilience": resiliences,
    "endurance": endurances,
}


def text(names: list[str], length: Length, *, quick: bool) -> str:
    """A line for each scenario, and their sum."""
    if quick:
        return f"planned: decision {decisions(length, quick=True):.0f} s"
    found = {name: PLANNED[name](length) for name in names}
    parts = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in found.items())
    return f"planned: {parts}; together {sum(found.values()) / 60:.1f} min"
