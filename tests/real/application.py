"""The application behind the Envoys as a process of its own, so that it can be killed: `python -m … PORT`."""

from __future__ import annotations

import signal
import sys

from examples.store.services import Application

if __name__ == "__main__":
    with Application("application", int(sys.argv[1])):
        signal.pause()
