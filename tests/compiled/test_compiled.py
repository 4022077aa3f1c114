"""`make test-compiled` tests what it says: the compiled modules, here and in every process that a test starts."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import compiled_modules

MODULES = compiled_modules.names()


@pytest.mark.parametrize("name", MODULES)
def test_the_module_is_compiled(name: str) -> None:
    """Each one that pyproject.toml lists."""
    assert Path(str(importlib.import_module(name).__file__)).suffix == ".so"


def test_the_guard_is_not() -> None:
    """What turns whatever goes wrong in them into a denial is plain Python."""
    for name in compiled_modules.GUARDS:
        assert Path(str(importlib.import_module(name).__file__)).suffix == ".py"


def test_a_process_that_a_test_starts_has_them_too() -> None:
    """The end-to-end tests start the service by this command."""
    code = "import authz.wire.decode as one; print(one.__file__)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert found.strip().endswith(".so")
