"""What became of a directory's tests, as a tree for people and JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from authz.cli.explain_report import alternative_as_json, alternative_lines
from authz.cli.rehearsal import Rehearsal
from authz.model.decision import AlternativeTrace, Denial, Permit
from authz.policy.rehearse import Result, verdict

if TYPE_CHECKING:
    from authz.policy.cover import AlternativeCover, Coverage
    from authz.policy.holes import Mutated

_WIDTH = 76
"""Characters of an alternative in the coverage table; the JSON has all of it."""


def as_tree(done: Rehearsal) -> Iterator[str]:
    """Each test below its policy, failures with their reasoning, then coverage and holes, then the counts."""
    for (policy, file), results in groupby(done.results, lambda one: (one.suite.policy, one.suite.place.file)):
        yield f"{policy}  {file}"
        for result in results:
            yield from _test(result)
    if done.coverage is not None:
        yield from _coverage(done.coverage)
    if done.mutated is not None:
        yield from _holes(done.mutated)
    yield summary(done)


def summary(done: Rehearsal) -> str:
    """The counts in one line."""
    failed = sum(not result.passed for result in done.results)
    parts = [f"{len(done.results)} test{'' if len(done.results) == 1 else 's'}", f"{failed} failed"]
    if done.left_out:
        parts.append(f"{done.left_out} left out")
    if done.coverage is not None:
        parts.append(f"{done.coverage.percent:.0f} % covered ({done.coverage.filled} of {done.coverage.total})")
    if done.mutated is not None:
        parts.append(f"{len(done.mutated.holes)} of {done.mutated.total} mutants survived")
    return ", ".join(parts)


def failure_lines(result: Result) -> Iterator[str]:
    """What went otherwise than expected, and the reasoning that led there."""
    yield from result.mistakes
    decision = result.decision
    if decision.policy or decision.route:
        yield f"decided by policy {decision.policy or '-'}, route {decision.route or '-'}"
    if isinstance(decision, Denial) and decision.detail:
        yield f"detail: {decision.detail}"
    shown = _telling(result)
    if shown is not None:
        yield from alternative_lines(*shown)


def as_json(done: Rehearsal) -> dict[str, object]:
    """The same facts with stable keys."""
    report: dict[str, object] = {
        "tests": len(done.results),
        "failed": sum(not result.passed for result in done.results),
        "left_out": done.left_out,
        "results": [_result_json(result) for result in done.results],
    }
    if done.coverage is not None:
        report["coverage"] = {
            "percent": round(done.coverage.percent, 2),
            "filled": done.coverage.filled,
            "total": done.coverage.total,
            "alternatives": [_row_json(row) for row in done.coverage.rows],
        }
    if done.mutated is not None:
        report["mutants"] = {
            "total": done.mutated.total,
            "killed": done.mutated.killed,
            "implied": list(done.mutated.implied),
            "survived": [
                {
                    "place": str(hole.place),
                    "text": hole.text,
                    "routes": list(hole.routes),
                    "suggestion": hole.suggestion,
                }
                for hole in done.mutated.holes
            ],
        }
    return report


# --- pieces ----------------------------------------------------------------------------------------------


def _test(result: Result) -> Iterator[str]:
    if result.passed:
        yield f"  ok    {result.case.name}"
        return
    yield f"  FAIL  {result.case.name}  ({result.case.place})"
    for line in failure_lines(result):
        yield f"          {line}"


def _telling(result: Result) -> tuple[int, AlternativeTrace] | None:
    """The alternative to look at: the one that permitted, else the closest."""
    trace = result.decision.trace
    alternatives = () if trace is None else trace.alternatives
    permitted = isinstance(result.decision, Permit)
    for number, one in enumerate(alternatives, 1):
        if one.holds if permitted else one.closest:
            return number, one
    return None


def _coverage(coverage: Coverage) -> Iterator[str]:
    yield "coverage: tests that are allowed through an alternative, and denied with none closer"
    width = max((len(f"{row.policy}/{row.route} {row.number}") for row in coverage.rows), default=0)
    for row in coverage.rows:
        name = f"{row.policy}/{row.route} {row.number}"
        text = row.text if len(row.text) <= _WIDTH else f"{row.text[:_WIDTH]}…"
        yield f"  {name:{width}}  allow {_cell(row.allow):>4}  deny {_cell(row.deny):>4}  {text}"


def _cell(tests: tuple[str, ...] | None) -> str:
    if tests is None:
        return "-"
    return str(len(tests)) if tests else "NONE"


def _holes(mutated: Mutated) -> Iterator[str]:
    yield "mutants: conditions that no test misses when they are left out"
    for hole in mutated.holes:
        yield f"  {hole.place}: {hole.text}  ({', '.join(hole.routes)})"
        yield f"    {hole.suggestion}"
    for text in mutated.implied:
        yield f"  {text}  [implied by the rest: no request can show it]"
    if not mutated.holes:
        yield f"  none: {mutated.killed} of {mutated.total} are noticed by a test"


def _result_json(result: Result) -> dict[str, object]:
    shown = _telling(result)
    return {
        "policy": result.suite.policy,
        "name": result.case.name,
        "place": str(result.case.place),
        "passed": result.passed,
        "expected": str(result.case.expected),
        "got": verdict(result.decision),
        "route": result.decision.route,
        "mistakes": list(result.mistakes),
        "alternative": None if result.passed or shown is None else alternative_as_json(shown[1]),
    }


def _row_json(row: AlternativeCover) -> dict[str, object]:
    return {
        "policy": row.policy,
        "route": row.route,
        "place": str(row.place),
        "alternative": row.number,
        "text": row.text,
        "allow": None if row.allow is None else list(row.allow),
        "deny": None if row.deny is None else list(row.deny),
    }
