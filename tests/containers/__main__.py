"""`make compose-test`: runs the container tests, prints a table of what each shows, closes with `N passed, N failed`.

Owns: the table and the exit code (0 all passed, 1 not, 5 no daemon). Must not: count what didn't run as passed: a
skipped test is a failed one here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.containers import daemon

_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of the table."""

    name: str
    shows: str
    passed: bool
    seconds: float


class Table:
    """Listens to pytest and keeps a line per test."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self._shows: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            text = getattr(item.obj, "__doc__", "") if isinstance(item, pytest.Function) else ""
            self._shows[item.nodeid] = " ".join((text or "").split())

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        decided = report.when == "call" or (report.when == "setup" and not report.passed)
        if decided or (report.when == "teardown" and report.failed):
            name = report.nodeid.rpartition("::")[2].removeprefix("test_").replace("_", " ")
            line = Line(
                name=name, shows=self._shows.get(report.nodeid, ""), passed=report.passed, seconds=report.duration
            )
            self.lines.append(line)

    def show(self) -> None:
        """Print it."""
        said = ""
        for line in self.lines:
            print(f"{'passed' if line.passed else 'FAILED'}  {line.seconds:6.1f} s  {line.name}")
            if line.shows != said:
                print(f"{'':18}{line.shows}")
            said = line.shows


def main(arguments: list[str]) -> int:
    """Run them."""
    try:
        daemon.client()
        daemon.compose_command()
    except daemon.MissingDaemon as why:
        print(f"NOT RUN: the container tests: {why}", file=sys.stderr)
        return 5
    table = Table()
    code = pytest.main([*(arguments or [str(_HERE)]), "-q", "--tb=short", "-p", "no:cacheprovider"], plugins=[table])
    passed = sum(line.passed for line in table.lines)
    print()
    table.show()
    print(f"\n{passed} passed, {len(table.lines) - passed} failed")
    return 1 if code or not passed or passed < len(table.lines) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
