"""What processes have used, by the kernel's own books: CPU time and resident memory, children included.

Owns: reading /proc. Linux only. `stat`'s user and system times are scaled to the scheduler's exact run time; their
unit of 10 ms is under 1 % of the shortest measurement here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PROC: Final = Path("/proc")
_PARENT, _USER, _SYSTEM = 1, 11, 12
"""Places in /proc/PID/stat behind the command's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """CPU seconds since the start, resident bytes now."""

    cpu: float
    resident: int


def used(*pids: int) -> Used:
    """The sum over the processes and all that descend from them."""
    family = _families(set(pids))
    return Used(cpu=sum(_cpu(pid) for pid in family), resident=sum(_resident(pid) for pid in family))


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
    stat = _stat(pid)
    return (int(stat[_USER]) + int(stat[_SYSTEM])) / _TICKS if stat else 0.0


def _resident(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
