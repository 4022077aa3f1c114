"""What the benchmarks read and write: wrk's report, the books of processes, tables, the page."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from xml.etree import ElementTree

from bench import goals, page, plots, wrk
from bench.accounting import used
from bench.report import markdown

WRK = """\
Running 2s test @ http://127.0.0.1:1/
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     4.64ms    1.73ms  12.92ms   62.88%
    Req/Sec     1.57k   103.75     1.67k    90.91%
  Latency Distribution
     50%  900.00us
     75%    5.67ms
     90%    7.14ms
     99%    1.02s
  3445 requests in 2.20s, 1.24MB read
  Socket errors: connect 0, read 2, write 0, timeout 1
  Non-2xx or 3xx responses: 7
Requests/sec:   1565.09
"""


def test_every_number_of_wrk_is_read_in_its_unit() -> None:
    """Latencies become milliseconds; whatever isn't a success counts as failed."""
    result = wrk.read(WRK)

    assert (result.requests, result.rate, result.p50, result.p99, result.failed) == (3445, 1565.09, 0.9, 1020.0, 10)


def test_the_books_of_a_process_grow_with_its_work() -> None:
    """CPU time is that which the process has spent, to a fraction of a millisecond."""
    before, own = used(os.getpid()), time.process_time()
    sum(range(300_000))

    spent, expected = used(os.getpid()).since(before), time.process_time() - own

    assert abs(spent - expected) < 0.02
    assert before.resident > 1_000_000


def test_what_was_not_measured_is_a_dash() -> None:
    """A table shows the absence of a number, never a zero in its place."""
    assert markdown([{"name": "a", "µs": 1.5}, {"name": "b", "µs": None}]).splitlines()[-1] == "| b    |    – |"


def test_plots_are_well_formed() -> None:
    """Names are escaped, and a single point or a zero breaks nothing."""
    drawn = [
        plots.bars("a < b", "µs", {"<x>": [1.0, 2.0], "y": [0.0, 0.0]}, ["one", "two"]),
        plots.lines("t", ("x", "y"), {"s": [(1, 0.0)]}, logarithmic=True),
    ]

    assert all(ElementTree.fromstring(svg).tag.endswith("svg") for svg in drawn)


def test_the_page_quotes_the_reference() -> None:
    """docs/performance.md holds the committed results, not remembered ones."""
    results = json.loads((page.REFERENCE / "results.json").read_text())

    assert page.filled(page.PAGE.read_text(), results) == page.PAGE.read_text()


def test_every_table_of_the_reference_has_its_place_on_the_page() -> None:
    """What is measured is shown."""
    tables = json.loads((page.REFERENCE / "results.json").read_text())["tables"]

    assert [key for key in tables if f"<!-- table: {key} -->" not in page.PAGE.read_text()] == []


def test_the_page_names_every_module_that_runs_alone() -> None:
    """And none that doesn't exist."""
    folder = Path(page.__file__).parent
    named = set(re.findall(r"`python -m (bench(?:\.\w+)*)[ `]", page.PAGE.read_text()))
    runnable = {
        ".".join(("bench", *file.relative_to(folder).with_suffix("").parts))
        for file in folder.rglob("*.py")
        if '__name__ == "__main__"' in file.read_text() and not file.name.startswith(("noop_", "__main__"))
    }

    assert named == runnable | {"bench"}


def test_goals_that_are_missed_are_said() -> None:
    """A row for each goal with a number, `NO` where it isn't held; what wasn't measured has no row."""
    tables = {
        "decision-warm-one": {
            "rows": [
                {"contender": "authz, native front", "CPU µs/check": 120.0},
                {"contender": "authz, grpcio front", "CPU µs/check": 260.0},
                {"contender": "no-op, grpc-go", "CPU µs/check": 50.0},
            ]
        },
        "profile": {
            "rows": [
                {"step": "decode", "value": 9.0, "": "µs", "units": 0.2, "goal, units": None, "goal": None},
                {"step": "warm", "value": 20.0, "": "µs", "units": 0.7, "goal, units": 0.6, "goal": 25.0},
            ]
        },
        "restart": {"rows": [{"front": "authz, native front", "lost": 0}]},
    }

    found = [(row["goal"], row["holds"]) for row in goals.rows(tables, {})]

    assert found == [
        ("warm, in units", "NO"),
        ("warm", "yes"),
        ("authz, native front, to the Go no-op server, 1 in flight", "NO"),
        ("authz, grpcio front, to the Go no-op server, 1 in flight", "yes"),
        ("restart under load, authz, native front", "yes"),
    ]


def test_labels_of_many_points_have_room() -> None:
    """Sixty samples are sixty points and eight labels, the last one's among them."""
    drawn = plots.lines("t", ("x", "y"), {"s": [(1_000 * number, 1.0) for number in range(1, 61)]})

    assert drawn.count("<circle") == 60
    assert drawn.count('text-anchor="middle"') <= 8
    assert ">60,000<" in drawn
