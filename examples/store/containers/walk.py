"""`docker compose run --rm walk`: the table of the demo, through the containers.

Owns: the exit code (0 all as expected, 1 a difference). Must not: change anything.
"""

from __future__ import annotations

import sys

from examples.store.containers.visitor import Visitor
from examples.store.demo import show_table
from examples.store.scenarios import Walk


def main() -> int:
    """Print the table."""
    outcomes = show_table(Walk(Visitor()))
    wrong = sum(bool(outcome.differences) for outcome in outcomes)
    print(f"\n{len(outcomes) - wrong} as expected, {wrong} different")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
