"""`python -m bench`: every scenario, tables on standard output, JSON and SVG in a directory.

    python -m bench [--quick] [--only NAME,…] [--results DIR]

The client stands on one core and the server on another; contenders run in turn, several rounds, medians count.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import budget, cores
from bench.contenders import build
from bench.report import Report
from bench.scenarios import decision, endurance, resilience, scale, through_envoy
from bench.scenarios.stage import FULL, QUICK, Length

RESULTS: Final = Path(__file__).parent / "results" / "latest"


def _profile(report: Report, length: Length) -> None:
    del length
    lines = budget.measure()
    report.table(
        "profile",
        "the engine's budget (one unit is one RS256-2048 verification)",
        [
            {
                "step": each.step,
                "value": each.value,
                "": each.unit,
                "units": each.ratio,
                "budget": each.limit,
                "holds": {None: "", True: "yes", False: "NO"}[each.holds],
            }
            for each in lines
        ],
    )


SCENARIOS: Final[dict[str, Callable[[Report, Length], None]]] = {
    "profile": _profile,
    "decision": decision.run,
    "envoy": through_envoy.run,
    "scale": scale.run,
    "resilience": resilience.run,
    "endurance": endurance.run,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="the decision only, in about a minute")
    parser.add_argument("--only", default="", help=f"some of: {', '.join(SCENARIOS)}")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where JSON and SVG files go")
    given = parser.parse_args()
    chosen = given.only.split(",") if given.only else list(SCENARIOS)
    if unknown := set(chosen) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    options = [f"--only {given.only}"] if given.only else []
    report = Report(" ".join(["python -m bench", *(["--quick"] if given.quick else []), *options]))
    if why := build.build():
        report.skip(f"the Go contenders (no-op server, Rego engine): {why}")
    cores.pin_client()
    if given.quick and not given.only:
        decision.run(report, QUICK, quick=True)
    else:
        for name in chosen:
            SCENARIOS[name](report, QUICK if given.quick else FULL)
    report.save(given.results)
    print(f"\nresults: {given.results}\n{decision.conclusion(report)}" if _decided(report) else "")
    return 0


def _decided(report: Report) -> bool:
    return "decision-warm" in report.tables


if __name__ == "__main__":
    raise SystemExit(main())
