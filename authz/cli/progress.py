"""One line on standard error that says what is going on, for work that takes longer than a second.

Only where standard error is a terminal: a log or a pipe gets none of it. The line goes when the work ends.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

QUIET: Final = 1.0
"""Seconds before anything is said."""
INTERVAL: Final = 0.2


@contextmanager
def progress(what: str, *, quiet: float = QUIET, interval: float = INTERVAL) -> Iterator[None]:
    """Say `what` and how long it has been going on, until the block ends."""
    if not sys.stderr.isatty():
        yield
        return
    import threading
    import time

    ended = threading.Event()
    started = time.monotonic()

    def tell() -> None:
        if ended.wait(quiet):
            return
        while True:
            sys.stderr.write(f"\r\x1b[K{what}: {time.monotonic() - started:.0f} s")
            sys.stderr.flush()
            if ended.wait(interval):
                break
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    teller = threading.Thread(target=tell, name="progress", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
