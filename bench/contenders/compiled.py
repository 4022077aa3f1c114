"""Where the compiled modules are (`make compiled`), for processes that are to run on them.

Owns: that what is measured as compiled is this source, compiled. A build that is older than the sources is none.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "compiled"


def missing() -> str:
    """Why there is none; empty when there is."""
    ready = BUILD / ".ready"
    if not ready.exists():
        return "not built: `make compiled` says why"
    newest = max(path.stat().st_mtime for path in (ROOT / "authz").rglob("*.py"))
    return "older than the sources: `make compiled` builds it anew" if newest > ready.stat().st_mtime else ""


def environment() -> dict[str, str]:
    """What a process needs to import them. `PYTHONSAFEPATH`: else it would prefer the folder that it is started in."""
    path = os.pathsep.join((str(BUILD / "site"), str(ROOT)))
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": path}
