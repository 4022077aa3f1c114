"""A million checks, each with a token that nobody has seen: cost and memory stay, no answer is missing or wrong.

Memory is sampled sixty times. Once caches are full (after a tenth, at least 30,000 checks) it has to be flat: what
grows by more than `LIMIT` until the end fails the run, whatever the cause. Ten octets leaked per check would show.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, cycle
from random import Random

from bench.accounting import used
from bench.client import check_connection
from bench.contenders.table import Running
from bench.material import Material, asks
from bench.measuring import AnsweredWrongly
from bench.pool import ALGORITHM, Pool, pool
from bench.report import Cell, Report
from bench.scenarios.stage import Length, best_front, stage
from bench.traffic import Template

LIMIT = 5.0
"""MB by which memory may grow once settled: what the allocator's moods amount to."""
GROWTH = "endurance: memory growth once settled, MB"
"""The finding's name."""
PARTS = 60
_SETTLED = 30_000
"""Checks after which caches are full at the earliest: the token cache holds 10,000."""
_WINDOW = 5
"""Samples whose median stands for a moment."""
_SHOWN = 6
_IN_FLIGHT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Between the moment when caches were full and the end, in MB."""

    settled_at: int
    before: float
    after: float

    @property
    def megabytes(self) -> float:
        return self.after - self.before

    @property
    def flat(self) -> bool:
        return self.megabytes <= LIMIT

    def __str__(self) -> str:
        return (
            f"{'FLAT' if self.flat else 'NOT FLAT'}: after {self.settled_at:,} checks {self.before:.1f} MB, at the end "
            f"{self.after:.1f} MB, growth {self.megabytes:+.1f} MB (at most {LIMIT:g})"
        )


def run(report: Report, length: Length) -> None:
    """Memory and cost, part by part; what was measured is shown even when something goes wrong."""
    tokens = pool(length.endurance)
    with stage(Material(algorithm=ALGORITHM, key=tokens.key)) as place:
        running = best_front(place, report)
        rows: list[dict[str, Cell]] = []
        try:
            _parts(running, fresh(place.material, tokens), length.endurance // PARTS, rows)
        finally:
            _told(report, running.name, rows)


def _parts(running: Running, messages: Iterator[bytes], calls: int, rows: list[dict[str, Cell]]) -> None:
    with check_connection(running.address) as connection:
        for part in range(PARTS):
            before = used(running.process.pid)
            outcome = connection.closed_loop(messages, in_flight=_IN_FLIGHT, calls=calls)
            after = used(running.process.pid)
            if outcome.permits != outcome.calls:
                raise AnsweredWrongly(f"{running.name}: {outcome}")
            rows.append(
                {
                    "checks": (part + 1) * outcome.calls,
                    "CPU µs/check": after.since(before) / outcome.calls * 1e6,
                    "checks/s": outcome.rate,
                    "p99 ms": outcome.percentile(0.99),
                    "RSS MB": after.resident / 1e6,
                }
            )


def growth(checks: Sequence[int], megabytes: Sequence[float]) -> Growth | None:
    """None when there is too little to tell: not two windows once caches are full."""
    if not checks:
        return None
    settled = max(_SETTLED, checks[-1] // 10)
    place = next((number for number, done in enumerate(checks) if done >= settled), len(checks))
    if len(checks) - place < 2 * _WINDOW:
        return None
    before, after = megabytes[place : place + _WINDOW], megabytes[-_WINDOW:]
    return Growth(settled_at=checks[place], before=statistics.median(before), after=statistics.median(after))


def _told(report: Report, name: str, rows: list[dict[str, Cell]]) -> None:
    checks = [int(row["checks"] or 0) for row in rows]
    memory = [float(row["RSS MB"] or 0) for row in rows]
    found = growth(checks, memory)
    verdict = "NOT KNOWN: too few checks to tell whether memory is flat" if found is None else str(found)
    if found is None or not found.flat:
        report.fail(f"endurance: {verdict}")
    if found is not None:
        report.findings[GROWTH] = found.megabytes
    report.table(
        "endurance",
        f"endurance: {name}, every token new (Ed25519), {_IN_FLIGHT} in flight",
        rows[max(1, len(rows) // _SHOWN) - 1 :: max(1, len(rows) // _SHOWN)],
        f"Memory is {verdict}.",
    )
    points = [(float(done), held) for done, held in zip(checks, memory, strict=True)]
    report.line("endurance", "Resident memory over checks with new tokens", ("checks", "MB"), {name: points})


def fresh(material: Material, tokens: Pool, order: Iterator[int] | None = None) -> Iterator[bytes]:
    """Requests with the pool's tokens in that order (one after the other); routes and browsers rotate."""
    numbers = count() if order is None else order
    drawn = Random(tokens.size)
    asked = asks(material, [tokens.first], number=200)
    templates = cycle([Template(ask, other_tokens=True) for ask in asked])
    return (next(templates).fresh(drawn, tokens.token(number % tokens.size)) for number in numbers)
