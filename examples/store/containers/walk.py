"""`docker compose run --rm walk`: the table of the demo, through the containers.

Owns: the exit code (0 all as expected, 1 a difference). Must not: change anything.
With identities from SPIRE nobody outside the mesh has an SVID: what goes straight to a service is left out and
counted.
"""

from __future__ import annotations

import os
import sys

from examples.store.containers.visitor import Visitor
from examples.store.demo import show_table
from examples.store.scenarios import GATEWAY, SCENARIOS, Walk


def main() -> int:
    """Print the table."""
    everything = os.environ.get("IDENTITIES", "files") == "files"
    scenarios = [scenario for scenario in SCENARIOS if everything or scenario.to == GATEWAY]
    outcomes = show_table(Walk(Visitor()), scenarios)
    wrong = sum(bool(outcome.differences) for outcome in outcomes)
    left_out = len(SCENARIOS) - len(scenarios)
    print(f"\n{len(outcomes) - wrong} as expected, {wrong} different" + f", {left_out} left out" * bool(left_out))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
