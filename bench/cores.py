"""Which core the server stands on and which the client: apart wherever there are two."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Final

ALL: Final = tuple(sorted(os.sched_getaffinity(0)))
SERVER: Final = ALL[0]
CLIENT: Final = ALL[1] if len(ALL) > 1 else ALL[0]
SERVERS: Final = ALL[:1] + ALL[2:]
"""For several server processes: every core but the client's."""


def pinned(command: Sequence[str], *cores: int) -> list[str]:
    """The command on these cores only (taskset, which every Debian has)."""
    taskset = shutil.which("taskset")
    return [*([taskset, "-c", ",".join(map(str, cores))] if taskset else []), *command]


def pin_client() -> None:
    """This process, the load generator, to the client's core."""
    os.sched_setaffinity(0, {CLIENT})


def unpin() -> None:
    """This process, a child of a pinned one that prepares something, to every core."""
    os.sched_setaffinity(0, ALL)


def warnings() -> list[str]:
    """What makes the numbers of this machine less than they should be."""
    found = []
    if CLIENT == SERVER:
        found.append("ONE CORE ONLY: client and server share it; latencies hold both")
    if shutil.which("taskset") is None:
        found.append("NO taskset: servers aren't pinned to a core")
    return found
