"""`python -m bench`: every scenario, tables on standard output, JSON and SVG in a directory.

    python -m bench [--quick] [--tiny] [--plan] [--only NAME,…] [--results DIR]

The client stands on one core and the server on another; contenders run in turn, several rounds, medians count.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench import budget, cores, goals, plan
from bench.contenders import build, compiled
from bench.report import Report, markdown
from bench.scenarios import decision, endurance, resilience, scale, through_envoy
from bench.scenarios.stage import FULL, QUICK, TINY, Length

RESULTS: Final = Path(__file__).parent / "results" / "latest"


def _profile(report: Report, length: Length) -> None:
    del length
    title = "the engine's budget (one unit is one RS256-2048 verification)"
    note = (
        "The first `holds` is by units, the second by the goal as it stands before it. Goals in µs are those of a core "
        f"on which one unit takes {budget.UNIT:.0f} µs: a warm check in 25."
    )
    report.table("profile", title, budget.rows(budget.measure()), note)
    if why := compiled.missing():
        report.skip(f"the budget on the compiled modules: {why}")
    else:
        report.table("profile-compiled", f"{title}, on the compiled modules", _profile_on_compiled(), note)


def _profile_on_compiled() -> list[dict[str, str | float | None]]:
    """In a process of its own: modules are imported once."""
    command = [sys.executable, "-m", "bench.budget", "--json"]
    made = subprocess.run(command, env={**os.environ, **compiled.environment()}, stdout=subprocess.PIPE, check=True)
    rows: list[dict[str, str | float | None]] = json.loads(made.stdout)
    return rows


Scenario = Callable[[Report, Length], None]
SCENARIOS: Final[dict[str, Scenario]] = {
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
    parser.add_argument("--tiny", action="store_true", help="as short as it goes: to see that everything runs")
    parser.add_argument("--only", default="", help=f"some of: {', '.join(SCENARIOS)}")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where JSON and SVG files go")
    parser.add_argument("--plan", action="store_true", help="say how long it is meant to take, and do nothing")
    given = parser.parse_args()
    chosen = given.only.split(",") if given.only else list(SCENARIOS)
    if unknown := set(chosen) - SCENARIOS.keys():
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}")
    length = TINY if given.tiny else QUICK if given.quick else FULL
    quick = given.quick and not given.only
    print(plan.text(chosen, length, quick=quick))
    if given.plan:
        return 0
    report = Report(_command(given))
    if why := build.build():
        report.skip(f"the Go contenders (no-op server, Rego engine): {why}")
    cores.pin_client()
    if quick:
        runs: dict[str, Scenario] = {"decision": lambda report, length: decision.run(report, length, quick=True)}
    else:
        runs = {name: SCENARIOS[name] for name in chosen}
    for name, scenario in runs.items():
        start = time.monotonic()
        _guarded(name, scenario, report, length)
        report.findings[f"{name}: took, s"] = time.monotonic() - start
    if held := goals.rows(report.document()["tables"], report.findings):
        print(f"\n## goals\n\n{markdown(held)}")
    last = decision.conclusion(report) if "decision" in runs else ""
    report.save(given.results)
    print(f"\nresults: {given.results}")
    if last:
        print(last)
    return 1 if report.failed else 0


def _guarded(name: str, scenario: Scenario, report: Report, length: Length) -> None:
    """One that fails is said, and fails the run; the others go on."""
    try:
        scenario(report, length)
    except Exception as error:  # noqa: BLE001 - whatever it was, what has been measured is kept
        traceback.print_exc()
        report.fail(f"{name}: {type(error).__name__}: {error}")


def _command(given: argparse.Namespace) -> str:
    options = [
        *(f"--{name}" for name in ("quick", "tiny") if getattr(given, name)),
        *([f"--only {given.only}"] if given.only else []),
    ]
    return " ".join(["python -m bench", *options])


if __name__ == "__main__":
    raise SystemExit(main())
