"""Did you mean: the known word that a misspelt one is closest to.

Owns nothing but the comparison; messages are put together where the fault is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MAX_WORD: Final = 64
"""Longer words are no typing errors, and comparing them would cost time."""
MAX_SUGGESTIONS: Final = 100
"""Words of one document that are compared with all known ones, and faults after which none is: a comparison takes
milliseconds, and a hostile file can't buy more time."""
_CLOSE_ENOUGH: Final = 0.7


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` most likely stands for; None when nothing is close."""
    if len(word) > MAX_WORD:
        return None
    from difflib import get_close_matches  # only a misspelt word is worth loading it

    folded = {candidate.lower().replace("-", "_"): candidate for candidate in sorted(known)}
    matches = get_close_matches(word.lower().replace("-", "_"), folded, n=1, cutoff=_CLOSE_ENOUGH)
    return folded[matches[0]] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean …?` to put behind a message, or nothing."""
    match = closest(word, known)
    return f"; did you mean `{match}`?" if match is not None else ""
