"""`python -m examples.store.containers.application NAME`: one of the six applications, on loopback behind its Envoy.

Owns: starting and stopping it. Must not: listen where anything but its own Envoy can reach it.
"""

from __future__ import annotations

import sys

from examples.store.containers import layout
from examples.store.containers.life import told_to_stop
from examples.store.services import Application


def main(name: str) -> int:
    """Serve until told to stop."""
    ended = told_to_stop()
    with Application(name, layout.LOCAL, outbound=layout.OUTBOUND):
        print(f"{name} serves", flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
