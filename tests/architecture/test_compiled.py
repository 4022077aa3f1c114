"""What compiling to C would change in silence is not in the modules that are compiled (docs/decisions/0019).

Compiled code gives each name one type: a second `except … as` of another type under the same name is a TypeError when
it is reached, which tests may never do. So the source is asked.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.architecture import compiled_modules, tree

FILES = compiled_modules.files()
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def nodes(file: str) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(tree.text_of(file)))


def test_each_module_exists_and_no_guard_is_among_them() -> None:
    """The guards have to outlive whatever goes wrong in compiled code."""
    known = set(tree.python_files())

    assert [file for file in FILES if file not in known] == []
    assert set(compiled_modules.GUARDS).isdisjoint(compiled_modules.names())


@pytest.mark.parametrize("file", FILES)
def test_a_function_names_exceptions_of_one_kind_by_one_name(file: str) -> None:
    """`error` for `Unavailable` and then for `Refused` would be one variable of the first type."""
    for function in (node for node in nodes(file) if isinstance(node, FUNCTIONS)):
        kinds: dict[str, set[str]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.ExceptHandler) and node.name:
                kinds.setdefault(node.name, set()).add("" if node.type is None else ast.unparse(node.type))
        assert {name: sorted(found) for name, found in kinds.items() if len(found) > 1} == {}, function.name


@pytest.mark.parametrize("file", FILES)
def test_nothing_inside_a_function_is_decorated(file: str) -> None:
    """A decorated inner function is not yet bound where its siblings use it."""
    inner = (
        node.name
        for function in nodes(file)
        if isinstance(function, FUNCTIONS)
        for node in ast.walk(function)
        if node is not function and isinstance(node, FUNCTIONS) and node.decorator_list
    )

    assert list(inner) == []


@pytest.mark.parametrize("file", FILES)
def test_no_enumeration_makes_its_members_itself(file: str) -> None:
    """Members are made before a compiled class is ready for its own `__init__`."""
    own = [
        node.name
        for node in nodes(file)
        if isinstance(node, ast.ClassDef)
        and any("Enum" in ast.unparse(base) for base in node.bases)
        and any(isinstance(each, ast.FunctionDef) and each.name == "__init__" for each in node.body)
    ]

    assert own == []
