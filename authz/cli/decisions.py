"""`authz decisions FILE`: what the audit trail says, summed up; above all where candidates disagree.

Reads the service's own audit lines. Knows nothing of policies: it tells what was decided, not what would be.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from authz.cli.exit_codes import ENVIRONMENT, NO, YES
from authz.cli.failure import CommandFailed
from authz.cli.output import add_output

NAME: Final = "decisions"
HELP: Final = "sum up an audit trail: decisions by route, candidates that disagree"
DESCRIPTION: Final = (
    "Sums up the decisions of an audit trail by route. With --diverging: only where a route's candidate would have "
    "answered otherwise, and exit code 1 if that happened."
)
MAX_LINE: Final = 1 << 20
"""Bytes: a longer line is none of ours."""

Row = tuple[str, str, str, str]
"""Policy, route, what was enforced, what the candidate said ("" without one)."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The log and the form of the report."""
    parser.add_argument("file", metavar="FILE", help="an audit trail (newline-delimited JSON), - for standard input")
    parser.add_argument("--diverging", action="store_true", help="only decisions whose candidate disagrees")
    parser.add_argument("--policy", metavar="NAME", help="only decisions of this policy")
    add_output(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Print the rows, most frequent first."""
    rows, examples, unreadable = _sum_up(lines_of(arguments.file), arguments.policy, diverging=arguments.diverging)
    ordered = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
    if arguments.output == "json":
        _print_json(ordered, examples, unreadable)
    else:
        _print_text(ordered, examples, unreadable)
    return NO if arguments.diverging and rows else YES


def _sum_up(lines: Iterable[bytes], policy: str | None, *, diverging: bool) -> tuple[Counter[Row], dict[Row, str], int]:
    """How often each row occurs, the id of its last occurrence, and how many lines couldn't be read."""
    rows: Counter[Row] = Counter()
    examples: dict[Row, str] = {}
    unreadable = 0
    for line in lines:
        entry = entry_of(line)
        if entry is None:
            unreadable += 1
        elif entry.get("event") == "decision" and policy in (None, entry.get("policy", "")):
            candidate = entry.get("candidate") or {}
            if diverging and candidate.get("agrees", True):
                continue
            enforced = [str(entry.get(key, "")) for key in ("policy", "route", "reason")]
            row = (enforced[0], enforced[1], enforced[2], str(candidate.get("verdict", "")))
            rows[row] += 1
            examples[row] = str(entry.get("id", ""))
    return rows, examples, unreadable


def entry_of(line: bytes) -> dict[str, Any] | None:
    """The object that a line holds; None when it can't be read."""
    import json

    try:
        entry = json.loads(line) if len(line) <= MAX_LINE else None
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def lines_of(name: str) -> Iterator[bytes]:
    """The lines of an audit trail, `-` for standard input; raises `CommandFailed`."""
    import sys
    from pathlib import Path

    if name == "-":
        yield from sys.stdin.buffer
        return
    try:
        with Path(name).open("rb") as file:
            yield from file
    except OSError as error:
        raise CommandFailed(ENVIRONMENT, f"{name}: {error.strerror}") from error


def _print_text(rows: list[tuple[Row, int]], examples: dict[Row, str], unreadable: int) -> None:
    table = [("COUNT", "POLICY", "ROUTE", "ENFORCED", "CANDIDATE", "LAST ID")]
    table += [(str(count), *row, examples[row]) for row, count in rows]
    widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
    for line in table:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    print(f"{sum(count for _, count in rows)} decisions" + (f", {unreadable} lines unreadable" if unreadable else ""))


def _print_json(rows: list[tuple[Row, int]], examples: dict[Row, str], unreadable: int) -> None:
    import json

    keys = ("policy", "route", "enforced", "candidate")
    found = [{**dict(zip(keys, row, strict=True)), "count": count, "last_id": examples[row]} for row, count in rows]
    print(json.dumps({"decisions": found, "unreadable": unreadable}, indent=2))
