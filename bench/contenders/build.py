"""Builds the Go contenders into the cache outside the tree: `python -m bench.contenders.build`.

Versions are pinned by go.mod and go.sum. Without a Go toolchain it says so and does nothing: the bench then runs
without them and says that too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

MODULE: Final = Path(__file__).parent / "go"
NEEDED: Final = (1, 26)
_USUAL: Final = "/usr/local/go/bin/go"
"""Where Go's own archive is unpacked; not always on PATH."""


def cache() -> Path:
    """What is built stands here, never in the tree."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "authz" / "bench"


def binary(name: str) -> Path | None:
    """A built contender, None when there is none."""
    path = cache() / name
    return path if path.is_file() else None


def toolchain() -> tuple[str, str]:
    """The Go command and why not (one of them empty)."""
    command = shutil.which("go") or shutil.which(_USUAL)
    if command is None:
        return "", "no Go toolchain on this machine"
    said = subprocess.run([command, "version"], capture_output=True, text=True, check=False, cwd=cache()).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < NEEDED:
        return "", f"Go {NEEDED[0]}.{NEEDED[1]} is needed, this machine has: {said.strip() or 'an unreadable version'}"
    return command, ""


def build() -> str:
    """Why nothing was built; empty when it was. What hasn't changed costs a second."""
    cache().mkdir(parents=True, exist_ok=True)
    command, why = toolchain()
    if why:
        return why
    done = subprocess.run([command, "build", "-buildvcs=false", "-o", f"{cache()}/", "./..."], cwd=MODULE, check=False)
    return "" if done.returncode == 0 else f"go build ended with exit code {done.returncode}"


def main() -> int:
    why = build()
    if why:
        print(f"NOT BUILT: the Go contenders (no-op server, Rego engine): {why}", file=sys.stderr)
        return 0 if why.startswith(("no Go", "Go ")) else 1
    print(f"built into {cache()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
