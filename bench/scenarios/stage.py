"""Where a scenario runs: a directory and child processes that end with it, and how long it may take."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.contenders import table
from bench.contenders.table import Contender, Place, Running, Skipped
from bench.material import Material
from bench.report import Report
from examples.store.processes import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """How much of each scenario: `seconds` per measurement (`through` Envoy: whole ones, wrk knows no others), `cold`
    tokens per measurement, distinct `tokens` at most, checks of the `endurance`."""

    rounds: int
    seconds: float
    through: float
    cold: int
    tokens: int
    endurance: int


FULL = Length(rounds=3, seconds=1.0, through=1.0, cold=1_500, tokens=1_000_000, endurance=1_000_000)
QUICK = Length(rounds=3, seconds=1.0, through=1.0, cold=600, tokens=10_000, endurance=60_000)
TINY = Length(rounds=1, seconds=0.2, through=1.0, cold=40, tokens=1_000, endurance=60_000)
"""To see that everything runs; its numbers mean nothing."""


@contextlib.contextmanager
def stage(material: Material | None = None) -> Iterator[Place]:
    """A place with the case's policies."""
    with tempfile.TemporaryDirectory(prefix="authz-bench-") as name, Processes(Path(name)) as processes:
        material = material or Material()
        directory = Path(name)
        yield Place(processes=processes, directory=directory, material=material, policy=material.write(directory))


def start_all(place: Place, contenders: Sequence[Contender], report: Report, **ours: str) -> dict[str, Running]:
    """Those that can run here; the others are said."""
    running = {}
    for contender in contenders:
        try:
            running[contender.name] = table.start(contender, place, **(ours if contender.front else {}))
        except Skipped as why:
            report.skip(f"{contender.name}: {why}")
    return running


def best_front(place: Place, report: Report, **settings: str) -> Running:
    """Ours on the native front, on grpcio where there is none."""
    for contender in table.OURS:
        try:
            return table.start(contender, place, **settings)
        except Skipped as why:
            report.skip(f"{contender.name}: {why}")
    raise RuntimeError("the service has no front that starts")
