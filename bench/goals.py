"""What was aimed at and what a run measured: a row for each goal that the run has a number for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.contenders.table import GO_NOOP
from bench.report import Cell
from bench.scenarios import decision, endurance

Tables = Mapping[str, Mapping[str, Any]]


def rows(tables: Tables, findings: Mapping[str, Any]) -> list[dict[str, Cell]]:
    """In the order in which the scenarios run. `tables` are those of results.json."""
    return [*_budget(tables), *_fronts(tables), *_overload(tables), *_restart(tables), *_memory(findings)]


def _row(goal: str, measured: float, limit: float, unit: str, *, at_least: bool = False) -> dict[str, Cell]:
    holds = measured >= limit if at_least else measured <= limit
    bound = f"{'at least' if at_least else 'at most'} {limit:,.4g}"
    return {"goal": goal, "wanted": bound, "measured": measured, "": unit, "holds": "yes" if holds else "NO"}


def _of(tables: Tables, key: str) -> list[dict[str, Any]]:
    return list(tables[key]["rows"]) if key in tables else []


def _budget(tables: Tables) -> Iterator[dict[str, Cell]]:
    for key, how in (("profile", ""), ("profile-compiled", ", compiled")):
        for line in _of(tables, key):
            if line.get("goal, units") is not None:
                yield _row(f"{line['step']}{how}, in units", line["units"], line["goal, units"], "units")
            if line.get("goal") is not None:
                yield _row(f"{line['step']}{how}", line["value"], line["goal"], line[""])


def _fronts(tables: Tables) -> Iterator[dict[str, Cell]]:
    for key, how in (("decision-warm-one", "1 in flight"), ("decision-warm", "8 in flight")):
        costs = {line["contender"]: line["CPU µs/check"] for line in _of(tables, key)}
        for name, limit in decision.GOALS.items():
            if name in costs and costs.get(GO_NOOP):
                yield _row(f"{name}, to the Go no-op server, {how}", costs[name] / costs[GO_NOOP], limit, "×")


def _overload(tables: Tables) -> Iterator[dict[str, Cell]]:
    for line in _of(tables, "overload"):
        name = f"twice the capacity, {line['front']}"
        for column, limit, unit, at_least in (
            ("× unloaded", 2.0, "× unloaded p99", False),
            ("goodput %", 80.0, "% of capacity", True),
            ("gRPC errors", 0, "gRPC errors", False),
        ):
            if line.get(column) is not None:
                yield _row(name, line[column], limit, unit, at_least=at_least)


def _restart(tables: Tables) -> Iterator[dict[str, Cell]]:
    for line in _of(tables, "restart"):
        yield _row(f"restart under load, {line['front']}", line["lost"], 0, "requests lost")


def _memory(findings: Mapping[str, Any]) -> Iterator[dict[str, Cell]]:
    if isinstance(grown := findings.get(endurance.GROWTH), float | int):
        yield _row("memory over a million checks", grown, endurance.LIMIT, "MB growth")
