"""docs/advisories.md names, for each published mistake, the tests that keep it from being made here."""

from __future__ import annotations

import ast
import re
from functools import cache
from typing import Final

from tests.architecture import tree

PAGE: Final = "docs/advisories.md"
COUNT: Final = 96
_ROW: Final = re.compile(r"^\| (\d+(?:[, –-]+\d+)*) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
_NODE: Final = re.compile(r"`(tests/[\w/]+\.(?:py|json))(?:::(\w+))?`")


def _rows() -> list[tuple[set[int], str]]:
    return [(_numbers(match[1]), match[3]) for match in _ROW.finditer(tree.text_of(PAGE))]


def _numbers(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("–")
        found.update(range(int(first), int(last or first) + 1))
    return found


def test_each_advisory_is_accounted_for_once() -> None:
    """No number is missing and none stands in two rows."""
    listed = [number for numbers, _ in _rows() for number in sorted(numbers)]

    assert sorted(listed) == list(range(1, COUNT + 1))


def test_each_named_test_exists() -> None:
    """A test that the page names is in the tree under that name."""
    missing = [
        f"{file}::{name}"
        for file, name in _NODE.findall(tree.text_of(PAGE))
        if file not in tree.committed_files() or (name and name not in _tests_of(file))
    ]

    assert missing == []


def test_each_row_names_a_test_or_says_why_there_is_none() -> None:
    """A property without a test is either out of reach here, and says so, or missing."""
    silent = [sorted(numbers) for numbers, holds in _rows() if not _NODE.search(holds) and "No test:" not in holds]

    assert silent == []


@cache
def _tests_of(file: str) -> frozenset[str]:
    return frozenset(
        node.name
        for node in ast.walk(tree.syntax_of(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    )
