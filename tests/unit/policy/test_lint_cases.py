"""Golden cases: each folder of tests/cases/lint/ is a policy directory and the report that reading it gives.

`expected.txt` has one fault to a line, with `(policy NAME)` where it isn't the platform's, and its help below.
A folder without it must be sound.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.policy.faults import Faults
from authz.policy.parse import parse

CASES = Path(__file__).parents[2] / "cases" / "lint"


def report(folder: Path) -> str:
    """What reading the directory reports."""
    faults = Faults()
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    files.pop("expected.txt", None)
    parse(files, faults)
    lines = []
    for fault in faults.sorted():
        lines.append(f"{fault} (policy {fault.policy})" if fault.policy else str(fault))
        lines.append(f"  help: {fault.help}")
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    "folder", sorted(path for path in CASES.iterdir() if path.is_dir()), ids=lambda path: path.name
)
def test_reading_the_directory_gives_the_expected_report(folder: Path) -> None:
    """Every fault of every file, sorted by place."""
    expected = folder / "expected.txt"

    assert report(folder) == (expected.read_text(encoding="utf-8") if expected.exists() else "")
