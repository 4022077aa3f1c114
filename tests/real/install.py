"""Installs what the tests of this folder run against, and says in a line for each what it got.

`python -m tests.real.install`; exit code 5 (environment) when something can't be had, after trying all of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.real import tools

PROGRAMS: Final[Mapping[str, Callable[[], Path]]] = {
    "OpenID provider": tools.provider_directory,
    "YAML language server": tools.yaml_language_server,
    "Redis": tools.redis_server,
    "SPIRE": tools.spire,
}


def main(programs: Mapping[str, Callable[[], Path]] = PROGRAMS) -> int:
    """Try each; whatever is missing is said loudly."""
    missing = [name for name, get in programs.items() if not _get(name, get)]
    return 5 if missing else 0


def _get(name: str, get: Callable[[], Path]) -> bool:
    try:
        print(f"installed: {name}: {get().name}", flush=True)
    except tools.MissingTool as why:
        print(f"NOT RUN: every test that needs {name}. {why}", file=sys.stderr, flush=True)
        return False
    return True


if __name__ == "__main__":
    raise SystemExit(main())
