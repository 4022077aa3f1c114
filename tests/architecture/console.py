"""Runs what a page shows in a console block and compares the output below each command.

A line `…` stands for lines that are left out, `(…)` inside a line for the rest of a word.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_FILE: Final = re.compile(r"# (\S+\.\w+)\n")


def file_of(text: str) -> tuple[str, str] | None:
    """The name and the content of the file that a block is, None when its first line names none."""
    named = _FILE.match(text)
    return None if named is None else (named[1], text[named.end() :])


def put(folder: Path, name: str, content: str) -> None:
    """Write a file of a page."""
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content, encoding="utf-8")


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block, and what the page shows below it."""
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = piece.replace("\\\n", " ").partition("\n")
        yield command, expected


def run(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one command by the shell, with the `authz` and the Python of these tests."""
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, cwd=folder, env=own(**environment)
    )


def own(**more: str) -> dict[str, str]:
    """The environment in which `authz` and `python3` are those of these tests."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **more}


def fits(expected: str, printed: str) -> bool:
    """Whether the output is what the page shows."""
    lines = [
        "(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("(…)"))) + "\n"
        for line in expected.splitlines()
    ]
    return (
        re.fullmatch("".join(lines), printed if printed.endswith("\n") or not printed else f"{printed}\n") is not None
    )
