"""Puts the published Envoy stubs where the field-number oracle looks for them: `.cache/xds-protos`.

They own `envoy/__init__.py`, as the package with Envoy's binary does, so they can't share an environment with
it: they get a folder of their own that only the oracle's process has on its path. Run again after the pin
changed; does nothing when the pinned version is there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "1.85.0"
TARGET = Path(__file__).resolve().parents[2] / ".cache" / "xds-protos"
MARK = TARGET / f"version-{VERSION}"


def main() -> int:
    """Install the pinned version; the exit code is pip's."""
    if MARK.exists():
        return 0
    shutil.rmtree(TARGET, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, "--target", str(TARGET), f"xds-protos=={VERSION}"], check=False)
    if done.returncode == 0:
        MARK.touch()
    return done.returncode


if __name__ == "__main__":
    raise SystemExit(main())
