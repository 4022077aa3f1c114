"""Decision ids: 128 random bits in hexadecimal, drawn from the operating system a few hundred at a time.

One system call per id costs more than the id is worth on the hot path; a batch keeps them unguessable all the same.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from typing import Final

_ID_BYTES: Final = 16
_BATCH: Final = 256
ID_LENGTH: Final = 2 * _ID_BYTES
"""Characters."""


class DecisionIds:
    """An endless supply of ids, safe to share among threads: `deque.popleft` and `extend` are atomic."""

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._ready: deque[str] = deque()

    def next(self) -> str:
        """A fresh id; no two calls return the same one."""
        try:
            return self._ready.popleft()
        except IndexError:
            return self._refill()

    def _refill(self) -> str:
        text = self._entropy(_ID_BYTES * _BATCH).hex()
        first, *rest = (text[start : start + ID_LENGTH] for start in range(0, len(text), ID_LENGTH))
        self._ready.extend(rest)
        return first
