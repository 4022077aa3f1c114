"""The modules that `make compiled` compiles, as pyproject.toml lists them."""

from __future__ import annotations

import tomllib
from typing import Final

from tests.architecture import tree

GUARDS: Final = ("authz.wire.encode", "authz.server.service")
"""What turns anything that goes wrong into a denial."""


def files() -> tuple[str, ...]:
    """Their files, relative to the project."""
    project = tomllib.loads(tree.text_of("pyproject.toml"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["mypyc"]["include"]
    return tuple(str(each).removeprefix("/") for each in included)


def names() -> tuple[str, ...]:
    """Their names for `import`."""
    return tuple(each.removesuffix(".py").replace("/", ".") for each in files())
