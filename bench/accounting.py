"""What processes have used, by the kernel's own books: CPU time and resident memory, children included.

Owns: reading each process's CPU clock and /proc. Linux only. The clock counts every thread, ended ones too, to the
nanosecond; /proc/PID/stat holds the same in ticks of 10 ms, which is too coarse for a second of light load.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PROC: Final = Path("/proc")
_PARENT: Final = 1
"""Place in /proc/PID/stat behind the command's name."""
_SCHEDULED: Final = 2
"""Which of a process's clocks: the scheduler's run time, user and system together (clock_getcpuclockid(3))."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """CPU seconds since the start, resident bytes now."""

    cpu: float
    resident: int

    def since(self, before: Used) -> float:
        """CPU seconds between two readings of the same processes."""
        return self.cpu - before.cpu


def used(*pids: int) -> Used:
    """The sum over the processes and all that descend from them and still run."""
    found = each(*pids).values()
    return Used(cpu=sum(one.cpu for one in found), resident=sum(one.resident for one in found))


def each(*pids: int) -> dict[int, Used]:
    """The same for every one of them, by process id."""
    return {pid: Used(cpu=_cpu(pid), resident=_resident(pid)) for pid in _families(set(pids))}


def _families(pids: set[int]) -> set[int]:
    parents = {int(entry.name): _stat(int(entry.name)) for entry in _PROC.iterdir() if entry.name.isdigit()}
    found = set(pids)
    while True:
        more = {pid for pid, stat in parents.items() if stat and int(stat[_PARENT]) in found} - found
        if not more:
            return found
        found |= more


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold spaces; none when the process has gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _cpu(pid: int) -> float:
    try:
        return time.clock_gettime(~pid << 3 | _SCHEDULED)
    except OSError:
        return 0.0


def _resident(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
