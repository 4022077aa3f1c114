"""What one decision costs, against everybody else's: straight at each server, without Envoy between.

Every check is a request of its own (`bench.traffic`); all contenders take the same stream of them in turn.
"""

from __future__ import annotations

from collections.abc import Mapping

from bench.contenders import table
from bench.contenders.table import Contender, Running
from bench.material import distinct, warm
from bench.measuring import Load, closed, each_once, paced, under, warm_up
from bench.report import Cell, Measure, Report, turns
from bench.scenarios.stage import Length, stage, start_all

RATE = 1000
PACED = "warm-paced"
GOALS = {
    table.OURS_NATIVE: 2.0,
    table.OURS_NATIVE_COMPILED: 2.0,
    table.OURS_GRPCIO: 5.5,
    table.OURS_GRPCIO_COMPILED: 5.5,
}
"""At most so many times what the Go server costs that decides nothing."""
QUICK = (*table.OURS, *table.COMPILED, table.FLOOR, table.REGO)


def run(report: Report, length: Length, *, quick: bool = False) -> None:
    """Warm in three ways of asking, and cold."""
    contenders: tuple[Contender, ...] = QUICK if quick else table.ALL
    with stage() as place:
        running = start_all(place, contenders, report)
        messages = warm(place.material)
        for each in running.values():
            warm_up(each, messages, seconds=length.seconds)
        seconds = length.seconds
        regimes: list[tuple[str, str, Load]] = [
            ("warm-one", "known tokens, closed loop, 1 in flight", closed(messages, in_flight=1, seconds=seconds)),
            ("warm", "known tokens, closed loop, 8 in flight", closed(messages, in_flight=8, seconds=seconds)),
        ]
        if not quick:
            regimes.append((PACED, f"known tokens, open loop, {RATE}/s", paced(messages, rate=RATE, seconds=seconds)))
        for key, title, load in regimes:
            _one(
                report,
                key,
                title,
                turns(length.rounds, list(running), _measure(running, load, all_permits=key != PACED)),
            )
        colds = [distinct(place.material, length.cold) for _ in range(length.rounds)]
        deciding = [each.name for each in contenders if each.decides and each.name in running]
        found = turns(
            length.rounds, deciding, lambda name, number: under(running[name], each_once(colds[number], in_flight=8))
        )
        _one(report, "cold", "each token new (RS256), closed loop, 8 in flight", found)


def _measure(running: Mapping[str, Running], load: Load, *, all_permits: bool) -> Measure:
    return lambda name, _number: under(running[name], load, all_permits=all_permits)


def _one(report: Report, key: str, title: str, found: Mapping[str, Mapping[str, float]]) -> None:
    ours = next((found[name]["cpu"] for name in (table.OURS_NATIVE, table.OURS_GRPCIO) if name in found), None)
    rows: list[dict[str, Cell]] = [
        {
            "contender": name,
            "CPU µs/check": one["cpu"],
            "× ours": one["cpu"] / ours if ours else None,
            "checks/s": one["rate"],
            "p50 ms": one["p50"],
            "p99 ms": one["p99"],
            "RSS MB": one["rss"],
            **({"failed": int(one["failed"])} if key == PACED else {}),
        }
        for name, one in found.items()
    ]
    refused = any(one["failed"] for one in found.values())
    why = ["`failed`: refused as overloaded, because calls don't wait here."] if refused else []
    report.table(f"decision-{key}", f"decision: {title}", rows, *why)
    report.bars(f"decision-{key}", f"CPU per check: {title}", "µs", {name: [one["cpu"]] for name, one in found.items()})
    for name, one in found.items():
        report.findings[f"{key}: {name}"] = one["cpu"]


def conclusion(report: Report) -> str:
    """One line: the ratio of our warm check to the Go no-op floor, one at a time and several in flight."""
    parts = []
    for name, goal in GOALS.items():
        one, several = _ratio(report, "warm-one", name), _ratio(report, "warm", name)
        if one and several:
            report.findings[f"warm check to the Go no-op floor: {name}"] = one
            parts.append(f"{name} {one:.2f} × ({several:.2f} × with 8 in flight; goal: at most {goal:g} ×)")
    if not parts:
        return "warm check to the Go no-op floor: NOT MEASURED, the Go server is not built (make bench-contenders)"
    return "warm check to the Go no-op floor: " + ", ".join(parts)


def _ratio(report: Report, regime: str, name: str) -> float | None:
    ours, floor = (report.findings.get(f"{regime}: {one}") for one in (name, table.GO_NOOP))
    return ours / floor if isinstance(ours, float) and isinstance(floor, float) else None
