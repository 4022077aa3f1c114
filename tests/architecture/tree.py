"""What stands in the repository, as the tests of this folder look at it: files, functions, README blocks.

Reads the tree only; asks git which files are (or are about to be) committed.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
GENERATED: Final = ("authz/wire/pb/",)
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """One function or method: where it stands and its lines, docstring and decorators left out."""

    file: str
    name: str
    lines: int

    @property
    def key(self) -> str:
        return f"{self.file}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block of a Markdown page."""

    page: str
    language: str
    text: str


@cache
def committed_files() -> tuple[str, ...]:
    """Every file that git knows or would take, relative to the root with '/'."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return tuple(sorted(name for name in listed.split("\0") if name and (ROOT / name).is_file()))


def text_of(name: str) -> str:
    """The text of a file; empty when it is no text."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def python_files(*folders: str) -> tuple[str, ...]:
    """The hand-written Python files below any of `folders` (all of them when none is named)."""
    return tuple(
        name
        for name in committed_files()
        if name.endswith(".py") and not name.startswith(GENERATED) and (not folders or name.split("/")[0] in folders)
    )


@cache
def syntax_of(name: str) -> ast.Module:
    """The syntax tree of a Python file."""
    return ast.parse(text_of(name), filename=name)


def functions(name: str) -> Iterator[Function]:
    """Each function and method of a file, nested ones too."""
    for node in ast.walk(syntax_of(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(file=name, name=node.name, lines=_body_lines(node))


def _body_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[1] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body[0]
    return (node.end_lineno or first.lineno) - first.lineno + 1


def blocks(*pages: str) -> tuple[Block, ...]:
    """The fenced blocks of Markdown pages, in order."""
    return tuple(
        Block(page=page, language=match[1], text=match[2]) for page in pages for match in _FENCE.finditer(text_of(page))
    )


def markdown_pages() -> tuple[str, ...]:
    """Every Markdown page of the repository."""
    return tuple(name for name in committed_files() if name.endswith(".md"))
