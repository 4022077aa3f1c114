"""Which core the server stands on and which the client: apart wherever there are two."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Final

_AVAILABLE: Final = tuple(sorted(os.sched_getaffinity(0)))
SERVER: Final = _AVAILABLE[0]
CLIENT: Final = _AVAILABLE[1] if len(_AVAILABLE) > 1 else _AVAILABLE[0]
SERVERS: Final = _AVAILABLE[:1] + _AVAILABLE[2:]
"""For several server processes: every core but the client's."""


def pinned(command: Sequence[str], *cores: int) -> list[str]:
    """The command on these cores only (taskset, which every Debian has)."""
    taskset = shutil.which("taskset")
    return [*([taskset, "-c", ",".join(map(str, cores))] if taskset else []), *command]


def pin_client() -> None:
    """This process, the load generator, to the client's core."""
    os.sched_setaffinity(0, {CLIENT})


def warnings() -> list[str]:
    """What makes the numbers of this machine less than they should be."""
    found = []
    if CLIENT == SERVER:
        found.append("ONE CORE ONLY: client and server share it; latencies hold both")
    if shutil.which("taskset") is None:
        found.append("NO taskset: servers aren't pinned to a core")
    return found
