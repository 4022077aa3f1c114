"""The shape of the code: short functions, files of one idea, docstrings that say what a module owns."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from typing import Final

from tests.architecture import tree

LONG: Final = 40
"""Lines of a function's body; nine in ten stay under it."""
FILE_LIMIT: Final = 400
FILE_EXCEPTIONS: Final[dict[str, str]] = {}
"""File -> why it may be longer."""
FORBIDDEN_NAMES: Final = frozenset({"utils", "util", "helpers", "helper", "common", "misc", "shared"})


def test_nine_functions_in_ten_are_short() -> None:
    """The code is read a function at a time, so nearly all of them fit on half a screen."""
    found = [function for name in tree.python_files("authz") for function in tree.functions(name)]

    long = sorted((function for function in found if function.lines >= LONG), key=lambda one: -one.lines)

    assert len(long) * 10 <= len(found), "\n".join(f"{one.lines:4} {one.key}" for one in long)


def test_the_median_function_is_small() -> None:
    """Half of the functions have at most a dozen lines."""
    lines = [function.lines for name in tree.python_files("authz") for function in tree.functions(name)]

    assert statistics.median(lines) <= 12


def test_no_file_is_long() -> None:
    """A file holds one idea; one that outgrows the limit is divided or named here with its reason."""
    sizes = {name: len(tree.text_of(name).splitlines()) for name in tree.python_files("authz")}

    long = {name: size for name, size in sizes.items() if size > FILE_LIMIT}

    assert long.keys() <= FILE_EXCEPTIONS.keys(), long


def test_no_exception_is_kept_after_its_need() -> None:
    """The table of long files names only files that are long."""
    sizes = {name: len(tree.text_of(name).splitlines()) for name in FILE_EXCEPTIONS}

    assert {name for name, size in sizes.items() if size <= FILE_LIMIT} == set()


def test_no_file_is_called_after_nothing() -> None:
    """A file is named after what it owns; drawers for odds and ends don't exist."""
    stems = {name: name.removesuffix(".py").split("/") for name in tree.python_files()}

    assert {name for name, parts in stems.items() if FORBIDDEN_NAMES.intersection(parts)} == set()


def test_each_module_says_what_it_owns() -> None:
    """A module opens with a docstring, and it is more than its own name."""
    missing = [
        name
        for name in tree.python_files()
        if tree.text_of(name).strip() and len(ast.get_docstring(tree.syntax_of(name)) or "") < 15
    ]

    assert missing == []


def test_each_public_class_and_function_has_a_docstring() -> None:
    """What another room may use says in a sentence what it is."""
    missing = [
        f"{name}:{found.name}"
        for name in tree.python_files("authz")
        for found in _public_definitions(tree.syntax_of(name))
        if ast.get_docstring(found) is None
    ]

    assert missing == []


def test_each_test_states_a_behaviour() -> None:
    """Tests read as a specification: each has a sentence of its own."""
    missing = [
        f"{name}:{node.name}"
        for name in tree.python_files("tests")
        for node in ast.walk(tree.syntax_of(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and ast.get_docstring(node) is None
    ]

    assert missing == []


def _public_definitions(module: ast.Module) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    for node in module.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node
