"""Runs a command again after each change of a directory, by looking at it in intervals (`--watch`).

Polling sees every kind of change on every file system, and a directory of policies is small.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from authz.cli.exit_codes import YES
from authz.cli.failure import CommandFailed

INTERVAL: Final = 0.5
"""Seconds between two looks."""
MAX_FILES: Final = 20_000
"""Files that one look visits; a directory of policies has fewer (`authz.sources.directory`)."""

Snapshot = frozenset[tuple[str, int, int]]


def watch(run: Callable[[], int], directory: str, *, sleep: Callable[[float], None] = time.sleep) -> int:
    """Run, and again after each change, until Ctrl-C; the exit code is that of the last run."""
    code, seen = YES, None
    try:
        while True:
            now = snapshot(Path(directory))
            if now != seen:
                if seen is not None:
                    print()
                seen, code = now, _guarded(run)
                print("watching; Ctrl-C ends it", file=sys.stderr, flush=True)
            sleep(INTERVAL)
    except KeyboardInterrupt:
        return code


def snapshot(directory: Path) -> Snapshot:
    """Names, sizes and times of the files below the directory; what can't be read isn't there."""
    found: set[tuple[str, int, int]] = set()
    for place, folders, names in os.walk(directory):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        for name in names:
            try:
                status = (Path(place) / name).stat()
            except OSError:
                continue
            found.add((f"{place}/{name}", status.st_size, status.st_mtime_ns))
        if len(found) > MAX_FILES:
            break
    return frozenset(found)


def _guarded(run: Callable[[], int]) -> int:
    """One run; what makes it fail is said, and the watch goes on: the next change may mend it."""
    try:
        code = run()
    except CommandFailed as failure:
        for line in failure.lines:
            print(f"authz: {line}", file=sys.stderr)
        code = failure.code
    sys.stdout.flush()
    return code
