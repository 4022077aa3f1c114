"""How long a check may wait for the outside: a value that its caller hands down to whatever may block.

Owns: no clock. The caller says how much time is left; what blocks asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

DEFAULT_SECONDS: Final = 5.0
"""For callers that gave no deadline: the service's own default."""


@dataclass(frozen=True, slots=True)
class Patience:
    """`left` says how many seconds are left (0 or less: none). With `may_block` false nothing may wait at all: what
    would have to, raises `WouldBlock`."""

    left: Callable[[], float]
    may_block: bool = True


UNHURRIED: Final = Patience(lambda: DEFAULT_SECONDS)
AT_ONCE: Final = Patience(lambda: 0.0, may_block=False)
