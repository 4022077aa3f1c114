"""The committed messages are what protos/ says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_the_generated_messages_are_fresh() -> None:
    """`protos/generate.py --check` finds nothing to do."""
    command = [sys.executable, "protos/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
