"""What the commands that people wait for cost from process start to end, in CPU time.

Run: `python -m bench.cli`. Prints, for a small policy directory and for the store's (whose trust bundle has to be read
with cryptography), the median and the least of user and system time, and whether the median holds the limit.
"""

from __future__ import annotations

import compileall
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SMALL = ROOT / "tests" / "cases" / "diff" / "after"
STORE = ROOT / "examples" / "store" / "policy"
LIMIT = 150.0
"""Milliseconds of user and system time for a small directory, on a machine that does nothing else."""
ROUNDS = 15
_ASKED = ("GET", "https://orders.shop.example/orders/42", "--workload", "spiffe://shop.example/ns/shop/sa/frontend")


def commands(directory: Path) -> dict[str, tuple[str, ...]]:
    """The measured command lines by name."""
    where = str(directory)
    return {
        "lint": ("lint", where),
        "explain": ("explain", where, *_ASKED),
        "test": ("test", where),
        "diff": ("diff", where, where),
    }


def cpu(words: Sequence[str]) -> float:
    """Milliseconds of user and system time of one run."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> int:
    """Measure in turn, so that a busy moment is nobody's alone; 1 when the small directory costs too much."""
    # As an installed package has it, also where Python is told to write no bytecode.
    compileall.compile_dir(ROOT / "authz", quiet=1)
    authz = str(Path(sys.executable).with_name("authz"))
    runs = {(name, where): (authz, *words) for where in (SMALL, STORE) for name, words in commands(where).items()}
    runs["(Python alone)", SMALL] = (sys.executable, "-c", "pass")
    measured: dict[tuple[str, Path], list[float]] = {key: [] for key in runs}
    for words in runs.values():
        cpu(words)
    for _ in range(ROUNDS):
        for key, words in runs.items():
            measured[key].append(cpu(words))
    holds = True
    print(f"{'command':16} {'directory':10} {'median':>9} {'least':>9}")
    for (name, where), times in measured.items():
        median = statistics.median(times)
        verdict = ""
        if where is SMALL and not name.startswith("("):
            holds = holds and median < LIMIT
            verdict = f"  {'under' if median < LIMIT else 'NOT under'} {LIMIT:.0f} ms"
        print(f"{name:16} {'small' if where is SMALL else 'store':10} {median:6.0f} ms {min(times):6.0f} ms{verdict}")
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
