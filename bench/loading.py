"""What loading 10,000 routes takes, alone in a fresh process: prints seconds of CPU and megabytes that stay."""

from __future__ import annotations

import gc
import os
import time

from authz.policy.load import load
from bench import matching
from bench.accounting import used

ROUTES = 10_000


def main() -> None:
    """A small load first, so that imports and caches don't count."""
    load(matching.directory(10))
    files = matching.directory(ROUTES)
    gc.collect()
    before, start = used(os.getpid()).resident, time.process_time()
    loaded = load(files)
    seconds = time.process_time() - start
    gc.collect()
    assert loaded.policy is not None
    print(seconds, (used(os.getpid()).resident - before) / 1e6)


if __name__ == "__main__":
    main()
