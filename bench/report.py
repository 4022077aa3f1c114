"""What a run has found: tables on standard output as they come, JSON and SVG files at the end.

Owns: layout and the files. What could not be measured is kept and shown like a result: nothing is left out silently.
"""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import cores, plots

Cell = str | int | float | None
Row = Mapping[str, Cell]
Measure = Callable[[str, int], Mapping[str, float]]
"""One measurement of a contender in a round."""


@dataclass(slots=True)
class Table:
    """Rows with the same keys; `notes` stand below."""

    title: str
    rows: list[dict[str, Cell]]
    notes: list[str] = field(default_factory=list)


class Report:
    """One run."""

    def __init__(self, command: str) -> None:
        self.command = command
        self.tables: dict[str, Table] = {}
        self.skipped: list[str] = []
        self.failed: list[str] = []
        self.findings: dict[str, float | str] = {}
        self._plots: dict[str, str] = {}
        self._started = time.time()
        print(f"machine: {machine()}\ncommand: {command}", flush=True)
        for warning in cores.warnings():
            self.skip(warning)

    def table(self, key: str, title: str, rows: Sequence[Row], *notes: str) -> None:
        """Print it and keep it."""
        self.tables[key] = Table(title=title, rows=[dict(row) for row in rows], notes=list(notes))
        print(f"\n## {title}\n\n{markdown(self.tables[key].rows)}", flush=True)
        for note in notes:
            print(f"\n{note}", flush=True)

    def skip(self, what: str) -> None:
        """Something that could not be done here, loudly."""
        if what not in self.skipped:
            self.skipped.append(what)
            print(f"SKIPPED: {what}", file=sys.stderr, flush=True)

    def fail(self, what: str) -> None:
        """Something that should have worked and didn't: the run's exit code tells."""
        self.failed.append(what)
        print(f"FAILED: {what}", file=sys.stderr, flush=True)

    def bars(
        self, key: str, title: str, unit: str, bars: Mapping[str, Sequence[float]], parts: Sequence[str] = ()
    ) -> None:
        if bars:
            self._plots[key] = plots.bars(title, unit, bars, parts)

    def line(
        self,
        key: str,
        title: str,
        axes: tuple[str, str],
        points: Mapping[str, Sequence[tuple[float, float]]],
        *,
        logarithmic: bool = False,
    ) -> None:
        if any(points.values()):
            self._plots[key] = plots.lines(title, axes, points, logarithmic=logarithmic)

    def document(self) -> dict[str, Any]:
        """All of it, as results.json has it."""
        return {
            "machine": machine(),
            "command": self.command,
            "started": int(self._started),
            "seconds": round(time.time() - self._started),
            "skipped": self.skipped,
            "failed": self.failed,
            "findings": self.findings,
            "tables": {
                key: {"title": one.title, "rows": one.rows, "notes": one.notes} for key, one in self.tables.items()
            },
        }

    def save(self, directory: Path) -> None:
        """results.json and one SVG per plot."""
        directory.mkdir(parents=True, exist_ok=True)
        text = json.dumps(_finite(self.document()), indent=1, ensure_ascii=False)
        (directory / "results.json").write_text(text + "\n")
        for key, svg in self._plots.items():
            (directory / f"{key}.svg").write_text(svg)
        for word, found in (("skipped", self.skipped), ("FAILED", self.failed)):
            if found:
                print(f"\n{word} in this run:\n" + "\n".join(f"- {one}" for one in found))


def _finite(value: object) -> object:
    """JSON has no infinities and no NaN; what wasn't measured is null."""
    if isinstance(value, float):
        return round(value, 3) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value


def medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Each number's median over the rounds."""
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}


def turns(rounds: int, contenders: Sequence[str], measure: Measure) -> dict[str, dict[str, float]]:
    """Every contender once a round, in turn, so that the machine's moods meet them all; medians by name."""
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in contenders:
            found[name].append(measure(name, number))
    return {name: medians(each) for name, each in found.items() if each}


def markdown(rows: Sequence[Row]) -> str:
    """A Markdown table that can be read as it stands."""
    if not rows:
        return "(nothing measured)"
    heads = list(rows[0])
    cells = [heads, *[[_text(row.get(head)) for head in heads] for row in rows]]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]
    numeric = [all(isinstance(row.get(head), int | float | None) for row in rows) for head in heads]

    def line(values: Sequence[str]) -> str:
        padded = (
            value.rjust(width) if right else value.ljust(width)
            for value, width, right in zip(values, widths, numeric, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (width + 1) + (":" if right else "-") for width, right in zip(widths, numeric, strict=True))
    return "\n".join([line(heads), f"|{rule}|", *(line(values) for values in cells[1:])])


def _text(value: Cell) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else value


def machine() -> str:
    """Processor, cores, kernel, Python."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    kernel = platform.release().split("-")[0]
    return f"{model}, {os.cpu_count()} cores, Linux {kernel}, Python {platform.python_version()}"
