"""How every command says what it found: the names of `--output`, and text in colours where a person reads it.

Colours are put onto finished lines by what stands in them, so that reports know nothing of terminals. They appear on
a terminal only, never where NO_COLOR is set (no-color.org) or the terminal is dumb.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable
from typing import Final, TextIO

FORMS: Final = ("text", "json", "sarif", "github", "junit", "markdown")
"""Every form that there is; a command offers those that make sense, `text` first and by default."""

_RED, _GREEN, _YELLOW, _CYAN, _BOLD = "31", "32", "33", "36", "1"
_STYLES: Final = (
    (re.compile(r"^(?:\S+:\d+:\d+: )?error\[[\w-]+\]|: error\[[\w-]+\]"), _RED),
    (re.compile(r": warning\[[\w-]+\]"), _YELLOW),
    (re.compile(r"^ +help:|^ +\| +\^$"), _CYAN),
    (re.compile(r"^(?:ALLOW|GAINED)\b|^ +(?:ok|hit)\b(?= )"), _GREEN),
    (re.compile(r"^(?:DENY|LOST|nobody)\b|^ +(?:FAIL|MISS)\b(?= )"), _RED),
    (re.compile(r"^ +unknown\b(?= )|^(?:CHANGED|NOT PROVEN)\b"), _YELLOW),
    (re.compile(r"^(?:alternative \d+|what would make it pass|the client sees|steps|coverage|mutants)\b"), _BOLD),
)
"""What is painted, and how (ECMA-48 §8.3.117, select graphic rendition); the first that fits paints the line."""


def add_output(parser: argparse.ArgumentParser, *others: str) -> None:
    """The option `--output`, with the forms that the command has beside text."""
    parser.add_argument("--output", choices=("text", *others), default="text", help="default: text")


def show(lines: Iterable[str], file: TextIO | None = None) -> None:
    """Print each line, in colours where somebody looks at them."""
    out = sys.stdout if file is None else file
    colours = in_colours(out)
    for line in lines:
        print(paint(line) if colours else line, file=out)


def in_colours(out: TextIO) -> bool:
    """Whether `out` is a terminal that shows colours, and nobody asked for none."""
    return out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(line: str) -> str:
    """The line with its verdict, mark or code in a colour; nothing else of it changes."""
    for pattern, style in _STYLES:
        found = pattern.search(line)
        if found is not None:
            start, end = found.span()
            return f"{line[:start]}\x1b[{style}m{line[start:end]}\x1b[0m{line[end:]}"
    return line
